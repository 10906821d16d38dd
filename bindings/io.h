/* SPDX-License-Identifier: MIT */
/* io.h: operations of streams and sockets that fit into the waiting task itself.
 *
 * Their wait is task->own; what they belong to, and a place in a list of waiters, stand where the
 * operations of the core have theirs (task->op): a task waits for one thing at a time. */
#ifndef BIDE_IO_H
#define BIDE_IO_H

#include "core/host.h"
#include <assert.h>

typedef struct bide_io {
  void *data;      /* the operation or its object; NULL once that has let go of the task */
  bide_task *next; /* in a list of the object's */
} bide_io;

static_assert(sizeof(bide_io) <= sizeof(((bide_task *)0)->op), "fits into the task");

static inline bide_io *bide__io(bide_task *t) {
  return (bide_io *)(void *)&t->op;
}

/* The task whose own wait `w` is, also when it is no longer set in it (in `drop`). */
static inline bide_task *bide__wait_owner(bide_wait *w) {
  return bide_container(w, bide_task, own);
}

/* Moved bytes count towards the completed awaits in a row after which others run, so that a task
 * that never has to wait gives way after 256 KiB or so. */
static inline void bide__io_weigh(bide_host *h, size_t bytes) {
  unsigned fast = h->fast + (bytes < (1u << 18) ? (unsigned)(bytes >> 11) : 128u);
  h->fast = (uint16_t)(fast < 1024 ? fast : 1024);
}

#endif
