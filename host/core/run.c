/* SPDX-License-Identifier: MIT */
/* run.c: bide.run, at top level and inside a task. A run is C memory: at top level it lives as long
 * as the call; inside a task the wait of that task holds it, or, when the stack of that task was
 * dropped, its own last task. */
#include "run.h"
#include "error.h"
#include "failure.h"
#include "sched.h"
#include "slice.h"
#include "stop.h"
#include "trace.h"
#include "watch.h"

#include <string.h>

bide_host *bide__task_host(const bide_task *t) {
  return t->scope->run->host;
}

static void on_main_ended(bide_link *link) {
  bide_runner *r = bide_container(link, bide_runner, link);
  if (r->main->fut.state != BIDE_DONE) bide__scope_cancel(r->host, &r->root);
}

static void run_free(bide_runner *r) {
  bide_host *h = r->host;
  bide__watchers_fini(r);
  bide__scope_close(h, &r->daemons);
  bide__scope_close(h, &r->root);
  bide__free(h, r, sizeof *r);
}

static bide_runner *run_make(bide_host *h, bide_scope *parent, bide_task *owner) {
  bide_runner *r = bide__alloc(h, sizeof *r);
  if (!r) return NULL;
  memset(r, 0, sizeof *r);
  r->host = h;
  if (++h->run_serial == 0) h->run_serial = 1;
  r->serial = h->run_serial;
  bide__scope_open(&r->root, parent, owner, BIDE_SCOPE_RUN, 0);
  r->root.run = r;
  bide__scope_open(&r->daemons, &r->root, NULL, BIDE_SCOPE_RUN, 0);
  return r;
}

static bide_runner *run_new(lua_State *L, bide_host *h, bide_scope *parent, bide_task *owner) {
  bide_runner *r = run_make(h, parent, owner);
  if (!r) luaL_error(L, "not enough memory");
  return r;
}

static void run_over(bide_runner *r) {
  r->over = 1;
  bide__watchers_fini(r);
  if (r->abandoned) run_free(r);
  else if (r->nested) bide__wake(&r->wait, r->wait.aborted ? r->abort_status : 0);
  else uv_stop(r->host->loop);
}

void bide__run_task_ended(bide_runner *r, bide_task *t) {
  if (t->fut.flags & BIDE_TF_DAEMON) r->daemon_live--;
  else r->live--;
  if (r->live) return;
  if (r->held) {
    if (r->host->stop_at_rest) uv_stop(r->host->loop);
    return;
  }
  if (r->daemon_live) bide__scope_cancel(r->host, &r->daemons);
  else run_over(r);
}

/* ---- inside a task ---- */

static void abort_run(bide_wait *w, int status) {
  bide_runner *r = bide_container(w, bide_runner, wait);
  r->abort_status = status;
  bide__scope_cancel_status(r->host, &r->root, status);
}

static void drop_run(bide_wait *w) {
  bide_runner *r = bide_container(w, bide_runner, wait);
  if (r->over) run_free(r);
  else r->abandoned = 1;
}

static const bide_waitops run_ops = {"run", abort_run, NULL, drop_run, 1};

bide_scope *bide__run_scope(bide_wait *w) {
  return w->ops == &run_ops ? &bide_container(w, bide_runner, wait)->root : NULL;
}

/* 1: the main task. Its own error is raised and so needs no report. */
static int finish(lua_State *L, bide_host *h, bide_runner *r, int status) {
  const bide_fut *f = lua_touserdata(L, 1);
  int nested = r->nested;
  bide__fut_seen(L, h, 1);
  bide__report_lost(h, r);
  if (!nested) h->from = r->from;
  run_free(r);
  if (h->stopped && !nested) {
    bide__stop_push_error(L, h);
    return lua_error(L);
  }
  /* main's own error goes before a cancellation: it would be lost */
  if (status < 0 && f->state != BIDE_FAILED) return bide__raise_status(L, h, status, "run");
  return bide__push_results(L, h, 1);
}

static int k_run(lua_State *L, bide_host *h, bide_wait *w) {
  return finish(L, h, bide_container(w, bide_runner, wait), w->status);
}

/* ---- at top level ---- */

