/* SPDX-License-Identifier: MIT */
/* timer.c: see timer.h. Each timer knows its place, so stopping needs no search; entries carry the
 * time, so that ordering touches the timers themselves only for ties.
 *
 * The heap is 4-ary (fewer cache lines per level than a binary one); a place in it is the index
 * + 1. The run is a ring of entries numbered by serials of 31 bits; a place in it is the serial
 * with the bit RUN. Stopping leaves a gap there, which keeps its time; gaps at either end go at
 * once, others when the ring is full. */
#include "host.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { ARITY = 4, FIRST_CAP = 64, FEW = 4 };
#define RUN        0x80000000u
#define TIMERS_MAX 0x40000000u

/* ---- the heap ---- */

static int before(const bide_timer_entry *a, const bide_timer_entry *b) {
  if (a->when != b->when) return a->when < b->when;
  return (int32_t)(a->timer->seq - b->timer->seq) < 0;
}

static void place(bide_heap *heap, uint32_t i, bide_timer_entry e) {
  heap->at[i] = e;
  e.timer->pos = i + 1;
}

static void sift_up(bide_heap *heap, uint32_t i, bide_timer_entry e) {
  while (i > 0) {
    uint32_t up = (i - 1) / ARITY;
    if (!before(&e, &heap->at[up])) break;
    place(heap, i, heap->at[up]);
    i = up;
  }
  place(heap, i, e);
}

static void sift_down(bide_heap *heap, uint32_t i, bide_timer_entry e) {
  for (;;) {
    uint32_t first = i * ARITY + 1, best, k, end;
    if (first >= heap->at_n) break;
    end = first + ARITY < heap->at_n ? first + ARITY : heap->at_n;
    best = first;
    for (k = first + 1; k < end; k++)
      if (before(&heap->at[k], &heap->at[best])) best = k;
    if (!before(&heap->at[best], &e)) break;
    place(heap, i, heap->at[best]);
    i = best;
  }
  place(heap, i, e);
}

static int heap_room(bide_host *h, bide_heap *heap) {
  uint32_t cap = heap->at_cap ? heap->at_cap * 2 : FIRST_CAP;
  void *p;
  if (heap->at_n < heap->at_cap) return 0;
  p = bide__realloc(h, heap->at, heap->at_cap * sizeof *heap->at, cap * sizeof *heap->at);
  if (!p) return UV_ENOMEM;
  heap->at = p;
  heap->at_cap = cap;
  return 0;
}

static int heap_add(bide_host *h, bide_heap *heap, bide_timer_entry e) {
  if (heap_room(h, heap) != 0) return UV_ENOMEM;
  sift_up(heap, heap->at_n++, e);
  return 0;
}

static void heap_remove(bide_heap *heap, uint32_t i) {
  bide_timer_entry last = heap->at[--heap->at_n];
  if (i == heap->at_n) return;
  if (i > 0 && before(&last, &heap->at[(i - 1) / ARITY])) sift_up(heap, i, last);
  else sift_down(heap, i, last);
}

/* ---- the run ---- */

static bide_timer_entry *run_at(const bide_heap *heap, uint32_t serial) {
  return &heap->run[serial & (heap->run_cap - 1)];
}

static void run_put(bide_heap *heap, uint32_t serial, bide_timer_entry e) {
  *run_at(heap, serial) = e;
  if (e.timer) e.timer->pos = RUN | serial;
}

/* Closes the gaps. */
static void run_compact(bide_heap *heap) {
  uint32_t i, kept = 0;
  for (i = 0; i < heap->run_n; i++) {
    bide_timer_entry e = *run_at(heap, heap->first + i);
    if (e.timer) run_put(heap, (heap->first + kept++) & ~RUN, e);
  }
  heap->run_n = kept;
  heap->gaps = 0;
}

/* A serial finds its entry by its lower bits, so that entries go elsewhere and timers know
 * nothing of it. */
