/* SPDX-License-Identifier: MIT */
/* sched.c: the ready queue and its place in the loop. One turn of the loop:
 *
 *   prepare   set the timer that bounds the poll; keep the idle handle while something is ready
 *   poll      callbacks of I/O wake waits: tasks become ready
 *   check     due sleeps wake, due alarms fire, `later` joins; a round; deadlines expire; more
 * rounds
 *
 * Tasks run only here, so the order is the same whoever drives the loop. */
#include "sched.h"
#include "body.h"
#include "debug.h"
#include "failure.h"
#include "harvest.h"
#include "join.h"
#include "limit.h"
#include "name.h"
#include "run.h"
#include "slice.h"
#include "stop.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

/* ---- queues ---- */

static void queue_init(bide_queue *q) {
  q->head = NULL;
  q->tail = &q->head;
  q->n = 0;
}

static void queue_append(bide_queue *q, bide_queue *from) {
  if (!from->head) return;
  *q->tail = from->head;
  q->tail = from->tail;
  q->n += from->n;
  queue_init(from);
}

static int is_busy(const bide_host *h) {
  return h->ready.n || h->later.n || h->hogs.n;
}

/* ---- a turn ---- */

static void fire_timers(bide_host *h, uint64_t now) {
  bide_timer *t;
  while ((t = bide__heap_due(&h->timers, now)) != NULL)
    bide__wake(&bide_container(t, bide_task, op.timer)->own, 0);
  while ((t = bide__heap_due(&h->alarms, now)) != NULL) {
    bide_alarm *a = bide_container(t, bide_alarm, timer);
    a->fire(a);
  }
}

/* What the body was waiting for, for the error's message. */
static void note_what(bide_scope *s) {
  bide_body *b = bide_container(s, bide_body, scope);
  const bide_wait *w = s->owner->wait;
  if (!w || w->set) return;
  if (w->ops->describe) w->ops->describe(w, b->what, sizeof b->what);
  else snprintf(b->what, sizeof b->what, "%s", w->ops->op);
}

/* A deadline set in this turn waits for a poll, so that what is ready already wins. */
static void expire_deadlines(bide_host *h, uint64_t now) {
  while (bide__heap_next(&h->deadlines) <= now && h->deadlines.n > 0) {
    const bide_timer_entry *first = bide__heap_first(&h->deadlines);
    bide_scope *s = bide_container(first->timer, bide_scope, deadline);
    if (s->turn == h->turn || first->when == BIDE_NEVER) return;
    bide__heap_stop(&h->deadlines, &s->deadline);
    s->expired = 1;
    note_what(s);
    bide__scope_cancel(h, s);
  }
}

/* ---- random order, for tests ---- */

enum { SHUFFLE_REACH = 64 }; /* how far into the queue a pick goes: bounds its cost */

uint64_t bide__sched_shuffle(bide_host *h, uint64_t state) {
  uint64_t was = h->shuffle;
  h->shuffle = state;
  return was;
}

