/* SPDX-License-Identifier: MIT */
/* guarded.c: see guarded.h. Owns nothing. */
#include "guarded.h"
#include "pattern.h"

#include <string.h>

/* ---- searching ---- */

/* The place that `init` names, from 0; past the end: -1. */
static ptrdiff_t place(lua_State *L, int arg, size_t len) {
  lua_Integer i = luaL_optinteger(L, arg, 1);
  if (i > 0) return (size_t)i - 1 > len ? -1 : (ptrdiff_t)i - 1;
  return i == 0 || i < -(lua_Integer)len ? 0 : (ptrdiff_t)((lua_Integer)len + i);
}

static int push_found(lua_State *L, const char *s, const char *from, const char *to) {
  lua_pushinteger(L, from - s + 1);
  lua_pushinteger(L, to - s);
  return 2;
}

static int find_plain(lua_State *L, const char *s, size_t len, ptrdiff_t at) {
  size_t size;
  const char *p = lua_tolstring(L, 2, &size);
  const char *found = memmem(s + at, len - (size_t)at, p, size);
  if (!found) return lua_pushnil(L), 1;
  return push_found(L, s, found, found + size);
}

static int search(lua_State *L, int find) {
  bide_matcher m;
  size_t len, size;
  const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &size), *at, *e;
  ptrdiff_t init = place(L, 3, len);
  int anchored = *p == '^';
  if (init < 0) return lua_pushnil(L), 1;
  if (find && (lua_toboolean(L, 4) || !strpbrk(p, "^$*+?.([%-"))) {
    if (lua_toboolean(L, 4) || strlen(p) == size) return find_plain(L, s, len, init);
  }
  m.start = s;
  m.end = s + len;
  bide__matcher_init(&m, L, p + anchored, size - (size_t)anchored);
  for (at = s + init;; at++) {
    if (!anchored) at = bide__match_skip(&m, at);
    e = bide__match(&m, at);
    if (e || anchored || at >= m.end) break;
  }
  if (!e) return lua_pushnil(L), 1;
  if (!find) return bide__push_captures(&m, at, e);
  push_found(L, s, at, e);
  return m.captures ? 2 + bide__push_captures(&m, at, e) : 2;
}

int bide__l_find(lua_State *L) {
  return search(L, 1);
}

int bide__l_match(lua_State *L) {
  return search(L, 0);
}

/* Upvalues: steps, subject, pattern, where to go on, where the last match ended (or -1). */
static int next_match(lua_State *L) {
  bide_matcher m;
  size_t len, size;
  const char *s = lua_tolstring(L, lua_upvalueindex(2), &len);
  const char *p = lua_tolstring(L, lua_upvalueindex(3), &size);
  const char *at = s + lua_tointeger(L, lua_upvalueindex(4)), *e;
  lua_Integer last = lua_tointeger(L, lua_upvalueindex(5));
  m.start = s;
  m.end = s + len;
  bide__matcher_init(&m, L, p, size);
  for (; at <= m.end; at++) {
    e = bide__match(&m, at);
    if (!e || e - s == last) continue;
    lua_pushinteger(L, e - s);
    lua_copy(L, -1, lua_upvalueindex(4));
    lua_copy(L, -1, lua_upvalueindex(5));
    lua_pop(L, 1);
    return bide__push_captures(&m, at, e);
  }
  return 0;
}

int bide__l_gmatch(lua_State *L) {
  size_t len;
  ptrdiff_t init;
  luaL_checklstring(L, 1, &len);
  luaL_checkstring(L, 2);
  init = place(L, 3, len);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushinteger(L, init < 0 ? (lua_Integer)len + 1 : init);
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, next_match, 5);
  return 1;
}

/* ---- building ---- */

int bide__l_rep(lua_State *L) {
  size_t len, sep;
  const char *s = luaL_checklstring(L, 1, &len), *between;
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_Buffer b;
  between = luaL_optlstring(L, 3, "", &sep);
  if (n <= 0 || len + sep == 0) return lua_pushliteral(L, ""), 1;
  if ((size_t)n > BIDE_GUARD_BYTES / (len + sep))
    return luaL_error(L, "resulting string too large");
  luaL_buffinit(L, &b);
  while (n-- > 1) {
    luaL_addlstring(&b, s, len);
    luaL_addlstring(&b, between, sep);
  }
  luaL_addlstring(&b, s, len);
  luaL_pushresult(&b);
  return 1;
}

/* A few elements, at powers of two, are enough for a length of 2^62, which Lua looks for in leaps:
 * what goes from element to element would never end. */
static void check_size(lua_State *L, int arg) {
  luaL_checktype(L, arg, LUA_TTABLE);
  if (luaL_getmetafield(L, arg, "__len") != LUA_TNIL)
    luaL_argerror(L, arg, "a table with __len is refused in the sandbox");
  if (lua_rawlen(L, arg) > BIDE_GUARD_STEPS) luaL_argerror(L, arg, "too many elements");
}

int bide__l_concat(lua_State *L) {
  size_t sep, size = 0, len;
  const char *between;
  lua_Integer i, last;
  luaL_Buffer b;
  check_size(L, 1);
  between = luaL_optlstring(L, 2, "", &sep);
  i = luaL_optinteger(L, 3, 1);
  last = luaL_opt(L, luaL_checkinteger, 4, (lua_Integer)lua_rawlen(L, 1));
  luaL_buffinit(L, &b);
  for (; i <= last; i++) {
    lua_geti(L, 1, i);
    if (!lua_isstring(L, -1))
      return luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
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

/* ---- the rest of table ---- */

static int k_called(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L);
}

static int call_original(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, k_called);
  return lua_gettop(L);
}

int bide__l_bounded(lua_State *L) {
  check_size(L, 1);
  return call_original(L);
}

int bide__l_move(lua_State *L) {
  lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
  if (to >= from && (lua_Unsigned)to - (lua_Unsigned)from >= BIDE_GUARD_STEPS)
    return luaL_argerror(L, 3, "too many elements to move");
  return call_original(L);
}
