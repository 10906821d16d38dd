/* SPDX-License-Identifier: MIT */
/* guarded.h: functions of Lua's own libraries with bounds, for the sandbox: each ends, whatever its
 * arguments, after some ten million steps or 64 MiB at most, since no hook reaches into C. */
#ifndef BIDE_GUARDED_H
#define BIDE_GUARDED_H

#include <lua.h>

enum { BIDE_GUARD_STEPS = 10000000, BIDE_GUARD_BYTES = 64 << 20 };

/* string.find, match, gmatch, rep; each wants BIDE_GUARD_STEPS as its first upvalue. */
int bide__l_find(lua_State *L);
int bide__l_match(lua_State *L);
int bide__l_gmatch(lua_State *L);
int bide__l_rep(lua_State *L);
/* table.concat; and insert, remove, move, unpack, sort: bide__l_bounded wants the original as its
 * second upvalue and refuses what would keep that busy. */
int bide__l_concat(lua_State *L);
int bide__l_move(lua_State *L);
int bide__l_bounded(lua_State *L);

#endif
