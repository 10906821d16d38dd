/* SPDX-License-Identifier: MIT */
/* timer.h: timers, in order of time and then of starting: a sorted run in front of an array heap.
 * Timers of equal length come in order, and so does most of what a program times: those form the
 * run, where starting and firing cost the same however many there are. The others go to the heap.
 *
 * A set of timers owns its arrays, never the timers in it: a `bide_timer` is embedded in the
 * operation or scope that it belongs to and must be stopped before that is freed. All times are
 * nanoseconds of the host's clock (bide__now_ns). */
#ifndef BIDE_CORE_TIMER_H
#define BIDE_CORE_TIMER_H

#include "compat.h"
#include <stdint.h>

#define BIDE_NEVER UINT64_MAX /* a timer at this time never fires, yet keeps the loop alive */

typedef struct bide_host bide_host;
typedef struct bide_timer {
  uint32_t pos; /* its place (timer.c); 0 when not started */
  uint32_t seq; /* order of starting, breaks ties */
} bide_timer;

typedef struct bide_timer_entry {
  uint64_t when;
  bide_timer *timer; /* NULL: a gap in the run, where one was stopped */
} bide_timer_entry;

typedef struct bide_heap {
  uint32_t n; /* timers started */
  uint32_t seq;
  bide_timer_entry *at; /* owned; the heap */
  uint32_t at_n, at_cap;
  bide_timer_entry *run; /* owned; a ring, run_cap is a power of two */
  uint32_t run_cap, run_n, gaps;
  uint32_t first; /* serial of the first entry, which is no gap; nor is the last */
} bide_heap;

/* Starts `t` (not started) to be due at `when`. 0 or UV_ENOMEM. */
int bide__heap_start(bide_host *h, bide_heap *heap, bide_timer *t, uint64_t when);
/* Stops `t` if it is started. O(1) or O(log n), no allocation. */
void bide__heap_stop(bide_heap *heap, bide_timer *t);
/* Moves a started timer. Never fails. */
void bide__heap_move(bide_host *h, bide_heap *heap, bide_timer *t, uint64_t when);
/* The next timer to be due, or NULL. */
const bide_timer_entry *bide__heap_first(const bide_heap *heap);
/* Takes the first timer that is due at `now`, or NULL. */
bide_timer *bide__heap_due(bide_heap *heap, uint64_t now);
uint64_t bide__heap_when(const bide_heap *heap, const bide_timer *t);
/* The clock was set from `then` to `now`: every timer keeps the time that it has left. */
void bide__heap_shift(bide_heap *heap, uint64_t then, uint64_t now);
static inline uint64_t bide__heap_next(const bide_heap *heap) {
  const bide_timer_entry *e = heap->n ? bide__heap_first(heap) : NULL;
  return e ? e->when : BIDE_NEVER;
}
void bide__heap_fini(bide_host *h, bide_heap *heap);

/* Seconds from Lua to a deadline on the host's clock; saturates at BIDE_NEVER. s >= 0, not NaN. */
uint64_t bide__deadline_ns(uint64_t now, double s);

/* An operation's timer with a callback, for I/O (connect timeouts, idle limits): fires after a
 * poll, before the tasks that this poll woke run. The callback runs no Lua. */
typedef struct bide_alarm {
  bide_timer timer;
  void (*fire)(struct bide_alarm *a);
} bide_alarm;
int bide__alarm_start(bide_host *h, bide_alarm *a, double seconds, void (*fire)(bide_alarm *a));
/* Moves a started alarm, or starts it; never allocates when it is started. */
int bide__alarm_again(bide_host *h, bide_alarm *a, double seconds, void (*fire)(bide_alarm *a));
void bide__alarm_stop(bide_host *h, bide_alarm *a);

#endif
