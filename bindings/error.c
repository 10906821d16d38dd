/* SPDX-License-Identifier: MIT */
/* error.c: bide.Error, try, details, is_cancelled, is_timeout, on_unhandled. */
#include "core/error.h"
#include "core/failed.h"
#include "bindings.h"

static int k_try(lua_State *L, int status, lua_KContext ctx) {
  bide_host *h = bide__host(L);
  (void)ctx;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L);
  if (h->current && bide__task_refused(h->current) && bide__error_is_own_cancel(L, h, -1))
    return lua_error(L);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static int l_try(lua_State *L) {
  bide__check_callable(L, 1);
  return k_try(L, lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 0, k_try), 0);
}

static int l_details(lua_State *L) {
  luaL_checkany(L, 1);
  bide__details(L, bide__host(L), 1, 0);
  if (lua_isnil(L, -1)) lua_newtable(L);
  else bide__failed_tell(L, bide__host(L), -1);
  return 1;
}

static int l_is_cancelled(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, bide__error_is(L, bide__host(L), 1, "ECANCELED"));
  return 1;
}

static int l_is_timeout(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, bide__error_is(L, bide__host(L), 1, "ETIMEDOUT"));
  return 1;
}

/* on_unhandled(f or nil): returns the handler so far. */
static int l_on_unhandled(lua_State *L) {
  bide_host *h = bide__host(L);
  if (!lua_isnoneornil(L, 1)) bide__check_callable(L, 1);
  lua_settop(L, 1);
  if (h->unhandled_ref == LUA_NOREF) lua_pushnil(L);
  else lua_rawgeti(L, LUA_REGISTRYINDEX, h->unhandled_ref);
  lua_insert(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, h->unhandled_ref);
  h->unhandled_ref = LUA_NOREF;
  if (!lua_isnil(L, 2)) h->unhandled_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_settop(L, 1);
  return 1;
}

/* raise(code, op, target or nil, message, fields?): for bide's own Lua files. */
static int l_raise(lua_State *L) {
  bide_host *h = bide__host(L);
  const char *code = luaL_checkstring(L, 1), *op = luaL_checkstring(L, 2);
  const char *target = luaL_optstring(L, 3, NULL), *message = luaL_checkstring(L, 4);
  lua_settop(L, 5);
  if (target) bide__error_push(L, h, code, op, "%s: %s", target, message);
  else bide__error_push(L, h, code, op, "%s", message);
  if (lua_istable(L, 5)) {
    lua_pushnil(L);
    while (lua_next(L, 5)) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, 6);
    }
  }
  return lua_error(L);
}

static const luaL_Reg core_functions[] = {{"raise", l_raise}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"try", l_try},
    {"details", l_details},
    {"is_cancelled", l_is_cancelled},
    {"is_timeout", l_is_timeout},
    {"on_unhandled", l_on_unhandled},
    {NULL, NULL},
};

void bide__open_errors(lua_State *L, int host) {
  const bide_host *h = lua_touserdata(L, host);
  bide__add_lib(L, host, functions);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->error_ref);
  lua_setfield(L, -2, "Error");
}

void bide__open_core_errors(lua_State *L, int host) {
  bide__add_lib(L, host, core_functions);
}
