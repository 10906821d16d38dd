/* SPDX-License-Identifier: MIT */
/* harvest.c: see harvest.h. The waits stand in the tasks that wait (task->own), with the harvest as
 * the object of their waiter. */
#include "harvest.h"
#include "await.h"
#include "semaphore.h"
#include "trace.h"

#include <string.h>

static void on_member(bide_link *link);

static size_t size_of(uint32_t n) {
  return sizeof(bide_harvest) + n * sizeof(bide_sheaf);
}

static bide_harvest *harvest_of(const bide_sheaf *m) {
  return bide_container(m - (m->index - 1), bide_harvest, at);
}

bide_harvest *bide__harvest_of(bide_wait *w) {
  return bide__waiter_of(w)->object;
}

/* ---- members ---- */

static void add_ended(bide_harvest *v, bide_sheaf *m) {
  m->next = NULL;
  *v->ended_tail = m;
  v->ended_tail = &m->next;
}

static void close_scope(bide_harvest *v) {
  if (v->open) bide__scope_close(v->host, &v->scope);
  v->open = 0;
}

static void wake(bide_wait **who, int status) {
  bide_wait *w = *who;
  *who = NULL;
  if (w) bide__wake(w, status);
}

static void on_member(bide_link *link) {
  bide_sheaf *m = bide_container(link, bide_sheaf, link);
  bide_harvest *v = harvest_of(m);
  v->pending--;
  if (m->owned && --v->owned_pending == 0) close_scope(v);
  if (v->orphan) {
    if (v->owned_pending == 0) bide__harvest_free(v);
    return;
  }
  if (v->stopped) {
    if (v->owned_pending == 0) wake(&v->closer, 0);
    return;
  }
  add_ended(v, m);
  wake(&v->reader, 0);
}

const bide_task *bide__harvest_awaiter(const bide_link *link) {
  const bide_harvest *v;
  if (link->notify != on_member) return NULL;
  v = harvest_of(bide_container(link, const bide_sheaf, link));
  return v->reader ? v->reader->task : v->closer ? v->closer->task : NULL;
}

/* ---- beginning ---- */

static void add_member(bide_harvest *v, uint32_t i, bide_fut *f, int owned) {
  bide_sheaf *m = &v->at[i - 1];
  m->fut = f;
  m->owned = (uint8_t)owned;
  if (f->state != BIDE_PENDING) {
    add_ended(v, m);
    return;
  }
  bide__link(f, &m->link, on_member);
  v->pending++;
  if (owned) v->owned_pending++;
}

/* (items, harvest): protected, as each spawn may raise. */
static int start_members(lua_State *L) {
  bide_harvest *v = lua_touserdata(L, 2);
  bide_host *h = v->host;
  int flags = BIDE_TF_OWNED | (h->current->fut.flags & BIDE_TF_DAEMON);
  uint32_t i, site = bide__site_caller(L, h);
  for (i = 1; i <= v->n; i++) {
    bide_fut *f;
    lua_rawgeti(L, 1, (lua_Integer)i);
    f = bide__tofuture(L, -1);
    if (f) {
      if (f == &h->current->fut) return bide__raise_cycle(L, h, "as_completed", 1);
      add_member(v, i, f, 0);
      lua_pop(L, 1);
    } else {
      f = &bide__spawn(L, h, 0, &v->scope, flags, site)->fut;
      lua_rawseti(L, 1, (lua_Integer)i);
      add_member(v, i, f, 1);
    }
  }
  return 0;
}

static bide_harvest *harvest_new(bide_host *h, uint32_t n) {
  bide_harvest *v = bide__alloc(h, size_of(n));
  uint32_t i;
  if (!v) return NULL;
  memset(v, 0, size_of(n));
  v->host = h;
  v->n = n;
  v->ended_tail = &v->ended;
  for (i = 0; i < n; i++) v->at[i].index = i + 1;
  bide__scope_open(&v->scope, h->current->scope, h->current, BIDE_SCOPE_OWNED, 0);
  v->scope.owner = NULL; /* the handle may outlive the task */
  v->open = 1;
  return v;
}

