/* SPDX-License-Identifier: MIT */
/* event.h: a flag that tasks wait for. Setting it wakes all who wait; they go on even if it is
 * cleared before they run. A full userdata. */
#ifndef BIDE_CORE_EVENT_H
#define BIDE_CORE_EVENT_H

#include "host.h"

typedef struct bide_event {
  const char *magic;
  bide_host *host;
  bide_place waiting; /* of bide_waiter */
  uint8_t set;
} bide_event;

bide_event *bide__toevent(lua_State *L, int idx);
/* Pushes a new event, its metatable still to be set. */
bide_event *bide__event_push(lua_State *L, bide_host *h);
/* The finalizer: wakes whoever still waits with UV_ECANCELED. */
void bide__event_fini(bide_event *e);
void bide__event_set(bide_event *e);
/* Waits until it is set; at once when it is. */
int bide__event_wait(lua_State *L, bide_host *h, bide_event *e);

#endif
