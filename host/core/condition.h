/* SPDX-License-Identifier: MIT */
/* condition.h: waiting, with a lock released meanwhile, until somebody who holds it notifies.
 *
 * A full userdata whose user value is its lock. Who waits stands in the queue of the condition;
 * notified or cancelled, it moves to the queue of the lock, and goes on only when its guard holds
 * the lock again. Only a deadlock and the end of the host end the wait without it. */
#ifndef BIDE_CORE_CONDITION_H
#define BIDE_CORE_CONDITION_H

#include "semaphore.h"

typedef struct bide_cond {
  const char *magic;
  bide_host *host;
  bide_sem *lock;     /* in the user value */
  bide_place waiting; /* of bide_waiter: object is the lock, extra the guard or NULL */
} bide_cond;

bide_cond *bide__tocond(lua_State *L, int idx);
/* Pushes a condition over the lock at idx, its metatable still to be set. */
bide_cond *bide__cond_push(lua_State *L, bide_host *h, int idx);
void bide__cond_fini(bide_cond *c);
/* Does the running task hold the lock? */
int bide__cond_held(const bide_cond *c);
/* Waits; the task holds the lock, and does so again in `k`, which calls bide__cond_waited. */
int bide__cond_wait(lua_State *L, bide_host *h, bide_cond *c, bide_kwait k);
void bide__cond_waited(bide_wait *w);
/* Notifies the `n` who have waited longest. */
void bide__cond_notify(bide_cond *c, uint32_t n);

#endif
