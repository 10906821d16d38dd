/* SPDX-License-Identifier: MIT */
/* debug.h: debug mode (BIDE_DEBUG=1, `bide -d`): warnings about what is no error but seldom meant.
 *
 *  - a task holds the loop for longer than 50 ms: nothing else ran meanwhile;
 *  - a task ends `done` although a wait raised its cancellation: something has swallowed it;
 *  - the handle of a failed task is dropped before anybody awaited it.
 *
 * Each is one report (bide__report) that begins with "bide: debug:". While it is off, each of the
 * places below costs a look at host->debug. */
#ifndef BIDE_CORE_DEBUG_H
#define BIDE_CORE_DEBUG_H

#include "host.h"

/* Switches it. The hook that notices long steps goes to the main thread, from which all threads
 * made later take it over, and to those of tasks; one that is there already stays. May raise. */
void bide__debug_switch(lua_State *L, bide_host *h, int on);
/* Around each step: `enter` returns what `leave` needs. */
uint64_t bide__debug_enter(bide_host *h);
void bide__debug_leave(bide_host *h, const bide_task *t, uint64_t outer);
/* A wait of the running task is about to raise its cancellation: keeps the stack. May raise. */
void bide__debug_cancelled(lua_State *L, bide_host *h);
/* The task ends in that state; still anchored. Never raises. */
void bide__debug_ended(bide_host *h, const bide_task *t, int state);
/* A task has failed and nobody awaits it: a collection at the end of the turn shows whether anybody
 * can. */
void bide__debug_collect(bide_host *h);
/* At the end of a turn in which that was asked for. */
void bide__debug_turn(bide_host *h);
/* A failure is about to be reported because its handle was dropped. */
void bide__debug_lost(bide_host *h);

#endif
