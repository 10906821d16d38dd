/* SPDX-License-Identifier: MIT */
/* tracked.h: which streams and sockets are open and where they were opened, for bide.testing. Costs
 * a branch while nobody asks. */
#ifndef BIDE_TRACKED_H
#define BIDE_TRACKED_H

#include "bindings.h"

typedef struct bide_tracked {
  const char *name; /* "stream" */
  int (*is_open)(const void *object);
} bide_tracked;

void bide__track_slow(lua_State *L, bide_host *h, int idx, const bide_tracked *kind);

/* The userdata at idx was opened by the Lua code that runs. May raise (memory) while tracking is
 * on: the object is closed by its finalizer then. */
static inline void bide__track(lua_State *L, bide_host *h, int idx, const bide_tracked *kind) {
  if (h->tracking) bide__track_slow(L, h, idx, kind);
}

/* Switches tracking; nonzero if it was on. Off forgets everything. May raise. */
int bide__track_switch(lua_State *L, bide_host *h, int on);
/* Pushes a list of {what=, opened=} of what is open. */
void bide__push_tracked(lua_State *L, bide_host *h);

#endif
