/* SPDX-License-Identifier: MIT */
/* failure.c: no error is lost. The place in the table of the lost is reserved when the failure is
 * made, so that the finalizer allocates nothing. */
#include "failure.h"
#include "error.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

static void link_in(bide_host *h, bide_failure *f) {
  f->next = NULL;
  f->prev = h->failures_last;
  if (f->prev) f->prev->next = f;
  else h->failures = f;
  h->failures_last = f;
}

static void link_out(bide_failure *f) {
  if (f->prev) f->prev->next = f->next;
  else f->host->failures = f->next;
  if (f->next) f->next->prev = f->prev;
  else f->host->failures_last = f->prev;
  f->next = f->prev = NULL;
}

void bide__failure_push(lua_State *L, bide_host *h, int owner, bide_runner *run,
                        const bide_task *t) {
  int top = lua_gettop(L); /* error, traceback */
  bide_failure *f = lua_newuserdatauv(L, sizeof *f, 3);
  memset(f, 0, sizeof *f);
  f->host = h;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->failures_ref);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->lost_ref);
  f->slot = bide__slot_peek(h, &h->failure_slots);
  if (f->slot == 0) luaL_error(L, "not enough memory");
  lua_pushvalue(L, top + 1);
  lua_rawseti(L, -3, f->slot);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, f->slot);
  lua_pop(L, 2);
  if (lua_isstring(L, top)) {
    bide__details(L, h, top - 1, 1);
    lua_pushvalue(L, top);
    lua_setfield(L, -2, "traceback");
    lua_pop(L, 1);
  }
  lua_pushvalue(L, top - 1);
  lua_setiuservalue(L, top + 1, 1);
  lua_pushvalue(L, top);
  lua_setiuservalue(L, top + 1, 2);
  lua_pushvalue(L, owner);
  lua_setiuservalue(L, top + 1, 3);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->mt_failure_ref);
  lua_setmetatable(L, top + 1);
  /* from here on nothing raises */
  bide__slot_take(&h->failure_slots);
  f->run = run;
  f->daemon = t && (t->fut.flags & BIDE_TF_DAEMON);
  if (f->daemon) h->report_now = 1;
  link_in(h, f);
  lua_replace(L, top - 1);
  lua_settop(L, top - 1);
}

static void release(lua_State *L, bide_failure *f) {
  bide_host *h = f->host;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->failures_ref);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, f->slot);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->lost_ref);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, f->slot);
  lua_pop(L, 2);
  if (f->lost) h->lost--;
  link_out(f);
  bide__slot_give(&h->failure_slots, f->slot);
  f->slot = 0;
}

void bide__failure_seen(lua_State *L, bide_failure *f) {
  if (f->slot) release(L, f);
}

/* The future is gone, so nobody can take the error any more. */
static int l_gc(lua_State *L) {
  bide_failure *f = lua_touserdata(L, 1);
  if (!f->slot || f->lost) return 0;
  if (f->host->dead) return 0;
  f->lost = 1;
  f->host->lost++;
  lua_rawgeti(L, LUA_REGISTRYINDEX, f->host->lost_ref);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, f->slot);
  return 0;
}

/* ---- reports ---- */

static int default_report(lua_State *L) { /* err, task or future, traceback */
  bide_host *h = bide__host_of(L);
  const char *err = luaL_tolstring(L, 1, NULL), *tb = lua_tostring(L, 3);
  const bide_task *t = bide__totask(L, h, 2);
  char name[120];
  if (t) bide__task_name(L, h, 2, name, sizeof name);
  bide__report(h,
               lua_pushfstring(L, "bide: unhandled error in %s%s: %s%s%s", t ? "task " : "a future",
                               t ? name : "", err, tb ? "\n" : "", tb ? tb : ""));
  return 0;
}

/* The handler of on_unhandled gets (err, task, traceback). */
static void report(lua_State *L, bide_host *h, int failure) {
  bide_failure *f = lua_touserdata(L, failure);
  int top = lua_gettop(L), custom = h->unhandled_ref != LUA_NOREF;
  if (custom) lua_rawgeti(L, LUA_REGISTRYINDEX, h->unhandled_ref);
  else lua_pushcfunction(L, default_report);
  lua_getiuservalue(L, failure, 1);
  lua_getiuservalue(L, failure, 3);
  lua_getiuservalue(L, failure, 2);
  release(L, f);
  h->unhandled++;
  lua_call(L, 3, 0);
  lua_settop(L, top);
}

static int report_pushed(lua_State *L) {
  report(L, bide__host_of(L), 1);
  return 0;
}

/* Reports the failure on top of the stack; what its handler raises goes to stderr. */
static void report_protected(lua_State *L, bide_host *h) {
  bide_failure *f = lua_touserdata(L, -1);
  lua_pushcfunction(L, report_pushed);
  lua_insert(L, -2);
  lua_pushvalue(L, -1);
  lua_insert(L, -3); /* failure, function, failure */
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    const char *msg = lua_tostring(L, -1);
    char text[300];
    snprintf(text, sizeof text, "bide: error while reporting an unhandled error: %s",
             msg ? msg : "?");
    bide__report(h, text);
    lua_pop(L, 1);
    if (f->slot) {
      release(L, f);
      h->unhandled++;
    }
  }
  lua_pop(L, 1);
}

static bide_failure *next_to_report(bide_host *h, const bide_runner *run) {
  bide_failure *f;
  for (f = h->failures; f; f = f->next)
    if (f->lost || f->daemon || (run && (f->run == run || !f->run))) return f;
  return NULL;
}

/* Between the collector's clearing of the weak table and the finalizer a failure is in neither: a
 * full collection ends that. */
static int push_failure(lua_State *L, bide_host *h, const bide_failure *f) {
  int tries;
  for (tries = 0; tries < 2; tries++) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, f->lost ? h->lost_ref : h->failures_ref);
    lua_rawgeti(L, -1, f->slot);
    lua_remove(L, -2);
    if (lua_touserdata(L, -1) == f) return 1;
    lua_pop(L, 1);
    lua_gc(L, LUA_GCCOLLECT, 0);
  }
  return 0;
}

void bide__report_lost(bide_host *h, const bide_runner *run) {
  lua_State *L = h->from;
  bide_failure *f;
  if (h->native_lost) {
    char text[100];
    snprintf(text, sizeof text, "bide: %u task%s failed for lack of memory or stack, unawaited",
             (unsigned)h->native_lost, h->native_lost == 1 ? "" : "s");
    bide__report(h, text);
    h->unhandled += (int)h->native_lost;
    h->native_lost = 0;
  }
  h->report_now = 0;
  while ((f = next_to_report(h, run)) != NULL) {
    if (!push_failure(L, h, f)) return;
    report_protected(L, h);
  }
}

void bide__failure_open(lua_State *L, bide_host *h) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  h->failures_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  h->lost_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_pushcfunction(L, l_gc);
  lua_setfield(L, -2, "__gc");
  h->mt_failure = lua_topointer(L, -1);
  h->mt_failure_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
