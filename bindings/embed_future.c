/* SPDX-License-Identifier: MIT */
/* embed_future.c: C functions that wait. A C future has two ends: the one that fills it and the one
 * that awaits it. Each lets go once; the second frees. It is malloc'd, for it may be filled after
 * its host has gone: until then it is in the host's ring of futures. */
#include "core/error.h"
#include "core/limit.h"
#include "core/sched.h"
#include "embed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PENDING, RESOLVED, REJECTED, DROPPED };
enum { CODE_MAX = 31, MESSAGE_MAX = 255 };

struct bide_future {
  bide_wait wait;
  bide_host *host;          /* NULL once it is being freed */
  bide_future *next, *prev; /* in host->futures */
  unsigned char state;
  unsigned char filler;  /* still has to fill it */
  unsigned char awaiter; /* awaits it, or may still */
  unsigned char begun;   /* bide_await was called */
  unsigned char always;  /* drop is called after push too */
  const char *name;      /* borrowed: static */
  bide_push_fn push;
  void (*drop)(void *arg);
  void *arg;
  void (*cancel)(bide_future *f, void *arg);
  void *cancel_arg;
  lua_Integer integer;
  char *text; /* owned; the bytes of bide_resolve_string, or code, op and message in a row */
  size_t size;
  size_t cost; /* what the host was charged */
};

/* ---- both ends ---- */

/* Counts more bytes for the host, until the future leaves it. 0 or UV_ENOMEM. */
static int charge(bide_future *f, size_t size) {
  if (!f->host) return 0;
  if (bide__charge(f->host, size) != 0) return UV_ENOMEM;
  f->cost += size;
  return 0;
}

static bide_future *make(bide_host *h) {
  bide_future *f;
  if (bide__charge(h, sizeof *f) != 0) return NULL;
  f = calloc(1, sizeof *f);
  if (!f) {
    bide__refund(h, sizeof *f);
    return NULL;
  }
  f->host = h;
  f->name = "await";
  f->cost = sizeof *f;
  f->filler = f->awaiter = 1;
  f->next = h->futures;
  if (f->next) f->next->prev = f;
  h->futures = f;
  bide__post_hold(h);
  return f;
}

static void leave_host(bide_future *f) {
  bide_host *h = f->host;
  if (f->prev) f->prev->next = f->next;
  else h->futures = f->next;
  if (f->next) f->next->prev = f->prev;
  if (f->filler) bide__post_let_go(h);
  bide__refund(h, f->cost);
  f->host = NULL;
}

static void release(bide_future *f) {
  void (*drop)(void *) = f->state == RESOLVED ? f->drop : NULL;
  void *arg = f->arg;
  if (f->filler || f->awaiter) return;
  if (f->host) leave_host(f);
  free(f->text);
  free(f);
  if (drop) drop(arg);
}

/* The one who awaits it has left before it was filled. */
static void call_cancel(bide_future *f) {
  void (*cancel)(bide_future *, void *) = f->cancel;
  f->cancel = NULL;
  if (cancel && f->filler) cancel(f, f->cancel_arg);
}

void bide_future_on_cancel(bide_future *f, void (*cancel)(bide_future *f, void *arg), void *arg) {
  f->cancel = cancel;
  f->cancel_arg = arg;
}

void bide_future_name(bide_future *f, const char *name) {
  f->name = name ? name : "await";
}

void bide_future_forget(bide_future *f) {
  if (!f->awaiter || f->begun) return;
  f->awaiter = 0;
  if (f->filler) call_cancel(f);
  else release(f);
}

void bide__futures_close(bide_host *h) {
  while (h->futures) {
    bide_future *f = h->futures;
    leave_host(f);
    f->awaiter = 0;
    if (f->filler) call_cancel(f);
    else release(f);
  }
}

/* ---- the awaiting end ---- */

static int can_wait(lua_State *L, const bide_host *h) {
  return h && h->current && L == h->top && lua_isyieldable(L);
}

