/* SPDX-License-Identifier: MIT */
/* task.c: from spawn to end. `lua_resume` on a task stands here, in bide__task_step, and nowhere
 * else.
 *
 * The stack of a task's thread: task_main at the bottom, called with (task, message handler,
 * function, arguments…). The body runs under an inner pcall, so that its to-be-closed variables
 * close, and may wait, while the task is still alive. */
#include "debug.h"
#include "error.h"
#include "failure.h"
#include "run.h"
#include "limit.h"
#include "sched.h"
#include "slice.h"
#include "stop.h"
#include "thread.h"
#include "trace.h"

#include <assert.h>
#include <string.h>

enum { SPARE_EACH = 1024 };
/* Memory without which a task could not even begin: better that its spawn fails, which somebody
 * hears, than each of them. */
enum { STEP_ROOM = 2048 };
/* On the stack of a thread: as task_main sees it, and as it is laid out. */
enum { MAIN_HANDLER = 1, MAIN_TASK = 2, MAIN_ARGS = 3, LAID_TASK = 3 };

/* ---- what keeps it ---- */

/* Finds task_main, the outermost function of `co`; 0 when it was not entered. */
static int find_main(lua_State *co, lua_Debug *ar) {
  int in = 0, out = 1, mid;
  if (!lua_getstack(co, 0, ar)) return 0;
  while (lua_getstack(co, out, ar)) {
    in = out;
    out *= 2;
  }
  while (out - in > 1) {
    mid = in + (out - in) / 2;
    if (lua_getstack(co, mid, ar)) in = mid;
    else out = mid;
  }
  return lua_getstack(co, in, ar);
}

/* From now on the registry keeps it, too: the userdata is found on its thread's stack, where Lua
 * always has room for one value more. */
static void anchor(bide_task *t) {
  lua_State *co = t->L;
  lua_Debug ar;
  if (!find_main(co, &ar)) lua_pushvalue(co, LAID_TASK);
  else if (!lua_getlocal(co, &ar, MAIN_TASK)) lua_pushnil(co);
  assert(lua_touserdata(co, -1) == t);
  lua_rawseti(co, LUA_REGISTRYINDEX, t->fut.slot);
  t->fut.anchored = 1;
}

void bide__push_task(lua_State *L, bide_host *h, const bide_task *t) {
  (void)h;
  if (!t->fut.anchored) anchor((bide_task *)(uintptr_t)t);
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->fut.slot);
}

/* ---- the body ---- */

/* The error leaves the task for good: keep its traceback, but not for a cancellation. */
static int handler(lua_State *L) {
  bide_host *h = bide__host_of(L);
  if (!h || !h->current) return 1;
  if (bide__error_is_own_cancel(L, h, 1)) return 1;
  bide__push_record(L, h, L, h->current, 1, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->scratch_ref);
  bide__forget_traceback(L, h);
  lua_settop(L, 1);
  return 1;
}

static void body_failed(lua_State *L, bide_task *t) {
  bide_host *h = bide__task_host(t);
  if (!t->fut.anchored) anchor(t); /* those who hear of its end look at the error */
  int own = bide__error_is_own_cancel(L, h, -1);
  if (bide__task_refused(t) && (own || bide__is_killing(h))) {
    if (own) lua_getfield(L, -1, "reason");
    else lua_pushnil(L);
    lua_setiuservalue(L, MAIN_TASK, 1);
    t->fut.end_state = BIDE_CANCELLED;
    return;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->scratch_ref);
  lua_pushboolean(L, 0);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->scratch_ref);
  bide__failure_push(L, h, MAIN_TASK, t->scope->run, t);
  lua_setiuservalue(L, MAIN_TASK, 1);
  t->fut.end_state = BIDE_FAILED;
}

BIDE_INLINE int body_over(lua_State *L, int status, bide_task *t) {
  if (BIDE_LIKELY(status == LUA_OK || status == LUA_YIELD)) {
    int n = lua_gettop(L) - MAIN_TASK;
    if (n || (t->fut.flags & BIDE_TF_LOCALS)) bide__store_results(L, MAIN_TASK, &t->fut, n);
    if (t->fut.waiters && !t->fut.anchored) anchor(t); /* they are told when its stack has gone */
    t->fut.end_state = BIDE_DONE;
  } else {
    body_failed(L, t);
  }
  return 0;
}

static int k_main(lua_State *L, int status, lua_KContext ctx) {
  return body_over(L, status, (bide_task *)ctx);
}

static int task_main(lua_State *L) {
  bide_task *t = lua_touserdata(L, MAIN_TASK);
  int status =
      lua_pcallk(L, lua_gettop(L) - MAIN_ARGS, LUA_MULTRET, MAIN_HANDLER, (lua_KContext)t, k_main);
  return body_over(L, status, t);
}

