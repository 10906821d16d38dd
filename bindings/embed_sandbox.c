/* SPDX-License-Identifier: MIT */
/* embed_sandbox.c: shrinks the libraries of a state to what a script that nobody trusts may have.
 *
 * Lists say what stays, so that what a later Lua or bide adds is not there by accident. What could
 * keep C busy for ever is replaced (guarded.h). Finalizers are refused, since no hook reaches them:
 * every table that Lua code can make a metatable passes here, and those of bide's that C code sets
 * are closed. Owns nothing. */
#include "core/stop.h"
#include "embed.h"
#include "guarded.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

static const char *const globals[] = {
    "_G",           "_VERSION", "assert",   "collectgarbage", "error",   "getmetatable",
    "ipairs",       "load",     "next",     "pairs",          "pcall",   "print",
    "rawequal",     "rawget",   "rawlen",   "rawset",         "require", "select",
    "setmetatable", "tonumber", "tostring", "type",           "warn",    "xpcall",
    "coroutine",    "math",     "os",       "package",        "string",  "table",
    "utf8",         NULL,
};
static const char *const os_names[] = {"clock", "date", "difftime", "time", NULL};
static const char *const package_names[] = {"loaded", "preload", "searchers", NULL};
static const char *const string_names[] = {
    "byte", "char", "find",    "format",   "gmatch", "gsub",   "len",   "lower", "match",
    "pack", "rep",  "reverse", "packsize", "sub",    "unpack", "upper", NULL};
static const char *const bide_names[] = {
    "Error",        "any",        "as_completed", "async",  "await",    "channel",   "compute",
    "condition",    "coroutine",  "current",      "daemon", "deadline", "details",   "event",
    "extend",       "future",     "gather",       "group",  "http",     "http_get",  "interval",
    "is_cancelled", "is_timeout", "lock",         "map",    "module",   "now",       "on_unhandled",
    "pipe_streams", "race",       "raise",        "run",    "select",   "semaphore", "settle",
    "shield",       "sleep",      "spawn",        "tcp",    "timeout",  "tls",       "try",
    "unwrap",       "var",        "wait",         NULL};
static const char *const loaded_names[] = {"_G",       "coroutine", "math", "os",        "package",
                                           "string",   "table",     "utf8", "bide.core", "bide.tcp",
                                           "bide.tls", "bide.http", NULL};

/* Types whose objects a script can have. */
static const char *const type_names[] = {"bide.Channel",
                                         "bide.Condition",
                                         "bide.Event",
                                         "bide.Future",
                                         "bide.Group",
                                         "bide.Guard",
                                         "bide.Lock",
                                         "bide.Semaphore",
                                         "bide.Task",
                                         "bide.Var",
                                         "bide.server",
                                         "bide.stream",
                                         "bide.http.headers",
                                         "bide.http.request",
                                         "bide.http.server",
                                         "bide.http.response",
                                         "bide.http.session",
                                         "bide.http.stream",
                                         NULL};

static const char *const preload_names[] = {
    "bide",         "bide.http", "bide.http.cookies", "bide.http.encode", "bide.pipe",
    "bide.require", NULL};

static int is_listed(const char *const *names, const char *name) {
  for (; *names; names++)
    if (strcmp(*names, name) == 0) return 1;
  return 0;
}

/* Keeps of the table on top of the stack only the fields with these names. */
static void keep_only(lua_State *L, const char *const *names) {
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING && is_listed(names, lua_tostring(L, -1))) continue;
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, -4);
  }
}

/* Pushes the library, if it is loaded. */
static int push_library(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}

/* ---- functions of the base library ---- */

static int refuse_gc(lua_State *L) {
  return luaL_error(L, "a finalizer (__gc) is refused in the sandbox");
}

static int l_setmetatable(lua_State *L) {
  int type = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
    return luaL_error(L, "cannot change a protected metatable");
  lua_settop(L, 2);
  if (type == LUA_TTABLE) {
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, 2) != LUA_TNIL) return refuse_gc(L);
    lua_pop(L, 1);
  }
  lua_setmetatable(L, 1);
  return 1;
}

static int l_rawset(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  luaL_checkany(L, 3);
  lua_settop(L, 3);
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "__gc") == 0) return refuse_gc(L);
  lua_rawset(L, 1);
  return 1;
}

static int l_read_only(lua_State *L) {
  return luaL_error(L, "this table is read-only in the sandbox");
}

/* Upvalues as those of guarded.h: a collection takes long. */
static int l_collectgarbage(lua_State *L) {
  static const char *const names[] = {"collect", "count", "step", NULL};
  switch (luaL_checkoption(L, 1, "collect", names)) {
  case 1: lua_pushnumber(L, lua_gc(L, LUA_GCCOUNT) + lua_gc(L, LUA_GCCOUNTB) / 1024.0); break;
  case 2: lua_pushboolean(L, lua_gc(L, LUA_GCSTEP, 0)); break;
  default: lua_pushinteger(L, lua_gc(L, LUA_GCCOLLECT)); break;
  }
  bide__heed(bide__guard_of(L), L);
  return 1;
}

