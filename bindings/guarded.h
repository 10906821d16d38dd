/* SPDX-License-Identifier: MIT */
/* guarded.h: functions of Lua's own libraries with bounds, for the sandbox. No hook reaches into C,
 * so each ends by itself, whatever its arguments, after some ten million steps or 64 MiB; where
 * that would refuse honest work, or where it calls others, it heeds a stop on its way. And each
 * heeds one when it is called: what calls it may be C as well (a task, a searcher, __close). */
#ifndef BIDE_GUARDED_H
#define BIDE_GUARDED_H

#include "core/host.h"

enum { BIDE_GUARD_STEPS = 10000000, BIDE_GUARD_BYTES = 64 << 20 };

/* The first two upvalues of every function here: BIDE_GUARD_STEPS and the host, a light userdata.
 * The host, or NULL outside a sandbox (bide__l_gsub and bide__l_sort are used there as well). */
static inline bide_host *bide__guard_of(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(2));
}

/* Raises what no pcall keeps if the host (which may be NULL) has been told to stop. */
void bide__heed_now(bide_host *h, lua_State *L);
static inline void bide__heed(bide_host *h, lua_State *L) {
  if (h && (h->guard || atomic_load_explicit(&h->stop, memory_order_relaxed))) bide__heed_now(h, L);
}

/* guarded.c: strings */
int bide__l_find(lua_State *L);
int bide__l_match(lua_State *L);
int bide__l_gmatch(lua_State *L);
int bide__l_rep(lua_State *L);
/* guarded_table.c */
int bide__l_concat(lua_State *L);
int bide__l_insert(lua_State *L);
int bide__l_remove(lua_State *L);
int bide__l_move(lua_State *L);
int bide__l_unpack(lua_State *L);
int bide__l_guarded_sort(lua_State *L);
/* guarded_call.c: replaces in the table on top of the stack, the library of this name ("_G": the
 * base library), by functions with bounds whatever of Lua's would need some. May raise. */
void bide__guard_library(lua_State *L, bide_host *h, const char *library);

#endif