/* ---- spawn ---- */

/* Lays out the stack of `co`: the top n values of L (popped) are task, function and arguments. */
static void lay_out(lua_State *L, lua_State *co, int n) {
  lua_pushcfunction(co, task_main);
  lua_pushcfunction(co, handler);
  lua_xmove(L, co, n);
}

/* stack: …, f, args, task. Moves function and arguments to a thread; may raise, holding nothing. */
static void spawn_thread(lua_State *L, bide_host *h, bide_task *t, int nargs) {
  bide_thread th;
  luaL_checkstack(L, nargs + 4, "too many arguments");
  th = bide__thread_take(L, h);
  if (!lua_checkstack(th.L, nargs + 6)) {
    bide__thread_return(h, th);
    luaL_error(L, "too many arguments");
  }
  t->L = th.L;
  t->thread_slot = th.slot;
  lua_insert(L, -(nargs + 2));
  lua_pushvalue(L, -(nargs + 2));
  lua_insert(L, -(nargs + 2)); /* task, task, f, args */
  lay_out(L, th.L, nargs + 2);
}

static int anchor_protected(lua_State *L) {
  lua_pushinteger(L, bide__anchor(L, bide__host_of(L)));
  return 1;
}

/* Anchors the copy on top of the stack (popped). If that raises, the thread goes back first. */
static uint32_t anchor_task(lua_State *L, bide_host *h, bide_task *t) {
  bide_thread th = {t->L, t->thread_slot};
  uint32_t slot;
  if (BIDE_LIKELY(h->slots.nfree > 0) || !t->L) return bide__anchor(L, h);
  lua_pushcfunction(L, anchor_protected);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    t->L = NULL;
    lua_settop(th.L, 0);
    bide__thread_return(h, th);
    lua_error(L);
  }
  slot = (uint32_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return slot;
}

const char bide__locals_owner = 0;

static void inherit_locals(lua_State *L, bide_host *h, bide_task *t) {
  bide__push_task(L, h, h->current);
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
  if (lua_rawgetp(L, -1, &bide__locals_owner) != LUA_TNIL) {
    lua_pushnil(L);
    lua_rawsetp(L, -3, &bide__locals_owner);
  }
  lua_pop(L, 1);
  lua_setiuservalue(L, -2, 1);
  t->fut.flags |= BIDE_TF_LOCALS;
}

/* stack: …, f, task. */
static void spawn_pooled(lua_State *L, bide_host *h, bide_task *t) {
  const bide_thread *th = &h->pool[--h->pool_n];
  t->L = th->L;
  t->thread_slot = th->slot;
  lua_pushvalue(L, -1);
  lua_pushvalue(L, -3);
  lay_out(L, th->L, 2);
}

/* May the thread of a new task be all that keeps it? Not where user code could close threads behind
 * our back (functions of stock Lua's from before), nor for a child that a combinator may keep. */
static int is_light(const bide_host *h, int flags) {
  return h->own_state && h->slots.nfree && !(flags & BIDE_TF_OWNED) && !h->debug;
}

BIDE_INLINE bide_task *spawn_parked(lua_State *L, bide_host *h, int nargs, int flags,
                                    uint32_t site) {
  bide_task *t;
  if (BIDE_UNLIKELY(h->live_tasks >= h->max_tasks))
    bide__limit_error(L, h, "spawn", "tasks", h->max_tasks);
  if (BIDE_UNLIKELY(h->meter) && !bide__meter_room(L, h, STEP_ROOM)) {
    lua_pushliteral(L, "not enough memory"); /* as Lua's own, without a place */
    lua_error(L);
  }
  t = lua_newuserdatauv(L, sizeof *t, 2);
  memset(t, 0, sizeof *t);
  t->fut.magic = BIDE_FUT_MAGIC;
  t->fut.kind = BIDE_IS_TASK;
  t->fut.flags = (uint8_t)flags;
  t->site_spawn = site;
  t->born = h->coarse;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->mt_task_ref);
  lua_setmetatable(L, -2);
  if (h->current && (h->current->fut.flags & BIDE_TF_LOCALS)) inherit_locals(L, h, t);
  if (nargs > 0) {
    lua_pushvalue(L, -(nargs + 2));
    lua_setiuservalue(L, -2, 2);
    spawn_thread(L, h, t, nargs);
  } else { /* without one in the pool the thread can wait until the first step */
    if (BIDE_LIKELY(h->pool_n > 0)) spawn_pooled(L, h, t);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 2);
  }
  if (BIDE_LIKELY(t->L && is_light(h, flags))) {
    t->fut.slot = h->slots.free[--h->slots.nfree];
  } else {
    lua_pushvalue(L, -1);
    t->fut.slot = anchor_task(L, h, t);
    t->fut.anchored = 1;
  }
  return t;
}

