/* SPDX-License-Identifier: MIT */
/* await.h: the two waits that live in the task itself: for a time, for a future. No allocation. */
#ifndef BIDE_CORE_AWAIT_H
#define BIDE_CORE_AWAIT_H

#include "host.h"

/* bide.sleep: suspends for at least s seconds (0: until all that is ready and a poll have run). */
int bide__sleep(lua_State *L, bide_host *h, double s);
/* bide.interval: suspends until `when` on the host's clock, then goes on in `k`, which raises a
 * negative status. Stack left as it is. */
int bide__sleep_until(lua_State *L, bide_host *h, uint64_t when, bide_kwait k);
/* Waits for the future at index 1 and returns all its results or raises its error. */
int bide__await(lua_State *L, bide_host *h, bide_fut *f);
/* Nonzero if the running task awaiting `f` would close a cycle (chains of up to 64 are looked at).
 */
int bide__await_cycle(const bide_host *h, const bide_fut *f);

/* Raises EDEADLK; `self`: the task awaits itself. */
int bide__raise_cycle(lua_State *L, bide_host *h, const char *op, int self);

#endif