/* xorshift64*: the same on every machine. */
static uint32_t draw(bide_host *h, uint32_t below) {
  uint64_t x = h->shuffle;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  h->shuffle = x;
  return (uint32_t)((x * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

/* Takes one of the first `among` tasks of the ready queue. */
static bide_task *take_any(bide_host *h, uint32_t among) {
  bide_queue *q = &h->ready;
  bide_task **at = &q->head, *t;
  uint32_t i = draw(h, among < SHUFFLE_REACH ? among : SHUFFLE_REACH);
  while (i-- > 0) at = &(*at)->next;
  t = *at;
  *at = t->next;
  if (q->tail == &t->next) q->tail = at;
  q->n--;
  return t;
}

static int run_round(bide_host *h) {
  int n = (int)h->ready.n;
  for (h->round_left = h->ready.n; h->round_left > 0;) {
    bide_task *t =
        BIDE_LIKELY(!h->shuffle) ? bide__queue_pop(&h->ready) : take_any(h, h->round_left);
    h->round_left--;
    bide__task_step(h, t, h->from);
    if (BIDE_UNLIKELY(atomic_load_explicit(&h->stop, memory_order_relaxed))) bide__stop_all(h);
    if (BIDE_UNLIKELY(h->until) && uv_hrtime() >= h->until) {
      h->round_left = 0;
      return BIDE_STEPS;
    }
  }
  return n;
}

/* Steps push a few values on the stack of the thread that drives the loop, whoever's frame is
 * there. */
enum { DRIVER_STACK = 40 };

void bide__note_time(bide_host *h) {
  h->coarse = (uint32_t)(h->virtual_clock ? h->vnow / 1000000 : uv_now(h->loop));
}

static void drain(bide_host *h) {
  uint64_t now = 0;
  int steps = 0, timed = h->timers.n || h->alarms.n || h->deadlines.n;
  if (BIDE_UNLIKELY(h->meter)) bide__meter_relieve(h);
  if (BIDE_UNLIKELY(!lua_checkstack(h->from, DRIVER_STACK))) return; /* no memory: a turn later */
  h->in_turn++;
  bide__slicer_enter(h);
  if (BIDE_UNLIKELY(atomic_load_explicit(&h->stop, memory_order_relaxed))) bide__stop_all(h);
  if (timed) {
    now = bide__now_ns(h);
    fire_timers(h, now);
  }
  bide__note_time(h);
  queue_append(&h->ready, &h->later);
  if (h->ready.n) steps = run_round(h);
  if (timed) expire_deadlines(h, now);
  while (h->ready.n && steps < BIDE_STEPS) steps += run_round(h);
  if (BIDE_UNLIKELY(h->hogs.n)) bide__run_hogs(h);
  if (BIDE_UNLIKELY(h->stopping)) bide__stop_settle(h);
  if (BIDE_UNLIKELY(h->collect)) bide__debug_turn(h);
  if (BIDE_UNLIKELY(h->lost || h->native_lost || h->report_now)) bide__report_lost(h, NULL);
  h->turn++;
  bide__slicer_leave(h);
  h->in_turn--;
}

static void on_idle(uv_idle_t *handle) {
  (void)handle;
}

static void set_idle(bide_host *h, int on) {
  if (on == h->idle_on) return;
  h->idle_on = (unsigned char)on;
  if (on) uv_idle_start(&h->idle, on_idle);
  else uv_idle_stop(&h->idle);
}

static uint64_t next_event(const bide_host *h) {
  uint64_t next = bide__heap_next(&h->timers), d = bide__heap_next(&h->deadlines);
  uint64_t a = bide__heap_next(&h->alarms);
  if (d < next) next = d;
  return a < next ? a : next;
}

/* Is there time to wait for? A sleep for ever is (but for the virtual clock, which can't jump
 * there), a deadline that never strikes is none. */
static int is_timed(const bide_host *h) {
  return next_event(h) != BIDE_NEVER || (!h->virtual_clock && (h->timers.n || h->alarms.n));
}

static void on_check(uv_check_t *handle) {
  bide_host *h = handle->data;
  drain(h);
  /* Else the loop might think that it is over: what was timed just now is armed only in `prepare`.
   */
  if (is_busy(h) || (is_timed(h) && !uv_loop_alive(h->loop))) set_idle(h, 1);
}

static void on_bound(uv_timer_t *handle) {
  (void)handle;
}

/* Bounds the poll by the next event. The loop counts in milliseconds: round up, never busy-wait. */
static void set_bound(bide_host *h, uint64_t next) {
  uint64_t now, ms;
  if (next == h->armed) return;
  h->armed = next;
  if (next == BIDE_NEVER) {
    uv_timer_stop(&h->bound);
    return;
  }
  now = bide__now_ns(h);
  ms = next > now ? (next - now + 999999) / 1000000 : 0;
  uv_update_time(h->loop);
  uv_timer_start(&h->bound, on_bound, ms, 0);
}

/* With the virtual clock and nothing ready, time jumps to the next event: at once when only timers
 * are left, after a poll of a millisecond in vain when there is I/O that might come first. */
static int jump(bide_host *h, uint64_t next) {
  if (is_busy(h) || next == BIDE_NEVER) {
    h->quiet = 0;
    return 0;
  }
  if (uv_is_active((uv_handle_t *)&h->bound)) uv_timer_stop(&h->bound);
  set_idle(h, 0);
  if (!h->quiet && uv_loop_alive(h->loop)) {
    h->quiet = 1;
    uv_update_time(h->loop);
    uv_timer_start(&h->bound, on_bound, 1, 0);
    return 0;
  }
  h->quiet = 0;
  if (next > h->vnow) h->vnow = next;
  return 1;
}

/* A sleep(math.huge) has no time, but keeps the loop alive all the same. */
static void keep_alive(bide_host *h) {
  uv_timer_start(&h->bound, on_bound, (uint64_t)1 << 50, 0);
  h->armed = BIDE_NEVER - 1;
}

static void on_prepare(uv_prepare_t *handle) {
  bide_host *h = handle->data;
  uint64_t next = next_event(h);
  int busy = is_busy(h);
  if (h->virtual_clock) {
    set_idle(h, busy || jump(h, next));
    return;
  }
  set_idle(h, busy);
  if (next == BIDE_NEVER && is_timed(h)) {
    if (h->armed != BIDE_NEVER - 1) keep_alive(h);
  } else {
    set_bound(h, next);
    /* It fired a moment too early, by the loop's coarse clock: once more. */
    if (next != BIDE_NEVER && !busy && !uv_is_active((uv_handle_t *)&h->bound)) {
      h->armed = BIDE_NEVER;
      set_bound(h, next);
    }
  }
}

void bide__sched_prime(bide_host *h) {
  on_prepare(&h->prepare);
}

/* ---- open and close ---- */

int bide__sched_open(bide_host *h) {
  int rc;
  queue_init(&h->ready);
  queue_init(&h->later);
  queue_init(&h->hogs);
  h->armed = BIDE_NEVER;
  bide__note_time(h);
  if ((rc = uv_prepare_init(h->loop, &h->prepare)) || (rc = uv_check_init(h->loop, &h->check)) ||
      (rc = uv_idle_init(h->loop, &h->idle)) || (rc = uv_timer_init(h->loop, &h->bound)))
    return rc;
  h->prepare.data = h->check.data = h->idle.data = h->bound.data = h;
  uv_prepare_start(&h->prepare, on_prepare);
  uv_check_start(&h->check, on_check);
  uv_unref((uv_handle_t *)&h->prepare);
  uv_unref((uv_handle_t *)&h->check);
  return 0;
}

static void on_closed(uv_handle_t *handle) {
  ((bide_host *)handle->data)->closing_handles--;
}

void bide__sched_close(bide_host *h) {
  h->closing_handles += 4;
  uv_close((uv_handle_t *)&h->prepare, on_closed);
  uv_close((uv_handle_t *)&h->check, on_closed);
  uv_close((uv_handle_t *)&h->idle, on_closed);
  uv_close((uv_handle_t *)&h->bound, on_closed);
}

int bide__sched_turn(bide_host *h) {
  drain(h);
  return is_busy(h);
}

/* ---- deadlock ---- */

/* The list of those that wait, as text; whole lines only. */
typedef struct waiting_list {
  char *text; /* of DEADLOCK_SIZE */
  size_t used;
  uint32_t more; /* that found no room */
} waiting_list;

enum { DEADLOCK_SIZE = 4096, DEADLOCK_TAIL = 64 };

static void note(bide_host *h, const bide_task *t, waiting_list *list) {
  char name[80], where[80], what[128], line[400];
  const bide_wait *w = t->wait;
  uint32_t here = bide__site_current(h, t->L);
  int n;
  if (w->ops->describe) w->ops->describe(w, what, sizeof what);
  else snprintf(what, sizeof what, "%s", w->ops->op);
  bide__living_name(t, name, sizeof name);
  bide__site_text(h, here ? here : t->site_spawn, where, sizeof where);
  n = snprintf(line, sizeof line, "\n  task %s waits in %s%s at %s", name, what,
               here ? "" : ", spawned", where);
  if (list->more || list->used + (size_t)n >= DEADLOCK_SIZE - DEADLOCK_TAIL) {
    list->more++;
    return;
  }
  memcpy(list->text + list->used, line, (size_t)n + 1);
  list->used += (size_t)n;
}

static int waiting(const bide_task *t) {
  return t->wait && !t->wait->set && !t->wait->aborted;
}

static int rank(const bide_task *t) {
  switch (t->wait->ops->inner) {
  case 0: return BIDE_RANK_LEAF;
  case BIDE_INNER_TASK: return BIDE_RANK_TASK;
  case BIDE_INNER_JOIN: return bide__join_rank(t->wait);
  case BIDE_INNER_HARVEST: return bide__harvest_rank(t->wait);
  default: return BIDE_RANK_OWN;
  }
}

static void describe_all(bide_host *h, bide_scope *root) {
  bide_scope *s;
  bide_task *t;
  waiting_list list = {NULL, 0, 0};
  h->deadlock_size = DEADLOCK_SIZE;
  if (!h->deadlock) h->deadlock = bide__alloc(h, h->deadlock_size);
  if (!h->deadlock) return;
  h->deadlock[0] = '\0';
  list.text = h->deadlock;
  for (s = root; s; s = bide__scope_walk(s, root, 1))
    for (t = s->tasks; t; t = t->snext)
      if (waiting(t)) note(h, t, &list);
  if (list.more)
    snprintf(list.text + list.used, DEADLOCK_SIZE - list.used,
             "\n  and %u more (bide.dump shows all)", (unsigned)list.more);
}

int bide__deadlock(bide_host *h) {
  bide_scope *s, *root = bide__run_outermost(h);
  bide_task *t;
  int pass, n = 0;
  if (!root) return 0;
  describe_all(h, root);
  for (pass = BIDE_RANK_LEAF; pass < BIDE_RANKS && n == 0; pass++)
    for (s = root; s; s = bide__scope_walk(s, root, 1))
      for (t = s->tasks; t; t = t->snext)
        if (waiting(t) && rank(t) <= pass) {
          bide__task_interrupt(t, BIDE_EDEADLK);
          n++;
        }
  return n;
}
