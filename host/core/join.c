/* SPDX-License-Identifier: MIT */
/* join.c: see join.h. A member that ends is judged by the join's policy; once the join is decided,
 * those handed in are let go, the owned rest is cancelled, and the caller goes on when the last
 * owned one has ended. */
#include "join.h"
#include "await.h"
#include "error.h"
#include "trace.h"

#include <string.h>

static void on_member(bide_link *link);

static bide_join *join_of_member(bide_member *m) {
  return bide_container(m - (m->index - 1), bide_join, at);
}

bide_join *bide__join_of(bide_wait *w) {
  return bide_container(w, bide_join, wait);
}

void bide__join_free(bide_join *j) {
  bide_host *h = j->host;
  bide__scope_close(h, &j->scope);
  bide__free(h, j, sizeof *j + j->n * sizeof j->at[0]);
}

const bide_task *bide__join_awaiter(const bide_link *link) {
  const bide_member *m;
  const bide_join *j;
  if (link->notify != on_member) return NULL;
  m = bide_container(link, const bide_member, link);
  j = join_of_member((bide_member *)(uintptr_t)m);
  return j->policy == BIDE_JOIN_COUNT ? NULL : j->scope.owner; /* bide.wait takes no result */
}

/* Lets go of those handed in and cancels the owned. */
static void stop(bide_join *j) {
  uint32_t i;
  if (j->stopped) return;
  j->stopped = 1;
  if (j->pending > j->owned_pending)
    for (i = 0; i < j->n; i++) {
      bide_member *m = &j->at[i];
      if (m->owned || !m->link.next) continue;
      bide__unlink(m->fut, &m->link);
      j->pending--;
    }
  if (j->owned_pending) bide__scope_cancel(j->host, &j->scope);
}

static void judge(bide_join *j, bide_member *m) {
  int failed = m->fut->state != BIDE_DONE, decides;
  if (j->decided) return;
  decides = j->policy == BIDE_JOIN_FIRST || (j->policy == BIDE_JOIN_ERROR && failed) ||
            (j->policy == BIDE_JOIN_SUCCESS && !failed) ||
            (j->policy == BIDE_JOIN_COUNT && j->n - j->pending >= j->need);
  if (!decides) return;
  j->decided = 1;
  j->first = m->index;
}

static int is_over(const bide_join *j) {
  return j->decided || j->stopped ? j->owned_pending == 0 : j->pending == 0;
}

static void on_member(bide_link *link) {
  bide_member *m = bide_container(link, bide_member, link);
  bide_join *j = join_of_member(m);
  j->pending--;
  if (m->owned) j->owned_pending--;
  if (j->orphan) {
    if (j->owned_pending == 0) bide__join_free(j);
    return;
  }
  judge(j, m);
  if (j->decided) stop(j);
  if (!j->wait.set && is_over(j)) bide__wake(&j->wait, j->abort_status);
}

static void abort_join(bide_wait *w, int status) {
  bide_join *j = bide__join_of(w);
  if (status == BIDE_EDEADLK && j->owned_pending) { /* theirs first; this one ends by them */
    w->aborted = 0;
    return;
  }
  j->abort_status = status;
  stop(j);
  if (!w->set && is_over(j)) bide__wake(w, status);
}

static void orphan(bide_join *j) {
  stop(j);
  if (j->owned_pending) j->orphan = 1;
  else bide__join_free(j);
}

static void drop_join(bide_wait *w) {
  orphan(bide__join_of(w));
}

int bide__join_rank(const bide_wait *w) {
  const bide_join *j = bide_container(w, const bide_join, wait);
  uint32_t i;
  if (j->owned_pending) return BIDE_RANK_OWN;
  for (i = 0; i < j->n; i++)
    if (j->at[i].link.next && j->at[i].fut->kind == BIDE_IS_TASK) return BIDE_RANK_TASK;
  return BIDE_RANK_LEAF;
}

const bide_waitops bide__gather_ops = {"gather", abort_join, NULL, drop_join, BIDE_INNER_JOIN};
const bide_waitops bide__race_ops = {"race", abort_join, NULL, drop_join, BIDE_INNER_JOIN};
const bide_waitops bide__any_ops = {"any", abort_join, NULL, drop_join, BIDE_INNER_JOIN};
const bide_waitops bide__wait_ops = {"wait", abort_join, NULL, drop_join, BIDE_INNER_JOIN};
const bide_waitops bide__settle_ops = {"settle", abort_join, NULL, drop_join, BIDE_INNER_JOIN};

/* ---- starting ---- */

