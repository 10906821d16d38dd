/* SPDX-License-Identifier: MIT */
/* timer.c: a 4-ary array heap (fewer cache lines per level than a binary one). Each timer knows its
 * place, so stopping is O(log n) without a search; entries carry the time, so that ordering touches
 * the timers themselves only for ties. */
#include "host.h"

#include <assert.h>
#include <math.h>

enum { ARITY = 4, FIRST_CAP = 64 };

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
    if (first >= heap->n) break;
    end = first + ARITY < heap->n ? first + ARITY : heap->n;
    best = first;
    for (k = first + 1; k < end; k++)
      if (before(&heap->at[k], &heap->at[best])) best = k;
    if (!before(&heap->at[best], &e)) break;
    place(heap, i, heap->at[best]);
    i = best;
  }
  place(heap, i, e);
}

static int grow(bide_host *h, bide_heap *heap) {
  uint32_t cap = heap->cap ? heap->cap * 2 : FIRST_CAP;
  if (cap > h->max_timers) cap = h->max_timers;
  void *p;
  if (cap <= heap->cap || cap > UINT32_MAX / ARITY) return UV_ENOMEM;
  p = bide__realloc(h, heap->at, heap->cap * sizeof *heap->at, cap * sizeof *heap->at);
  if (!p) return UV_ENOMEM;
  heap->at = p;
  heap->cap = cap;
  return 0;
}

int bide__heap_start(bide_host *h, bide_heap *heap, bide_timer *t, uint64_t when) {
  bide_timer_entry e = {when, t};
  assert(t->pos == 0);
  if (heap->n == heap->cap && grow(h, heap) != 0) return UV_ENOMEM;
  t->seq = heap->seq++;
  sift_up(heap, heap->n++, e);
  return 0;
}

void bide__heap_stop(bide_heap *heap, bide_timer *t) {
  uint32_t i;
  bide_timer_entry last;
  if (t->pos == 0) return;
  i = t->pos - 1;
  t->pos = 0;
  last = heap->at[--heap->n];
  if (i == heap->n) return;
  if (i > 0 && before(&last, &heap->at[(i - 1) / ARITY])) sift_up(heap, i, last);
  else sift_down(heap, i, last);
}

void bide__heap_move(bide_heap *heap, bide_timer *t, uint64_t when) {
  uint32_t i = t->pos - 1;
  bide_timer_entry e = {when, t};
  uint64_t old = heap->at[i].when;
  assert(t->pos != 0);
  t->seq = heap->seq++;
  if (when < old) sift_up(heap, i, e);
  else sift_down(heap, i, e);
}

bide_timer *bide__heap_due(bide_heap *heap, uint64_t now) {
  bide_timer *t;
  if (heap->n == 0 || heap->at[0].when > now || heap->at[0].when == BIDE_NEVER) return NULL;
  t = heap->at[0].timer;
  bide__heap_stop(heap, t);
  return t;
}

void bide__heap_fini(bide_host *h, bide_heap *heap) {
  bide__free(h, heap->at, heap->cap * sizeof *heap->at);
  heap->at = NULL;
  heap->n = heap->cap = 0;
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
  bide__heap_move(&h->alarms, &a->timer, bide__deadline_ns(bide__now_ns(h), seconds));
  return 0;
}

void bide__alarm_stop(bide_host *h, bide_alarm *a) {
  bide__heap_stop(&h->alarms, &a->timer);
}