static int run_grow(bide_host *h, bide_heap *heap) {
  uint32_t i, cap = heap->run_cap ? heap->run_cap * 2 : FIRST_CAP;
  bide_timer_entry *p = bide__alloc(h, cap * sizeof *p);
  if (!p) return UV_ENOMEM;
  for (i = 0; i < heap->run_n; i++)
    p[(heap->first + i) & (cap - 1)] = *run_at(heap, heap->first + i);
  bide__free(h, heap->run, heap->run_cap * sizeof *heap->run);
  heap->run = p;
  heap->run_cap = cap;
  return 0;
}

/* Room for one more; may renumber the entries. */
static int run_room(bide_host *h, bide_heap *heap) {
  if (heap->run_n < heap->run_cap) return 0;
  if (heap->gaps <= heap->run_n / 2) return run_grow(h, heap);
  run_compact(heap);
  return 0;
}

static void run_append(bide_heap *heap, bide_timer_entry e) {
  run_put(heap, (heap->first + heap->run_n++) & ~RUN, e);
}

static void run_trim(bide_heap *heap) {
  while (heap->run_n && !run_at(heap, heap->first)->timer) {
    heap->first = (heap->first + 1) & ~RUN;
    heap->run_n--;
    heap->gaps--;
  }
  while (heap->run_n && !run_at(heap, heap->first + heap->run_n - 1)->timer) {
    heap->run_n--;
    heap->gaps--;
  }
}

static void run_remove(bide_heap *heap, uint32_t serial) {
  run_at(heap, serial)->timer = NULL;
  heap->gaps++;
  run_trim(heap);
}

static int run_ends_before(const bide_heap *heap, uint64_t when) {
  return heap->run_n == 0 || run_at(heap, heap->first + heap->run_n - 1)->when <= when;
}

/* Does one at `when` go to the end of the run? A run of few that stands in the way joins the heap.
 */
static int run_takes(bide_host *h, bide_heap *heap, uint64_t when) {
  if (run_ends_before(heap, when)) return 1;
  if (heap->run_n - heap->gaps > FEW) return 0;
  while (heap->run_n) {
    if (heap_add(h, heap, *run_at(heap, heap->first)) != 0) return 0;
    run_remove(heap, heap->first);
  }
  return 1;
}

/* Moves the entry at `serial` to where it belongs, those between make way: for when there is no
 * memory for anything better. */
static void run_slide(bide_heap *heap, uint32_t serial, bide_timer_entry e) {
  uint32_t i = (serial - heap->first) & ~RUN;
  for (; i > 0 && run_at(heap, heap->first + i - 1)->when > e.when; i--)
    run_put(heap, (heap->first + i) & ~RUN, *run_at(heap, heap->first + i - 1));
  for (; i + 1 < heap->run_n && run_at(heap, heap->first + i + 1)->when <= e.when; i++)
    run_put(heap, (heap->first + i) & ~RUN, *run_at(heap, heap->first + i + 1));
  run_put(heap, (heap->first + i) & ~RUN, e);
  run_trim(heap);
}

/* ---- both ---- */

int bide__heap_start(bide_host *h, bide_heap *heap, bide_timer *t, uint64_t when) {
  bide_timer_entry e = {when, t};
  assert(t->pos == 0);
  if (heap->n >= h->max_timers || heap->n >= TIMERS_MAX) return UV_ENOMEM;
  t->seq = heap->seq++;
  if (!run_takes(h, heap, when)) {
    if (heap_add(h, heap, e) != 0) return UV_ENOMEM;
  } else {
    if (run_room(h, heap) != 0) return UV_ENOMEM;
    run_append(heap, e);
  }
  heap->n++;
  return 0;
}

void bide__heap_stop(bide_heap *heap, bide_timer *t) {
  uint32_t pos = t->pos;
  if (pos == 0) return;
  t->pos = 0;
  heap->n--;
  if (pos & RUN) run_remove(heap, pos & ~RUN);
  else heap_remove(heap, pos - 1);
}