static void drive(bide_host *h, bide_runner *r) {
  bide_runner *outer = h->runs;
  r->outer = outer;
  h->runs = r;
  h->in_loop = 1;
  bide__slicer_enter(h);
  while (!r->over) {
    int alive;
    bide__sched_prime(h);
    alive = uv_run(h->loop, UV_RUN_DEFAULT);
    if (!alive && !r->over && bide__deadlock(h) == 0) break;
  }
  bide__slicer_leave(h);
  h->in_loop = 0;
  h->runs = outer;
}

static void start_main(lua_State *L, bide_runner *r, int nargs) {
  bide_host *h = r->host;
  r->main = bide__spawn(L, h, nargs, &r->root, 0, bide__site_caller(L, h));
  bide__link(&r->main->fut, &r->link, on_main_ended);
}

static int protected_start(lua_State *L) {
  bide_runner *r = lua_touserdata(L, -1);
  lua_pop(L, 1);
  start_main(L, r, lua_gettop(L) - 1);
  return 1;
}

static int run_top(lua_State *L, bide_host *h, int nargs) {
  bide_runner *r;
  int status;
  if (bide__in_finalizer(L)) /* all that tasks let go meanwhile would pile up */
    return bide__error(L, h, "ENOYIELD", "run",
                       "a finalizer (__gc) cannot run the loop: nothing is collected until it "
                       "returns");
  if (h->in_loop || h->in_turn)
    return bide__error(L, h, "EBUSY", "run", "the loop is running: not from a callback");
  luaL_checkstack(L, LUA_MINSTACK + 40, NULL);
  bide__stop_reset(h);
  r = run_new(L, h, h->base ? &h->base->root : NULL, NULL);
  uv_update_time(h->loop);
  bide__note_time(h);
  lua_pushcfunction(L, protected_start);
  lua_insert(L, 1);
  lua_pushlightuserdata(L, r);
  r->from = h->from;
  h->from = L; /* until the end: a plain coroutine, perhaps, which is garbage soon */
  status = lua_pcall(L, nargs + 2, 1, 0);
  if (status != LUA_OK) {
    h->from = r->from;
    run_free(r);
    return lua_error(L);
  }
  drive(h, r);
  if (!r->over) { /* an operation was aborted and never woke: a defect of that operation */
    h->from = r->from;
    r->abandoned = 1;
    return bide__error(L, h, "EDEADLK", "run", "the run cannot end: an operation does not return");
  }
  h->interrupted = r->interrupted;
  bide__sites_forget(h);
  return finish(L, h, r, 0);
}

int bide__run_call(lua_State *L, bide_host *h, int nargs) {
  bide_runner *r;
  int status;
  if (h->closed) return bide__error(L, h, "ECANCELED", "run", "the host is closing");
  if (!h->current) return run_top(L, h, nargs);
  if (bide__checkpoint(L, h, "run")) return bide__refuse(L, h);
  r = run_new(L, h, h->current->scope, h->current);
  r->nested = 1;
  lua_pushcfunction(L, protected_start);
  lua_insert(L, 1);
  lua_pushlightuserdata(L, r);
  status = lua_pcall(L, nargs + 2, 1, 0);
  if (status != LUA_OK) {
    run_free(r);
    return lua_error(L);
  }
  return bide__suspend(L, h, &r->wait, &run_ops, k_run);
}

void bide__run_interrupt(bide_host *h) {
  bide_scope *root = bide__run_outermost(h);
  if (h->runs) h->runs->interrupted = 1;
  if (root) bide__scope_cancel(h, root);
}

/* ---- the base run ---- */

bide_scope *bide__run_outermost(bide_host *h) {
  if (h->base) return &h->base->root;
  return h->runs ? &h->runs->root : NULL;
}

int bide__run_base(bide_host *h) {
  if (h->base) return 0;
  h->base = run_make(h, NULL, NULL);
  if (!h->base) return UV_ENOMEM;
  h->base->held = 1;
  return 0;
}

void bide__run_base_renew(bide_host *h) {
  bide_runner *r = h->base;
  if (!r) return;
  r->root.eff = r->root.cancelled = r->root.expired = 0;
  r->daemons.eff = r->daemons.cancelled = r->daemons.expired = 0;
}

void bide__run_base_close(bide_host *h) {
  bide_runner *r = h->base;
  h->base = NULL;
  run_free(r);
}
