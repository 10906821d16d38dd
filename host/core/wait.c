/* SPDX-License-Identifier: MIT */
/* wait.c: suspend and wake. The law stands in wait.h.
 *
 * A suspended thread has a private sentinel on top of its stack: bide's own coroutine functions
 * know by it that a coroutine waits (and pass the wait outwards), and refuse to resume it for
 * anybody else. It is no result of the yield: foreign code that resumes the thread gets nothing,
 * so that no other value on any stack is the sentinel. */
#include "error.h"
#include "sched.h"
#include "trace.h"

#include <assert.h>

static const char sentinel = 0;

static int is_sentinel(lua_State *L, int idx) {
  return lua_touserdata(L, idx) == (void *)(uintptr_t)&sentinel;
}

int bide__is_waiting(lua_State *co) {
  return lua_status(co) == LUA_YIELD && lua_gettop(co) > 0 && is_sentinel(co, -1);
}

int bide__wait_yield(lua_State *L, lua_KContext ctx, lua_KFunction k) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&sentinel);
  return lua_yieldk(L, 0, ctx, k);
}

int bide__wait_on(lua_State *L, lua_KContext ctx, lua_KFunction k) {
  while (lua_gettop(L) > 0 && !is_sentinel(L, -1)) lua_pop(L, 1);
  if (lua_gettop(L) == 0) return bide__wait_yield(L, ctx, k);
  return lua_yieldk(L, 0, ctx, k);
}

/* Where every suspended function goes on. Only the scheduler sets `delivering`; without it, foreign
 * code (a stock coroutine.resume from before bide was loaded) has resumed the thread: wait on. */
static int k_woken(lua_State *L, int status, lua_KContext ctx) {
  bide_host *h = bide__host(L);
  bide_wait *w;
  (void)status;
  if (!h->delivering) return bide__wait_on(L, ctx, k_woken);
  h->delivering = 0;
  w = h->current->wait;
  h->current->wait = NULL;
  w->task = NULL;
  return ((bide_kwait)ctx)(L, h, w);
}

/* The same for C functions that are not bide's own and lack the upvalue. */
static int k_woken_foreign(lua_State *L, int status, lua_KContext ctx) {
  bide_host *h = bide__host_of(L);
  bide_wait *w;
  (void)status;
  if (!h->delivering) return bide__wait_on(L, ctx, k_woken_foreign);
  h->delivering = 0;
  w = h->current->wait;
  h->current->wait = NULL;
  w->task = NULL;
  return ((bide_kwait)ctx)(L, h, w);
}

static int yield_to(lua_State *L, bide_kwait k, lua_KFunction woken) {
#ifdef BIDE_GC_STRESS
  lua_gc(L, LUA_GCCOLLECT, 0);
#endif
  return bide__wait_yield(L, (lua_KContext)k, woken);
}

static int yield(lua_State *L, bide_kwait k) {
  return yield_to(L, k, k_woken);
}

void bide__wait_init(bide_host *h, bide_wait *w, const bide_waitops *ops) {
  w->task = h->current;
  w->ops = ops;
  w->status = 0;
  w->set = w->aborted = 0;
}

static void begin(lua_State *L, bide_host *h, bide_wait *w, const bide_waitops *ops) {
  bide_task *t = h->current;
  assert(t && L == h->top && t->wait == NULL);
  (void)L;
  if (w->task == NULL) bide__wait_init(h, w, ops);
  w->ops = ops;
  t->wait = w;
  t->since = h->coarse;
  if (BIDE_UNLIKELY(bide__task_refused(t))) bide__task_interrupt(t, UV_ECANCELED);
}

int bide__suspend(lua_State *L, bide_host *h, bide_wait *w, const bide_waitops *ops, bide_kwait k) {
  if (w->task && w->set) return bide__complete(L, h, w, w->status, k);
  begin(L, h, w, ops);
  return yield(L, k);
}

