/* SPDX-License-Identifier: MIT */
/* error.c: see error.h. Error tables are made only in tasks, under a pcall of Lua's. */
#include "error.h"
#include "debug.h"
#include "trace.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { RECENT = 32 };

/* ---- making errors ---- */

/* The line of the nearest Lua code; where the task was spawned if only C functions run in it. */
static void push_where(lua_State *L, bide_host *h) {
  lua_Debug ar;
  char site[100];
  int level;
  for (level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0 && !bide__is_own_source(L, ar.source)) {
      lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
      return;
    }
  }
  bide__site_text(h, h->current ? h->current->site_spawn : 0, site, sizeof site);
  lua_pushstring(L, site);
}

static void set_string(lua_State *L, const char *key, const char *value) {
  if (!value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

/* Pushes the error. A message that begins with what the operation was done to, by "%s: ", has that
 * as `target` as well. */
static void new_error(lua_State *L, bide_host *h, const char *code, const char *op, const char *fmt,
                      va_list ap) {
  va_list copy;
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 6);
  if (strncmp(fmt, "%s: ", 4) == 0) {
    va_copy(copy, ap);
    set_string(L, "target", va_arg(copy, const char *));
    va_end(copy);
  }
  lua_pushvfstring(L, fmt, ap);
  lua_setfield(L, -2, "message");
  set_string(L, "code", code);
  set_string(L, "op", op);
  push_where(L, h);
  lua_setfield(L, -2, "where");
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->error_ref);
  lua_setmetatable(L, -2);
}

void bide__error_push(lua_State *L, bide_host *h, const char *code, const char *op, const char *fmt,
                      ...) {
  va_list ap;
  va_start(ap, fmt);
  new_error(L, h, code, op, fmt, ap);
  va_end(ap);
}

int bide__error(lua_State *L, bide_host *h, const char *code, const char *op, const char *fmt,
                ...) {
  va_list ap;
  va_start(ap, fmt);
  new_error(L, h, code, op, fmt, ap);
  va_end(ap);
  return lua_error(L);
}

int bide__not_running(lua_State *L, bide_host *h, const char *op) {
  return bide__error(L, h, "ENORUN", op, "not inside bide.run (call it from bide.run(main))");
}

/* By our own tables: uv_err_name and uv_strerror allocate, for ever, for codes they do not know. */
const char *bide__code_name(int status) {
  switch (status) {
#define NAME(name, text)                                                                           \
  case UV_##name: return #name;
    UV_ERRNO_MAP(NAME)
#undef NAME
  case BIDE_EDEADLK: return "EDEADLK";
  case BIDE_ETLS: return "ETLS";
  case BIDE_EPROXY: return "EPROXY";
  default: return "UNKNOWN";
  }
}

const char *bide__code_text(int status) {
  if (status == UV_ENOTSUP) return "not supported here"; /* libuv's text speaks of sockets */
  switch (status) {
#define TEXT(name, text)                                                                           \
  case UV_##name: return text;
    UV_ERRNO_MAP(TEXT)
#undef TEXT
  case BIDE_EDEADLK: return "deadlock";
  case BIDE_ETLS: return "TLS failed";
  case BIDE_EPROXY: return "refused by the proxy";
  default: return "unknown error";
  }
}

void bide__error_push_status(lua_State *L, bide_host *h, int status, const char *op,
                             const char *what) {
  const char *text = bide__code_text(status);
  if (what) bide__error_push(L, h, bide__code_name(status), op, "%s: %s", what, text);
  else bide__error_push(L, h, bide__code_name(status), op, "%s", text);
}

/* ---- the task's own cancellation, deadlock ---- */

static void set_reason(lua_State *L, bide_host *h) {
  if (!h->current || !(h->current->fut.flags & BIDE_TF_REASON)) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->reasons_ref);
  lua_rawgetp(L, -1, h->current);
  lua_setfield(L, -3, "reason");
  lua_pop(L, 1);
}

void bide__error_push_wait(lua_State *L, bide_host *h, int status, const char *op) {
  if (status == UV_ECANCELED) {
    if (BIDE_UNLIKELY(h->debug && h->current)) bide__debug_cancelled(L, h);
    bide__error_push(L, h, "ECANCELED", op, "the task was cancelled");
    set_reason(L, h);
  } else if (status == BIDE_EDEADLK) {
    bide__error_push(L, h, "EDEADLK", op,
                     "deadlock: nothing is left that could end this wait; waiting:%s",
                     h->deadlock ? h->deadlock : " (no memory to list them)");
  } else {
    bide__error_push_status(L, h, status, op, NULL);
  }
}

int bide__raise_status(lua_State *L, bide_host *h, int status, const char *op) {
  bide__error_push_wait(L, h, status, op);
  return lua_error(L);
}

/* ---- looking at errors ---- */

int bide__is_error(lua_State *L, bide_host *h, int idx) {
  int same;
  if (!lua_istable(L, idx) || !lua_getmetatable(L, idx)) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->error_ref);
  same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

