/* SPDX-License-Identifier: MIT */
/* iterate.c: bide.interval, as_completed, map, wait. */
#include "bindings.h"
#include "core/await.h"
#include "core/body.h"
#include "core/error.h"
#include "core/harvest.h"
#include "core/join.h"
#include "core/map.h"
#include "items.h"
#include "options.h"

#include <math.h>
#include <string.h>

/* ---- interval ---- */

/* Upvalues of the iterator: 1 the host, 2 seconds, 3 nanoseconds at the start, 4 the latest tick.
 * Ticks are computed from the start, so they do not drift. */
enum { UP_SECONDS = 2, UP_START = 3, UP_TICK = 4 };

static int k_tick(lua_State *L, bide_host *h, bide_wait *w) {
  if (w->status < 0) return bide__raise_status(L, h, w->status, "interval");
  lua_pushvalue(L, -1);
  lua_replace(L, lua_upvalueindex(UP_TICK));
  return 1;
}

static int l_tick(lua_State *L) {
  bide_host *h = bide__host(L);
  double s = lua_tonumber(L, lua_upvalueindex(UP_SECONDS));
  uint64_t start = (uint64_t)lua_tointeger(L, lua_upvalueindex(UP_START)), now = bide__now_ns(h);
  double tick = (double)lua_tointeger(L, lua_upvalueindex(UP_TICK)) + 1;
  double due = ceil((double)(now - start) / 1e9 / s); /* the first that is not past */
  if (due > tick) tick = due;
  lua_settop(L, 0);
  lua_pushinteger(L, tick < 9e18 ? (lua_Integer)tick : LUA_MAXINTEGER);
  return bide__sleep_until(L, h, bide__deadline_ns(start, tick * s), k_tick);
}

static int l_interval(lua_State *L) {
  bide_host *h = bide__host(L);
  double s = bide__check_seconds(L, 1);
  if (!(s >= 1e-9)) luaL_argerror(L, 1, "the interval must be more than 0 seconds");
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushnumber(L, s);
  lua_pushinteger(L, (lua_Integer)bide__now_ns(h));
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, l_tick, 4);
  return 1;
}

/* ---- as_completed ---- */

/* The handle: its user values are the items (false once handed out) and their keys or nil. */
typedef struct handle {
  const char *magic;
  bide_harvest *v; /* NULL once closed */
} handle;

static const char handle_magic = 0;

static handle *check_handle(lua_State *L) {
  handle *x = lua_touserdata(L, 1);
  if (!x || lua_rawlen(L, 1) < sizeof *x || x->magic != &handle_magic)
    bide__type_error(L, 1, "iterator of as_completed");
  return x;
}

/* Pushes the key that item i had in the list: items with string keys stand behind the others. */
static void push_key(lua_State *L, const bide_harvest *v, uint32_t i) {
  uint32_t listed = v->n;
  if (lua_getiuservalue(L, 1, 2) == LUA_TTABLE) listed -= (uint32_t)lua_rawlen(L, -1);
  if (i > listed) lua_rawgeti(L, -1, (lua_Integer)(i - listed));
  else lua_pushinteger(L, (lua_Integer)i);
  lua_remove(L, -2);
}

static int k_next(lua_State *L, bide_host *h, bide_wait *w) {
  const handle *x = lua_touserdata(L, 1);
  uint32_t i;
  const bide_fut *f;
  int item, n;
  if (w->status < 0) return bide__raise_status(L, h, w->status, "as_completed");
  if (!x->v || (i = bide__harvest_take(x->v)) == 0) return 0;
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, 2, (lua_Integer)i);
  lua_pushboolean(L, 0);
  lua_rawseti(L, 2, (lua_Integer)i);
  item = lua_gettop(L);
  f = lua_touserdata(L, item);
  if (f->state == BIDE_DONE) {
    n = bide__push_results(L, h, item);
  } else {
    bide__push_error(L, h, item);
    n = 1;
  }
  luaL_checkstack(L, 4, NULL);
  push_key(L, x->v, i);
  lua_pushboolean(L, f->state == BIDE_DONE);
  lua_rotate(L, -(n + 2), 2);
  return n + 2;
}

/* The iterator function: (handle, …). */
static int l_next(lua_State *L) {
  bide_host *h = bide__host(L);
  handle *x = check_handle(L);
  lua_settop(L, 1);
  if (bide__checkpoint(L, h, "as_completed")) return bide__refuse(L, h);
  if (!x->v) return 0;
  if (x->v->reader)
    return bide__error(
        L, h, "EBUSY", "as_completed",
        "another task waits for the next one (let one take them, and hand on by a channel)");
  return bide__harvest_wait(L, h, x->v, k_next);
}

