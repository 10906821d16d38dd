/* SPDX-License-Identifier: MIT */
/* var.c: bide.var: task-local variables.
 *
 * The values of a task stand in one table, variable → value, which a spawned task shares with its
 * spawner: so it is never changed once set, but replaced by a copy. A userdata's user value is the
 * default. Setting nil is remembered as such, by a mark. */
#include "bindings.h"
#include "core/error.h"

static const char magic = 0, nil_mark = 0;

typedef struct var {
  const char *magic;
} var;

static void check_var(lua_State *L) {
  const var *v = lua_touserdata(L, 1);
  if (!v || lua_rawlen(L, 1) < sizeof *v || v->magic != &magic) bide__type_error(L, 1, "variable");
}

static int l_var(lua_State *L) {
  var *v;
  lua_settop(L, 1);
  v = lua_newuserdatauv(L, sizeof *v, 1);
  v->magic = &magic;
  lua_insert(L, 1);
  lua_setiuservalue(L, 1, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, 1);
  return 1;
}

/* Pushes the running task's table of values, or returns 0. */
static int push_values(lua_State *L, bide_host *h) {
  if (!h->current || !(h->current->fut.flags & BIDE_TF_LOCALS)) return 0;
  bide__push_task(L, h, h->current);
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
  return 1;
}

static int m_get(lua_State *L) {
  check_var(L);
  lua_settop(L, 1);
  if (push_values(L, bide__host(L))) {
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) != LUA_TNIL) {
      if (lua_touserdata(L, -1) == (void *)(uintptr_t)&nil_mark) lua_pushnil(L);
      return 1;
    }
  }
  lua_getiuservalue(L, 1, 1);
  return 1;
}

/* Pushes a copy of the table on top of the stack. */
static void copy(lua_State *L) {
  int from = lua_gettop(L);
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, from)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, from + 1);
  }
}

static int m_set(lua_State *L) {
  bide_host *h = bide__host(L);
  check_var(L);
  lua_settop(L, 2);
  if (!h->current) return bide__not_running(L, h, "var:set");
  if (push_values(L, h)) copy(L);
  else lua_newtable(L);
  lua_pushvalue(L, 1);
  if (lua_isnil(L, 2)) lua_pushlightuserdata(L, (void *)(uintptr_t)&nil_mark);
  else lua_pushvalue(L, 2);
  lua_rawset(L, -3);
  bide__push_task(L, h, h->current);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  h->current->fut.flags |= BIDE_TF_LOCALS;
  return 0;
}

static const luaL_Reg methods[] = {{"get", m_get}, {"set", m_set}, {NULL, NULL}};

void bide__open_var(lua_State *L, int host) {
  lua_pushvalue(L, host);
  bide__new_metatable(L, host, "bide.Var", methods, NULL);
  lua_pushcclosure(L, l_var, 2);
  lua_setfield(L, -2, "var");
}
