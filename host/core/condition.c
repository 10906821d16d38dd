/* SPDX-License-Identifier: MIT */
/* condition.c: see condition.h. */
#include "condition.h"

#include <string.h>

static const char magic = 0;

bide_cond *bide__tocond(lua_State *L, int idx) {
  bide_cond *c = lua_touserdata(L, idx);
  if (!c || lua_rawlen(L, idx) < sizeof *c) return NULL;
  return c->magic == &magic ? c : NULL;
}

bide_cond *bide__cond_push(lua_State *L, bide_host *h, int idx) {
  bide_cond *c;
  idx = lua_absindex(L, idx);
  c = lua_newuserdatauv(L, sizeof *c, 1);
  memset(c, 0, sizeof *c);
  c->magic = &magic;
  c->host = h;
  c->lock = bide__tosem(L, idx);
  bide__queue_init(&c->waiting);
  lua_pushvalue(L, idx);
  lua_setiuservalue(L, -2, 1);
  return c;
}

int bide__cond_held(const bide_cond *c) {
  const bide_task *t = c->host->current;
  return t && c->lock->holder && c->lock->holder->task == t;
}

/* The lock is given up for good: the wait ends without it. */
static void end_without(bide_wait *own, int status) {
  bide_waiter *w = bide__waiter_of(own);
  bide_guard *g = w->extra;
  if (g) g->state = BIDE_GUARD_IDLE;
  bide__queue_leave(&w->place);
  bide__wake(own, status);
}

static int must_end(const bide_wait *own, int status) {
  return status != UV_ECANCELED || bide__task_host(own->task)->closed;
}

/* Notified or cancelled, and in the queue of the lock: what ends it is only the lock. */
static void abort_regain(bide_wait *own, int status) {
  if (must_end(own, status)) end_without(own, status);
  else own->aborted = 0;
}

static void drop_cond(bide_wait *own) {
  bide_guard *g = bide__waiter_of(own)->extra;
  if (!g) return;
  g->waiter = NULL;
  bide__guard_release(g);
}

static const bide_waitops regain_ops = {"condition wait, for the lock", abort_regain, NULL,
                                        drop_cond, 0};

static void abort_cond(bide_wait *own, int status) {
  bide_waiter *w = bide__waiter_of(own);
  if (must_end(own, status)) {
    end_without(own, status);
    return;
  }
  bide__queue_leave(&w->place);
  own->ops = &regain_ops;
  own->aborted = 0;
  bide__sem_regain(w->object, w, status);
}

static const bide_waitops cond_ops = {"condition wait", abort_cond, NULL, drop_cond, 0};

int bide__cond_wait(lua_State *L, bide_host *h, bide_cond *c, bide_kwait k) {
  bide_waiter *w = bide__waiter_begin(h, &cond_ops, c->lock);
  bide__guard_lend((bide_guard *)(uintptr_t)c->lock->holder, w);
  bide__queue_add(&c->waiting, &w->place);
  return bide__suspend(L, h, &h->current->own, &cond_ops, k);
}

void bide__cond_waited(bide_wait *own) {
  bide_guard *g = bide__waiter_of(own)->extra;
  if (g) g->waiter = NULL;
}

void bide__cond_notify(bide_cond *c, uint32_t n) {
  bide_waiter *w;
  while (n-- > 0 && (w = (bide_waiter *)bide__queue_first(&c->waiting)) != NULL) {
    bide__queue_leave(&w->place);
    bide__wait_of(w)->ops = &regain_ops;
    bide__sem_regain(c->lock, w, 0);
  }
}

void bide__cond_fini(bide_cond *c) {
  bide_place *p;
  while ((p = bide__queue_first(&c->waiting)) != NULL)
    end_without(bide__wait_of((bide_waiter *)p), UV_ECANCELED);
}