static void move_in_heap(bide_heap *heap, bide_timer_entry e) {
  uint32_t i = e.timer->pos - 1;
  if (e.when < heap->at[i].when) sift_up(heap, i, e);
  else sift_down(heap, i, e);
}

void bide__heap_move(bide_host *h, bide_heap *heap, bide_timer *t, uint64_t when) {
  bide_timer_entry e = {when, t};
  uint32_t old;
  assert(t->pos != 0);
  t->seq = heap->seq++;
  if (!(t->pos & RUN)) {
    move_in_heap(heap, e);
  } else if (run_ends_before(heap, when) && run_room(h, heap) == 0) {
    old = t->pos & ~RUN; /* as run_room has left it */
    run_append(heap, e);
    run_remove(heap, old);
  } else if (heap_room(h, heap) == 0) {
    old = t->pos & ~RUN;
    sift_up(heap, heap->at_n++, e);
    run_remove(heap, old);
  } else {
    run_slide(heap, t->pos & ~RUN, e);
  }
}

const bide_timer_entry *bide__heap_first(const bide_heap *heap) {
  const bide_timer_entry *e = heap->run_n ? run_at(heap, heap->first) : NULL;
  if (heap->at_n && (!e || before(&heap->at[0], e))) return &heap->at[0];
  return e;
}

bide_timer *bide__heap_due(bide_heap *heap, uint64_t now) {
  const bide_timer_entry *e = heap->n ? bide__heap_first(heap) : NULL;
  bide_timer *t;
  if (!e || e->when > now || e->when == BIDE_NEVER) return NULL;
  t = e->timer;
  bide__heap_stop(heap, t);
  return t;
}

uint64_t bide__heap_when(const bide_heap *heap, const bide_timer *t) {
  if (t->pos == 0) return BIDE_NEVER;
  return t->pos & RUN ? run_at(heap, t->pos & ~RUN)->when : heap->at[t->pos - 1].when;
}

static void shift(bide_timer_entry *e, uint64_t then, uint64_t now) {
  if (e->when != BIDE_NEVER) e->when = now + (e->when > then ? e->when - then : 0);
}

void bide__heap_shift(bide_heap *heap, uint64_t then, uint64_t now) {
  uint32_t i;
  for (i = 0; i < heap->at_n; i++) shift(&heap->at[i], then, now);
  for (i = 0; i < heap->run_n; i++) shift(run_at(heap, heap->first + i), then, now);
}

void bide__heap_fini(bide_host *h, bide_heap *heap) {
  bide__free(h, heap->at, heap->at_cap * sizeof *heap->at);
  bide__free(h, heap->run, heap->run_cap * sizeof *heap->run);
  memset(heap, 0, sizeof *heap);
}

uint64_t bide__deadline_ns(uint64_t now, double s) {
  double ns = ceil(s * 1e9);
  if (!(ns < 9e18) || now > BIDE_NEVER - 1 - (uint64_t)ns) return BIDE_NEVER;
  return now + (uint64_t)ns;
}

/* Alarms have a heap of their own: sleeps then need no callback, which keeps a task small. */
int bide__alarm_start(bide_host *h, bide_alarm *a, double seconds, void (*fire)(bide_alarm *a)) {
  a->fire = fire;
  return bide__heap_start(h, &h->alarms, &a->timer, bide__deadline_ns(bide__now_ns(h), seconds));
}

int bide__alarm_again(bide_host *h, bide_alarm *a, double seconds, void (*fire)(bide_alarm *a)) {
  if (a->timer.pos == 0) return bide__alarm_start(h, a, seconds, fire);
  a->fire = fire;
  bide__heap_move(h, &h->alarms, &a->timer, bide__deadline_ns(bide__now_ns(h), seconds));
  return 0;
}

void bide__alarm_stop(bide_host *h, bide_alarm *a) {
  bide__heap_stop(&h->alarms, &a->timer);
}
