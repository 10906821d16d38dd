/* SPDX-License-Identifier: MIT */
/* embed_future.c: C functions that wait. A C future has two ends: the one that fills it and the one
 * that awaits it. Each lets go once; the second frees. A future that is never awaited is freed when
 * it is filled and its host closes at the latest by bide_future_drop. */
#include "bide.h"
#include "core/error.h"
#include "core/wait.h"
#include "embed.h"

#include <stdio.h>
#include <string.h>

enum { PENDING, RESOLVED, REJECTED, DROPPED };

struct bide_future {
  bide_wait wait;
  bide_host *host;
  unsigned char state;
  unsigned char filler;  /* still has to fill it */
  unsigned char awaiter; /* awaits it, or may still */
  bide_push_fn push;
  void (*drop)(void *arg);
  void *arg;
  void (*cancel)(bide_future *f, void *arg);
  void *cancel_arg;
  lua_Integer integer;
  char *text; /* owned; the bytes of bide_resolve_string */
  size_t size;
  char code[32], op[32], message[256];
};

bide_future *bide_future_new(lua_State *L) {
  bide_host *h = bide__host_of(L);
  bide_future *f;
  if (!h) {
    luaL_error(L, "bide is not loaded in this Lua state");
    return NULL;
  }
  (void)bide__checkpoint(L, h, "await"); /* a pending cancellation is raised by bide_await */
  f = bide__alloc(h, sizeof *f);
  if (!f) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  memset(f, 0, sizeof *f);
  f->host = h;
  f->filler = f->awaiter = 1;
  bide__post_hold(h);
  return f;
}

void bide_future_on_cancel(bide_future *f, void (*cancel)(bide_future *f, void *arg), void *arg) {
  f->cancel = cancel;
  f->cancel_arg = arg;
}

static void release(bide_future *f) {
  bide_host *h = f->host;
  if (f->filler || f->awaiter) return;
  if (f->state == RESOLVED && f->drop) f->drop(f->arg);
  bide__free(h, f->text, f->size + 1);
  bide__free(h, f, sizeof *f);
}

/* ---- the awaiting end ---- */

static void abort_await(bide_wait *w, int status) {
  bide_future *f = bide_container(w, bide_future, wait);
  void (*cancel)(bide_future *, void *) = f->cancel;
  void *arg = f->cancel_arg;
  f->cancel = NULL;
  bide__wake(w, status);
  if (cancel && f->filler) cancel(f, arg);
}

static void drop_await(bide_wait *w) {
  bide_future *f = bide_container(w, bide_future, wait);
  f->awaiter = 0;
  release(f);
}

static const bide_waitops ops = {"await", abort_await, NULL, drop_await, 0};

static int raise_rejected(lua_State *L, bide_host *h, bide_future *f) {
  if (f->state == DROPPED)
    bide__error_push(L, h, "EDEADLK", "await", "the C function dropped its future");
  else
    bide__error_push(L, h, f->code, f->op[0] ? f->op : NULL, "%s",
                     f->message[0] ? f->message : f->code);
  f->awaiter = 0;
  release(f);
  return lua_error(L);
}

/* Protected: (future) → results. */
static int push_results(lua_State *L) {
  bide_future *f = lua_touserdata(L, 1);
  lua_settop(L, 0);
  f->drop = NULL;
  if (f->text) return lua_pushlstring(L, f->text, f->size), 1;
  return f->push ? f->push(L, f->arg) : 0;
}

static int k_await(lua_State *L, bide_host *h, bide_wait *w) {
  bide_future *f = bide_container(w, bide_future, wait);
  int status = w->status, base = lua_gettop(L);
  if (status < 0) {
    f->awaiter = 0;
    release(f);
    return bide__raise_status(L, h, status, "await");
  }
  if (f->state != RESOLVED) return raise_rejected(L, h, f);
  lua_pushcfunction(L, push_results);
  lua_pushlightuserdata(L, f);
  status = lua_pcall(L, 1, LUA_MULTRET, 0);
  f->awaiter = 0;
  release(f);
  return status == LUA_OK ? lua_gettop(L) - base : lua_error(L);
}

int bide_await(lua_State *L, bide_future *f) {
  bide_host *h = f->host;
  if (f->state != PENDING && !bide__task_refused(h->current))
    return bide__complete_foreign(L, h, &f->wait, 0, k_await);
  bide__wait_init(h, &f->wait, &ops);
  return bide__suspend_foreign(L, h, &f->wait, &ops, k_await);
}

/* ---- the filling end ---- */

static void fill(bide_future *f, int state) {
  bide_host *h = f->host;
  f->state = (unsigned char)state;
  f->filler = 0;
  bide__post_let_go(h);
  if (f->wait.task && !f->wait.set) bide__wake(&f->wait, 0);
  release(f);
}

void bide_resolve(bide_future *f, bide_push_fn push, void *arg, void (*drop)(void *arg)) {
  f->push = push;
  f->arg = arg;
  f->drop = drop;
  fill(f, RESOLVED);
}

void bide_resolve_nothing(bide_future *f) {
  bide_resolve(f, NULL, NULL, NULL);
}

static int push_integer(lua_State *L, void *arg) {
  lua_pushinteger(L, ((bide_future *)arg)->integer);
  return 1;
}

void bide_resolve_integer(bide_future *f, lua_Integer value) {
  f->integer = value;
  bide_resolve(f, push_integer, f, NULL);
}

void bide_resolve_string(bide_future *f, const char *s, size_t size) {
  f->text = bide__alloc(f->host, size + 1);
  if (!f->text) {
    bide_reject(f, "ENOMEM", NULL, "not enough memory");
    return;
  }
  memcpy(f->text, s, size);
  f->size = size;
  fill(f, RESOLVED);
}

void bide_reject(bide_future *f, const char *code, const char *op, const char *message) {
  snprintf(f->code, sizeof f->code, "%s", code ? code : "UNKNOWN");
  snprintf(f->op, sizeof f->op, "%s", op ? op : "");
  snprintf(f->message, sizeof f->message, "%s", message ? message : "");
  fill(f, REJECTED);
}

void bide_future_drop(bide_future *f) {
  fill(f, DROPPED);
}
