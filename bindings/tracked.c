/* SPDX-License-Identifier: MIT */
/* tracked.c: see tracked.h. A weak table: object → {kind, site}; what was collected was closed. */
#include "tracked.h"
#include "core/trace.h"

static const char key = 0; /* its address is the key in the registry */

void bide__track_slow(lua_State *L, bide_host *h, int idx, const bide_tracked *kind) {
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 4, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TTABLE) {
    lua_pushvalue(L, idx);
    lua_createtable(L, 2, 0);
    lua_pushlightuserdata(L, (void *)(uintptr_t)kind);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, bide__site_caller(L, h));
    lua_rawseti(L, -2, 2);
    lua_rawset(L, -3);
  }
  lua_pop(L, 1);
}

int bide__track_switch(lua_State *L, bide_host *h, int on) {
  int was = h->tracking;
  if (on == was) return was;
  h->tracking = 0;
  if (on) {
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
  } else {
    lua_pushnil(L);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  h->tracking = (unsigned char)on;
  return was;
}

static void push_one(lua_State *L, const bide_host *h, const bide_tracked *kind) {
  char text[100];
  lua_createtable(L, 0, 2);
  lua_pushstring(L, kind->name);
  lua_setfield(L, -2, "what");
  lua_rawgeti(L, -2, 2);
  bide__site_text(h, (uint32_t)lua_tointeger(L, -1), text, sizeof text);
  lua_pop(L, 1);
  lua_pushstring(L, text);
  lua_setfield(L, -2, "opened");
}

void bide__push_tracked(lua_State *L, bide_host *h) {
  lua_Integer n = 0;
  int list;
  luaL_checkstack(L, 10, NULL);
  lua_newtable(L);
  list = lua_gettop(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) != LUA_TTABLE) {
    lua_settop(L, list);
    return;
  }
  lua_pushnil(L);
  while (lua_next(L, list + 1)) {
    const bide_tracked *kind;
    lua_rawgeti(L, -1, 1);
    kind = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (kind->is_open(lua_touserdata(L, -2))) {
      push_one(L, h, kind);
      lua_rawseti(L, list, ++n);
    }
    lua_settop(L, list + 2);
  }
  lua_settop(L, list);
}
