/* SPDX-License-Identifier: MIT */
/* combine.c: await of several, gather, settle, race, any; timeout, shield, group, deadline, extend.
 * */
#include "bindings.h"
#include "core/await.h"
#include "core/body.h"
#include "core/error.h"
#include "core/failed.h"
#include "core/join.h"
#include "core/trace.h"
#include "items.h"

#include <math.h>

enum { REASONS_MAX = 3 };

/* ---- results ---- */

static int failed_too(const bide_join *j, uint32_t k) {
  const bide_fut *first = j->at[j->first - 1].fut, *f = j->at[k - 1].fut;
  return f != first && f->state == BIDE_FAILED;
}

/* Is the item on top of the stack in the set at `seen`? It is from now on: an item may be handed in
 * twice. */
static int is_again(lua_State *L, int seen) {
  int again;
  lua_pushvalue(L, -1);
  again = lua_rawget(L, seen) != LUA_TNIL;
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_pushboolean(L, 1);
  lua_rawset(L, seen);
  return again;
}

/* Protected: (items, join) → the error that decided; those of the others that have failed by now,
 * handed in or owned, become its details: nobody else may ask for them. */
static int push_first_error(lua_State *L) {
  const bide_join *j = lua_touserdata(L, 2);
  bide_host *h = j->host;
  uint32_t k = 1, n = 0;
  int err, others;
  lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)j->first);
  bide__push_error(L, h, -1);
  while (k <= j->n && !failed_too(j, k)) k++;
  if (k > j->n) return 1;
  err = lua_gettop(L);
  bide__details(L, h, err, 1);
  lua_newtable(L);
  others = lua_gettop(L);
  lua_newtable(L);
  for (; k <= j->n; k++) {
    if (!failed_too(j, k)) continue;
    lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)k);
    if (!is_again(L, others + 1)) {
      bide__push_error(L, h, -1);
      lua_rawseti(L, others, (lua_Integer)++n);
    }
    lua_settop(L, others + 1);
  }
  lua_settop(L, others);
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, "n");
  lua_setfield(L, -2, "others");
  lua_settop(L, err);
  lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)j->first);
  bide__push_error(L, h, -1); /* once more: its traceback is the one to go on with */
  return 1;
}

/* Protected: (items, join) → the error of the wait, which the caller's cancellation has ended;
 * owned items that have failed nevertheless stand behind it. */
static int push_aborted(lua_State *L) {
  const bide_join *j = lua_touserdata(L, 2);
  bide_host *h = j->host;
  lua_Integer n = 0;
  uint32_t i;
  bide__error_push_wait(L, h, j->wait.status, j->wait.ops->op);
  lua_newtable(L);
  for (i = 1; i <= j->n; i++) {
    if (!j->at[i - 1].owned || j->at[i - 1].fut->state != BIDE_FAILED) continue;
    lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)i);
    lua_rawseti(L, -2, ++n);
  }
  if (n) bide__failed_behind(L, h, -2);
  else lua_pop(L, 1);
  return 1;
}

/* Takes what the continuation needs out of the join and frees it; raises what is to be raised. */
static int raise_join(lua_State *L, bide_join *j) {
  lua_pushcfunction(L, j->wait.status < 0 ? push_aborted : push_first_error);
  lua_pushvalue(L, BIDE_ITEMS);
  lua_pushlightuserdata(L, j);
  lua_pcall(L, 2, 1, 0); /* what it raises itself (memory) is the error then */
  bide__join_free(j);
  return lua_error(L);
}

static int k_gather_args(lua_State *L, bide_host *h, bide_wait *w) {
  bide_join *j = bide__join_of(w);
  uint32_t i, n = j->n;
  (void)h;
  if (w->status < 0 || j->decided) return raise_join(L, j);
  bide__join_free(j);
  luaL_checkstack(L, (int)n + 4, "too many results");
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)i);
    bide__push_first(L, lua_gettop(L));
    lua_remove(L, -2);
  }
  return (int)n;
}

