/* SPDX-License-Identifier: MIT */
/* task.c: bide.run, spawn, daemon, async, await, sleep, future, current, now; the methods of tasks
 * and futures. */
#include "bindings.h"
#include "core/await.h"
#include "core/error.h"
#include "core/failure.h"
#include "core/name.h"
#include "core/run.h"
#include "core/slice.h"
#include "core/trace.h"
#include "core/watch.h"

#include <stdio.h>
#include <string.h>

static const char *const status_names[] = {"pending", "done", "failed", "cancelled"};

/* ---- running and spawning ---- */

static int l_run(lua_State *L) {
  bide__check_callable(L, 1);
  return bide__run_call(L, bide__host(L), lua_gettop(L) - 1);
}

BIDE_INLINE int spawn_checked(lua_State *L, bide_host *h, const char *name, int daemon) {
  bide_runner *run;
  bide__check_callable(L, 1);
  if (!h->current) return bide__not_running(L, h, name);
  run = h->current->scope->run;
  if (daemon || (h->current->fut.flags & BIDE_TF_DAEMON))
    bide__spawn(L, h, lua_gettop(L) - 1, &run->daemons, BIDE_TF_DAEMON, bide__site_caller(L, h));
  else bide__spawn(L, h, lua_gettop(L) - 1, &run->root, 0, bide__site_caller(L, h));
  return 1;
}

static int l_spawn(lua_State *L) {
  return spawn_checked(L, bide__host(L), "spawn", 0);
}
static int l_daemon(lua_State *L) {
  return spawn_checked(L, bide__host(L), "daemon", 1);
}

static int l_compute(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_runner *run;
  bide_task *t;
  int daemon, rc;
  bide__check_callable(L, 1);
  if (!h->current) return bide__error(L, h, "ENORUN", "compute", "not inside bide.run");
  if ((rc = bide__slicer_open(h, 0, h->signal)) != 0)
    return bide__raise_status(L, h, rc, "compute");
  run = h->current->scope->run;
  daemon = h->current->fut.flags & BIDE_TF_DAEMON;
  t = bide__spawn_parked(L, h, lua_gettop(L) - 1, daemon, bide__site_caller(L, h));
  t->fut.compute = 1;
  bide__task_unpark(h, t, daemon ? &run->daemons : &run->root);
  return 1;
}

static int l_async_call(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  return spawn_checked(L, bide__host(L), "async", 0);
}

static int l_async(lua_State *L) {
  bide__check_callable(L, 1);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_pushcclosure(L, l_async_call, 2);
  return 1;
}

static int l_current(lua_State *L) {
  bide_host *h = bide__host(L);
  if (!h->current) return lua_pushnil(L), 1;
  bide__push_task(L, h, h->current);
  return 1;
}

static int l_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)bide__now_ns(bide__host(L)) / 1e9);
  return 1;
}

static int l_sleep(lua_State *L) {
  return bide__sleep(L, bide__host(L), bide__check_seconds(L, 1));
}

/* ---- futures and tasks ---- */

static bide_fut *check_future(lua_State *L) {
  bide_fut *f = bide__tofuture(L, 1);
  if (!f) bide__type_error(L, 1, "task or future");
  return f;
}

/* One made by bide.future: those of tasks are filled by their functions. */
static bide_fut *check_plain(lua_State *L) {
  bide_fut *f = bide__tofuture(L, 1);
  if (!f || f->kind != BIDE_IS_FUTURE) bide__type_error(L, 1, "future");
  return f;
}

static int l_future(lua_State *L) {
  bide__future_push(L, bide__host(L));
  return 1;
}

/* A living task knows its host, which is found faster so. */
static bide_host *host_by(lua_State *L, const bide_fut *f) {
  const bide_task *t = (const bide_task *)f;
  if (f->kind == BIDE_IS_TASK && f->state == BIDE_PENDING && t->scope) return bide__task_host(t);
  return bide__host(L);
}

static int m_await(lua_State *L) {
  bide_fut *f = check_future(L);
  bide_host *h = host_by(L, f);
  if (BIDE_UNLIKELY(lua_gettop(L) != 1)) lua_settop(L, 1);
  return bide__await(L, h, f);
}

static int m_status(lua_State *L) {
  lua_pushstring(L, status_names[check_future(L)->state]);
  return 1;
}

static int m_done(lua_State *L) {
  lua_pushboolean(L, check_future(L)->state != BIDE_PENDING);
  return 1;
}

static int m_result(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_fut *f = check_future(L);
  if (f->state == BIDE_PENDING)
    return bide__error(L, h, "EPENDING", "result", "the result is not there yet (await it)");
  lua_settop(L, 1);
  return bide__push_results(L, h, 1);
}

static int m_cancel_task(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_task *t = bide__totask(L, 1);
  if (!t) bide__type_error(L, 1, "task");
  if (t->fut.state == BIDE_PENDING && !(t->fut.flags & BIDE_TF_CANCEL) && !lua_isnoneornil(L, 2)) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->reasons_ref);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, -2, t);
    t->fut.flags |= BIDE_TF_REASON;
  }
  lua_pushboolean(L, bide__task_cancel(t));
  return 1;
}

static int end_plain(lua_State *L, bide_fut *f, int state) {
  bide__future_end(f, state);
  lua_pushboolean(L, 1);
  return 1;
}

