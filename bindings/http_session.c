/* SPDX-License-Identifier: MIT */
/* http_session.c: the functions get, post, … request, of the library and of its sessions; their
 * arguments. A session owns a pool; its other options are in a table of lua/bide/http.lua's. */
#include "http_call.h"
#include "options.h"
#include "core/error.h"

#include <string.h>

/* Pushes the method that the options at idx, in argument `arg`, name; whether they do. */
static int push_method(lua_State *L, int idx, int arg) {
  size_t n;
  const char *p;
  if (lua_getfield(L, idx, "method") == LUA_TNIL) return lua_pop(L, 1), 0;
  p = lua_tolstring(L, -1, &n);
  if (lua_type(L, -1) != LUA_TSTRING || !bide__h1_valid_token(p, n))
    luaL_argerror(L, arg, "option 'method' is no valid method");
  if (strcmp(p, "CONNECT") == 0) luaL_argerror(L, arg, "method 'CONNECT' cannot be requested");
  return 1;
}

/* url, opts? end at argument `opts`. Checks them and pushes the method: the third upvalue, unless
 * the options have another. */
static void open_arguments(lua_State *L, int opts) {
  if (lua_type(L, opts - 1) != LUA_TSTRING) bide__type_error(L, opts - 1, "string");
  lua_settop(L, opts);
  if (!lua_isnil(L, opts)) {
    luaL_checktype(L, opts, LUA_TTABLE);
    if (lua_getfield(L, opts, "url") != LUA_TNIL)
      luaL_argerror(L, opts, "option 'url' beside a URL as argument");
    lua_pop(L, 1);
    if (push_method(L, opts, opts)) return;
  }
  lua_pushvalue(L, lua_upvalueindex(3));
}

/* get(url, opts?) */
static int l_method(lua_State *L) {
  open_arguments(L, 2);
  lua_pushnil(L);
  lua_insert(L, 1);
  return bide__http_call(L, 1, 2);
}

/* session:get(url, opts?) */
static int l_session_method(lua_State *L) {
  bide__http_check(L, bide__httplib(L), 1, BIDE_HT_POOL);
  open_arguments(L, 3);
  return bide__http_call(L, 2, 3);
}

/* The table of request{url=…, method=…} at idx: pushes url, the table, and the method. */
static void open_table(lua_State *L, int idx) {
  luaL_checktype(L, idx, LUA_TTABLE);
  lua_settop(L, idx);
  if (lua_getfield(L, idx, "url") != LUA_TSTRING) bide__opt_refuse(L, idx, "url", "string");
  lua_insert(L, idx);
  if (!push_method(L, idx + 1, idx)) lua_pushliteral(L, "GET");
}

static int l_request(lua_State *L) {
  open_table(L, 1);
  lua_pushnil(L);
  lua_insert(L, 1);
  return bide__http_call(L, 1, 1);
}

static int l_session_request(lua_State *L) {
  bide__http_check(L, bide__httplib(L), 1, BIDE_HT_POOL);
  open_table(L, 2);
  return bide__http_call(L, 2, 2);
}

/* ---- sessions ---- */

/* new_session(config, plain, limit, limit_per_host, keepalive): arguments were checked in Lua. */
static int l_new_session(lua_State *L) {
  bide_httplib *lib = bide__httplib(L);
  bide_hpool_limits limits = {(uint32_t)luaL_checkinteger(L, 3), (uint32_t)luaL_checkinteger(L, 4),
                              luaL_checknumber(L, 5)};
  bide_session *s = lua_newuserdatauv(L, sizeof *s, 1);
  s->pool = NULL;
  s->plain = lua_toboolean(L, 2);
  bide__http_setmt(L, lib, BIDE_HT_POOL);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, SESSION_UV_CONFIG);
  if (bide__host(L)->closed)
    return bide__error(L, bide__host(L), "ECANCELED", "session", "the host is closing");
  s->pool = bide__hpool_new(&lib->http, &limits);
  return s->pool ? 1 : luaL_error(L, "not enough memory");
}

static int l_session_close(lua_State *L) {
  bide_session *s = bide__http_check(L, bide__httplib(L), 1, BIDE_HT_POOL);
  bide_hpool *p = s->pool;
  s->pool = NULL;
  if (!p) return 0;
  if (!p->closed) bide__hpool_close(p);
  bide__hpool_unref(p);
  return 0;
}

static int l_session_tostring(lua_State *L) {
  bide_session *s = bide__http_check(L, bide__httplib(L), 1, BIDE_HT_POOL);
  if (!s->pool) lua_pushliteral(L, "bide.http.session: closed");
  else lua_pushfstring(L, "bide.http.session: %d connections", (int)s->pool->nopen);
  return 1;
}

static const struct {
  const char *name, *method;
} method_names[] = {{"get", "GET"},         {"post", "POST"},     {"put", "PUT"},
                    {"patch", "PATCH"},     {"delete", "DELETE"}, {"head", "HEAD"},
                    {"options", "OPTIONS"}, {NULL, NULL}};

/* Adds a function for each method to the table on top. */
static void add_methods(lua_State *L, lua_CFunction f) {
  int i;
  for (i = 0; method_names[i].name; i++) {
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushstring(L, method_names[i].method);
    lua_pushcclosure(L, f, 3);
    lua_setfield(L, -2, method_names[i].name);
  }
}

void bide__http_open_client(lua_State *L, bide_httplib *lib) {
  static const luaL_Reg meta[] = {{"__gc", l_session_close},
                                  {"__close", l_session_close},
                                  {"__tostring", l_session_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"request", l_session_request}, {"close", l_session_close}, {NULL, NULL}};
  bide__http_type(L, lib, BIDE_HT_POOL, "bide.http.session", meta, methods, NULL, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, lib->methods[BIDE_HT_POOL]);
  add_methods(L, l_session_method);
  lua_pop(L, 1);
}

void bide__http_add_client(lua_State *L) {
  static const luaL_Reg funcs[] = {
      {"request", l_request}, {"new_session", l_new_session}, {NULL, NULL}};
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  luaL_setfuncs(L, funcs, 2);
  add_methods(L, l_method);
}