/* Moves the results at n+1… of the table on top to their keys and sets n. */
static void name_results(lua_State *L, uint32_t listed, uint32_t n) {
  uint32_t i;
  for (i = listed + 1; i <= n; i++) {
    lua_rawgeti(L, BIDE_KEYS, (lua_Integer)(i - listed));
    lua_rawgeti(L, -2, (lua_Integer)i);
    lua_pushnil(L);
    lua_rawseti(L, -4, (lua_Integer)i);
    lua_rawset(L, -3);
  }
  lua_pushinteger(L, (lua_Integer)listed);
  lua_setfield(L, -2, "n");
}

static uint32_t listed_of(lua_State *L, uint32_t n) {
  return lua_istable(L, BIDE_KEYS) ? n - (uint32_t)lua_rawlen(L, BIDE_KEYS) : n;
}

static int k_gather_list(lua_State *L, bide_host *h, bide_wait *w) {
  bide_join *j = bide__join_of(w);
  uint32_t i, n = j->n;
  (void)h;
  if (w->status < 0 || j->decided) return raise_join(L, j);
  bide__join_free(j);
  for (i = 1; i <= n; i++) { /* the items give way to their results in place */
    lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)i);
    bide__push_first(L, -1);
    lua_rawseti(L, BIDE_ITEMS, (lua_Integer)i);
    lua_pop(L, 1);
  }
  lua_pushvalue(L, BIDE_ITEMS);
  name_results(L, listed_of(L, n), n);
  return 1;
}

/* ---- gather ---- */

static int empty_list(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, 0);
  lua_setfield(L, -2, "n");
  return 1;
}

static int gather_list(lua_State *L, bide_host *h) {
  uint32_t listed, n = bide__collect_list(L, &listed);
  if (bide__checkpoint(L, h, "gather")) return bide__refuse(L, h);
  if (n == 0) return empty_list(L);
  return bide__join(L, h, BIDE_ITEMS, n, BIDE_JOIN_ERROR, &bide__gather_ops, k_gather_list);
}

static int gather_args(lua_State *L, bide_host *h) {
  uint32_t n = bide__collect_args(L);
  if (bide__checkpoint(L, h, "gather")) return bide__refuse(L, h);
  if (n == 0) return 0;
  return bide__join(L, h, BIDE_ITEMS, n, BIDE_JOIN_ERROR, &bide__gather_ops, k_gather_args);
}

static int l_gather(lua_State *L) {
  bide_host *h = bide__host(L);
  return lua_gettop(L) == 1 && bide__is_list(L, 1) ? gather_list(L, h) : gather_args(L, h);
}

static int l_await(lua_State *L) {
  bide_host *h = bide__host(L);
  int i, n = lua_gettop(L);
  for (i = 1; i <= n || i == 1; i++)
    if (!bide__tofuture(L, i)) bide__type_error(L, i, "task or future");
  if (n == 1) return bide__await(L, h, bide__tofuture(L, 1));
  return gather_args(L, h);
}

/* ---- settle ---- */

static void push_entry(lua_State *L, bide_host *h, const bide_fut *f) {
  int item = lua_gettop(L), n, i;
  if (f->state == BIDE_DONE) {
    n = bide__push_results(L, h, item);
    lua_createtable(L, n, 2);
    lua_insert(L, -(n + 1));
    for (i = n; i >= 1; i--) lua_rawseti(L, -(i + 1), i);
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
    lua_pushboolean(L, 1);
  } else {
    lua_createtable(L, 0, 2);
    bide__push_error(L, h, item);
    if (bide__push_kept_record(L, h, -1)) bide__note_record(L, h, -3, -1);
    lua_pop(L, 1);
    lua_setfield(L, -2, "err");
    lua_pushboolean(L, 0);
  }
  lua_setfield(L, -2, "ok");
  lua_replace(L, item);
  lua_settop(L, item);
}

