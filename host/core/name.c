/* SPDX-License-Identifier: MIT */
/* name.c: see name.h. Given names stand in a table with weak keys. */
#include "name.h"
#include "trace.h"

#include <lualib.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 100 };

/* ---- of C functions ---- */

/* Where to look first: a function may have other names in other modules. */
static const char *const libraries[] = {
    LUA_GNAME,     LUA_TABLIBNAME, LUA_STRLIBNAME,  LUA_COLIBNAME, LUA_IOLIBNAME,
    LUA_OSLIBNAME, LUA_DBLIBNAME,  LUA_UTF8LIBNAME, "bide",        NULL};

/* Finds the value at f in the table on top of the stack (popped); pushes "lib.key" if it is there.
 */
static int find_in(lua_State *L, int f, const char *lib) {
  int table = lua_gettop(L);
  if (!lua_istable(L, table)) {
    lua_pop(L, 1);
    return 0;
  }
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (lua_rawequal(L, -1, f) && lua_type(L, -2) == LUA_TSTRING) {
      if (strcmp(lib, LUA_GNAME) == 0) lua_pushvalue(L, -2);
      else lua_pushfstring(L, "%s.%s", lib, lua_tostring(L, -2));
      lua_replace(L, table);
      lua_settop(L, table);
      return 1;
    }
    lua_pop(L, 1);
  }
  lua_settop(L, table - 1);
  return 0;
}

/* Searches the tables of package.loaded for the value on top of the stack: pushes "table.sort" or
 * nothing. */
static int search_loaded(lua_State *L) {
  int f = lua_gettop(L), loaded = f + 1, i;
  if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) != LUA_TTABLE) {
    lua_settop(L, f);
    return 0;
  }
  for (i = 0; libraries[i]; i++) {
    lua_getfield(L, loaded, libraries[i]);
    if (find_in(L, f, libraries[i])) {
      lua_remove(L, loaded);
      return 1;
    }
  }
  lua_pushnil(L);
  while (lua_next(L, loaded)) {
    if (lua_type(L, -2) == LUA_TSTRING && find_in(L, f, lua_tostring(L, -2))) {
      lua_replace(L, loaded);
      lua_settop(L, loaded);
      return 1;
    }
    lua_settop(L, loaded + 1); /* the key */
  }
  lua_settop(L, f);
  return 0;
}

/* How many modules there are; counted once in a turn of the loop. */
static uint32_t count_loaded(lua_State *L, bide_host *h) {
  int top = lua_gettop(L);
  if (h->modules && h->modules_turn == h->turn) return h->modules;
  h->modules = 0;
  h->modules_turn = h->turn;
  if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) == LUA_TTABLE)
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) h->modules++;
  lua_settop(L, top);
  return h->modules;
}

/* The same through a memo, for every traceback asks, and of few functions: the name, or how many
 * modules there were when there was none. */
static int find_loaded(lua_State *L) {
  bide_host *h = bide__host_of(L);
  int f = lua_gettop(L), memo = f + 1, known;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->c_names_ref);
  lua_pushvalue(L, f);
  known = lua_rawget(L, memo);
  if (known != LUA_TSTRING && (known == LUA_TNIL || lua_tointeger(L, -1) != count_loaded(L, h))) {
    lua_settop(L, memo);
    lua_pushvalue(L, f);
    lua_pushvalue(L, f);
    known = search_loaded(L) ? LUA_TSTRING : LUA_TNIL;
    if (known == LUA_TNIL) lua_pushinteger(L, count_loaded(L, h));
    lua_remove(L, -2);
    lua_pushvalue(L, -1);
    lua_insert(L, memo + 1);
    lua_rawset(L, memo);
  }
  if (known == LUA_TSTRING) lua_replace(L, memo);
  lua_settop(L, known == LUA_TSTRING ? memo : f);
  return known == LUA_TSTRING;
}

/* Is the C function on top of the stack the iterator that ipairs returns? */
static int is_ipairs_iterator(lua_State *L) {
  lua_CFunction f = lua_tocfunction(L, -1);
  int top = lua_gettop(L), same;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_GNAME) != LUA_TTABLE ||
      lua_getfield(L, -1, "ipairs") != LUA_TFUNCTION || !lua_iscfunction(L, -1)) {
    lua_settop(L, top);
    return 0;
  }
  lua_newtable(L);
  same = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_tocfunction(L, -1) == f;
  lua_settop(L, top);
  return same;
}

int bide__push_function_name(lua_State *L, lua_State *co, lua_Debug *ar) {
  luaL_checkstack(L, 12, NULL);
  if (!lua_checkstack(co, 2)) return 0;
  lua_getinfo(co, "nf", ar);
  if (co != L) lua_xmove(co, L, 1);
  if (find_loaded(L)) {
    lua_remove(L, -2);
    return 1;
  }
  if (ar->name && strcmp(ar->name, "for iterator") == 0 && is_ipairs_iterator(L)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "ipairs");
    return 1;
  }
  lua_pop(L, 1);
  if (!ar->name) return 0;
  if (strcmp(ar->name, "for iterator") == 0) lua_pushliteral(L, "an iterator written in C");
  else lua_pushfstring(L, "%s '%s'", *ar->namewhat ? ar->namewhat : "function", ar->name);
  return 1;
}

/* ---- of tasks ---- */

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
  if (find_loaded(L)) {
    snprintf(buf, size, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
  } else {
    snprintf(buf, size, "a C function");
  }
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