bide_future *bide_future_new(lua_State *L) {
  bide_host *h = bide__host_of(L);
  bide_future *f;
  if (!h) {
    luaL_error(L, "bide is not loaded in this Lua state");
    return NULL;
  }
  /* a pending cancellation is raised by bide_await */
  if (bide__checkpoint(L, h, "await") && !can_wait(L, h)) luaL_error(L, "cannot wait here");
  f = make(h);
  if (!f) luaL_error(L, "not enough memory");
  return f;
}

/* The hook may fill the future, and nobody may free it meanwhile: the wait is woken first. */
static void abort_await(bide_wait *w, int status) {
  bide_future *f = bide_container(w, bide_future, wait);
  bide__wake(w, status);
  call_cancel(f);
}

static void drop_await(bide_wait *w) {
  bide_future *f = bide_container(w, bide_future, wait);
  f->awaiter = 0;
  if (f->filler) call_cancel(f);
  else release(f);
}

static void describe_await(const bide_wait *w, char *buf, size_t size) {
  snprintf(buf, size, "%s", bide_container(w, const bide_future, wait)->name);
}

static const bide_waitops ops = {"await", abort_await, describe_await, drop_await, 0};

static void push_rejected(lua_State *L, bide_host *h, const bide_future *f) {
  const char *code = f->text, *op, *message;
  if (f->state == DROPPED) {
    bide__error_push(L, h, "EDEADLK", f->name, "the C function dropped its future");
  } else if (!code) {
    bide__error_push(L, h, "ENOMEM", f->name, "not enough memory");
  } else {
    op = code + strlen(code) + 1;
    message = op + strlen(op) + 1;
    bide__error_push(L, h, code, *op ? op : f->name, "%s", *message ? message : code);
  }
}

/* Protected: (future) → results, or raises. */
static int push_results(lua_State *L) {
  bide_future *f = lua_touserdata(L, 1);
  lua_settop(L, 0);
  if (f->state != RESOLVED) {
    push_rejected(L, f->host, f);
    return lua_error(L);
  }
  if (!f->always) f->drop = NULL;
  if (f->text) return lua_pushlstring(L, f->text, f->size), 1;
  return f->push ? f->push(L, f->arg) : 0;
}

static int k_await(lua_State *L, bide_host *h, bide_wait *w) {
  bide_future *f = bide_container(w, bide_future, wait);
  const char *name = f->name;
  int status = w->status, base = lua_gettop(L);
  if (status < 0) {
    f->awaiter = 0;
    release(f);
    return bide__raise_status(L, h, status, name);
  }
  lua_pushcfunction(L, push_results);
  lua_pushlightuserdata(L, f);
  status = lua_pcall(L, 1, LUA_MULTRET, 0);
  f->awaiter = 0;
  release(f);
  return status == LUA_OK ? lua_gettop(L) - base : lua_error(L);
}

/* Raises that the caller cannot wait; to a handler of errors called for that it is the result. */
static int refuse(lua_State *L, bide_host *h, const char *name) {
  return bide__checkpoint(L, h, name) ? bide__refuse(L, h) : 0;
}

int bide_await(lua_State *L, bide_future *f) {
  bide_host *h = bide__host_of(L);
  const char *name = f->name;
  int refused;
  if (f->begun || h != f->host)
    return luaL_error(L, f->begun ? "this future of C is awaited already"
                                  : "this future of C belongs to another host");
  if (!can_wait(L, h)) {
    bide_future_forget(f);
    return refuse(L, h, name);
  }
  refused = bide__checkpoint(L, h, name);
  f->begun = 1;
  if (f->state != PENDING && !refused) return bide__complete_foreign(L, h, &f->wait, 0, k_await);
  bide__wait_init(h, &f->wait, &ops);
  return bide__suspend_foreign(L, h, &f->wait, &ops, k_await);
}

int bide_raise(lua_State *L, const char *code, const char *op, const char *message) {
  bide_host *h = bide__host_of(L);
  if (!code) code = "UNKNOWN";
  if (!h) return luaL_error(L, "%s", message ? message : code);
  return bide__error(L, h, code, op, "%s", message ? message : code);
}

/* ---- the filling end ---- */