static int k_settle(lua_State *L, bide_host *h, bide_wait *w) {
  bide_join *j = bide__join_of(w);
  uint32_t i, n = j->n;
  if (w->status < 0) return raise_join(L, j);
  bide__join_free(j);
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)i);
    push_entry(L, h, lua_touserdata(L, -1));
    lua_rawseti(L, BIDE_ITEMS, (lua_Integer)i);
  }
  lua_pushvalue(L, BIDE_ITEMS);
  name_results(L, listed_of(L, n), n);
  return 1;
}

static int l_settle(lua_State *L) {
  bide_host *h = bide__host(L);
  uint32_t listed, n = bide__collect_list(L, &listed);
  if (bide__checkpoint(L, h, "settle")) return bide__refuse(L, h);
  if (n == 0) return empty_list(L);
  return bide__join(L, h, BIDE_ITEMS, n, BIDE_JOIN_ALL, &bide__settle_ops, k_settle);
}

/* unwrap(entry): the values of an entry of settle, or its error. */
static int l_unwrap(lua_State *L) {
  bide_host *h = bide__host(L);
  lua_Integer i, n;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (lua_getfield(L, 1, "ok") != LUA_TBOOLEAN) luaL_argerror(L, 1, "an entry of settle expected");
  if (!lua_toboolean(L, -1)) {
    lua_getfield(L, 1, "err");
    if (bide__push_noted(L, h, 1)) bide__keep_record(L, h, -2, -1);
    lua_pop(L, 1);
    return lua_error(L);
  }
  lua_getfield(L, 1, "n");
  n = lua_tointeger(L, -1);
  lua_settop(L, 1);
  if (n < 0 || n > 1000000) luaL_argerror(L, 1, "an entry of settle expected");
  luaL_checkstack(L, (int)n, "too many results");
  for (i = 1; i <= n; i++) lua_rawgeti(L, 1, i);
  return (int)n;
}

/* ---- race, any ---- */

static int k_race(lua_State *L, bide_host *h, bide_wait *w) {
  bide_join *j = bide__join_of(w);
  uint32_t first = j->first;
  if (w->status < 0) return raise_join(L, j);
  bide__join_free(j);
  lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)first);
  return bide__push_results(L, h, lua_gettop(L));
}

/* Pushes "all 5 failed: " and what the first few of the errors in the table on top say. A
 * __tostring that is not bide's own is not called. */
static void push_reasons(lua_State *L, uint32_t n) {
  int errors = lua_gettop(L);
  uint32_t i;
  luaL_checkstack(L, 8, NULL);
  lua_pushfstring(L, "all %d failed", (int)n);
  for (i = 1; i <= n && i <= REASONS_MAX; i++) {
    lua_rawgeti(L, errors, (lua_Integer)i);
    if (lua_isstring(L, -1) || bide__is_error(L, bide__host(L), -1)) luaL_tolstring(L, -1, NULL);
    else lua_pushfstring(L, "a %s", luaL_typename(L, -1));
    lua_remove(L, -2);
    lua_pushfstring(L, "%s%s%s", lua_tostring(L, -2), i == 1 ? ": " : "; ", lua_tostring(L, -1));
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  if (n > REASONS_MAX) {
    lua_pushliteral(L, "; …");
    lua_concat(L, 2);
  }
}

static int k_any(lua_State *L, bide_host *h, bide_wait *w) {
  bide_join *j = bide__join_of(w);
  uint32_t i, first = j->decided ? j->first : 0, n = j->n;
  if (w->status < 0) return raise_join(L, j);
  bide__join_free(j);
  if (first) {
    for (i = 1; i <= n; i++) { /* any is there to bear with failures: they have been received */
      lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)i);
      if (bide__tofuture(L, -1)->state == BIDE_FAILED) bide__fut_seen(L, h, -1);
      lua_pop(L, 1);
    }
    lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)first);
    return bide__push_results(L, h, lua_gettop(L));
  }
  bide__error_push(L, h, "EALLFAILED", "any", "all failed");
  lua_createtable(L, (int)n, 1);
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)i);
    bide__push_error(L, h, -1);
    lua_remove(L, -2);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, "n");
  push_reasons(L, n);
  lua_setfield(L, -3, "message");
  lua_setfield(L, -2, "errors");
  return lua_error(L);
}

