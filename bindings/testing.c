/* SPDX-License-Identifier: MIT */
/* testing.c: the field `testing` of bide.core: the virtual clock, random order, counts of what is
 * left, debug mode. The
 * public face is bide.testing. */
#include "bindings.h"
#include "core/debug.h"
#include "core/run.h"
#include "core/sched.h"
#include "core/trace.h"
#include "tracked.h"
#include "net/resolver.h"

/* virtual(on): switches the clock. Under the virtual one time stands still while anything is ready
 * and jumps to the next event when nothing is. */
static int l_virtual(lua_State *L) {
  bide_host *h = bide__host(L);
  int on = lua_toboolean(L, 1), was = h->virtual_clock;
  if (h->timers.n || h->deadlines.n)
    return luaL_error(L, "the clock can be switched only while nothing is timed");
  h->vnow = bide__now_ns(h);
  h->virtual_clock = (unsigned char)on;
  /* alarms belong to what outlives a task (an idle connection, say) */
  bide__heap_shift(&h->alarms, h->vnow, bide__now_ns(h));
  h->quiet = 0;
  bide__note_time(h);
  lua_pushboolean(L, was);
  return 1;
}

static void set_count(lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

static void count_handle(uv_handle_t *handle, void *arg) {
  (void)handle;
  ++*(int *)arg;
}

/* counts(): what is alive: tasks, timers, deadlines, handles (the host's own four not counted),
 * unseen failures, pooled threads, bytes that Lua does not count. */
static int l_counts(lua_State *L) {
  bide_host *h = bide__host(L);
  int handles = 0;
  uv_walk(h->loop, count_handle, &handles);
  lua_newtable(L);
  set_count(L, "tasks", h->live_tasks);
  set_count(L, "timers", h->timers.n);
  set_count(L, "alarms", h->alarms.n);
  set_count(L, "deadlines", h->deadlines.n);
  set_count(L, "handles", handles - 4);
  set_count(L, "requests", (lua_Integer)h->loop->active_reqs.count);
  set_count(L, "threads", h->pool_n);
  set_count(L, "unhandled", h->unhandled);
  set_count(L, "bytes", (lua_Integer)h->held);
  return 1;
}

/* hosts_file(path): names are looked for there instead of in /etc/hosts; nil: there again. The path
 * is kept in the registry. */
static int l_hosts_file(lua_State *L) {
  static const char key = 0;
  const char *path = luaL_optstring(L, 1, NULL);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  bide__resolve_hosts_file(bide__host(L), path);
  return 0;
}

/* shuffle(seed): runs the ready tasks in an order that the seed decides; nil: in order. Returns the
 * state of the order before, for shuffle(nil, state). */
static int l_shuffle(lua_State *L) {
  uint64_t state = (uint64_t)luaL_optinteger(L, 2, 0);
  if (!lua_isnoneornil(L, 1))
    state = ((uint64_t)luaL_checkinteger(L, 1) * 2 + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
  lua_pushinteger(L, (lua_Integer)bide__sched_shuffle(bide__host(L), state));
  return 1;
}

/* track(on): notes from now on what is opened, and where; returns whether it did before. */
static int l_track(lua_State *L) {
  int on = lua_toboolean(L, 1);
  lua_pushboolean(L, bide__track_switch(L, bide__host(L), on));
  return 1;
}

/* open(): what is open of that: list of {what=, opened=}. */
static int l_open(lua_State *L) {
  bide__push_tracked(L, bide__host(L));
  return 1;
}

/* forget(): drops the functions that are kept because tasks were started from them. */
static int l_forget(lua_State *L) {
  bide__sites_forget(bide__host(L));
  return 0;
}

/* mates(): the other tasks of the running task's run that it waits for, the oldest first. */
static int l_mates(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_scope *s, *root = h->current ? &h->current->scope->run->root : NULL;
  const bide_task *t;
  lua_Integer n = 0;
  lua_newtable(L);
  for (s = root; s; s = bide__scope_walk(s, root, 1))
    for (t = s->tasks; t; t = t->snext) {
      if (t == h->current || t->scope->run != h->current->scope->run) continue;
      if (t->fut.flags & BIDE_TF_DAEMON) continue;
      bide__push_task(L, h, t);
      lua_rawseti(L, -2, ++n);
    }
  return 1;
}

/* debug(on): debug mode. */
static int l_debug(lua_State *L) {
  bide__debug_switch(L, bide__host(L), lua_toboolean(L, 1));
  return 0;
}

static const luaL_Reg functions[] = {{"debug", l_debug},     {"virtual", l_virtual},
                                     {"counts", l_counts},   {"hosts_file", l_hosts_file},
                                     {"shuffle", l_shuffle}, {"track", l_track},
                                     {"open", l_open},       {"mates", l_mates},
                                     {"forget", l_forget},   {NULL, NULL}};

void bide__open_testing(lua_State *L, int host) {
  bide__new_lib(L, host, functions);
  lua_setfield(L, -2, "testing");
}