int bide__suspend_foreign(lua_State *L, bide_host *h, bide_wait *w, const bide_waitops *ops,
                          bide_kwait k) {
  begin(L, h, w, ops);
  return yield_to(L, k, k_woken_foreign);
}

void bide__wake(bide_wait *w, int status) {
  bide_task *t = w->task;
  assert(t && !w->set);
  w->set = 1;
  w->status = status;
  if (t->wait == w) bide__ready(bide__task_host(t), t);
}

static void abort_complete(bide_wait *w, int status) {
  (void)w;
  (void)status;
}
static const bide_waitops complete_ops = {"complete", abort_complete, NULL, NULL, 0};

/* Nonzero when it is the turn of others first; the wait is then complete and in the later queue. */
static int others_first(bide_host *h, bide_wait *w, int status) {
  w->status = status;
  w->task = NULL;
  if (BIDE_LIKELY(++h->fast < 128)) return 0;
  h->fast = 0;
  if (w == &h->current->own) w->ops = &complete_ops; /* not those of an earlier wait */
  w->task = h->current;
  w->set = w->aborted = 1; /* complete: cancellation comes too late for it */
  h->current->wait = w;
  bide__queue_push(&h->later, h->current);
  return 1;
}

int bide__complete(lua_State *L, bide_host *h, bide_wait *w, int status, bide_kwait k) {
  return others_first(h, w, status) ? yield(L, k) : k(L, h, w);
}

int bide__complete_foreign(lua_State *L, bide_host *h, bide_wait *w, int status, bide_kwait k) {
  return others_first(h, w, status) ? yield_to(L, k, k_woken_foreign) : k(L, h, w);
}

static void push_no_yield(lua_State *L, bide_host *h, const char *fname) {
  bide__push_barrier(L, h, L);
  bide__error_push(L, h, "ENOYIELD", fname,
                   "cannot wait here: Lua cannot yield across %s; wait before or after it",
                   lua_tostring(L, -1));
}

static int cannot_wait(lua_State *L, bide_host *h, const char *fname) {
  if (h->closed) return bide__error(L, h, "ECANCELED", fname, "the host is closing");
  if (!h->current) return bide__not_running(L, h, fname);
  if (h->reporting)
    return bide__error(L, h, "ENOYIELD", fname,
                       "the handler of on_unhandled cannot wait (let it spawn a task)");
  h->refused_op = fname;
  if (bide__handler_again(L)) return 1;
  push_no_yield(L, h, fname);
  return lua_error(L);
}

int bide__checkpoint(lua_State *L, bide_host *h, const char *fname) {
  if (BIDE_UNLIKELY(L != h->top || !lua_isyieldable(L))) return cannot_wait(L, h, fname);
  if (BIDE_LIKELY(!bide__task_refused(h->current))) return 0;
  h->refused_op = fname;
  return 1;
}

void bide__wait_dropped(bide_task *t) {
  bide_wait *w = t->wait;
  if (!w) return;
  t->wait = NULL;
  w->task = NULL;
  if (w->ops->drop) w->ops->drop(w);
}

static void abort_refuse(bide_wait *w, int status) {
  (void)w;
  (void)status;
}
static const bide_waitops refuse_ops = {"cancelled", abort_refuse, NULL, NULL, 0};

static int k_refuse(lua_State *L, bide_host *h, bide_wait *w) {
  return bide__raise_status(L, h, w->status, lua_tostring(L, -1));
}

int bide__refuse(lua_State *L, bide_host *h) {
  bide_task *t = h->current;
  bide_wait *w = &t->own;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (L != h->top || !lua_isyieldable(L)) { /* in a handler whose own error this was: its result */
    push_no_yield(L, h, h->refused_op);
    return 1;
  }
  lua_pushstring(L, h->refused_op); /* a copy: it may be the caller's own */
  bide__wait_init(h, w, &refuse_ops);
  w->set = w->aborted = 1;
  w->status = UV_ECANCELED;
  t->wait = w;
  bide__queue_push(&h->later, t);
  return yield(L, k_refuse);
}
