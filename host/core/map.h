/* SPDX-License-Identifier: MIT */
/* map.h: one function over many items, so many at a time.
 *
 * The calling task draws the items, in a scope of its own (so that a child's failure ends also a
 * wait of the iterator), and starts a child for each while fewer than `limit` run. A slot holds
 * what belongs to one running child; slots are used again, so memory is bounded by the limit. */
#ifndef BIDE_CORE_MAP_H
#define BIDE_CORE_MAP_H

#include "body.h"

typedef struct bide_map_slot {
  bide_link link; /* on the child's future; first */
  struct bide_map *map;
  struct bide_map_slot *next; /* free, or ended and not collected */
  struct bide_map_slot *all;  /* of all slots */
  bide_task *task;
  lua_Integer index;
} bide_map_slot;

/* C memory; owned by the stack of the caller and, once that is gone, by the last child. */
typedef struct bide_map {
  bide_body body; /* first */
  bide_wait wait;
  bide_failed failed;
  bide_map_slot *all, *free, *ended, **ended_tail; /* ended: kept anchored to be collected */
  lua_Integer drawn, count;                        /* items so far; of a list, how many it has */
  uint32_t limit, running;
  uint32_t site;
  int abort_status;
  unsigned char collect, orphan;
  unsigned char cut;     /* a child was cancelled from outside the map */
  unsigned char drawing; /* waits for a free slot, if it waits; else for the last child */
} bide_map;

enum { BIDE_MAP_ITERATE = -1 };

/* Stack: 1 a list of `count` items or (BIDE_MAP_ITERATE) an iterator function, 2 the function,
 * 3 the table for the results or nil. Returns that table with its `n`, or the number of items. */
int bide__map(lua_State *L, bide_host *h, uint32_t limit, lua_Integer count);
/* The task that waits behind a link, or NULL if it is no map's. */
const bide_task *bide__map_awaiter(const bide_link *link);

#endif
