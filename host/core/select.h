/* SPDX-License-Identifier: MIT */
/* select.h: waiting for the first of several receives and sends. */
#ifndef BIDE_CORE_SELECT_H
#define BIDE_CORE_SELECT_H

#include "body.h"
#include "channel.h"

typedef struct bide_case {
  bide_peer peer; /* first */
  uint32_t index; /* from 1 */
} bide_case;

/* C memory, owned by the wait of its task. */
typedef struct bide_select {
  bide_wait wait;
  bide_host *host;
  bide_body *limit; /* the scope with its deadline, or NULL; owned by the task's stack of scopes */
  uint32_t n;
  uint32_t chosen; /* index of the case that was matched; 0: none */
  bide_case at[];  /* n */
} bide_select;

/* Stack: 1 a list of n channels, 2 a table with the values to send at their indices (nil: receive).
 * Returns the index and for a receive the value; nothing past `seconds` (< 0: no limit). */
int bide__select(lua_State *L, bide_host *h, uint32_t n, double seconds);
/* A case has been matched (0), or its channel closed (a negative code). For channel.c. */
void bide__select_fired(bide_peer *p, int status);

#endif
