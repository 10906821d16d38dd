/* SPDX-License-Identifier: MIT */
/* failure.c: no error is lost. The place in the table of the lost is reserved when the failure is
 * made, so that the finalizer allocates nothing. */
#include "failure.h"
#include "debug.h"
#include "error.h"
#include "name.h"
#include "slice.h"
#include "stop.h"
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

/* Sets t[slot] to the value on top of the stack (popped), t being the table of that registry key.
 */
static void set_at(lua_State *L, int ref, uint32_t slot) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
  lua_insert(L, -2);
  lua_rawseti(L, -2, slot);
  lua_pop(L, 1);
}

/* Pushes a witness whose failure has no slot yet: its finalizer would free it. */
static bide_failure *new_witness(lua_State *L, bide_host *h) {
  bide_witness *w = lua_newuserdatauv(L, sizeof *w, 3);
  w->failure = NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->mt_failure_ref);
  lua_setmetatable(L, -2);
  w->failure = bide__alloc(h, sizeof *w->failure);
  if (!w->failure) luaL_error(L, "not enough memory");
  memset(w->failure, 0, sizeof *w->failure);
  w->failure->host = h;
  w->failure->serial = w->serial = ++h->failure_serial;
  link_in(h, w->failure);
  return w->failure;
}

/* Puts the failure of the witness on top into the tables; error and record below it. May raise.
 */
static uint32_t record(lua_State *L, bide_host *h) {
  int witness = lua_gettop(L);
  uint32_t slot = bide__slot_peek(h, &h->failure_slots);
  if (slot == 0) luaL_error(L, "not enough memory");
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, witness - 2);
  lua_rawseti(L, -2, 1);
  bide__push_record_text(L, witness - 1);
  lua_rawseti(L, -2, 2);
  set_at(L, h->failures_ref, slot);
  lua_pushvalue(L, witness);
  set_at(L, h->witnesses_ref, slot);
  lua_pushboolean(L, 0);
  set_at(L, h->lost_ref, slot);
  return slot;
}

void bide__failure_push(lua_State *L, bide_host *h, int owner, bide_runner *run,
                        const bide_task *t) {
  int top = lua_gettop(L), witness = top + 1; /* error, traceback, witness */
  bide_failure *f;
  uint32_t slot;
  luaL_checkstack(L, 12, NULL);
  f = new_witness(L, h);
  slot = record(L, h);
  if (lua_istable(L, top)) {
    bide__details(L, h, top - 1, 1);
    bide__push_record_text(L, top);
    lua_setfield(L, -2, "traceback");
    lua_pop(L, 1);
  }
  /* from here on nothing raises */
  bide__slot_take(&h->failure_slots);
  f->slot = slot;
  f->run = run;
  f->daemon = t && (t->fut.flags & BIDE_TF_DAEMON);
  if (f->daemon) h->report_now = 1;
  lua_pushvalue(L, owner);
  lua_setiuservalue(L, witness, 3);
  lua_pushvalue(L, top);
  lua_setiuservalue(L, witness, 2);
  lua_pushvalue(L, top - 1);
  lua_setiuservalue(L, witness, 1);
  lua_replace(L, top - 1);
  lua_settop(L, top - 1);
}

void bide__failure_lost(lua_State *L, bide_host *h) {
  lua_pushnil(L); /* instead of a future */
  lua_insert(L, -2);
  lua_pushboolean(L, 0);
  bide__failure_push(L, h, lua_gettop(L) - 2, NULL, NULL);
  bide__failure_now(h);
  lua_pop(L, 2);
}

static void release(lua_State *L, bide_failure *f) {
  bide_host *h = f->host;
  if (f->slot) {
    lua_pushboolean(L, 0);
    set_at(L, h->failures_ref, f->slot);
    lua_pushboolean(L, 0);
    set_at(L, h->witnesses_ref, f->slot);
    lua_pushboolean(L, 0);
    set_at(L, h->lost_ref, f->slot);
    bide__slot_give(&h->failure_slots, f->slot);
  }
  if (f->lost) h->lost--;
  link_out(f);
  bide__free(h, f, sizeof *f);
}

void bide__failure_seen(lua_State *L, bide_witness *w) {
  if (w->failure) release(L, w->failure);
  w->failure = NULL;
}

/* The future is gone, so nobody can take the error any more. The failure may have been reported and
 * freed between the collector's decision and this call: look for it before touching it. */
static int l_gc(lua_State *L) {
  bide_host *h = bide__host_of(L);
  bide_witness *w = lua_touserdata(L, 1);
  bide_failure *f;
  if (!w->failure || h->dead) return 0;
  for (f = h->failures_last; f; f = f->prev)
    if (f == w->failure && f->serial == w->serial) break;
  if (!f || f->lost) return 0;
  if (f->slot == 0) {
    bide__failure_seen(L, w);
    return 0;
  }
  f->lost = 1;
  h->lost++;
  lua_pushvalue(L, 1);
  set_at(L, h->lost_ref, f->slot);
  return 0;
}

void bide__failure_now(bide_host *h) {
  if (!h->failures_last || !h->failures_last->slot) return;
  h->failures_last->daemon = 1;
  h->report_now = 1;
}

void bide__failures_fini(bide_host *h) {
  while (h->failures) {
    bide_failure *f = h->failures;
    link_out(f);
    bide__free(h, f, sizeof *f);
  }
}

/* ---- reports ---- */

/* A report is a C string: in the text on top of the stack each NUL becomes "\\0", for it would hide
 * what stands behind it. */