/* A message handler is called where the error is raised, which may be in a hook of bide's, where
 * Lua calls no other hook: nothing would stop it. In a thread of its own it can be stopped. */
static int call_handler(lua_State *L) {
  bide_host *h = bide__host_of(L);
  lua_State *co = lua_newthread(L), *running = h->running;
  int status, nres = 0;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 2);
  if (h->guard) bide__guard(h, co);
  h->running = co;
  status = lua_resume(co, L, 1, &nres);
  h->running = running;
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return 1;
  }
  if (nres == 0 || status == LUA_YIELD) return lua_pushnil(L), 1;
  lua_settop(co, -nres);
  lua_xmove(co, L, 1);
  return 1;
}

static int k_xpcall(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 2;
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static int l_xpcall(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, call_handler, 1);
  lua_replace(L, 2);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
  return k_xpcall(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, 0, k_xpcall), 0);
}

/* ---- putting it together ---- */

static void wrap(lua_State *L, const char *name, lua_CFunction f) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, name);
}

static void shrink_globals(lua_State *L, bide_host *h) {
  lua_pushglobaltable(L);
  keep_only(L, globals);
  wrap(L, "setmetatable", l_setmetatable);
  wrap(L, "rawset", l_rawset);
  lua_pushnil(L);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, l_collectgarbage, 2);
  lua_setfield(L, -2, "collectgarbage");
  wrap(L, "xpcall", l_xpcall);
  lua_pop(L, 1);
}

/* What is left of Lua's libraries, behind bounds. */
static void guard_libraries(lua_State *L, bide_host *h) {
  static const char *const names[] = {LUA_GNAME,     LUA_STRLIBNAME,  LUA_TABLIBNAME,
                                      LUA_OSLIBNAME, LUA_MATHLIBNAME, LUA_UTF8LIBNAME};
  size_t i;
  if (push_library(L, LUA_STRLIBNAME)) {
    keep_only(L, string_names);
    lua_pop(L, 1);
  }
  for (i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (!push_library(L, names[i])) continue;
    bide__guard_library(L, h, names[i]);
    lua_pop(L, 1);
  }
}

static void copy_fields(lua_State *L, int from, int to) {
  lua_pushnil(L);
  while (lua_next(L, from)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, to);
  }
}

/* Pushes a table of copies of the methods of `type_names`, by the name of the type. Argument errors
 * look for a method's name in package.loaded; the tables that objects go by are not shown. */
static void copy_methods(lua_State *L, int loaded) {
  const char *const *name;
  int copies;
  lua_newtable(L);
  copies = lua_gettop(L);
  for (name = type_names; *name; name++) {
    if (lua_getfield(L, loaded, *name) == LUA_TTABLE) {
      lua_newtable(L);
      copy_fields(L, copies + 1, copies + 2);
      lua_setfield(L, copies, *name);
    }
    lua_settop(L, copies);
  }
}

/* Modules are those compiled in, but for what would make a core anew, whole; no path, no C library.
 */
static void shrink_package(lua_State *L) {
  int n;
  if (!push_library(L, LUA_LOADLIBNAME)) return;
  lua_getfield(L, -1, "searchers");
  for (n = (int)lua_rawlen(L, -1); n > 1; n--) {
    lua_pushnil(L);
    lua_rawseti(L, -2, n);
  }
  lua_pop(L, 1);
  keep_only(L, package_names);
  lua_getfield(L, -1, "preload");
  keep_only(L, preload_names);
  lua_pop(L, 1);
  lua_getfield(L, -1, "loaded");
  n = lua_gettop(L);
  copy_methods(L, n);
  lua_pushvalue(L, n);
  keep_only(L, loaded_names);
  copy_fields(L, n + 1, n);
  lua_pop(L, 4);
}

/* Metatables of bide's that scripts can see and C sets: no field can be added. */
static void close_errors(lua_State *L, bide_host *h) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->error_ref);
  if (!lua_getmetatable(L, -1)) lua_newtable(L);
  lua_pushcfunction(L, l_read_only);
  lua_setfield(L, -2, "__newindex");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

void bide__sandbox(lua_State *L, bide_host *h) {
  if (push_library(L, LUA_OSLIBNAME)) {
    keep_only(L, os_names);
    lua_pop(L, 1);
  }
  if (push_library(L, "bide.core")) {
    keep_only(L, bide_names);
    lua_getfield(L, -1, "module");
    keep_only(L, bide_names);
    lua_pop(L, 2);
  }
  shrink_package(L);
  shrink_globals(L, h);
  guard_libraries(L, h);
  close_errors(L, h);
}
