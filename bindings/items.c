/* SPDX-License-Identifier: MIT */
/* items.c: see items.h. */
#include "items.h"
#include "core/future.h"

#include <string.h>

/* A table that can be called is a function to whoever made it; userdata (a channel, say) stand here
 * by mistake. */
static int is_callable_table(lua_State *L, int idx) {
  if (!lua_istable(L, idx) || luaL_getmetafield(L, idx, "__call") == LUA_TNIL) return 0;
  lua_pop(L, 1);
  return 1;
}

static int is_item(lua_State *L, int idx) {
  return lua_isfunction(L, idx) || bide__tofuture(L, idx) || is_callable_table(L, idx);
}

int bide__is_list(lua_State *L, int idx) {
  return lua_istable(L, idx) && !is_callable_table(L, idx);
}

/* The item at index `item`, named `key`, of the list at `arg` can't be awaited. */
static int item_error(lua_State *L, int arg, int item, const char *key) {
  const char *found = luaL_typename(L, item);
  if (luaL_getmetafield(L, item, "__name") == LUA_TSTRING) found = lua_tostring(L, -1);
  return luaL_argerror(L, arg,
                       lua_pushfstring(L, "%s%sfuture, task or function expected, got %s", key,
                                       *key ? ": " : "", found));
}

uint32_t bide__collect_args(lua_State *L) {
  int i, n = lua_gettop(L);
  for (i = 1; i <= n; i++)
    if (!is_item(L, i)) item_error(L, i, i, "");
  lua_createtable(L, n, 0);
  lua_insert(L, BIDE_ITEMS);
  for (i = n; i >= 1; i--) lua_rawseti(L, BIDE_ITEMS, i);
  lua_pushnil(L);
  return (uint32_t)n;
}

/* The count that the list at 1 has in its field `n`, as by table.pack; -1: none. */
static lua_Integer count_field(lua_State *L) {
  lua_Integer n = -1;
  lua_pushliteral(L, "n");
  if (lua_rawget(L, 1) != LUA_TNIL) {
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0)
      luaL_argerror(L, 1, "key 'n' is the count of the list: an integer expected there");
    n = lua_tointeger(L, -1);
  }
  lua_pop(L, 1);
  return n;
}

static int is_count_key(lua_State *L, int idx) {
  return lua_type(L, idx) == LUA_TSTRING && strcmp(lua_tostring(L, idx), "n") == 0;
}

/* Raises if one of 1…last, or of as many as the list's `n` says, is missing. */
static void check_holes(lua_State *L, lua_Integer count, lua_Integer last) {
  lua_Integer n = count_field(L);
  if (n > last) last = n;
  if (count == last && (n < 0 || n == last)) return;
  luaL_argerror(L, 1,
                count == last ? "key 'n' is less than the length of the list"
                              : lua_pushfstring(L, "a list with a hole (%I items, the last at %I)",
                                                (LUAI_UACINT)count, (LUAI_UACINT)last));
}

/* Looks at every pair of the list at 1: counts the positions, collects the other keys (at 2). */
static lua_Integer scan(lua_State *L, lua_Integer *max) {
  lua_Integer count = 0, k, extra = 0;
  *max = 0;
  lua_pushnil(L); /* BIDE_KEYS, made on demand */
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    if (lua_isinteger(L, -2) && (k = lua_tointeger(L, -2)) > 0) {
      if (!is_item(L, -1)) {
        const char *key = lua_pushfstring(L, "item %I", (LUAI_UACINT)k);
        lua_insert(L, -2);
        item_error(L, 1, -1, key);
      }
      count++;
      if (k > *max) *max = k;
    } else if (is_count_key(L, -2)) { /* check_holes has a look at it */
    } else if (lua_type(L, -2) == LUA_TSTRING) {
      if (!is_item(L, -1)) {
        const char *key = lua_tostring(L, -2);
        item_error(L, 1, -1, key);
      }
      if (lua_isnil(L, BIDE_KEYS)) {
        lua_newtable(L);
        lua_replace(L, BIDE_KEYS);
      }
      lua_pushvalue(L, -2);
      lua_rawseti(L, BIDE_KEYS, ++extra);
    } else {
      luaL_argerror(
          L, 1, lua_pushfstring(L, "keys must be 1…n or strings, got a %s", luaL_typename(L, -2)));
    }
    lua_pop(L, 1);
  }
  check_holes(L, count, *max);
  return extra;
}

uint32_t bide__collect_list(lua_State *L, uint32_t *listed) {
  lua_Integer max, extra, i;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  extra = scan(L, &max);
  if (max + extra > 0x7ffffff) luaL_argerror(L, 1, "too many items");
  lua_createtable(L, (int)(max + extra), 0);
  for (i = 1; i <= max; i++) {
    lua_rawgeti(L, 1, i);
    lua_rawseti(L, -2, i);
  }
  for (i = 1; i <= extra; i++) {
    lua_rawgeti(L, BIDE_KEYS, i);
    lua_rawget(L, 1);
    lua_rawseti(L, -2, max + i);
  }
  lua_replace(L, BIDE_ITEMS);
  lua_settop(L, BIDE_KEYS);
  *listed = (uint32_t)max;
  return (uint32_t)(max + extra);
}