int bide__join_members(const bide_wait *w, const bide_fut **list, int n, int max) {
  const bide_join *j;
  uint32_t i;
  if (w->ops->abort != abort_join) return n;
  j = bide_container(w, const bide_join, wait);
  if (j->policy == BIDE_JOIN_FIRST || j->policy == BIDE_JOIN_SUCCESS) return n;
  for (i = 0; i < j->n && n < max; i++)
    if (j->at[i].link.next) list[n++] = j->at[i].fut;
  return n;
}

/* Raises if an awaitable among the items can only end after the running task. */
static void check_cycles(lua_State *L, bide_host *h, int items, uint32_t n, int policy,
                         const char *op) {
  int all = policy == BIDE_JOIN_ALL || policy == BIDE_JOIN_ERROR;
  uint32_t i;
  for (i = 1; i <= n; i++) {
    const bide_fut *f;
    lua_rawgeti(L, items, (lua_Integer)i);
    f = bide__tofuture(L, -1);
    lua_pop(L, 1);
    if (!f || f->state != BIDE_PENDING) continue;
    if (f == &h->current->fut) bide__raise_cycle(L, h, op, 1);
    if (all && bide__await_cycle(h, f)) bide__raise_cycle(L, h, op, 0);
  }
}

static bide_join *join_new(bide_host *h, uint32_t n, int policy) {
  bide_join *j = bide__alloc(h, sizeof *j + n * sizeof j->at[0]);
  if (!j) return NULL;
  memset(j, 0, sizeof *j + n * sizeof j->at[0]);
  j->host = h;
  j->n = n;
  j->policy = (uint8_t)policy;
  bide__scope_open(&j->scope, h->current->scope, h->current, BIDE_SCOPE_OWNED, 0);
  return j;
}

static void add_member(bide_join *j, uint32_t i, bide_fut *f, int owned) {
  bide_member *m = &j->at[i - 1];
  m->index = i;
  m->fut = f;
  m->owned = (uint8_t)owned;
  if (f->state != BIDE_PENDING) return;
  bide__link(f, &m->link, on_member);
  j->pending++;
  if (owned) j->owned_pending++;
}

/* (items, join): starts the functions and links everything. Protected, as each spawn may raise. */
static int start_members(lua_State *L) {
  bide_join *j = lua_touserdata(L, 2);
  bide_host *h = j->host;
  int flags = BIDE_TF_OWNED | (h->current->fut.flags & BIDE_TF_DAEMON);
  uint32_t i;
  for (i = 1; i <= j->n; i++) {
    bide_fut *f;
    lua_rawgeti(L, 1, (lua_Integer)i);
    f = bide__tofuture(L, -1);
    if (f) {
      add_member(j, i, f, 0);
      lua_pop(L, 1);
    } else {
      f = &bide__spawn(L, h, 0, &j->scope, flags, j->site)->fut;
      lua_rawseti(L, 1, (lua_Integer)i);
      add_member(j, i, f, 1);
    }
  }
  return 0;
}

/* Those that had ended before: the first that decides, in order. */
static void judge_ended(bide_join *j) {
  uint32_t i;
  for (i = 0; i < j->n; i++)
    if (j->at[i].fut->state != BIDE_PENDING) judge(j, &j->at[i]);
  if (j->decided) stop(j);
}

static int start(lua_State *L, bide_join *j, int items, const bide_waitops *ops, bide_kwait k) {
  bide_host *h = j->host;
  j->site = bide__site_caller(L, h);
  lua_pushcfunction(L, start_members);
  lua_pushvalue(L, items);
  lua_pushlightuserdata(L, j);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
    orphan(j);
    return lua_error(L);
  }
  bide__wait_init(h, &j->wait, ops);
  judge_ended(j);
  if (is_over(j)) return bide__complete(L, h, &j->wait, 0, k);
  return bide__suspend(L, h, &j->wait, ops, k);
}

int bide__join(lua_State *L, bide_host *h, int items, uint32_t n, int policy,
               const bide_waitops *ops, bide_kwait k) {
  bide_join *j;
  check_cycles(L, h, items, n, policy, ops->op);
  j = join_new(h, n, policy);
  return j ? start(L, j, items, ops, k) : luaL_error(L, "not enough memory");
}

int bide__join_count(lua_State *L, bide_host *h, int items, uint32_t n, uint32_t need,
                     const bide_waitops *ops, bide_kwait k) {
  bide_join *j;
  check_cycles(L, h, items, n, BIDE_JOIN_COUNT, ops->op);
  j = join_new(h, n, BIDE_JOIN_COUNT);
  if (!j) return luaL_error(L, "not enough memory");
  j->need = need;
  return start(L, j, items, ops, k);
}
