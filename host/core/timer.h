/* SPDX-License-Identifier: MIT */
/* timer.h: an array heap of timers, keyed by time and then by order of starting.
 *
 * A heap owns its array, never the timers in it: a `bide_timer` is embedded in the operation or
 * scope that it belongs to and must be stopped before that is freed. All times are nanoseconds of
 * the host's clock (bide__now_ns). */
#ifndef BIDE_CORE_TIMER_H
#define BIDE_CORE_TIMER_H

#include "compat.h"
#include <stdint.h>

#define BIDE_NEVER UINT64_MAX /* a timer at this time never fires, yet keeps the loop alive */

typedef struct bide_host bide_host;
typedef struct bide_timer {
  uint32_t pos; /* index in the heap + 1; 0 when not started */
  uint32_t seq; /* order of starting, breaks ties */
} bide_timer;

typedef struct bide_timer_entry {
  uint64_t when;
  bide_timer *timer;
} bide_timer_entry;

typedef struct bide_heap {
  bide_timer_entry *at; /* owned */
  uint32_t n, cap, seq;
} bide_heap;

/* Starts `t` (not started) to be due at `when`. 0 or UV_ENOMEM. */
int bide__heap_start(bide_host *h, bide_heap *heap, bide_timer *t, uint64_t when);
/* Stops `t` if it is started. O(log n), no allocation. */
void bide__heap_stop(bide_heap *heap, bide_timer *t);
/* Moves a started timer. */
void bide__heap_move(bide_heap *heap, bide_timer *t, uint64_t when);
/* Takes the first timer that is due at `now`, or NULL. */
bide_timer *bide__heap_due(bide_heap *heap, uint64_t now);
static inline uint64_t bide__heap_next(const bide_heap *heap) {
  return heap->n ? heap->at[0].when : BIDE_NEVER;
}
static inline uint64_t bide__heap_when(const bide_heap *heap, const bide_timer *t) {
  return t->pos ? heap->at[t->pos - 1].when : BIDE_NEVER;
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
