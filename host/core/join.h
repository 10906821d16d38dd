/* SPDX-License-Identifier: MIT */
/* join.h: waiting for many: the one engine behind gather, race and the other combinators.
 *
 * A join owns a scope for the children that it started; awaitables that were handed in are only
 * watched. It is C memory, anchored by its scope's opener and, once that is gone, by its children.
 */
#ifndef BIDE_CORE_JOIN_H
#define BIDE_CORE_JOIN_H

#include "host.h"

/* When a join has seen enough. */
enum {
  BIDE_JOIN_ALL,     /* every member has ended (settle) */
  BIDE_JOIN_ERROR,   /* all have ended, or one has failed (gather) */
  BIDE_JOIN_FIRST,   /* one has ended (race) */
  BIDE_JOIN_SUCCESS, /* one is done, or all have ended (any) */
  BIDE_JOIN_COUNT,   /* `need` have ended (wait) */
};

typedef struct bide_join bide_join;
typedef struct bide_member {
  bide_link link;
  bide_fut *fut;
  uint32_t index; /* from 1 */
  uint8_t owned;
} bide_member;

struct bide_join {
  bide_scope scope; /* first */
  bide_wait wait;
  bide_host *host;
  uint32_t n, pending, owned_pending;
  uint32_t need;  /* of BIDE_JOIN_COUNT */
  uint32_t first; /* index of the member that decided, 0: none */
  uint32_t site;  /* where the join was called */
  uint8_t policy, decided, stopped, orphan;
  int abort_status; /* of the caller's cancellation */
  bide_member at[]; /* n */
};

/* Joins the n items in the table at `items` (1..n; a copy that the join may change: functions are
 * replaced by the tasks started for them). Suspends; in `k`, `w` is the join's wait and `items` at
 * the same index. The continuation calls bide__join_free. Arguments were checked by the caller. */
int bide__join(lua_State *L, bide_host *h, int items, uint32_t n, int policy,
               const bide_waitops *ops, bide_kwait k);
/* The same until `need` have ended. */
int bide__join_count(lua_State *L, bide_host *h, int items, uint32_t n, uint32_t need,
                     const bide_waitops *ops, bide_kwait k);
extern const bide_waitops bide__gather_ops, bide__race_ops, bide__any_ops, bide__settle_ops,
    bide__wait_ops;
bide_join *bide__join_of(bide_wait *w);
/* BIDE_RANK_… of a wait in a join, by what has not ended. */
int bide__join_rank(const bide_wait *w);
/* The task that waits in the join behind a link, or NULL if it is no join's. */
const bide_task *bide__join_awaiter(const bide_link *link);
void bide__join_free(bide_join *j);
/* If `w` is the wait of a join that needs all its members: adds those pending to the list (n of
 * max) and returns the new n. */
int bide__join_members(const bide_wait *w, const bide_fut **list, int n, int max);

#endif
