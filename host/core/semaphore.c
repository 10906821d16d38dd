/* SPDX-License-Identifier: MIT */
/* semaphore.c: see semaphore.h. */
#include "semaphore.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

static const char sem_magic = 0, guard_magic = 0;

/* ---- objects ---- */

bide_sem *bide__tosem(lua_State *L, int idx) {
  bide_sem *sem = lua_touserdata(L, idx);
  if (!sem || lua_rawlen(L, idx) < sizeof *sem) return NULL;
  return sem->magic == &sem_magic ? sem : NULL;
}

bide_guard *bide__toguard(lua_State *L, int idx) {
  bide_guard *g = lua_touserdata(L, idx);
  if (!g || lua_rawlen(L, idx) < sizeof *g) return NULL;
  return g->magic == &guard_magic ? g : NULL;
}

bide_sem *bide__sem_push(lua_State *L, bide_host *h, uint32_t permits, int is_lock) {
  bide_sem *sem = lua_newuserdatauv(L, sizeof *sem, 0);
  memset(sem, 0, sizeof *sem);
  sem->magic = &sem_magic;
  sem->host = h;
  sem->free = sem->permits = permits;
  sem->is_lock = (uint8_t)is_lock;
  bide__queue_init(&sem->waiting);
  return sem;
}

bide_guard *bide__guard_push(lua_State *L, bide_host *h, int idx) {
  bide_guard *g;
  idx = lua_absindex(L, idx);
  g = lua_newuserdatauv(L, sizeof *g, 1);
  memset(g, 0, sizeof *g);
  g->magic = &guard_magic;
  g->sem = lua_touserdata(L, idx);
  g->task = h->current;
  g->site = bide__site_caller(L, h);
  lua_pushvalue(L, idx);
  lua_setiuservalue(L, -2, 1);
  return g;
}

/* ---- permits ---- */

static void grant(bide_guard *g) {
  g->state = BIDE_GUARD_HELD;
  g->sem->holder = g;
  g->sem->site = g->site;
}

/* A permit has come back: it goes to the first in the queue who can take it. */
static void hand_on(bide_sem *sem) {
  bide_waiter *w;
  sem->holder = NULL;
  while ((w = (bide_waiter *)bide__queue_first(&sem->waiting)) != NULL) {
    bide_guard *g = w->extra;
    bide_wait *own = bide__wait_of(w);
    bide__queue_leave(&w->place);
    if (g) grant(g);
    bide__wake(own, g ? own->status : UV_EBADF); /* `status`: see bide__sem_regain */
    if (g) return;
  }
  if (++sem->free == sem->permits) sem->site = 0;
}

void bide__guard_release(bide_guard *g) {
  int held = g->state == BIDE_GUARD_HELD;
  if (g->state == BIDE_GUARD_LENT && g->waiter) g->waiter->extra = NULL;
  g->state = BIDE_GUARD_IDLE;
  if (held) hand_on(g->sem);
}

int bide__guard_fini(bide_guard *g) {
  int held = g->state == BIDE_GUARD_HELD, waiting = g->state == BIDE_GUARD_WAITING;
  bide_waiter *w = g->waiter;
  if (w) w->extra = NULL;
  g->waiter = NULL;
  bide__guard_release(g);
  if (w && waiting) {
    bide__queue_leave(&w->place);
    bide__wake(bide__wait_of(w), UV_ECANCELED);
  }
  return held && !w; /* with a wait under way its stack was dropped by foreign code */
}

void bide__sem_fini(bide_sem *sem) {
  bide_place *p;
  while ((p = bide__queue_first(&sem->waiting)) != NULL) {
    bide__queue_leave(p);
    bide__wake(bide__wait_of((bide_waiter *)p), UV_ECANCELED);
  }
}

/* ---- asking ---- */

bide_waiter *bide__waiter_begin(bide_host *h, const bide_waitops *ops, void *object) {
  bide_waiter *w = &h->current->op.waiter;
  bide__wait_init(h, &h->current->own, ops);
  memset(w, 0, sizeof *w);
  w->object = object;
  return w;
}

static void abort_ask(bide_wait *own, int status) {
  bide_waiter *w = bide__waiter_of(own);
  bide_guard *g = w->extra;
  bide__queue_leave(&w->place);
  if (g) g->state = BIDE_GUARD_IDLE;
  bide__wake(own, status);
}

/* The permit may have been given already, or the guard be gone. */
static void drop_ask(bide_wait *own) {
  bide_guard *g = bide__waiter_of(own)->extra;
  if (!g) return;
  g->waiter = NULL;
  bide__guard_release(g);
}

static void describe_ask(const bide_wait *own, char *buf, size_t size) {
  const bide_waiter *w = &bide_container(own, const bide_task, own)->op.waiter;
  const bide_sem *sem = w->object;
  char where[80];
  bide__site_text(sem->host, sem->site, where, sizeof where);
  snprintf(buf, size, "%s (held since %s)", sem->is_lock ? "lock" : "semaphore", where);
}

static const bide_waitops ask_ops = {"acquire", abort_ask, describe_ask, drop_ask, 0};

int bide__sem_ask(lua_State *L, bide_host *h, bide_guard *g, bide_kwait k) {
  bide_sem *sem = g->sem;
  bide_waiter *w;
  if (sem->free > 0) {
    sem->free--;
    grant(g);
    return bide__complete(L, h, &h->current->own, 0, k);
  }
  w = bide__waiter_begin(h, &ask_ops, sem);
  w->extra = g;
  g->waiter = w;
  g->state = BIDE_GUARD_WAITING;
  bide__queue_add(&sem->waiting, &w->place);
  return bide__suspend(L, h, &h->current->own, &ask_ops, k);
}

void bide__sem_asked(bide_guard *g) {
  g->waiter = NULL;
}

/* ---- conditions ---- */

void bide__guard_lend(bide_guard *g, bide_waiter *w) {
  w->extra = g;
  g->waiter = w;
  g->state = BIDE_GUARD_LENT;
  hand_on(g->sem);
}

void bide__sem_regain(bide_sem *sem, bide_waiter *w, int status) {
  bide_guard *g = w->extra;
  bide_wait *own = bide__wait_of(w);
  if (!g) {
    bide__wake(own, UV_EBADF);
  } else if (sem->free > 0) {
    sem->free--;
    grant(g);
    bide__wake(own, status);
  } else {
    own->status = status; /* what it will be woken with */
    w->object = sem;
    bide__queue_add(&sem->waiting, &w->place);
  }
}
