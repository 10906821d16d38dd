/* SPDX-License-Identifier: MIT */
/* embed_drive.c: tasks beside a caller's own loop: spawning, driving and cancelling them, their
 * results, being told of their end. Tasks that C spawns belong to the host's base run, which lasts
 * until the host is freed. */
#include "core/run.h"
#include "core/sched.h"
#include "core/failure.h"
#include "core/slice.h"
#include "core/stop.h"
#include "core/trace.h"
#include "embed.h"

/* ---- tasks ---- */

static int spawn_protected(lua_State *L) {
  bide_host *h = bide__host_of(L);
  bide__spawn(L, h, lua_gettop(L) - 1, &h->base->root, 0, 0);
  return 1;
}

int bide_spawn(bide_host *h, int nargs) {
  lua_State *L = h->main;
  if (h->closed || bide__run_base(h) != 0) {
    lua_pop(L, nargs + 1);
    return h->closed ? UV_ECANCELED : UV_ENOMEM;
  }
  bide__stop_reset(h);
  lua_pushcfunction(L, spawn_protected);
  lua_insert(L, -(nargs + 2));
  if (lua_pcall(L, nargs + 1, 1, 0) != LUA_OK) return BIDE_ERROR;
  bide__sched_prime(h);
  return 0;
}

/* By somebody else; or nobody may, here. */
static int is_driven(const bide_host *h) {
  return h->in_loop || h->in_turn || h->current || h->closed || bide__in_finalizer(h->main);
}

static void begin(bide_host *h) {
  bide__sched_prime(h);
  h->in_loop = 1;
  bide__slicer_enter(h);
}

/* Returns how many tasks are left. */
static int end(bide_host *h) {
  bide__slicer_leave(h);
  h->in_loop = 0;
  if (!h->base) return 0;
  if (h->base->live) return (int)h->base->live;
  bide__report_lost(h, h->base);
  return h->stopped ? BIDE_STOPPED : 0;
}

static void run_to_the_end(bide_host *h) {
  while (h->base && h->base->live) {
    h->stop_at_rest = 1;
    if (!uv_run(h->loop, UV_RUN_DEFAULT) && h->base->live && bide__deadlock(h) == 0) break;
    bide__sched_prime(h);
  }
  h->stop_at_rest = 0;
}

int bide_run(bide_host *h, uv_run_mode mode) {
  if (is_driven(h)) return UV_EINVAL;
  begin(h);
  if (mode == UV_RUN_DEFAULT) run_to_the_end(h);
  else uv_run(h->loop, mode);
  return end(h);
}

/* On a caller's loop, what has become ready outside of a callback must keep the loop going. */
static void prime(bide_host *h) {
  if (!h->in_loop && !h->closed) bide__sched_prime(h);
}

void bide_cancel(bide_host *h) {
  bide__run_interrupt(h);
  prime(h);
}

int bide_cancel_task(bide_host *h, int idx) {
  bide_task *t = bide__totask(h->main, idx);
  int cancelled;
  if (!t) return UV_EINVAL;
  cancelled = bide__task_cancel(t);
  prime(h);
  return cancelled;
}

/* ---- inside another loop ---- */

int bide_fd(const bide_host *h) {
  return uv_backend_fd(h->loop);
}

int bide_timeout(bide_host *h) {
  if (h->closed) return -1;
  bide__sched_prime(h);
  if (bide_loop_unpolled(h->loop)) return 0;
  if (!uv_loop_alive(h->loop)) return -1;
  uv_update_time(h->loop);
  return uv_backend_timeout(h->loop);
}

int bide_step(bide_host *h, double seconds) {
  uint64_t until = seconds > 0 ? bide__deadline_ns(uv_hrtime(), seconds) : 0;
  if (is_driven(h)) return UV_EINVAL;
  begin(h);
  h->until = until;
  uv_ref((uv_handle_t *)&h->check); /* a loop with nothing alive would not even poll */
  do {
    uv_run(h->loop, UV_RUN_NOWAIT);
  } while (uv_hrtime() < until && bide_timeout(h) == 0);
  uv_unref((uv_handle_t *)&h->check);
  h->until = 0;
  return end(h);
}

/* ---- the end of a task ---- */

static int push_result(lua_State *L) {
  return bide__push_results(L, bide__host_of(L), 1);
}

int bide_result(bide_host *h, int idx) {
  lua_State *L = h->main;
  const bide_fut *f = bide__tofuture(L, idx);
  int top = lua_gettop(L);
  if (!f) return UV_EINVAL;
  if (f->state == BIDE_PENDING) return UV_EAGAIN;
  idx = lua_absindex(L, idx);
  lua_pushcfunction(L, push_result);
  lua_pushvalue(L, idx);
  return lua_pcall(L, 1, LUA_MULTRET, 0) == LUA_OK ? lua_gettop(L) - top : BIDE_ERROR;
}

typedef struct done_link {
  bide_link link;
  bide_host *host;
  bide_fut *fut;
  bide_done_fn fn;
  void *arg;
} done_link;

static void on_ended(bide_link *link) {
  done_link d = *bide_container(link, done_link, link);
  bide__free(d.host, bide_container(link, done_link, link), sizeof d);
  if (d.host->dead) return; /* a future that is collected with the state */
  d.fn(d.host, d.fut->state == BIDE_DONE, d.arg);
}

int bide_on_done(bide_host *h, int idx, bide_done_fn fn, void *arg) {
  bide_fut *f = bide__tofuture(h->main, idx);
  done_link *d;
  if (!f) return UV_EINVAL;
  if (f->state != BIDE_PENDING) {
    fn(h, f->state == BIDE_DONE, arg);
    return 0;
  }
  d = bide__alloc(h, sizeof *d);
  if (!d) return UV_ENOMEM;
  d->host = h;
  d->fut = f;
  d->fn = fn;
  d->arg = arg;
  bide__link(f, &d->link, on_ended);
  return 0;
}