int bide__error_is(lua_State *L, bide_host *h, int idx, const char *code) {
  const char *found;
  int same;
  idx = lua_absindex(L, idx);
  if (!bide__is_error(L, h, idx)) return 0;
  lua_pushstring(L, "code");
  lua_rawget(L, idx);
  found = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  same = strcmp(found, code) == 0;
  lua_pop(L, 1);
  return same;
}

int bide__error_is_own_cancel(lua_State *L, bide_host *h, int idx) {
  int foreign;
  idx = lua_absindex(L, idx);
  if (!bide__error_is(L, h, idx, "ECANCELED")) return 0;
  lua_pushliteral(L, "task");
  foreign = lua_rawget(L, idx) != LUA_TNIL;
  lua_pop(L, 1);
  return !foreign;
}

/* tostring(err): "connect 127.0.0.1:81: connection refused (ECONNREFUSED)", or with a colon where
 * there is no target: "sleep: the task was cancelled (ECANCELED)". */
static int l_tostring(lua_State *L) {
  const char *op, *message, *code, *between = "";
  if (!lua_istable(L, 1)) return luaL_tolstring(L, 1, NULL), 1;
  lua_settop(L, 1);
  lua_pushliteral(L, "op");
  lua_rawget(L, 1);
  lua_pushliteral(L, "message");
  lua_rawget(L, 1);
  lua_pushliteral(L, "code");
  lua_rawget(L, 1);
  lua_pushliteral(L, "target");
  lua_rawget(L, 1);
  op = lua_tostring(L, 2);
  message = lua_tostring(L, 3);
  code = lua_tostring(L, 4);
  if (op && message && strncmp(message, op, strlen(op)) == 0) op = NULL; /* it says so itself */
  if (op) between = lua_isnil(L, 5) ? ": " : " ";
  lua_pushfstring(L, "%s%s%s (%s)", op ? op : "", between, message ? message : "?",
                  code ? code : "?");
  return 1;
}

/* ---- details ---- */

static int is_plain(int type) {
  return type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TNIL || type == LUA_TBOOLEAN ||
         type == LUA_TLIGHTUSERDATA;
}

/* The ring of the latest plain errors: {next=, {err, details}…}; newest first to be found. */
static int find_recent(lua_State *L, int idx, int ring) {
  int i, at;
  lua_rawgeti(L, ring, RECENT + 1);
  at = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  for (i = 0; i < RECENT; i++) {
    int k = (at - 1 - i + 2 * RECENT) % RECENT + 1;
    if (lua_rawgeti(L, ring, k) == LUA_TTABLE) {
      lua_rawgeti(L, -1, 1);
      if (lua_rawequal(L, -1, idx)) {
        lua_pop(L, 1);
        lua_rawgeti(L, -1, 2);
        lua_remove(L, -2);
        return 1;
      }
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  return 0;
}

static void add_recent(lua_State *L, int idx, int ring) {
  int at;
  lua_rawgeti(L, ring, RECENT + 1);
  at = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, 2);
  lua_rawseti(L, ring, at % RECENT + 1);
  lua_pushinteger(L, (at + 1) % RECENT);
  lua_rawseti(L, ring, RECENT + 1);
}

void bide__details(lua_State *L, bide_host *h, int idx, int make) {
  int plain = is_plain(lua_type(L, idx)), tab;
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 8, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, plain ? h->recent_ref : h->details_ref);
  tab = lua_gettop(L);
  if (plain) {
    if (!find_recent(L, idx, tab)) {
      if (make) add_recent(L, idx, tab);
      else lua_pushnil(L);
    }
  } else {
    lua_pushvalue(L, idx);
    if (lua_rawget(L, tab) == LUA_TNIL && make) {
      lua_pop(L, 1);
      lua_newtable(L);
      lua_pushvalue(L, idx);
      lua_pushvalue(L, -2);
      lua_rawset(L, tab);
    }
  }
  lua_remove(L, tab);
}

/* ---- arguments ---- */

int bide__type_error(lua_State *L, int arg, const char *expected) {
  const char *found;
  if (luaL_getmetafield(L, arg, "__name") == LUA_TSTRING) found = lua_tostring(L, -1);
  else if (lua_type(L, arg) == LUA_TLIGHTUSERDATA) found = "light userdata";
  else found = luaL_typename(L, arg);
  return luaL_argerror(L, arg, lua_pushfstring(L, "%s expected, got %s", expected, found));
}

double bide__check_seconds(lua_State *L, int arg) {
  int isnum;
  double s = lua_tonumberx(L, arg, &isnum);
  if (!isnum || lua_type(L, arg) != LUA_TNUMBER) bide__type_error(L, arg, "seconds (number)");
  if (!(s >= 0)) luaL_argerror(L, arg, lua_pushfstring(L, "seconds must be 0 or more, got %f", s));
  return s;
}

void bide__error_open(lua_State *L, bide_host *h) {
  lua_newtable(L);
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "bide.Error");
  lua_setfield(L, -2, "__name");
  h->error_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  h->details_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_createtable(L, RECENT + 1, 0);
  h->recent_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