static int m_cancel_future(lua_State *L) {
  bide_fut *f = check_plain(L);
  if (f->state != BIDE_PENDING) return lua_pushboolean(L, 0), 1;
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1); /* the reason */
  return end_plain(L, f, BIDE_CANCELLED);
}

static int m_resolve(lua_State *L) {
  bide_fut *f = check_plain(L);
  if (f->state != BIDE_PENDING) return lua_pushboolean(L, 0), 1;
  bide__store_results(L, 1, f, lua_gettop(L) - 1);
  return end_plain(L, f, BIDE_DONE);
}

/* The run at whose end a future's error is reported: the one that it was made in, for it may be
 * rejected in a run inside that and awaited later; else the one that runs. */
static bide_runner *run_of(const bide_host *h, const bide_fut *f) {
  bide_runner *r, *now = h->current ? h->current->scope->run : NULL;
  for (r = now; r && r->serial != f->slot;) r = r->root.owner ? r->root.owner->scope->run : NULL;
  return r ? r : now;
}

static int m_reject(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_fut *f = check_plain(L);
  if (f->state != BIDE_PENDING) return lua_pushboolean(L, 0), 1;
  lua_settop(L, 2);
  bide__push_record(L, h, L, NULL, 1, 2);
  bide__failure_push(L, h, 1, run_of(h, f), NULL);
  lua_setiuservalue(L, 1, 1);
  return end_plain(L, f, BIDE_FAILED);
}

static int m_on_done(lua_State *L) {
  bide_host *h = bide__host(L);
  check_future(L);
  bide__check_callable(L, 2);
  if (!h->current) return bide__not_running(L, h, "on_done");
  lua_settop(L, 2);
  bide__watch(L, h);
  lua_settop(L, 1);
  return 1;
}

static int m_name(lua_State *L) {
  bide_host *h = bide__host(L);
  char buf[100];
  if (!bide__totask(L, 1)) bide__type_error(L, 1, "task");
  if (!lua_isnoneornil(L, 2)) {
    bide__name_value(L, h, 1, luaL_checkstring(L, 2));
  }
  lua_pushstring(L, bide__task_name(L, h, 1, buf, sizeof buf));
  return 1;
}

static int m_traceback(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_task *t = bide__totask(L, 1);
  if (!t) bide__type_error(L, 1, "task");
  if (t->fut.state == BIDE_PENDING) {
    int self = t == h->current;
    bide__traceback(L, h, self ? L : NULL, t, self ? 1 : 0);
  } else if (t->fut.state == BIDE_FAILED && !t->fut.native) {
    lua_getiuservalue(L, 1, 1);
    lua_getiuservalue(L, -1, 2);
    if (!bide__push_record_text(L, -1)) lua_pushliteral(L, "");
  } else {
    lua_pushliteral(L, "");
  }
  return 1;
}

static int mm_tostring(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_fut *f = check_future(L);
  char buf[100];
  if (f->kind == BIDE_IS_TASK)
    lua_pushfstring(L, "bide.Task: %s (%s)", bide__task_name(L, h, 1, buf, sizeof buf),
                    status_names[f->state]);
  else lua_pushfstring(L, "bide.Future: %p (%s)", (void *)f, status_names[f->state]);
  return 1;
}

/* A future that is collected can't be resolved any more. Nobody waits for it, unless foreign code
 * has dropped the stack that did. */
static int mm_gc(lua_State *L) {
  bide_fut *f = check_plain(L);
  if (f->state != BIDE_PENDING) return 0;
  f->native = BIDE_NATIVE_CLOSED;
  bide__future_end(f, BIDE_CANCELLED);
  return 0;
}

static const luaL_Reg functions[] = {
    {"run", l_run},       {"spawn", l_spawn},     {"daemon", l_daemon}, {"compute", l_compute},
    {"async", l_async},   {"current", l_current}, {"now", l_now},       {"sleep", l_sleep},
    {"future", l_future}, {NULL, NULL},
};

static const luaL_Reg task_methods[] = {
    {"await", m_await}, {"cancel", m_cancel_task},  {"status", m_status},
    {"done", m_done},   {"result", m_result},       {"on_done", m_on_done},
    {"name", m_name},   {"traceback", m_traceback}, {NULL, NULL},
};

static const luaL_Reg future_methods[] = {
    {"await", m_await},     {"cancel", m_cancel_future}, {"status", m_status},
    {"done", m_done},       {"result", m_result},        {"on_done", m_on_done},
    {"resolve", m_resolve}, {"reject", m_reject},        {NULL, NULL},
};

static const luaL_Reg task_meta[] = {{"__tostring", mm_tostring}, {NULL, NULL}};
static const luaL_Reg future_meta[] = {{"__tostring", mm_tostring}, {"__gc", mm_gc}, {NULL, NULL}};

void bide__open_tasks(lua_State *L, int host) {
  bide_host *h = lua_touserdata(L, host);
  bide__add_lib(L, host, functions);
  bide__new_metatable(L, host, "bide.Task", task_methods, task_meta);
  h->mt_task = lua_topointer(L, -1);
  h->mt_task_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  bide__new_metatable(L, host, "bide.Future", future_methods, future_meta);
  h->mt_future = lua_topointer(L, -1);
  h->mt_future_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