static const char *show_nuls(lua_State *L) {
  size_t n;
  const char *s = lua_tolstring(L, -1, &n), *nul = memchr(s, '\0', n);
  luaL_Buffer b;
  if (!nul) return s;
  luaL_buffinit(L, &b);
  for (; nul; nul = memchr(s, '\0', n)) {
    luaL_addlstring(&b, s, (size_t)(nul - s));
    luaL_addstring(&b, "\\0");
    n -= (size_t)(nul - s) + 1;
    s = nul + 1;
  }
  luaL_addlstring(&b, s, n);
  luaL_pushresult(&b);
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

/* What `err` at idx says without running any Lua code. */
static const char *plain_text(lua_State *L, bide_host *h, int idx) {
  if (!lua_isstring(L, idx) && !bide__is_error(L, h, idx))
    return lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, idx));
  luaL_tolstring(L, idx, NULL);
  return show_nuls(L);
}

/* err, task or future, traceback; and, when that could not be reported, why */
static int default_report(lua_State *L) {
  bide_host *h = bide__host_of(L);
  const char *tb = lua_tostring(L, 3), *err;
  if (lua_isnone(L, 4)) {
    luaL_tolstring(L, 1, NULL);
    err = show_nuls(L);
  } else {
    bide__report(h, lua_pushfstring(L, "bide: error while reporting an unhandled error: %s",
                                    plain_text(L, h, 4)));
    err = plain_text(L, h, 1);
  }
  const bide_task *t = bide__totask(L, 2);
  const char *in = t ? " in task " : lua_isnil(L, 2) ? "" : " in a future";
  char name[120];
  if (t) bide__task_name(L, h, 2, name, sizeof name);
  bide__report(h, lua_pushfstring(L, "bide: unhandled error%s%s: %s%s%s", in, t ? name : "", err,
                                  tb ? "\n" : "", tb ? tb : ""));
  return 0;
}

/* Pushes error, task or future (nil when its finalizer was given up) and traceback. Never raises.
 */
static void push_report(lua_State *L, bide_host *h, const bide_failure *f) {
  bide_witness *w;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->failures_ref);
  lua_rawgeti(L, -1, f->slot);
  lua_rawgeti(L, -1, 1);
  lua_insert(L, -3);
  lua_rawgeti(L, -1, 2);
  lua_insert(L, -3);
  lua_pop(L, 2); /* error, traceback */
  lua_rawgeti(L, LUA_REGISTRYINDEX, f->lost ? h->lost_ref : h->witnesses_ref);
  lua_rawgeti(L, -1, f->slot);
  lua_remove(L, -2);
  w = lua_touserdata(L, -1);
  if (w) {
    w->failure = NULL;
    lua_getiuservalue(L, -1, 3);
  } else {
    lua_pushnil(L);
  }
  lua_remove(L, -2);
  lua_insert(L, -2);
}

/* The handler is Lua and runs in no task, yet can be stopped. */
static int call_handler(lua_State *L, bide_host *h, int nargs) {
  lua_State *running = h->running;
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L), status;
  h->running = L;
  if (h->guard) bide__guard(h, L);
  h->reporting++;
  status = lua_pcall(L, nargs, 0, 0);
  h->reporting--;
  h->running = running;
  if (lua_gethook(L) != hook) lua_sethook(L, hook, mask, count);
  return status;
}

/* Reports `f` and frees it. The handler of on_unhandled gets (err, task, traceback); what it raises
 * goes to stderr, and then what it did not report. */
static void report(lua_State *L, bide_host *h, bide_failure *f) {
  int top = lua_gettop(L), i;
  lua_pushcfunction(L, default_report);
  if (h->unhandled_ref != LUA_NOREF) lua_rawgeti(L, LUA_REGISTRYINDEX, h->unhandled_ref);
  else lua_pushcfunction(L, default_report);
  if (BIDE_UNLIKELY(h->debug && f->lost)) bide__debug_lost(h);
  push_report(L, h, f);
  release(L, f);
  h->unhandled++;
  lua_rotate(L, -4, 3);
  for (i = 0; i < 3; i++) lua_pushvalue(L, -4);
  if (call_handler(L, h, 3) != LUA_OK && call_handler(L, h, 4) != LUA_OK)
    bide__report(h, "bide: error while reporting an unhandled error");
  lua_settop(L, top);
}

static bide_failure *next_to_report(bide_host *h, const bide_runner *run) {
  bide_failure *f;
  for (f = h->failures; f; f = f->next)
    if (f->slot && (f->lost || f->daemon || (run && (f->run == run || !f->run)))) return f;
  return NULL;
}

void bide__report_lost(bide_host *h, const bide_runner *run) {
  lua_State *L = h->from;
  bide_failure *f;
  if (h->native_lost) {
    char text[160];
    snprintf(
        text, sizeof text,
        "bide: %u task%s failed unawaited: no memory, no stack, or foreign code closed the thread",
        (unsigned)h->native_lost, h->native_lost == 1 ? "" : "s");
    bide__report(h, text);
    h->unhandled += (int)h->native_lost;
    h->native_lost = 0;
  }
  h->report_now = 0;
  bide__slicer_enter(h);
  while ((f = next_to_report(h, run)) != NULL) report(L, h, f);
  bide__slicer_leave(h);
}

void bide__failure_open(lua_State *L, bide_host *h) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  h->witnesses_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  h->failures_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  h->lost_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_pushcfunction(L, l_gc);
  lua_setfield(L, -2, "__gc");
  h->mt_failure = lua_topointer(L, -1);
  h->mt_failure_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
