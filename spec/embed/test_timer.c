/* SPDX-License-Identifier: MIT */
/* test_timer.c: the timers of the core beside a model that looks at each of them every time: random
 * starts, stops, moves and passing time give the same order, also where memory fails. */
#include "check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/host.h"

enum { SLOTS = 300, STEPS = 200000 };

typedef struct slot {
  bide_timer timer;
  uint64_t when;
  uint64_t order;
  int started;
} slot;

typedef struct model {
  slot slots[SLOTS];
  bide_host h;
  bide_heap heap;
  uint64_t now, order;
  uint32_t live;
  uint64_t seed;
  int stingy; /* one allocation in so many fails; 0: none */
  long blocks;
} model;

static uint32_t draw(model *m, uint32_t below) {
  m->seed = m->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(m->seed >> 33) % below;
}

static void *stingy_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  model *m = ud;
  (void)osize;
  if (nsize == 0) {
    m->blocks -= p != NULL;
    free(p);
    return NULL;
  }
  if (m->stingy && draw(m, (uint32_t)m->stingy) == 0) return NULL;
  m->blocks += p == NULL;
  return realloc(p, nsize);
}

static slot *first_of(model *m) {
  slot *best = NULL;
  int i;
  for (i = 0; i < SLOTS; i++) {
    slot *s = &m->slots[i];
    if (!s->started) continue;
    if (!best || s->when < best->when || (s->when == best->when && s->order < best->order))
      best = s;
  }
  return best;
}

/* Mostly of a few equal lengths, as programs time things; sometimes anything. */
static uint64_t some_time(model *m) {
  static const uint64_t lengths[] = {1000, 1000, 1000, 30000, 5};
  switch (draw(m, 12)) {
  case 0: return BIDE_NEVER;
  case 1: return m->now + draw(m, 50000);
  default: return m->now + lengths[draw(m, 5)];
  }
}

static void touch(model *m, slot *s) {
  if (!s->started) {
    uint64_t when = some_time(m);
    int rc = bide__heap_start(&m->h, &m->heap, &s->timer, when);
    CHECK(rc == 0 || (rc == UV_ENOMEM && m->stingy));
    if (rc != 0) return;
    s->started = 1;
    m->live++;
    s->when = when;
    s->order = m->order++;
  } else if (draw(m, 3) == 0) {
    bide__heap_stop(&m->heap, &s->timer);
    s->started = 0;
    m->live--;
  } else {
    s->when = some_time(m);
    s->order = m->order++;
    bide__heap_move(&m->h, &m->heap, &s->timer, s->when);
  }
}

static void pass_time(model *m) {
  bide_timer *t;
  m->now += draw(m, 400);
  while ((t = bide__heap_due(&m->heap, m->now)) != NULL) {
    slot *s = first_of(m);
    CHECK(s && t == &s->timer && s->when <= m->now);
    if (!s || t != &s->timer) exit(1);
    s->started = 0;
    m->live--;
  }
}

static void compare(model *m) {
  const slot *s = first_of(m);
  CHECK(m->heap.n == m->live);
  CHECK(bide__heap_next(&m->heap) == (s ? s->when : BIDE_NEVER));
  if (!s) return;
  CHECK(bide__heap_first(&m->heap)->timer == &s->timer);
  CHECK(bide__heap_when(&m->heap, &s->timer) == s->when);
}

static void same_order(int stingy, uint32_t among) {
  model *m = calloc(1, sizeof *m);
  int i;
  m->seed = among * 977u + (uint32_t)stingy;
  m->stingy = stingy;
  m->h.alloc = stingy_alloc;
  m->h.alloc_ud = m;
  m->h.max_timers = UINT32_MAX;
  for (i = 0; i < STEPS; i++) {
    touch(m, &m->slots[draw(m, among)]);
    if (draw(m, 4) == 0) pass_time(m);
    if (i % 16 == 0) compare(m);
  }
  bide__heap_fini(&m->h, &m->heap);
  CHECK(m->blocks == 0);
  free(m);
}

static void fires_in_order(void) {
  same_order(0, 3);
  same_order(0, 40);
  same_order(0, SLOTS);
}

static void fires_in_order_without_memory(void) {
  same_order(2, 8);
  same_order(2, SLOTS);
  same_order(50, SLOTS);
}