static int first_of(lua_State *L, const char *name, int policy, const bide_waitops *ops,
                    bide_kwait k) {
  bide_host *h = bide__host(L);
  uint32_t listed, n = bide__collect_list(L, &listed);
  if (n == 0) return luaL_argerror(L, 1, "the list is empty");
  if (bide__checkpoint(L, h, name)) return bide__refuse(L, h);
  return bide__join(L, h, BIDE_ITEMS, n, policy, ops, k);
}

static int l_race(lua_State *L) {
  return first_of(L, "race", BIDE_JOIN_FIRST, &bide__race_ops, k_race);
}

static int l_any(lua_State *L) {
  return first_of(L, "any", BIDE_JOIN_SUCCESS, &bide__any_ops, k_any);
}

/* ---- scopes ---- */

/* timeout(s, awaitable) runs this as its body. */
static int l_await_one(lua_State *L) {
  bide_host *h = bide__host(L);
  return bide__await(L, h, bide__tofuture(L, 1));
}

static int l_timeout(lua_State *L) {
  bide_host *h = bide__host(L);
  double s = bide__check_seconds(L, 1);
  if (bide__tofuture(L, 2)) {
    if (lua_gettop(L) > 2) luaL_argerror(L, 3, "no arguments expected after a task or future");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushcclosure(L, l_await_one, 1);
    lua_insert(L, 2);
  } else {
    bide__check_callable(L, 2);
  }
  return bide__timeout(L, h, s);
}

static int l_shield(lua_State *L) {
  bide__check_callable(L, 1);
  return bide__shield(L, bide__host(L));
}

static int l_group(lua_State *L) {
  bide__check_callable(L, 1);
  return bide__group(L, bide__host(L));
}

static int m_group_spawn(lua_State *L) {
  bide__check_callable(L, 2);
  return bide__group_spawn(L, bide__host(L));
}

static int m_group_cancel(lua_State *L) {
  return bide__group_cancel(L, bide__host(L));
}

static bide_scope *deadline_scope(bide_host *h) {
  return h->current ? bide__nearest_deadline(h) : NULL;
}

static int l_deadline(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_scope *s = deadline_scope(h);
  uint64_t when, now = bide__now_ns(h);
  if (!s) return lua_pushnil(L), 1;
  when = bide__heap_when(&h->deadlines, &s->deadline);
  if (when == BIDE_NEVER) lua_pushnumber(L, (lua_Number)HUGE_VAL);
  else lua_pushnumber(L, when > now ? (lua_Number)(when - now) / 1e9 : 0.0);
  return 1;
}

static int l_extend(lua_State *L) {
  bide_host *h = bide__host(L);
  double by = bide__check_seconds(L, 1);
  bide_scope *s = deadline_scope(h);
  uint64_t when;
  if (!s)
    return bide__error(L, h, "EINVAL", "extend",
                       "no deadline holds here (call it inside bide.timeout)");
  when = bide__heap_when(&h->deadlines, &s->deadline);
  if (when != BIDE_NEVER)
    bide__heap_move(h, &h->deadlines, &s->deadline, bide__deadline_ns(when, by));
  return 0;
}

static const luaL_Reg functions[] = {
    {"await", l_await}, {"gather", l_gather},     {"settle", l_settle},   {"unwrap", l_unwrap},
    {"race", l_race},   {"any", l_any},           {"timeout", l_timeout}, {"shield", l_shield},
    {"group", l_group}, {"deadline", l_deadline}, {"extend", l_extend},   {NULL, NULL},
};

static const luaL_Reg group_methods[] = {
    {"spawn", m_group_spawn}, {"cancel", m_group_cancel}, {NULL, NULL}};

void bide__open_combine(lua_State *L, int host) {
  bide__add_lib(L, host, functions);
  bide__new_metatable(L, host, "bide.Group", group_methods, NULL);
  bide__group_open(L, lua_touserdata(L, host));
}