bide_harvest *bide__harvest_begin(lua_State *L, bide_host *h, int items, uint32_t n) {
  bide_harvest *v = harvest_new(h, n);
  items = lua_absindex(L, items);
  if (!v) luaL_error(L, "not enough memory");
  lua_pushcfunction(L, start_members);
  lua_pushvalue(L, items);
  lua_pushlightuserdata(L, v);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
    bide__harvest_stop(v);
    bide__harvest_orphan(v);
    lua_error(L);
  }
  if (v->owned_pending == 0) close_scope(v);
  return v;
}

/* ---- taking ---- */

uint32_t bide__harvest_take(bide_harvest *v) {
  bide_sheaf *m = v->ended;
  if (!m || v->stopped) return 0;
  v->ended = m->next;
  if (!v->ended) v->ended_tail = &v->ended;
  return m->index;
}

static void abort_reader(bide_wait *w, int status) {
  bide_harvest *v = bide__harvest_of(w);
  if (status == BIDE_EDEADLK && v->owned_pending) { /* theirs first; this one ends by them */
    w->aborted = 0;
    return;
  }
  v->reader = NULL;
  bide__wake(w, status);
}

int bide__harvest_rank(const bide_wait *w) {
  const bide_harvest *v = bide__waiter_of((bide_wait *)(uintptr_t)w)->object;
  uint32_t i;
  if (v->owned_pending) return BIDE_RANK_OWN;
  for (i = 0; i < v->n; i++)
    if (v->at[i].link.next && v->at[i].fut->kind == BIDE_IS_TASK) return BIDE_RANK_TASK;
  return BIDE_RANK_LEAF;
}

static const bide_waitops reader_ops = {"as_completed", abort_reader, NULL, NULL,
                                        BIDE_INNER_HARVEST};

int bide__harvest_wait(lua_State *L, bide_host *h, bide_harvest *v, bide_kwait k) {
  bide_wait *own = &h->current->own;
  bide__waiter_begin(h, &reader_ops, v);
  if (v->ended || v->pending == 0) return bide__complete(L, h, own, 0, k);
  v->reader = own;
  return bide__suspend(L, h, own, &reader_ops, k);
}

/* ---- the end ---- */

void bide__harvest_free(bide_harvest *v) {
  close_scope(v);
  bide__free(v->host, v, size_of(v->n));
}

void bide__harvest_stop(bide_harvest *v) {
  uint32_t i;
  if (v->stopped) return;
  v->stopped = 1;
  if (v->pending > v->owned_pending)
    for (i = 0; i < v->n; i++) {
      bide_sheaf *m = &v->at[i];
      if (m->owned || !m->link.next) continue;
      bide__unlink(m->fut, &m->link);
      v->pending--;
    }
  if (v->owned_pending) bide__scope_cancel(v->host, &v->scope);
  wake(&v->reader, 0);
}

void bide__harvest_orphan(bide_harvest *v) {
  wake(&v->closer, UV_ECANCELED);
  v->orphan = 1;
  if (v->owned_pending == 0) bide__harvest_free(v);
}

/* The children are cancelled already: remember it, and go on waiting for them. */
static void abort_closer(bide_wait *w, int status) {
  if (status == UV_ECANCELED) bide__waiter_of(w)->extra = w; /* not NULL: cancelled */
  else w->aborted = 0;
}

int bide__harvest_cancelled(bide_wait *w) {
  return bide__waiter_of(w)->extra != NULL;
}

static void drop_closer(bide_wait *w) {
  bide_harvest *v = bide__harvest_of(w);
  v->closer = NULL;
  bide__harvest_orphan(v);
}

static const bide_waitops closer_ops = {"as_completed, for the rest", abort_closer, NULL,
                                        drop_closer, 1};

int bide__harvest_join(lua_State *L, bide_host *h, bide_harvest *v, bide_kwait k) {
  bide_wait *own = &h->current->own;
  bide__waiter_begin(h, &closer_ops, v);
  if (v->owned_pending == 0) return bide__complete(L, h, own, 0, k);
  v->closer = own;
  return bide__suspend(L, h, own, &closer_ops, k);
}