BIDE_INLINE void unpark(bide_host *h, bide_task *t, bide_scope *scope) {
  bide__scope_add_task(scope, t);
  if (t->fut.flags & BIDE_TF_DAEMON) scope->run->daemon_live++;
  else scope->run->live++;
  h->live_tasks++;
  bide__ready(h, t);
}

bide_task *bide__spawn_parked(lua_State *L, bide_host *h, int nargs, int flags, uint32_t site) {
  return spawn_parked(L, h, nargs, flags, site);
}

void bide__task_unpark(bide_host *h, bide_task *t, bide_scope *scope) {
  unpark(h, t, scope);
  if (h->debug && !t->fut.anchored) anchor(t);
}

bide_task *bide__spawn(lua_State *L, bide_host *h, int nargs, bide_scope *scope, int flags,
                       uint32_t site) {
  bide_task *t = spawn_parked(L, h, nargs, flags, site);
  unpark(h, t, scope);
  if (BIDE_UNLIKELY(h->live_tasks % SPARE_EACH == 0)) bide__collector_spare(L, h);
  return t;
}

/* ---- steps ---- */

static int take_protected(lua_State *L) {
  bide_task *t = lua_touserdata(L, 1);
  bide_thread th = bide__thread_take(L, bide__task_host(t));
  t->L = th.L;
  t->thread_slot = th.slot;
  return 0;
}

/* First step of a task without arguments: its function waits in the user value. */
static int start_thread(bide_host *h, bide_task *t) {
  lua_State *L = h->from;
  if (h->pool_n > 0) {
    bide_thread th = h->pool[--h->pool_n];
    t->L = th.L;
    t->thread_slot = th.slot;
  } else {
    lua_pushcfunction(L, take_protected);
    lua_pushlightuserdata(L, t);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
      lua_pop(L, 1);
      return UV_ENOMEM;
    }
  }
  bide__push_task(L, h, t);
  lua_getiuservalue(L, -1, 2);
  lay_out(L, t->L, 2);
  return 0;
}

static void forget_reason(bide_host *h, bide_task *t) {
  lua_State *L = h->from;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->reasons_ref);
  lua_pushnil(L);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
}

void bide__task_release(bide_host *h, bide_task *t) {
  if (t->fut.anchored) bide__unanchor(h, t->fut.slot);
  else bide__slot_give(&h->slots, t->fut.slot);
}

/* Has nobody touched the thread of a task that has not begun? Foreign functions, from before bide
 * was loaded, may have closed or resumed it. */
static int is_laid_out(const bide_host *h, const bide_task *t) {
  return h->own_state || (lua_status(t->L) == LUA_OK && lua_gettop(t->L) > LAID_TASK &&
                          lua_touserdata(t->L, LAID_TASK) == t);
}

void bide__task_discard(bide_host *h, bide_task *t) {
  int clean;
  t->fut.state = BIDE_CANCELLED;
  clean = t->L && is_laid_out(h, t);
  if (clean) lua_settop(t->L, 0);
  bide__thread_give(h, t, clean);
  bide__task_release(h, t);
}

/* Nothing of the task runs any more: tell its waiters and its run, give everything back. */
static void finish(bide_host *h, bide_task *t, int state, int clean) {
  int kept = 0;
  bide_scope *scope = t->scope;
  bide_runner *run = scope->run;
  if (t->fut.flags & BIDE_TF_REASON) forget_reason(h, t);
  if (BIDE_UNLIKELY(h->debug)) bide__debug_ended(h, t, state);
  if (t->fut.native && !t->fut.waiters && !(t->fut.flags & BIDE_TF_OWNED)) h->native_lost++;
  bide__thread_give(h, t, clean);
  bide__scope_remove_task(t);
  h->live_tasks--;
  if (scope->ended) { /* before the links: they may close the scope */
    t->fut.state = (uint8_t)state;
    kept = scope->ended(scope, t);
    t->fut.state = BIDE_PENDING;
  }
  bide__future_end(&t->fut, state);
  if (!kept) bide__task_release(h, t);
  bide__run_task_ended(run, t);
}

static void set_value(bide_host *h, bide_task *t, int reason) {
  lua_State *L = h->from;
  bide__push_task(L, h, t);
  if (reason && (t->fut.flags & BIDE_TF_REASON)) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->reasons_ref);
    lua_rawgetp(L, -1, t);
    lua_remove(L, -2);
  } else {
    lua_pushnil(L);
  }
  lua_setiuservalue(L, -2, 1);
  lua_pop(L, 1);
}

static void end_native(bide_host *h, bide_task *t, int native) {
  bide_scope *base = t->scope;
  bide__wait_dropped(t);
  while (base->owner == t) base = base->parent;
  bide__scope_unwind(h, t, base);
  set_value(h, t, 0);
  t->fut.native = (uint8_t)native;
  finish(h, t, BIDE_FAILED, 0);
}

