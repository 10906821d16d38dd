/* SPDX-License-Identifier: MIT */
/* preload.c: finds bide's own modules without any path (contract in preload.h).
 *
 * One closure per Lua file, with the file's index as upvalue; the text is compiled when it is
 * first required. Owns nothing. */
#include "preload.h"
#include "bindings.h"
#include "net/secure.h"
#include "tls.h"

#include <lauxlib.h>

/* loader(name, ":preload:"): compiles the file named by the upvalue and runs it. */
static int l_load_file(lua_State *L) {
  const bide__lua_file *file = &bide__lua_files[lua_tointeger(L, lua_upvalueindex(1))];
  if (luaL_loadbufferx(L, file->text, file->size, file->chunk, "t") != LUA_OK) return lua_error(L);
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

void bide__preload_tls(lua_State *L) {
  lua_pushcfunction(L, luaopen_bide_openssl);
  lua_setfield(L, LUA_REGISTRYINDEX, BIDE_TLS_MODULE);
}

/* A `require` that makes way for that of bide.require (a module may wait while it loads) when it is
 * first called: to compile that takes a part of the start of a script that requires nothing. */
static const char require_text[] =
    "local stock, load, loaded, globals, pcall, error = ...\n"
    "local own, loading\n"
    "local function require(...)\n"
    "  if not own then\n"
    "    if loading then return stock(...) end -- by bide.require itself\n"
    "    loading = true\n"
    "    local ok, result = pcall(load, 'bide.require', ':preload:')\n"
    "    loading = nil\n"
    "    if not ok then error(result, 0) end\n"
    "    own = loaded['bide.require'] or result\n"
    "    loaded['bide.require'] = own\n"
    "    if globals.require == require then globals.require = own end\n"
    "  end\n"
    "  return own(...)\n"
    "end\n"
    "return require\n";

/* stack: …, package.preload. The searchers may be the script's own by then: nothing is searched. */
static void replace_require(lua_State *L) {
  int preload = lua_gettop(L);
  if (luaL_loadbufferx(L, require_text, sizeof require_text - 1, "=bide/preload", "t") != LUA_OK)
    lua_error(L);
  if (lua_getglobal(L, "require") == LUA_TNIL) {
    lua_settop(L, preload);
    return;
  }
  lua_getfield(L, preload, "bide.require");
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushglobaltable(L);
  lua_getglobal(L, "pcall");
  lua_getglobal(L, "error");
  lua_call(L, 6, 1);
  lua_setglobal(L, "require");
}

void bide__preload(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (lua_Integer i = 0; bide__lua_files[i].module; i++) {
    lua_pushinteger(L, i);
    lua_pushcclosure(L, l_load_file, 1);
    lua_setfield(L, -2, bide__lua_files[i].module);
  }
  lua_pushcfunction(L, luaopen_bide_core);
  lua_setfield(L, -2, "bide.core");
  replace_require(L);
  lua_pop(L, 1);
}
