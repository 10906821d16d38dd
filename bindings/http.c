/* SPDX-License-Identifier: MIT */
/* http.c: `bide.http`, assembled; what its files share (contract in http.h). */
#include "http.h"
#include "bindings.h"
#include "core/error.h"

#include <string.h>

void *bide__http_check(lua_State *L, const bide_httplib *lib, int idx, int type) {
  static const char *const names[] = {"http server",   "http request", "http response",
                                      "http response", "http headers", "http session"};
  void *p = bide__http_test(L, lib, idx, type);
  if (!p) bide__type_error(L, idx, names[type]);
  return p;
}

/* Pushes a function with host and lib as upvalues, and the top `extra` values as more of them. */
static void set_functions(lua_State *L, const luaL_Reg *reg) {
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  luaL_setfuncs(L, reg, 2);
}

void bide__http_type(lua_State *L, bide_httplib *lib, int type, const char *name,
                     const luaL_Reg *meta, const luaL_Reg *methods, const char *const *fields,
                     lua_CFunction index) {
  int i;
  lua_newtable(L);
  set_functions(L, meta);
  lua_newtable(L);
  set_functions(L, methods);
  bide__name_functions(L, name);
  for (i = 0; fields && fields[i]; i++) {
    lua_pushinteger(L, i + 1);
    lua_setfield(L, -2, fields[i]);
  }
  lua_pushvalue(L, -1);
  lib->methods[type] = luaL_ref(L, LUA_REGISTRYINDEX);
  if (index) {
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_rotate(L, -3, 2);
    lua_pushcclosure(L, index, 3);
  }
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__metatable");
  lib->id[type] = lua_topointer(L, -1);
  lib->mt[type] = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* setup{prepare=, follow=, …}: takes what is written in Lua; lua/bide/http.lua calls it once. */
static int l_setup(lua_State *L) {
  static const char *const helpers[BIDE_HF_COUNT] = {
      "prepare", "follow", "received", "request_json", "response_json", "stream_json"};
  bide_httplib *lib = bide__httplib(L);
  size_t i;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  for (i = 0; i < BIDE_HF_COUNT; i++) {
    luaL_unref(L, LUA_REGISTRYINDEX, lib->helpers[i]);
    lua_getfield(L, 1, helpers[i]);
    lib->helpers[i] = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  return 0;
}

static int k_one(lua_State *L, int status, lua_KContext ctx) {
  (void)L;
  (void)status;
  (void)ctx;
  return 1;
}

/* Until then the C half alone stands in package.loaded (libs.c). */
void bide__http_load(lua_State *L, bide_httplib *lib) {
  if (lib->helpers[BIDE_HF_PREPARE] != LUA_NOREF) return;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushnil(L);
  lua_setfield(L, -2, "bide.http");
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "bide.http");
  lua_call(L, 1, 0);
}

int bide__http_json(lua_State *L, int type, int helper) {
  bide_httplib *lib = bide__httplib(L);
  bide__http_check(L, lib, 1, type);
  bide__http_load(L, lib);
  lua_settop(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, lib->helpers[helper]);
  lua_insert(L, 1);
  lua_callk(L, 1, 1, 0, k_one);
  return 1;
}

/* What is written in Lua is loaded when it is first asked for: a script that only gets URLs does
 * without. */
static int l_index(lua_State *L) {
  bide_httplib *lib = bide__httplib(L);
  luaL_checktype(L, 1, LUA_TTABLE); /* a script may call it by hand */
  lua_settop(L, 2);
  if (lib->helpers[BIDE_HF_PREPARE] == LUA_NOREF && lua_type(L, 2) == LUA_TSTRING &&
      (strcmp(lua_tostring(L, 2), "session") == 0 || strcmp(lua_tostring(L, 2), "cookie_jar") == 0))
    bide__http_load(L, lib);
  lua_rawget(L, 1);
  return 1;
}

static const luaL_Reg functions[] = {{"setup", l_setup}, {"blame", bide__http_blame}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__index", l_index}, {NULL, NULL}};

/* (host, lib) → table; in a frame of its own, so that both have fixed places. */
static int open_at(lua_State *L) {
  bide_httplib *lib = lua_touserdata(L, 2);
  bide__http_open_headers(L, lib);
  bide__http_open_request(L, lib);
  bide__http_open_server(L, lib);
  bide__http_open_response(L, lib);
  bide__http_open_stream(L, lib);
  bide__http_open_client(L, lib);
  lua_newtable(L);
  bide__http_add_server(L);
  bide__http_add_client(L);
  bide__http_add_url(L);
  set_functions(L, functions);
  lua_newtable(L);
  set_functions(L, metamethods);
  lua_setmetatable(L, -2);
  return 1;
}

void bide__open_http(lua_State *L, int host) {
  bide_host *h = lua_touserdata(L, host);
  bide_httplib *lib;
  int i;
  host = lua_absindex(L, host);
  lua_pushcfunction(L, open_at);
  lua_pushvalue(L, host);
  lib = lua_newuserdatauv(L, sizeof *lib, 0);
  memset((char *)lib + sizeof lib->http, 0, sizeof *lib - sizeof lib->http);
  for (i = 0; i < BIDE_HF_COUNT; i++) lib->helpers[i] = LUA_NOREF;
  lua_pushvalue(L, -1);
  (void)luaL_ref(L, LUA_REGISTRYINDEX); /* connections on the loop refer to it */
  bide__http_init(&lib->http, h);
  lua_call(L, 2, 1);
}
