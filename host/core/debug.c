/* SPDX-License-Identifier: MIT */
/* debug.c: see debug.h. Reports are made protected: they allocate. The stack at which a
 * cancellation was raised is kept in a table, task → text, until the task ends. */
#include "debug.h"
#include "error.h"
#include "name.h"
#include "run.h"
#include "trace.h"

#include <stdio.h>

enum { HOOK_COUNT = 1000 }; /* instructions between two looks at the clock */

static const uint64_t LONG_STEP = 50 * 1000000;      /* ns */
static const uint64_t COLLECT_PAUSE = 100 * 1000000; /* ns between two collections */
static const char key = 0; /* its address is the key of the table in the registry */

/* ---- long steps ---- */

/* (task, milliseconds, thread or nil) */
static int report_long(lua_State *L) {
  bide_host *h = bide__host_of(L);
  const bide_task *t = lua_touserdata(L, 1);
  lua_State *co = lua_touserdata(L, 3);
  char name[100];
  bide__living_name(t, name, sizeof name);
  lua_pushfstring(L, "bide: debug: task %s has held the loop for %d ms\n", name,
                  (int)lua_tointeger(L, 2));
  bide__traceback(L, h, co, t, co ? 1 : 0);
  lua_concat(L, 2);
  bide__report(h, lua_tostring(L, -1));
  return 0;
}

static void report_step(lua_State *L, bide_host *h, const bide_task *t, lua_State *co) {
  if (!lua_checkstack(L, LUA_MINSTACK)) return;
  lua_pushcfunction(L, report_long);
  lua_pushlightuserdata(L, (void *)(uintptr_t)t);
  lua_pushinteger(L, (lua_Integer)((uv_hrtime() - h->step_began) / 1000000));
  lua_pushlightuserdata(L, co);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* Runs within the step, so that the stack is the one that takes so long. Once a step. */
static void hook_long(lua_State *L, lua_Debug *ar) {
  bide_host *h = bide__host_of(L);
  (void)ar;
  if (!h || !h->debug || !h->current || h->step_warned) return;
  if (uv_hrtime() - h->step_began < LONG_STEP) return;
  h->step_warned = 1;
  report_step(L, h, h->current, L);
}

uint64_t bide__debug_enter(bide_host *h) {
  uint64_t outer = h->step_began;
  h->step_began = uv_hrtime();
  h->step_warned = 0;
  return outer;
}

/* A C function may have taken the time, after which no hook ran: the task waits by now. */
void bide__debug_leave(bide_host *h, const bide_task *t, uint64_t outer) {
  if (!h->step_warned && uv_hrtime() - h->step_began >= LONG_STEP) report_step(h->from, h, t, NULL);
  h->step_began = outer;
  h->step_warned = outer != 0; /* what the outer one waited for here is not its own doing */
}

/* ---- swallowed cancellations ---- */

void bide__debug_cancelled(lua_State *L, bide_host *h) {
  bide_task *t = h->current;
  const bide_scope *s = t->scope;
  while (s->owner == t) s = s->parent;
  if (t->fut.told || (!s->eff && !(t->fut.flags & BIDE_TF_CANCEL))) return;
  luaL_checkstack(L, 6, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TTABLE) {
    bide__traceback(L, h, L, t, 1);
    lua_rawsetp(L, -2, t);
    t->fut.told = 1;
  }
  lua_pop(L, 1);
}

/* (task, whether to report) */
static int take_cancelled(lua_State *L) {
  bide_host *h = bide__host_of(L);
  const bide_task *t = lua_touserdata(L, 1);
  char name[100];
  lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
  if (!lua_istable(L, -1)) return 0;
  lua_rawgetp(L, -1, t);
  lua_pushnil(L);
  lua_rawsetp(L, -3, t);
  if (!lua_toboolean(L, 2)) return 0;
  bide__living_name(t, name, sizeof name);
  lua_pushfstring(L,
                  "bide: debug: task %s has ended as if it had not been cancelled: the ECANCELED "
                  "raised here was caught and not raised again\n%s",
                  name, lua_tostring(L, -1));
  bide__report(h, lua_tostring(L, -1));
  return 0;
}

void bide__debug_ended(bide_host *h, const bide_task *t, int state) {
  lua_State *L = h->from;
  if (state == BIDE_FAILED && !t->fut.waiters && !(t->fut.flags & BIDE_TF_OWNED))
    bide__debug_collect(h);
  if (!t->fut.told || !lua_checkstack(L, LUA_MINSTACK)) return;
  lua_pushcfunction(L, take_cancelled);
  lua_pushlightuserdata(L, (void *)(uintptr_t)t);
  lua_pushboolean(L, state == BIDE_DONE && !h->closed);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* ---- dropped failures ---- */

void bide__debug_collect(bide_host *h) {
  h->collect = 1;
}

void bide__debug_turn(bide_host *h) {
  uint64_t now = uv_hrtime();
  if (now - h->collected < COLLECT_PAUSE) return;
  h->collect = 0;
  lua_gc(h->from, LUA_GCCOLLECT, 0);
  lua_gc(h->from, LUA_GCCOLLECT, 0); /* the task's finalizer ran in the first */
  h->collected = uv_hrtime();
}

void bide__debug_lost(bide_host *h) {
  bide__report(h, "bide: debug: nobody can await it any more, for its handle was dropped:");
}

/* ---- on and off ---- */

static void switch_hook(lua_State *co, int on) {
  if (on && !lua_gethook(co)) lua_sethook(co, hook_long, LUA_MASKCOUNT, HOOK_COUNT);
  else if (!on && lua_gethook(co) == hook_long) lua_sethook(co, NULL, 0, 0);
}

static void switch_hooks(lua_State *L, bide_host *h, int on) {
  bide_scope *s, *root = bide__run_outermost(h);
  const bide_task *t;
  uint32_t i;
  switch_hook(h->main, on);
  switch_hook(L, on);
  for (i = 0; i < h->pool_n; i++) switch_hook(h->pool[i].L, on);
  for (s = root; s; s = bide__scope_walk(s, root, 1))
    for (t = s->tasks; t; t = t->snext)
      if (t->L) {
        switch_hook(t->L, on);
        bide__push_task(L, h, t); /* its name is told at its end, when its stack has gone */
        lua_pop(L, 1);
      }
}

void bide__debug_switch(lua_State *L, bide_host *h, int on) {
  if (on == h->debug) return;
  if (on) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  switch_hooks(L, h, on);
  h->step_began = uv_hrtime(); /* of the step that runs, if one does */
  h->step_warned = 0;
  h->debug = (unsigned char)on;
}