static void orphan(handle *x) {
  bide_harvest *v = x->v;
  x->v = NULL;
  if (!v) return;
  bide__harvest_stop(v);
  bide__harvest_orphan(v);
}

/* 2: the error that the loop is left by, or nil. */
static int k_closed(lua_State *L, bide_host *h, bide_wait *w) {
  handle *x = lua_touserdata(L, 1);
  if (x->v) bide__harvest_free(x->v);
  x->v = NULL;
  if (lua_isnil(L, 2) && bide__harvest_cancelled(w))
    return bide__raise_status(L, h, UV_ECANCELED, "as_completed");
  return 0;
}

static int mm_close(lua_State *L) {
  bide_host *h = bide__host(L);
  handle *x = check_handle(L);
  lua_settop(L, 2);
  if (!x->v || x->v->closer) return 0;
  bide__harvest_stop(x->v);
  if (x->v->owned_pending == 0 || !h->current || L != h->top || !lua_isyieldable(L))
    return orphan(x), 0;
  return bide__harvest_join(L, h, x->v, k_closed);
}

static int mm_gc(lua_State *L) {
  orphan(check_handle(L));
  return 0;
}

/* Upvalues: 2 the metatable of handles, 3 the iterator function. */
static int l_as_completed(lua_State *L) {
  bide_host *h = bide__host(L);
  uint32_t listed, n = bide__collect_list(L, &listed);
  handle *x;
  if (bide__checkpoint(L, h, "as_completed")) return bide__refuse(L, h);
  x = lua_newuserdatauv(L, sizeof *x, 2);
  memset(x, 0, sizeof *x);
  x->magic = &handle_magic;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  lua_insert(L, 1); /* handle, items, keys */
  lua_setiuservalue(L, 1, 2);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, 1);
  x->v = bide__harvest_begin(L, h, 2, n);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_insert(L, 1);
  lua_pushnil(L);
  lua_pushvalue(L, 2);
  return 4;
}

/* ---- map ---- */

static uint32_t map_limit(lua_State *L) {
  if (lua_istable(L, 3)) {
    lua_pushliteral(L, "limit");
    if (lua_rawget(L, 3) == LUA_TNUMBER && lua_tonumber(L, -1) == (lua_Number)HUGE_VAL)
      return UINT32_MAX;
    lua_pop(L, 1);
  }
  return (uint32_t)bide__opt_integer(L, 3, "limit", 16, 1, INT32_MAX);
}

/* How many items the list at 1 has: its `n`, or its length. A table that has other keys only is no
 * list: to map it would silently do nothing. */
static lua_Integer list_count(lua_State *L) {
  lua_Integer n = -1;
  lua_pushliteral(L, "n");
  if (lua_rawget(L, 1) == LUA_TNUMBER && lua_isinteger(L, -1)) {
    n = lua_tointeger(L, -1);
    if (n < 0) n = 0;
  }
  lua_pop(L, 1);
  if (n >= 0) return n;
  n = (lua_Integer)lua_rawlen(L, 1);
  if (n > 0) return n;
  lua_pushnil(L);
  if (lua_next(L, 1)) luaL_argerror(L, 1, "a list expected (items 1…n), the table has other keys");
  return 0;
}

static int is_callable(lua_State *L, int idx) {
  if (lua_isfunction(L, idx)) return 1;
  if (luaL_getmetafield(L, idx, "__call") == LUA_TNIL) return 0;
  lua_pop(L, 1);
  return 1;
}

static int l_map(lua_State *L) {
  static const char *const options[] = {"limit", "collect", NULL};
  bide_host *h = bide__host(L);
  lua_Integer count = BIDE_MAP_ITERATE;
  uint32_t limit;
  if (!is_callable(L, 1)) {
    if (!lua_istable(L, 1)) bide__type_error(L, 1, "list or iterator (function)");
    count = list_count(L);
  }
  bide__check_callable(L, 2);
  lua_settop(L, 3);
  bide__check_options(L, 3, options);
  limit = map_limit(L);
  if (bide__opt_boolean(L, 3, "collect", 1))
    lua_createtable(L, count > 0 && count < INT32_MAX ? (int)count : 0, 1);
  else lua_pushnil(L);
  lua_replace(L, 3);
  lua_settop(L, 3);
  if (bide__checkpoint(L, h, "map")) return bide__refuse(L, h);
  return bide__map(L, h, limit, count);
}

