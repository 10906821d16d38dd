/* SPDX-License-Identifier: MIT */
/* event.c: see event.h. */
#include "event.h"
#include "semaphore.h"

#include <string.h>

static const char magic = 0;

bide_event *bide__toevent(lua_State *L, int idx) {
  bide_event *e = lua_touserdata(L, idx);
  if (!e || lua_rawlen(L, idx) < sizeof *e) return NULL;
  return e->magic == &magic ? e : NULL;
}

bide_event *bide__event_push(lua_State *L, bide_host *h) {
  bide_event *e = lua_newuserdatauv(L, sizeof *e, 0);
  memset(e, 0, sizeof *e);
  e->magic = &magic;
  e->host = h;
  bide__queue_init(&e->waiting);
  return e;
}

static void wake_all(bide_event *e, int status) {
  bide_place *p;
  while ((p = bide__queue_first(&e->waiting)) != NULL) {
    bide__queue_leave(p);
    bide__wake(bide__wait_of((bide_waiter *)p), status);
  }
}

void bide__event_fini(bide_event *e) {
  wake_all(e, UV_ECANCELED);
}

void bide__event_set(bide_event *e) {
  e->set = 1;
  wake_all(e, 0);
}

static void abort_event(bide_wait *own, int status) {
  bide__queue_leave(&bide__waiter_of(own)->place);
  bide__wake(own, status);
}

static const bide_waitops event_ops = {"event wait", abort_event, NULL, NULL, 0};

static int k_event(lua_State *L, bide_host *h, bide_wait *w) {
  return w->status < 0 ? bide__raise_status(L, h, w->status, "wait") : 0;
}

int bide__event_wait(lua_State *L, bide_host *h, bide_event *e) {
  bide_waiter *w;
  if (bide__checkpoint(L, h, "wait")) return bide__refuse(L, h);
  if (e->set) return bide__complete(L, h, &h->current->own, 0, k_event);
  w = bide__waiter_begin(h, &event_ops, e);
  bide__queue_add(&e->waiting, &w->place);
  return bide__suspend(L, h, &h->current->own, &event_ops, k_event);
}
