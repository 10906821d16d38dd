/* SPDX-License-Identifier: MIT */
/* guarded_table.c: see guarded.h. A table of a few elements, at powers of two, has a length of
 * 2^62, which Lua looks for in leaps; and each element may be read and written by functions in C
 * (__index, __newindex). So lengths are limited, and a stop is heeded at each element. Owns
 * nothing. */
#include "guarded.h"
#include "stock.h"

#include <limits.h>

#include <lauxlib.h>

static const char k_many[] = "too many elements";

/* Its length. */
static lua_Integer check_size(lua_State *L) {
  lua_Unsigned n;
  bide__heed(bide__guard_of(L), L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL) /* else nothing was pushed */
    luaL_argerror(L, 1, "a table with __len is refused in the sandbox");
  n = lua_rawlen(L, 1);
  if (n > BIDE_GUARD_STEPS) luaL_argerror(L, 1, k_many);
  return (lua_Integer)n;
}

int bide__l_concat(lua_State *L) {
  bide_host *h = bide__guard_of(L);
  size_t sep, size = 0, len;
  lua_Integer n = check_size(L), i, last;
  const char *between = luaL_optlstring(L, 2, "", &sep);
  luaL_Buffer b;
  i = luaL_optinteger(L, 3, 1);
  last = luaL_optinteger(L, 4, n);
  luaL_buffinit(L, &b);
  for (; i <= last; i++) {
    lua_geti(L, 1, i);
    bide__heed(h, L);
    if (!lua_isstring(L, -1))
      return luaL_error(L, "invalid value (%s) at index %I in table for 'concat'",
                        luaL_typename(L, -1), (LUAI_UACINT)i);
    lua_tolstring(L, -1, &len);
    size += len + sep + 1; /* one more, so that empty strings come to an end as well */
    if (size > BIDE_GUARD_BYTES) return luaL_error(L, "resulting string too large");
    luaL_addvalue(&b);
    if (i == last) break;
    luaL_addlstring(&b, between, sep);
  }
  luaL_pushresult(&b);
  return 1;
}

/* a[to] = a[from] */
static void shift(lua_State *L, bide_host *h, lua_Integer from, lua_Integer to) {
  lua_geti(L, 1, from);
  lua_seti(L, 1, to);
  bide__heed(h, L);
}

int bide__l_insert(lua_State *L) {
  bide_host *h = bide__guard_of(L);
  int args = lua_gettop(L);
  lua_Integer end = check_size(L) + 1, at = end, i;
  if (args == 3) {
    at = luaL_checkinteger(L, 2);
    luaL_argcheck(L, at >= 1 && at <= end, 2, "position out of bounds");
    for (i = end; i > at; i--) shift(L, h, i - 1, i);
  } else if (args != 2) {
    return luaL_error(L, "wrong number of arguments to 'insert'");
  }
  lua_seti(L, 1, at);
  return 0;
}

int bide__l_remove(lua_State *L) {
  bide_host *h = bide__guard_of(L);
  lua_Integer n = check_size(L), at = luaL_optinteger(L, 2, n);
  if (at != n)
    luaL_argcheck(L, (lua_Unsigned)at - 1 <= (lua_Unsigned)n, 2, "position out of bounds");
  lua_geti(L, 1, at);
  for (; at < n; at++) shift(L, h, at + 1, at);
  lua_pushnil(L);
  lua_seti(L, 1, at);
  return 1;
}

int bide__l_move(lua_State *L) {
  bide_host *h = bide__guard_of(L);
  lua_Integer from = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
  lua_Integer to = luaL_checkinteger(L, 4), n = last - from + 1, i;
  int other = lua_isnoneornil(L, 5) ? 1 : 5, upwards;
  bide__heed(h, L);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, other, LUA_TTABLE);
  if (last >= from) {
    if ((lua_Unsigned)last - (lua_Unsigned)from >= BIDE_GUARD_STEPS)
      return luaL_argerror(L, 3, "too many elements to move");
    luaL_argcheck(L, to <= LUA_MAXINTEGER - n + 1, 4, "destination wrap around");
    upwards = to > last || to <= from || (other != 1 && !lua_compare(L, 1, other, LUA_OPEQ));
    for (i = 0; i < n; i++) {
      lua_Integer at = upwards ? i : n - 1 - i;
      lua_geti(L, 1, from + at);
      lua_seti(L, other, to + at);
      bide__heed(h, L);
    }
  }
  lua_pushvalue(L, other);
  return 1;
}

int bide__l_unpack(lua_State *L) {
  bide_host *h = bide__guard_of(L);
  lua_Integer size = check_size(L), from = luaL_optinteger(L, 2, 1), last;
  lua_Unsigned n;
  last = luaL_optinteger(L, 3, size);
  if (from > last) return 0;
  n = (lua_Unsigned)last - (lua_Unsigned)from;
  if (n >= INT_MAX || !lua_checkstack(L, (int)++n))
    return luaL_error(L, "too many results to unpack");
  for (; from < last; from++) {
    lua_geti(L, 1, from);
    bide__heed(h, L);
  }
  lua_geti(L, 1, last);
  return (int)n;
}

int bide__l_guarded_sort(lua_State *L) {
  check_size(L);
  return bide__l_sort(L);
}
