/* SPDX-License-Identifier: MIT */
/* stack.h: the stacks of threads as text, for tracebacks: one line a frame, the innermost first,
 * bide's own left out. */
#ifndef BIDE_CORE_STACK_H
#define BIDE_CORE_STACK_H

#include "host.h"

/* A text that is being made. On L nothing may stay pushed between two calls. */
typedef struct bide_trace {
  lua_State *L;
  luaL_Buffer b;
  bide_host *host;
  char own[LUA_IDSIZE + 240]; /* beginning of the names of bide's own Lua files */
} bide_trace;

enum { BIDE_FRAMES_TOP = 12, BIDE_FRAMES_END = 11 };

/* Prepares `t`; the caller then begins its buffer with luaL_buffinit. May raise. */
void bide__trace_init(bide_trace *t, lua_State *L, bide_host *h);
/* Adds the string on top of the stack (popped). */
void bide__trace_add(bide_trace *t);
/* Adds the frame that `ar` (filled with "Slnt") tells of, if it is to be shown. */
void bide__trace_frame(bide_trace *t, lua_State *co, lua_Debug *ar);
/* Adds the frames of `co` from `level` on; in a deep stack those in the middle are skipped. */
void bide__trace_stack(bide_trace *t, lua_State *co, int level);
/* Adds all stacks from `co` inwards, the innermost first. `running`: the innermost if it runs, to
 * which `level` then applies, or NULL. */
void bide__trace_stacks(bide_trace *t, lua_State *co, lua_State *running, int level);
/* Does the text so far show that "file:line"? */
int bide__trace_shows(const bide_trace *t, const char *site);
/* Is the C function of `ar` bide's own? */
int bide__is_own_function(lua_State *co, lua_Debug *ar, const bide_host *h);

#endif
