/* SPDX-License-Identifier: MIT */
/* watch.c: see watch.h. The watcher belongs to the run in which on_done was called; until the
 * future ends it counts for nothing there, so it keeps no run alive. If that run is over by then,
 * or the future is dropped, it never runs. */
#include "watch.h"
#include "run.h"
#include "sched.h"
#include "trace.h"

typedef struct bide_watcher {
  bide_link link;
  bide_host *host;
  bide_task *task; /* parked: anchored, in no queue */
  bide_fut *fut;
  bide_scope *scope;                /* of the run */
  struct bide_watcher *next, *prev; /* in the run's list of watchers */
} bide_watcher;

static void unlist(bide_watcher *w) {
  if (w->prev) w->prev->next = w->next;
  else w->scope->run->watchers = w->next;
  if (w->next) w->next->prev = w->prev;
}

static void on_ended(bide_link *link) {
  bide_watcher *w = bide_container(link, bide_watcher, link);
  bide_task *t = w->task;
  bide_host *h = w->host;
  unlist(w);
  if (h->closed || w->fut->native == BIDE_NATIVE_CLOSED) bide__task_discard(h, t);
  else bide__task_unpark(h, t, w->scope);
  bide__free(h, w, sizeof *w);
}

void bide__watch(lua_State *L, bide_host *h) {
  bide_runner *run = h->current->scope->run;
  int flags = (h->current->fut.flags & BIDE_TF_DAEMON) | BIDE_TF_QUIET;
  bide_scope *scope = flags & BIDE_TF_DAEMON ? &run->daemons : &run->root;
  bide_fut *f = lua_touserdata(L, 1);
  bide_watcher *w;
  bide_task *t;
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 1);
  t = bide__spawn_parked(L, h, 1, flags, bide__site_caller(L, h));
  if (f->state != BIDE_PENDING) {
    bide__task_unpark(h, t, scope);
    return;
  }
  w = bide__alloc(h, sizeof *w);
  if (!w) {
    bide__task_discard(h, t);
    luaL_error(L, "not enough memory");
    return;
  }
  w->host = h;
  w->task = t;
  w->fut = f;
  w->scope = scope;
  w->prev = NULL;
  w->next = run->watchers;
  if (w->next) w->next->prev = w;
  run->watchers = w;
  bide__link(f, &w->link, on_ended);
}

void bide__watchers_fini(bide_runner *run) {
  while (run->watchers) {
    bide_watcher *w = run->watchers;
    bide_task *t = w->task;
    unlist(w);
    bide__unlink(w->fut, &w->link);
    bide__free(run->host, w, sizeof *w);
    bide__task_discard(run->host, t);
  }
}
