/* SPDX-License-Identifier: MIT */
/* var.c: bide.var: task-local variables.
 *
 * The values of a task stand in one table, variable → value, which a spawned task shares with its
 * spawner: then it is not changed any more, but replaced by a copy. Its keys are weak, so that a
 * variable nobody has any more takes its value along. A userdata's user value is the default.
 * Setting nil is remembered as such, by a mark. */
#include "bindings.h"
#include "core/error.h"

static const char magic = 0, nil_mark = 0;
static const char weak_keys = 0; /* its address: of that metatable in the registry */

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

/* Is the table on top of the stack the running task's alone? */
static int is_owned(lua_State *L, const bide_host *h) {
  int owned;
  lua_rawgetp(L, -1, &bide__locals_owner);
  owned = lua_touserdata(L, -1) == h->current;
  lua_pop(L, 1);
  return owned;
}

/* Pushes a new table of values, the running task's own; a copy of that on top, if `from`. */
static void new_values(lua_State *L, bide_host *h, int from) {
  lua_newtable(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &weak_keys);
  lua_setmetatable(L, -2);
  if (from) {
    lua_pushnil(L);
    while (lua_next(L, from)) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, from + 1);
    }
  }
  lua_pushlightuserdata(L, h->current);
  lua_rawsetp(L, -2, &bide__locals_owner);
}

static int m_set(lua_State *L) {
  bide_host *h = bide__host(L);
  int had;
  check_var(L);
  lua_settop(L, 2);
  if (!h->current) return bide__not_running(L, h, "var:set");
  had = push_values(L, h);
  if (!had || !is_owned(L, h)) {
    new_values(L, h, had ? 3 : 0);
    bide__push_task(L, h, h->current);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, 1);
    lua_pop(L, 1);
    h->current->fut.flags |= BIDE_TF_LOCALS;
  }
  lua_pushvalue(L, 1);
  if (lua_isnil(L, 2)) lua_pushlightuserdata(L, (void *)(uintptr_t)&nil_mark);
  else lua_pushvalue(L, 2);
  lua_rawset(L, -3);
  return 0;
}

static const luaL_Reg methods[] = {{"get", m_get}, {"set", m_set}, {NULL, NULL}};

void bide__open_var(lua_State *L, int host) {
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &weak_keys);
  lua_pushvalue(L, host);
  bide__new_metatable(L, host, "bide.Var", methods, NULL);
  lua_pushcclosure(L, l_var, 2);
  lua_setfield(L, -2, "var");
}
