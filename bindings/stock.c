/* SPDX-License-Identifier: MIT */
/* stock.c: puts bide's versions of Lua's functions into Lua's libraries. Owns nothing. */
#include "stock.h"

#include <lauxlib.h>
#include <lualib.h>

static const struct {
  const char *library, *name;
  lua_CFunction function;
} replaced[] = {
    {LUA_TABLIBNAME, "sort", bide__l_sort},
    {LUA_STRLIBNAME, "gsub", bide__l_gsub},
};

void bide__replace_stock(lua_State *L) {
  size_t i;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (i = 0; i < sizeof replaced / sizeof replaced[0]; i++) {
    if (lua_getfield(L, -1, replaced[i].library) == LUA_TTABLE) {
      lua_pushcfunction(L, replaced[i].function);
      lua_setfield(L, -2, replaced[i].name);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}
