/* SPDX-License-Identifier: MIT */
/* await.c: sleep and await. */
#include "await.h"
#include "body.h"
#include "error.h"
#include "harvest.h"
#include "join.h"
#include "limit.h"
#include "map.h"
#include "name.h"
#include "run.h"
#include "sched.h"
#include "stop.h"
#include "trace.h"

#include <stdio.h>

enum { CHAIN_MAX = 64, NESTED_MAX = 8, AWAITERS_MAX = 64 };

/* ---- sleep ---- */

static bide_task *owner(bide_wait *w) {
  return bide_container(w, bide_task, own);
}

static void abort_sleep(bide_wait *w, int status) {
  bide_task *t = owner(w);
  bide__heap_stop(&bide__task_host(t)->timers, &t->op.timer);
  bide__wake(w, status);
}

static void describe_sleep(const bide_wait *w, char *buf, size_t size) {
  const bide_task *t = w->task;
  uint64_t when = bide__heap_when(&bide__task_host(t)->timers, &t->op.timer),
           now = bide__now_ns(bide__task_host(t));
  if (when == BIDE_NEVER) snprintf(buf, size, "sleep");
  else snprintf(buf, size, "sleep (%.3f s left)", when > now ? (double)(when - now) / 1e9 : 0.0);
}

static const bide_waitops sleep_ops = {"sleep", abort_sleep, describe_sleep, NULL, 0};
static const bide_waitops interval_ops = {"interval", abort_sleep, NULL, NULL, 0};

static int k_sleep(lua_State *L, bide_host *h, bide_wait *w) {
  return w->status < 0 ? bide__raise_status(L, h, w->status, "sleep") : 0;
}

static void abort_never(bide_wait *w, int status) {
  (void)w;
  (void)status;
}
static const bide_waitops turn_ops = {"sleep", abort_never, NULL, NULL, 0};

int bide__sleep(lua_State *L, bide_host *h, double s) {
  bide_task *t = h->current;
  if (bide__checkpoint(L, h, "sleep")) return bide__refuse(L, h);
  bide__wait_init(h, &t->own, s > 0 ? &sleep_ops : &turn_ops);
  if (s > 0) {
    t->op.timer.pos = 0;
    if (bide__heap_start(h, &h->timers, &t->op.timer, bide__deadline_ns(bide__now_ns(h), s)) != 0)
      return bide__timer_error(L, h, "sleep");
    return bide__suspend(L, h, &t->own, &sleep_ops, k_sleep);
  }
  /* Complete once everybody else had a turn: counts as complete from the start. */
  h->fast = 127;
  return bide__complete(L, h, &t->own, 0, k_sleep);
}

int bide__sleep_until(lua_State *L, bide_host *h, uint64_t when, bide_kwait k) {
  bide_task *t = h->current;
  if (bide__checkpoint(L, h, "interval")) return bide__refuse(L, h);
  bide__wait_init(h, &t->own, &interval_ops);
  t->op.timer.pos = 0;
  if (bide__heap_start(h, &h->timers, &t->op.timer, when) != 0)
    return luaL_error(L, "not enough memory");
  return bide__suspend(L, h, &t->own, &interval_ops, k);
}

/* ---- await ---- */

static void on_ended(bide_link *link) {
  bide__wake(&bide_container(link, bide_task, op.await.link)->own, 0);
}

static void abort_await(bide_wait *w, int status) {
  bide_task *t = owner(w);
  bide__unlink(t->op.await.on, &t->op.await.link);
  bide__wake(w, status);
}

static void describe_await(const bide_wait *w, char *buf, size_t size) {
  const bide_task *t = w->task;
  const bide_fut *f = t->op.await.on;
  char name[80];
  if (f->kind == BIDE_IS_TASK && f->state == BIDE_PENDING) {
    snprintf(buf, size, "task %s", bide__living_name((const bide_task *)f, name, sizeof name));
  } else {
    snprintf(buf, size, "future");
  }
}

static const bide_waitops await_ops = {"await", abort_await, describe_await, NULL, 0};
static const bide_waitops await_task_ops = {"await", abort_await, describe_await, NULL,
                                            BIDE_INNER_TASK};

static int k_await(lua_State *L, bide_host *h, bide_wait *w) {
  if (w->status < 0) return bide__raise_status(L, h, w->status, "await");
  return bide__push_results(L, h, 1);
}

static int awaits(const bide_task *t) {
  return t->wait == &t->own && !t->own.set &&
         (t->own.ops == &await_ops || t->own.ops == &await_task_ops);
}

/* Every task beneath a scope that is waited for as a whole; daemons are waited for by nobody. */
static int add_tasks(bide_scope *root, const bide_fut **list, int n, int max) {
  bide_scope *s;
  const bide_task *t;
  for (s = root; s && n < max; s = bide__scope_walk(s, root, 1))
    for (t = s->tasks; t && n < max; t = t->snext)
      if (!(t->fut.flags & BIDE_TF_DAEMON)) list[n++] = &t->fut;
  return n;
}