/* ---- wait ---- */

enum { WAIT_BODY = 3 }; /* stack: items, nil, the scope with the timeout or NULL */

static int k_joined(lua_State *L, bide_host *h, bide_wait *w) {
  int status = w->status;
  bide__join_free(bide__join_of(w));
  return status < 0 ? bide__raise_status(L, h, status, "wait") : 0;
}

/* (items, need): the wait itself. */
static int join_some(lua_State *L) {
  return bide__join_count(L, bide__host(L), 1, (uint32_t)lua_rawlen(L, 1),
                          (uint32_t)lua_tointeger(L, 2), &bide__wait_ops, k_joined);
}

/* Pushes the two lists. */
static int push_lists(lua_State *L) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, BIDE_ITEMS), i, ended = 0, pending = 0;
  lua_newtable(L);
  lua_newtable(L);
  for (i = 1; i <= n; i++) {
    const bide_fut *f;
    lua_rawgeti(L, BIDE_ITEMS, i);
    f = lua_touserdata(L, -1);
    if (f->state != BIDE_PENDING) lua_rawseti(L, -3, ++ended);
    else lua_rawseti(L, -2, ++pending);
  }
  return 2;
}

static int k_wait(lua_State *L, int status, lua_KContext ctx) {
  bide_host *h = bide__host(L);
  bide_body *b = lua_touserdata(L, WAIT_BODY);
  int expired = b && bide__body_leave(b);
  (void)ctx;
  if (status != LUA_OK && status != LUA_YIELD && !(expired && bide__error_is_own_cancel(L, h, -1)))
    return lua_error(L);
  lua_settop(L, WAIT_BODY);
  return push_lists(L);
}

/* Reads the options at 2 before the list is collected. */
static lua_Integer wait_options(lua_State *L, double *seconds) {
  static const char *const options[] = {"count", "timeout", NULL};
  lua_settop(L, 2);
  bide__check_options(L, 2, options);
  *seconds = bide__opt_seconds(L, 2, "timeout", -1);
  return bide__opt_integer(L, 2, "count", 0, 1, INT32_MAX);
}

static uint32_t check_awaitables(lua_State *L) {
  uint32_t listed, i, n = bide__collect_list(L, &listed);
  if (n == 0) luaL_argerror(L, 1, "the list is empty");
  if (n != listed) luaL_argerror(L, 1, "a list expected, without string keys");
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, BIDE_ITEMS, (lua_Integer)i);
    if (!bide__tofuture(L, -1))
      luaL_argerror(L, 1,
                    lua_pushfstring(L, "item %d: future or task expected, got a function", (int)i));
    lua_pop(L, 1);
  }
  return n;
}

static int l_wait(lua_State *L) {
  bide_host *h = bide__host(L);
  double seconds;
  lua_Integer count;
  bide_body *b = NULL;
  uint32_t n;
  int status;
  luaL_checktype(L, 1, LUA_TTABLE);
  count = wait_options(L, &seconds);
  n = check_awaitables(L);
  if (count > n) luaL_argerror(L, 2, "option 'count' is more than there are in the list");
  if (bide__checkpoint(L, h, "wait")) return bide__refuse(L, h);
  lua_pushnil(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, join_some, 1);
  lua_pushvalue(L, BIDE_ITEMS);
  lua_pushinteger(L, count ? count : (lua_Integer)n);
  if (seconds >= 0 && (b = bide__body_enter(h, seconds)) == NULL)
    return luaL_error(L, "not enough memory");
  lua_pushlightuserdata(L, b);
  lua_replace(L, WAIT_BODY);
  status = lua_pcallk(L, 2, 0, 0, 0, k_wait);
  return k_wait(L, status, 0);
}

static const luaL_Reg functions[] = {
    {"interval", l_interval}, {"map", l_map}, {"wait", l_wait}, {NULL, NULL}};
static const luaL_Reg handle_meta[] = {
    {"__close", mm_close}, {"__gc", mm_gc}, {"__call", l_next}, {NULL, NULL}};

void bide__open_iterate(lua_State *L, int host) {
  bide__add_lib(L, host, functions);
  lua_pushvalue(L, host);
  bide__new_metatable(L, host, "bide.AsCompleted", NULL, handle_meta);
  lua_pushvalue(L, host);
  lua_pushcclosure(L, l_next, 1);
  lua_pushcclosure(L, l_as_completed, 3);
  lua_setfield(L, -2, "as_completed");
}
