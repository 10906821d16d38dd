/* SPDX-License-Identifier: MIT */
/* inspect.h: the tree of tasks, as values and as text. */
#ifndef BIDE_INSPECT_H
#define BIDE_INSPECT_H

#include "bindings.h"

/* Pushes the text of the tree of all tasks. L is the thread that runs. May raise (memory). */
void bide__push_dump(lua_State *L, bide_host *h);
/* Reports that text (bide__report), with the stack of the running task if `stack`, or why there is
 * none; raises nothing. From Lua code or from a callback of the loop. */
void bide__dump(lua_State *L, bide_host *h, int stack);

#endif
