/* SPDX-License-Identifier: MIT */
/* sched.h: which task runs when.
 *
 * Loop callbacks only queue. After each poll the check handle drains: sleeps and alarms that are
 * due wake, the `later` queue joins, then rounds run; a round is what was ready at its start. After
 * the first round the deadlines expire (so a completion wins over a deadline), then rounds go on
 * until the queue is empty or BIDE_STEPS steps were made, so that I/O is polled however busy the
 * tasks are. */
#ifndef BIDE_CORE_SCHED_H
#define BIDE_CORE_SCHED_H

#include "host.h"

#define BIDE_STEPS 256

int bide__sched_open(bide_host *h);
/* Closes the handles (asynchronously). */
void bide__sched_close(bide_host *h);
/* From now on the tasks of a round run in a random order, whose generator is in this state; 0: in
 * order. Returns the state before. */
uint64_t bide__sched_shuffle(bide_host *h, uint64_t state);
/* A turn without the loop: teardown only. Nonzero while something is ready. */
int bide__sched_turn(bide_host *h);
/* To be called before the loop is run by whoever runs it: a loop with nothing but ready tasks must
 * not look dead. */
void bide__sched_prime(bide_host *h);
/* Takes host->coarse from the loop's clock. */
void bide__note_time(bide_host *h);
/* Raises EDEADLK in the waits that can never end. Returns how many. */
int bide__deadlock(bide_host *h);

static inline void bide__queue_push(bide_queue *q, bide_task *t) {
  t->next = NULL;
  *q->tail = t;
  q->tail = &t->next;
  q->n++;
}

/* Not from an empty one. */
static inline bide_task *bide__queue_pop(bide_queue *q) {
  bide_task *t = q->head;
  q->head = t->next;
  if (!q->head) q->tail = &q->head;
  q->n--;
  return t;
}

/* Makes `t` ready. */
static inline void bide__ready(bide_host *h, bide_task *t) {
  bide__queue_push(BIDE_UNLIKELY(t->fut.compute) ? &h->hogs : &h->ready, t);
}

#endif
