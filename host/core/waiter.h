/* SPDX-License-Identifier: MIT */
/* waiter.h: FIFO queues of tasks that wait for an object: a lock, an event, a channel.
 *
 * The queue's head stands in the object, the places in the waiting tasks (task->op), so waiting
 * allocates nothing and leaving the queue is O(1) wherever one stands. An object that is collected
 * while somebody still waits (whose stack foreign code has dropped) must empty its queues first. */
#ifndef BIDE_CORE_WAITER_H
#define BIDE_CORE_WAITER_H

#include <stddef.h>
#include <stdint.h>

/* A place in a queue, or the head of one. Circular; both NULL when it is in none. */
typedef struct bide_place {
  struct bide_place *next, *prev;
} bide_place;

/* One who waits for a lock, a condition or an event. */
typedef struct bide_waiter {
  bide_place place; /* first */
  void *object;     /* what it waits for; borrowed */
  void *extra;
} bide_waiter;

/* One who waits to receive from a channel, or to send to it; of a select, one of its cases. */
typedef struct bide_peer {
  bide_place place;     /* first */
  struct bide_chan *ch; /* borrowed; NULL once the channel has been collected */
  uint32_t slot;        /* of its value in the channel's table; 0: none */
  uint8_t sends;
  uint8_t selects; /* part of a bide_select; else of the task itself */
} bide_peer;

static inline void bide__queue_init(bide_place *head) {
  head->next = head->prev = head;
}
static inline void bide__queue_add(bide_place *head, bide_place *p) {
  p->next = head;
  p->prev = head->prev;
  p->prev->next = p;
  head->prev = p;
}
/* Leaves the queue it is in, if any. */
static inline void bide__queue_leave(bide_place *p) {
  if (!p->next) return;
  p->prev->next = p->next;
  p->next->prev = p->prev;
  p->next = p->prev = NULL;
}
/* The longest waiting, or NULL. */
static inline bide_place *bide__queue_first(const bide_place *head) {
  return head->next == head ? NULL : head->next;
}

#endif
