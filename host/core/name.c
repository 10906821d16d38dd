/* SPDX-License-Identifier: MIT */
/* name.c: see name.h. Given names stand in a table with weak keys. */
#include "name.h"
#include "trace.h"

#include <stdio.h>

enum { NAME_SIZE = 100 };

/* Writes the name given to the value at idx (a task, a C function) to buf; 0 if there is none. */
static int given_name(lua_State *L, bide_host *h, int idx, char *buf, size_t size) {
  int given;
  idx = lua_absindex(L, idx);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->names_ref);
  lua_pushvalue(L, idx);
  given = lua_rawget(L, -2) == LUA_TSTRING;
  if (given) snprintf(buf, size, "%s", lua_tostring(L, -1));
  lua_pop(L, 2);
  return given;
}

void bide__name_value(lua_State *L, bide_host *h, int idx, const char *name) {
  idx = lua_absindex(L, idx);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->names_ref);
  lua_pushvalue(L, idx);
  lua_pushstring(L, name);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* The name of the C function on top of the stack, by package.loaded; looked up once. */
static void c_name(lua_State *L, bide_host *h, char *buf, size_t size) {
  if (given_name(L, h, -1, buf, size)) return;
  lua_pushvalue(L, -1);
  if (bide__push_loaded_name(L)) snprintf(buf, size, "%s", lua_tostring(L, -1));
  else snprintf(buf, size, "a C function");
  lua_pop(L, 1);
  bide__name_value(L, h, -1, buf);
}

const char *bide__task_name(lua_State *L, bide_host *h, int idx, char *buf, size_t size) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 16, NULL);
  if (given_name(L, h, idx, buf, size)) return buf;
  lua_getiuservalue(L, idx, 2);
  if (!lua_isfunction(L, -1)) luaL_getmetafield(L, -1, "__call");
  if (lua_iscfunction(L, -1)) c_name(L, h, buf, size);
  else bide__site_text(h, bide__site_function(L, h, -1), buf, size);
  lua_settop(L, top);
  return buf;
}

/* ---- of living tasks ---- */

/* (task, block of NAME_SIZE bytes) */
static int name_protected(lua_State *L) {
  bide__task_name(L, bide__host_of(L), 1, lua_touserdata(L, 2), NAME_SIZE);
  return 0;
}

const char *bide__living_name(const bide_task *t, char *buf, size_t size) {
  bide_host *h = bide__task_host(t);
  lua_State *L = h->from;
  char name[NAME_SIZE] = "?";
  int collects = lua_gc(L, LUA_GCISRUNNING);
  snprintf(buf, size, "?");
  if (!lua_checkstack(L, 6)) return buf;
  lua_gc(L, LUA_GCSTOP);
  lua_pushcfunction(L, name_protected);
  bide__push_task(L, h, t);
  lua_pushlightuserdata(L, name);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
  if (collects) lua_gc(L, LUA_GCRESTART);
  snprintf(buf, size, "%s", name);
  return buf;
}

uint32_t bide__task_site(bide_host *h, const bide_task *t) {
  lua_State *L = h->from;
  uint32_t site;
  bide__push_task(L, h, t);
  lua_getiuservalue(L, -1, 2);
  site = bide__site_function(L, h, -1);
  lua_pop(L, 2);
  return site;
}
