/* SPDX-License-Identifier: MIT */
/* failed.c: see failed.h. The list goes by the tasks' `next`, which an ended task has no use for.
 */
#include "failed.h"
#include "error.h"

static const char behind_key = 0; /* its address: of that list, in the details of an error */

void bide__failed_init(bide_failed *f) {
  f->first = NULL;
  f->tail = &f->first;
  f->body = f->body_first = 0;
}

void bide__failed_add(bide_failed *f, bide_task *t) {
  t->next = NULL;
  *f->tail = t;
  f->tail = &t->next;
}

void bide__failed_fini(bide_host *h, bide_failed *f) {
  while (f->first) {
    bide_task *t = f->first;
    f->first = t->next;
    bide__task_release(h, t);
  }
  f->tail = &f->first;
}

/* The errors of failed children but the first, and the body's, as details of the error on top. */
static void add_others(lua_State *L, bide_host *h, const bide_task *from, int body) {
  int err = lua_gettop(L), n = 0;
  if (!from && !body) return;
  bide__details(L, h, err, 1);
  lua_newtable(L);
  for (; from; from = from->next) {
    bide__push_task(L, h, from);
    bide__push_error(L, h, -1);
    lua_remove(L, -2);
    lua_rawseti(L, -2, ++n);
  }
  if (body) {
    lua_pushvalue(L, body);
    lua_rawseti(L, -2, ++n);
  }
  lua_pushinteger(L, n);
  lua_setfield(L, -2, "n");
  lua_setfield(L, -2, "others");
  lua_settop(L, err);
}

/* Protected: (list, the body's error or nil) → error. */
static int read_errors(lua_State *L) {
  bide_failed *f = lua_touserdata(L, 1);
  bide_host *h = bide__host_of(L);
  int body = f->body ? 2 : 0;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (body && (f->body_first || !f->first)) {
    lua_pushvalue(L, body);
    add_others(L, h, f->first, 0);
  } else {
    bide__push_task(L, h, f->first);
    bide__push_error(L, h, -1);
    add_others(L, h, f->first->next, body);
    bide__push_task(L, h, f->first);
    bide__push_error(L, h, -1); /* once more: its traceback is the one to go on with */
  }
  return 1;
}

void bide__failed_push(lua_State *L, bide_failed *f, int body) {
  lua_pushcfunction(L, read_errors);
  lua_pushlightuserdata(L, f);
  if (f->body) lua_pushvalue(L, body);
  else lua_pushnil(L);
  lua_pcall(L, 2, 1, 0);
}

/* ---- behind another error ---- */

void bide__failed_behind(lua_State *L, bide_host *h, int err) {
  bide__details(L, h, err, 1);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, &behind_key);
  lua_pop(L, 1);
}

void bide__failed_pass(lua_State *L, bide_host *h, int from, int to) {
  int top = lua_gettop(L);
  to = lua_absindex(L, to);
  bide__details(L, h, from, 0);
  if (lua_istable(L, -1) && lua_rawgetp(L, -1, &behind_key) == LUA_TTABLE)
    bide__failed_behind(L, h, to);
  lua_settop(L, top);
}

void bide__failed_tell(lua_State *L, bide_host *h, int details) {
  lua_Integer i, n;
  details = lua_absindex(L, details);
  if (lua_rawgetp(L, details, &behind_key) == LUA_TTABLE) {
    n = (lua_Integer)lua_rawlen(L, -1);
    lua_createtable(L, (int)n, 1);
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
    for (i = 1; i <= n; i++) {
      lua_rawgeti(L, -2, i);
      bide__push_error(L, h, -1);
      lua_rawseti(L, -3, i);
      lua_pop(L, 1);
    }
    lua_setfield(L, details, "others");
    lua_pushnil(L);
    lua_rawsetp(L, details, &behind_key);
  }
  lua_pop(L, 1);
}