/* A run and no memory for a heap: each move finds its place all the same, among equals the last. */
static void moves_without_memory(void) {
  model *m = calloc(1, sizeof *m);
  int i;
  m->seed = 5;
  m->h.alloc = stingy_alloc;
  m->h.alloc_ud = m;
  m->h.max_timers = UINT32_MAX;
  for (i = 0; i < SLOTS; i++) {
    slot *s = &m->slots[i];
    s->when = (uint64_t)(1000 + i / 3 * 10);
    s->order = m->order++;
    CHECK(bide__heap_start(&m->h, &m->heap, &s->timer, s->when) == 0);
    s->started = 1;
    m->live++;
  }
  m->stingy = 1; /* all fail */
  for (i = 0; i < 5000; i++) {
    slot *s = &m->slots[draw(m, SLOTS)];
    s->when = (uint64_t)(1000 + draw(m, 100) * 10);
    s->order = m->order++;
    bide__heap_move(&m->h, &m->heap, &s->timer, s->when);
    if (i % 16 == 0) compare(m);
  }
  for (i = 0; i < 200; i++) pass_time(m);
  CHECK(m->live == 0 && m->heap.n == 0);
  bide__heap_fini(&m->h, &m->heap);
  free(m);
}

/* Equal lengths and cancellations leave the memory where it is: gaps are closed, not kept. */
static void stays_small(void) {
  model *m = calloc(1, sizeof *m);
  int i;
  m->h.alloc = stingy_alloc;
  m->h.alloc_ud = m;
  m->h.max_timers = UINT32_MAX;
  for (i = 0; i < STEPS; i++) {
    slot *s = &m->slots[i % 20];
    if (i >= 20 && i % 20 != 0) bide__heap_stop(&m->heap, &s->timer);
    else if (i >= 20) bide__heap_move(&m->h, &m->heap, &s->timer, (uint64_t)i);
    if (s->timer.pos == 0)
      CHECK(bide__heap_start(&m->h, &m->heap, &s->timer, (uint64_t)i + 100) == 0);
  }
  CHECK(m->heap.n == 20);
  CHECK(m->heap.run_cap <= 128 && m->heap.at_cap <= 128);
  bide__heap_fini(&m->h, &m->heap);
  free(m);
}

/* Serials come round after two thousand million timers. */
static void numbers_come_round(void) {
  model *m = calloc(1, sizeof *m);
  int i;
  m->h.alloc = stingy_alloc;
  m->h.alloc_ud = m;
  m->h.max_timers = UINT32_MAX;
  m->heap.first = 0x7fffffe0u;
  m->heap.seq = 0xffffffe0u;
  for (i = 0; i < 100; i++) CHECK(bide__heap_start(&m->h, &m->heap, &m->slots[i].timer, 7) == 0);
  bide__heap_stop(&m->heap, &m->slots[50].timer);
  for (i = 0; i < 100; i++)
    if (i != 50) CHECK(bide__heap_due(&m->heap, 7) == &m->slots[i].timer);
  CHECK(bide__heap_due(&m->heap, 7) == NULL && m->heap.n == 0);
  bide__heap_fini(&m->h, &m->heap);
  free(m);
}

/* As many as the limit allows, and the clock set from one time to another. */
static void keeps_limits_and_times(void) {
  model *m = calloc(1, sizeof *m);
  int i;
  m->h.alloc = stingy_alloc;
  m->h.alloc_ud = m;
  m->h.max_timers = 10;
  for (i = 0; i < 10; i++)
    CHECK(bide__heap_start(&m->h, &m->heap, &m->slots[i].timer, (uint64_t)(1000 - 10 * i)) == 0);
  CHECK(bide__heap_start(&m->h, &m->heap, &m->slots[10].timer, 1) == UV_ENOMEM);
  CHECK(m->slots[10].timer.pos == 0);
  bide__heap_shift(&m->heap, 950, 5000);
  CHECK(bide__heap_when(&m->heap, &m->slots[0].timer) == 5050);
  CHECK(bide__heap_next(&m->heap) == 5000); /* it was late already */
  bide__heap_fini(&m->h, &m->heap);
  free(m);
}

static const test tests[] = {
    {"fires_in_order", fires_in_order},
    {"fires_in_order_without_memory", fires_in_order_without_memory},
    {"moves_without_memory", moves_without_memory},
    {"stays_small", stays_small},
    {"numbers_come_round", numbers_come_round},
    {"keeps_limits_and_times", keeps_limits_and_times},
    {NULL, NULL},
};

int main(int argc, char **argv) {
  return run_tests(argc, argv, tests);
}