/* What `t` waits for is added to the list of those to look at: the future of an await, every member
 * of a join that needs them all. */
static int add_awaited(const bide_task *t, const bide_fut **list, int n, int max) {
  bide_scope *s;
  if (awaits(t)) {
    if (n < max) list[n++] = t->op.await.on;
    return n;
  }
  if (!t->wait || t->wait->set) return n;
  if ((s = bide__group_scope(t->wait)) != NULL || (s = bide__run_scope(t->wait)) != NULL)
    return add_tasks(s, list, n, max);
  return bide__join_members(t->wait, list, n, max);
}

int bide__await_cycle(const bide_host *h, const bide_fut *f) {
  const bide_fut *list[CHAIN_MAX];
  int i, n = 1;
  list[0] = f;
  for (i = 0; i < n; i++) {
    if (list[i]->kind != BIDE_IS_TASK || list[i]->state != BIDE_PENDING) continue;
    if (list[i] == &h->current->fut) return 1;
    n = add_awaited((const bide_task *)list[i], list, n, CHAIN_MAX);
  }
  return 0;
}

/* The awaited task has not begun and is all that is ready: it would run next, and the caller after
 * it. So it runs here, and if it ends without waiting the caller need not be suspended at all. */
static void run_next(lua_State *L, bide_host *h, bide_task *t) {
  bide_task *caller = h->current;
  bide_nest nest = {caller, t, h->nest};
  lua_State *top = h->top, *running = h->running;
  bide_scope *base = h->co_base;
  uint16_t fast = h->fast;
  int alone = !t->fut.waiters;
  bide__queue_pop(&h->ready);
  h->nested++;
  h->nest = &nest;
  bide__task_step(h, t, L);
  h->nest = nest.outer;
  h->nested--;
  h->current = caller;
  h->top = top;
  h->co_base = base;
  h->fast = fast;
  h->running = running;
  if (BIDE_UNLIKELY(t->fut.native) && alone && h->native_lost) h->native_lost--; /* L takes it */
  if (BIDE_UNLIKELY(h->guard)) bide__guard(h, running);
}

static int runs_next(const bide_host *h, const bide_fut *f) {
  return f->kind == BIDE_IS_TASK && h->ready.n == 1 && h->ready.head == (const bide_task *)f &&
         !(f->flags & BIDE_TF_STARTED) && h->round_left == 0 && h->nested < NESTED_MAX;
}

int bide__raise_cycle(lua_State *L, bide_host *h, const char *op, int self) {
  return bide__error(L, h, "EDEADLK", op,
                     self ? "a task cannot await itself"
                          : "this would close a cycle of tasks awaiting each other");
}

int bide__await(lua_State *L, bide_host *h, bide_fut *f) {
  bide_task *t = h->current;
  if (BIDE_UNLIKELY(!bide__may_wait(L, h)) && bide__checkpoint(L, h, "await"))
    return bide__refuse(L, h);
  if (runs_next(h, f)) run_next(L, h, (bide_task *)f);
  if (BIDE_LIKELY(f->state == BIDE_DONE && h->fast < 127)) { /* bide__complete, in short */
    h->fast++;
    return f->nres ? bide__push_results(L, h, 1) : 0;
  }
  if (f->state != BIDE_PENDING) return bide__complete(L, h, &t->own, 0, k_await);
  if (bide__await_cycle(h, f)) return bide__raise_cycle(L, h, "await", f == &t->fut);
  bide__wait_init(h, &t->own, &await_ops);
  t->op.await.on = f;
  bide__link(f, &t->op.await.link, on_ended);
  return bide__suspend(L, h, &t->own, f->kind == BIDE_IS_TASK ? &await_task_ops : &await_ops,
                       k_await);
}

static const bide_task *task_behind(const bide_link *link) {
  const bide_task *by;
  if (link->notify == on_ended) return bide_container(link, bide_task, op.await.link);
  if ((by = bide__join_awaiter(link)) || (by = bide__map_awaiter(link))) return by;
  return bide__harvest_awaiter(link);
}

const bide_task *bide__awaiter(const bide_task *t) {
  const bide_link *first = t->fut.waiters ? t->fut.waiters->next : NULL, *link = first;
  const bide_nest *nest;
  const bide_task *by;
  int n;
  for (nest = bide__task_host(t)->nest; nest; nest = nest->outer)
    if (nest->on == t) return nest->caller;
  for (n = 0; link && n < AWAITERS_MAX; n++) {
    if ((by = task_behind(link)) != NULL) return by;
    if ((link = link->next) == first) break;
  }
  return NULL;
}
