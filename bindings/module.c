/* SPDX-License-Identifier: MIT */
/* module.c: luaopen_bide_core, which makes the host of a Lua state and assembles the module. */
#include "bindings.h"
#include "core/error.h"

static void push_upvalue(lua_State *L, int host) {
  lua_pushvalue(L, host);
}

void bide__add_lib(lua_State *L, int host, const luaL_Reg *reg) {
  luaL_checkstack(L, 6, NULL);
  push_upvalue(L, host);
  luaL_setfuncs(L, reg, 1);
}

void bide__new_lib(lua_State *L, int host, const luaL_Reg *reg) {
  lua_newtable(L);
  bide__add_lib(L, host, reg);
}

void bide__name_functions(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void bide__new_metatable(lua_State *L, int host, const char *name, const luaL_Reg *methods,
                         const luaL_Reg *metamethods) {
  lua_newtable(L);
  if (metamethods) bide__add_lib(L, host, metamethods);
  if (methods) {
    bide__new_lib(L, host, methods);
    bide__name_functions(L, name);
    lua_setfield(L, -2, "__index");
  }
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
}

void bide__check_callable(lua_State *L, int arg) {
  if (lua_isfunction(L, arg)) return;
  if (luaL_getmetafield(L, arg, "__call") != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  bide__type_error(L, arg, "function");
}

/* bide.core is a table of its own before the module on top of the stack (its field `module`), so
 * that each function has one name only, that of the module "bide". */
static int push_core(lua_State *L, int host) {
  lua_newtable(L);
  bide__open_core_errors(L, host);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "module");
  lua_newtable(L);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  return 1;
}

int luaopen_bide_core(lua_State *L) {
  int host;
  luaL_checkversion(L);
  bide__host_open(L, NULL);
  host = lua_gettop(L);
  lua_newtable(L);
  bide__open_tasks(L, host);
  bide__open_combine(L, host);
  bide__open_channel(L, host);
  bide__open_sync(L, host);
  bide__open_var(L, host);
  bide__open_iterate(L, host);
  bide__open_errors(L, host);
  bide__open_coroutine(L, host);
  bide__open_inspect(L, host);
  bide__open_testing(L, host);
  bide__open_socket(L, host);
  bide__open_libs(L, host);
  return push_core(L, host);
}