static void fill(bide_future *f, int state) {
  f->state = (unsigned char)state;
  if (f->host) bide__post_let_go(f->host);
  f->filler = 0;
  if (f->host && f->wait.task && !f->wait.set) {
    bide__wake(&f->wait, 0);
    if (!f->host->in_loop) bide__sched_prime(f->host); /* a caller's loop may think it is over */
  }
  release(f);
}

void bide_resolve(bide_future *f, bide_push_fn push, void *arg, void (*drop)(void *arg)) {
  if (!f->filler) return;
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
  if (!f->filler) return;
  f->integer = value;
  bide_resolve(f, push_integer, f, NULL);
}

void bide_resolve_string(bide_future *f, const char *s, size_t size) {
  if (!f->filler) return;
  f->text = charge(f, size + 1) == 0 ? malloc(size + 1) : NULL;
  if (!f->text) {
    fill(f, REJECTED);
    return;
  }
  memcpy(f->text, s, size);
  f->size = size;
  fill(f, RESOLVED);
}

static char *add(char *to, const char *s, size_t max) {
  size_t n = strlen(s);
  if (n > max) n = max;
  memcpy(to, s, n);
  to[n] = '\0';
  return to + n + 1;
}

void bide_reject(bide_future *f, const char *code, const char *op, const char *message) {
  char *p;
  if (!f->filler) return;
  p = f->text = malloc(2 * (CODE_MAX + 1) + MESSAGE_MAX + 1);
  if (p) {
    p = add(p, code ? code : "UNKNOWN", CODE_MAX);
    p = add(p, op ? op : "", CODE_MAX);
    add(p, message ? message : "", MESSAGE_MAX);
  }
  fill(f, REJECTED);
}

void bide_future_drop(bide_future *f) {
  if (f->filler) fill(f, DROPPED);
}

/* ---- blocking work ---- */

typedef struct work {
  uv_work_t req;
  bide_host *host;
  bide_future *future;
  bide_job job;
  void *arg;
} work;

static void run_work(uv_work_t *req) {
  work *w = req->data;
  w->job.work(w->arg);
}

static int push_work(lua_State *L, void *arg) {
  work *w = arg;
  return w->job.done ? w->job.done(L, w->arg) : 0;
}

static void free_work(void *arg) {
  work *w = arg;
  if (w->job.drop) w->job.drop(w->arg);
  free(w);
}

static void on_worked(uv_work_t *req, int status) {
  work *w = req->data;
  (void)status;
  w->host->closing_handles--;
  w->future->always = 1;
  bide_resolve(w->future, push_work, w, free_work);
}

static void cancel_work(bide_future *f, void *arg) {
  work *w = arg;
  (void)f;
  if (uv_cancel((uv_req_t *)&w->req) != 0 && w->job.cancel) w->job.cancel(w->arg);
}

/* Teardown waits for what is counted in closing_handles. */
static int queue(bide_host *h, work *w) {
  int rc;
  w->future = make(h);
  if (!w->future) return UV_ENOMEM;
  w->req.data = w;
  rc = charge(w->future, sizeof *w);
  if (rc == 0) rc = uv_queue_work(h->loop, &w->req, run_work, on_worked);
  if (rc != 0) {
    bide_future_drop(w->future);
    bide_future_forget(w->future);
    return rc;
  }
  h->closing_handles++;
  bide_future_on_cancel(w->future, cancel_work, w);
  bide_future_name(w->future, "work");
  return 0;
}

int bide_work(lua_State *L, const bide_job *job, void *arg) {
  bide_host *h = bide__host_of(L);
  work *w = can_wait(L, h) ? calloc(1, sizeof *w) : NULL;
  int rc = UV_ENOMEM;
  if (w) {
    *w = (work){.host = h, .job = *job, .arg = arg};
    if ((rc = queue(h, w)) == 0) return bide_await(L, w->future);
    free(w);
  }
  if (job->drop) job->drop(arg);
  if (!h) return luaL_error(L, "bide is not loaded in this Lua state");
  if (!can_wait(L, h)) return refuse(L, h, "work");
  return bide__raise_status(L, h, rc, "work");
}
