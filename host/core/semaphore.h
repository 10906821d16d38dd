/* SPDX-License-Identifier: MIT */
/* semaphore.h: locks and semaphores: permits given out in the order of asking.
 *
 * A permit is always either free or held by a guard. Giving it to a waiter *is* marking that
 * waiter's guard, so it cannot be lost on the way: whatever becomes of the waiter, its guard is
 * released, closed or collected. Both structs are full userdata; a guard's user value is its
 * semaphore, so it outlives the guard. No Lua here.
 *
 * Invariant: while a permit is free nobody waits. */
#ifndef BIDE_CORE_SEMAPHORE_H
#define BIDE_CORE_SEMAPHORE_H

#include "host.h"

/* What a guard does. */
enum {
  BIDE_GUARD_IDLE,    /* nothing: not yet or no longer */
  BIDE_GUARD_WAITING, /* its task waits for the permit */
  BIDE_GUARD_HELD,
  BIDE_GUARD_LENT, /* its task waits for a condition, and will hold it again */
};

typedef struct bide_guard bide_guard;

typedef struct bide_sem {
  const char *magic;
  bide_host *host;
  bide_place waiting;     /* of bide_waiter: object is the semaphore, extra the guard or NULL */
  uint32_t free, permits; /* how many are left, how many there are */
  uint32_t site;          /* where the latest permit was asked for; 0: all have come back */
  uint8_t is_lock;
  const bide_guard *holder; /* of a lock: the guard that holds it */
} bide_sem;

struct bide_guard {
  const char *magic;
  bide_sem *sem;
  bide_task *task;     /* the one that asked; compared, never looked into, unless `waiter` is set */
  bide_waiter *waiter; /* while its wait is under way: from asking until the continuation */
  uint32_t site;       /* where it was asked for */
  uint8_t state;
};

/* The object at idx, or NULL. */
bide_sem *bide__tosem(lua_State *L, int idx);
bide_guard *bide__toguard(lua_State *L, int idx);

/* These push new userdata, their metatables still to be set. */
bide_sem *bide__sem_push(lua_State *L, bide_host *h, uint32_t permits, int is_lock);
/* The guard of a semaphore at idx. */
bide_guard *bide__guard_push(lua_State *L, bide_host *h, int idx);

/* Asks for a permit for an idle guard on the stack of the running task, and goes on in `k` with the
 * permit held, or with a negative status. The continuation calls bide__sem_asked first. */
int bide__sem_ask(lua_State *L, bide_host *h, bide_guard *g, bide_kwait k);
void bide__sem_asked(bide_guard *g);
/* Gives the permit back if it is held: to who has waited longest. Idempotent; any state. */
void bide__guard_release(bide_guard *g);
/* The finalizer's part: nonzero if the permit was held and is now released. */
int bide__guard_fini(bide_guard *g);
/* The semaphore's finalizer: wakes whoever is still in its queue. */
void bide__sem_fini(bide_sem *sem);

/* ---- for conditions ---- */

/* Puts the guard of `w` into the queue of its lock, or gives it the lock at once and wakes its task
 * with `status`. For a guard that is gone (w->extra NULL), wakes it with UV_EBADF. */
void bide__sem_regain(bide_sem *sem, bide_waiter *w, int status);
/* Releases the lock of a held guard whose task begins to wait for a condition in `w`. */
void bide__guard_lend(bide_guard *g, bide_waiter *w);

/* ---- for all that wait in task->op.waiter ---- */

static inline bide_waiter *bide__waiter_of(bide_wait *w) {
  return &bide_container(w, bide_task, own)->op.waiter;
}
static inline bide_wait *bide__wait_of(bide_waiter *w) {
  return &bide_container(w, bide_task, op.waiter)->own;
}
/* Begins the wait of the running task in its own waiter, in no queue yet. */
bide_waiter *bide__waiter_begin(bide_host *h, const bide_waitops *ops, void *object);

#endif