static int native_of(bide_host *h, lua_State *co, int status) {
  const char *msg;
  if (status == LUA_ERRMEM) return BIDE_NATIVE_MEMORY;
  if (!h->delivering) return BIDE_NATIVE_MEMORY;
  msg = lua_tostring(co, -1);
  return msg && strstr(msg, "C stack overflow") ? BIDE_NATIVE_CSTACK : BIDE_NATIVE_CLOSED;
}

static void hook_misuse(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "coroutine.yield called directly in a task (bide.sleep(0) lets others run)");
}

/* Somebody yielded with a coroutine.yield from before bide was loaded: the next instruction raises.
 */
static void foreign_yield(bide_host *h, bide_task *t, int nres) {
  lua_pop(t->L, nres);
  lua_sethook(t->L, hook_misuse, LUA_MASKCOUNT, 1);
  bide__ready(h, t);
}

/* It stopped all the same: at the end of its slice, or by a foreign coroutine.yield. */
static void not_waiting(bide_host *h, bide_task *t, int nres) {
  if (t->fut.preempted) {
    h->preempted++;
    bide__queue_push(&h->hogs, t);
  } else {
    foreign_yield(h, t, nres);
  }
}

static int begin(bide_host *h, bide_task *t) {
  int clean = !t->L || is_laid_out(h, t);
  if (bide__task_refused(t) && !(t->fut.flags & BIDE_TF_QUIET)) {
    set_value(h, t, 1);
    if (t->L && clean) lua_settop(t->L, 0);
    finish(h, t, BIDE_CANCELLED, clean);
    return -1;
  }
  if (BIDE_UNLIKELY(!clean)) {
    end_native(h, t, BIDE_NATIVE_CLOSED);
    return -1;
  }
  if (!t->L && start_thread(h, t) != 0) {
    end_native(h, t, BIDE_NATIVE_MEMORY);
    return -1;
  }
  t->fut.flags |= BIDE_TF_STARTED;
  return lua_gettop(t->L) - 1;
}

void bide__task_step(bide_host *h, bide_task *t, lua_State *from) {
  int nargs = 0, nres = 0, status;
  uint64_t outer = 0;
  h->fast = 0;
  if (!(t->fut.flags & BIDE_TF_STARTED)) {
    nargs = begin(h, t);
    if (nargs < 0) return;
  } else if (BIDE_UNLIKELY(t->fut.preempted)) {
    if (t->fut.preempted == BIDE_PREEMPTED_TASK) {
      bide__preempted_resume(h, t, t->L);
    } else { /* the plain coroutine that stopped is reached as after a wait */
      h->delivering = 1;
      if (lua_status(t->L) == LUA_YIELD) lua_pop(t->L, 1);
    }
  } else {
    h->delivering = t->wait != NULL;
    if (lua_status(t->L) == LUA_YIELD && h->delivering) lua_pop(t->L, 1); /* the sentinel */
  }
  if (BIDE_UNLIKELY(h->guard)) bide__guard(h, t->L);
  h->steps++;
  h->current = t;
  h->top = t->L;
  h->co_base = NULL;
  h->running = t->L;
  if (BIDE_UNLIKELY(h->debug)) outer = bide__debug_enter(h);
  status = lua_resume(t->L, from, nargs, &nres);
  h->running = NULL;
  h->current = NULL;
  h->top = NULL;
  if (BIDE_UNLIKELY(h->debug)) bide__debug_leave(h, t, outer);
  if (status == LUA_YIELD) {
    if (BIDE_UNLIKELY(!t->wait)) not_waiting(h, t, nres);
    if (BIDE_UNLIKELY(!t->fut.anchored)) anchor(t);
  } else if (status == LUA_OK) {
    finish(h, t, t->fut.end_state, 1);
  } else {
    end_native(h, t, native_of(h, t->L, status));
  }
  h->delivering = 0;
}

/* ---- cancellation ---- */

void bide__task_interrupt(bide_task *t, int status) {
  bide_wait *w = t->wait;
  if (!w || w->set || w->aborted) return;
  if (status == UV_ECANCELED && !bide__task_refused(t)) return;
  w->aborted = 1;
  w->ops->abort(w, status);
}

int bide__task_cancel(bide_task *t) {
  bide_scope *s, *outer = NULL;
  if (t->fut.state != BIDE_PENDING) return 0;
  if (t->fut.flags & BIDE_TF_CANCEL) return 1;
  t->fut.flags |= BIDE_TF_CANCEL;
  for (s = t->scope; s->owner == t; s = s->parent) outer = s;
  if (!outer) bide__task_interrupt(t, UV_ECANCELED);
  else if (!outer->shield) bide__scope_cancel_status(bide__task_host(t), outer, UV_ECANCELED);
  return 1;
}
