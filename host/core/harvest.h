/* SPDX-License-Identifier: MIT */
/* harvest.h: the members of as_completed, handed out one by one as they end.
 *
 * C memory with a scope for the children it started. A Lua handle points to it; when the handle is
 * closed the rest is cancelled and waited for. When that cannot be (the handle is collected, or
 * closed where Lua cannot yield) the harvest is orphaned: cancelled, and freed by its last child.
 * Its scope leaves the tree with its last child, so an unclosed handle holds up nothing. */
#ifndef BIDE_CORE_HARVEST_H
#define BIDE_CORE_HARVEST_H

#include "host.h"

typedef struct bide_sheaf {
  bide_link link;          /* on the member's future; first */
  bide_fut *fut;           /* anchored by the handle's table of items, or by running */
  struct bide_sheaf *next; /* among those that have ended and were not handed out */
  uint32_t index;          /* from 1 */
  uint8_t owned;
} bide_sheaf;

typedef struct bide_harvest {
  bide_scope scope; /* first */
  bide_host *host;
  bide_sheaf *ended, **ended_tail;
  bide_wait *reader, *closer; /* who waits for the next one; who waits for the last child */
  uint32_t n, pending, owned_pending;
  uint8_t open; /* the scope is in the tree */
  uint8_t stopped, orphan;
  bide_sheaf at[]; /* n */
} bide_harvest;

/* Begins with the n items in the table at `items` (functions are replaced by their tasks); may
 * raise, leaving nothing. */
bide_harvest *bide__harvest_begin(lua_State *L, bide_host *h, int items, uint32_t n);
/* Waits until one has ended, then goes on in `k`, where bide__harvest_take gives its index (0: none
 * is left). The caller is the only reader, and the handle is on its stack. */
int bide__harvest_wait(lua_State *L, bide_host *h, bide_harvest *v, bide_kwait k);
uint32_t bide__harvest_take(bide_harvest *v);
bide_harvest *bide__harvest_of(bide_wait *w);
/* Cancels the rest. Then either bide__harvest_join, whose continuation calls bide__harvest_free, or
 * bide__harvest_orphan. A reader gets the end. */
void bide__harvest_stop(bide_harvest *v);
/* (there, bide__harvest_cancelled tells whether the task was cancelled meanwhile) */
int bide__harvest_cancelled(bide_wait *w);
int bide__harvest_join(lua_State *L, bide_host *h, bide_harvest *v, bide_kwait k);
void bide__harvest_orphan(bide_harvest *v);
void bide__harvest_free(bide_harvest *v);
/* BIDE_RANK_… of a wait of bide__harvest_wait, by what has not ended. */
int bide__harvest_rank(const bide_wait *w);
/* The task that waits behind a link, or NULL if it is no harvest's. */
const bide_task *bide__harvest_awaiter(const bide_link *link);

#endif
