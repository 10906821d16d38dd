/* SPDX-License-Identifier: MIT */
/* guarded.c: see guarded.h. Functions of strings that are written anew. Owns nothing. */
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
  bide__heed(bide__guard_of(L), L);
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

/* Upvalues: steps, host, subject, pattern, where to go on, where the last match ended (or -1). */
static int next_match(lua_State *L) {
  bide_matcher m;
  size_t len, size;
  const char *s = lua_tolstring(L, lua_upvalueindex(3), &len);
  const char *p = lua_tolstring(L, lua_upvalueindex(4), &size);
  const char *at = s + lua_tointeger(L, lua_upvalueindex(5)), *e;
  lua_Integer last = lua_tointeger(L, lua_upvalueindex(6));
  bide__heed(bide__guard_of(L), L);
  m.start = s;
  m.end = s + len;
  bide__matcher_init(&m, L, p, size);
  for (; at <= m.end; at++) {
    e = bide__match(&m, at);
    if (!e || e - s == last) continue;
    lua_pushinteger(L, e - s);
    lua_copy(L, -1, lua_upvalueindex(5));
    lua_copy(L, -1, lua_upvalueindex(6));
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
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushinteger(L, init < 0 ? (lua_Integer)len + 1 : init);
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, next_match, 6);
  return 1;
}

/* ---- building ---- */

/* Fills a buffer with what it begins with. */
static void repeat(char *p, size_t have, size_t size) {
  while (have < size) {
    size_t n = have < size - have ? have : size - have;
    memcpy(p + have, p, n);
    have += n;
  }
}

int bide__l_rep(lua_State *L) {
  size_t len, sep, size;
  const char *s = luaL_checklstring(L, 1, &len), *between;
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_Buffer b;
  char *p;
  bide__heed(bide__guard_of(L), L);
  between = luaL_optlstring(L, 3, "", &sep);
  if (n <= 0 || len + sep == 0) return lua_pushliteral(L, ""), 1;
  if ((size_t)n > BIDE_GUARD_BYTES / (len + sep))
    return luaL_error(L, "resulting string too large");
  size = (size_t)n * (len + sep) - sep;
  p = luaL_buffinitsize(L, &b, size);
  memcpy(p, s, len);
  if (n > 1) memcpy(p + len, between, sep);
  repeat(p, n > 1 ? len + sep : len, size);
  luaL_pushresultsize(&b, size);
  return 1;
}
