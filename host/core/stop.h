/* SPDX-License-Identifier: MIT */
/* stop.h: ending what does not want to end.
 *
 * A *stop* (bide_interrupt, a CPU budget) and the teardown of a host are both for good: every wait
 * is refused, shields included, and past what is granted for clean-up (nothing after a stop, some
 * million instructions in teardown) every instruction of every task raises, so that no pcall keeps
 * it. While either is on, `guard` is set, and every thread is bounded before it is resumed.
 *
 * Not bounded by any of this: a C function, and a finalizer written in Lua. */
#ifndef BIDE_CORE_STOP_H
#define BIDE_CORE_STOP_H

#include "host.h"

enum { BIDE_STOP_NONE, BIDE_STOP_INTERRUPT, BIDE_STOP_BUDGET };

/* Asks for a stop; the loop's thread sees it in its next turn, or at once by a signal. From any
 * thread, also from a signal handler. Nonzero unless one was asked for already. */
int bide__stop(bide_host *h, int why);
/* Makes a stop that was asked for come true. Runs no Lua. */
void bide__stop_all(bide_host *h);
/* In each turn while one is on: ends it once no task is left. */
void bide__stop_settle(bide_host *h);
/* Before a run: what was asked for while nothing ran is forgotten, the budget is whole again. */
void bide__stop_reset(bide_host *h);
/* Pushes the error of the stop that ended the last run. */
void bide__stop_push_error(lua_State *L, bide_host *h);
/* From a signal handler: the running L raises at its next instruction. */
void bide__stop_hook(bide_host *h, lua_State *L);

/* Are tasks being ended by what no pcall keeps? Their errors tell nothing then. */
int bide__is_killing(const bide_host *h);
/* Has teardown granted clean-up all the time it will? For C functions; a hook looks at it between
 * instructions. */
int bide__is_late(const bide_host *h);
/* Before L is resumed, and when control comes back to it, while h->guard is set. */
void bide__guard(bide_host *h, lua_State *L);
/* Raises at the next instruction of L that its task was cancelled. */
void bide__cancel_hook(bide_host *h, lua_State *L);
/* Teardown: cancels all tasks, newest first, and runs them to their ends within bounds. */
void bide__end_tasks(bide_host *h);

#endif
