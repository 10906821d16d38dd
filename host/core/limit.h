/* SPDX-License-Identifier: MIT */
/* limit.h: how much a script may have: bytes, tasks, timers, sockets, nested calls.
 *
 * A meter stands between a host and its allocator and counts what Lua and bide hold for the host.
 * It lives outside of the Lua state, since it is in use until the last free. What OpenSSL, c-ares
 * and C futures hold is not seen by it, and charged by hand: fixed sums, and the sizes of texts. */
#ifndef BIDE_CORE_LIMIT_H
#define BIDE_CORE_LIMIT_H

#include "host.h"

typedef struct bide_meter {
  lua_Alloc alloc; /* the one behind */
  void *ud;
  size_t used, limit; /* bytes */
  unsigned char full; /* something was refused since the last relief */
} bide_meter;

/* A lua_Alloc; ud is the meter. */
void *bide__meter_alloc(void *ud, void *p, size_t osize, size_t nsize);
/* After a refusal: collects all garbage. What Lua collects by itself when memory is short runs no
 * finalizers and leaves what has one, with all that hangs on it: a channel and its values would
 * stay for good. Runs finalizers; where no task runs. */
void bide__meter_relieve(bide_host *h);
/* Is there room for so many bytes more, if need be after a collection? Always without a meter. */
int bide__meter_room(lua_State *L, bide_host *h, size_t size);
/* Counts bytes that are held elsewhere for the host. 0 or UV_ENOMEM; always 0 without a meter. */
int bide__charge(bide_host *h, size_t size);
void bide__refund(bide_host *h, size_t size);

/* One more or fewer open socket. 0 or UV_EMFILE. */
int bide__socket_take(bide_host *h);
void bide__socket_give(bide_host *h);

/* Raises code ELIMIT: "too many tasks (the limit is 100)". */
int bide__limit_error(lua_State *L, bide_host *h, const char *op, const char *what, uint32_t max);
/* Why a task could not be made, by the error of the attempt at idx: "too many tasks", or "not
 * enough memory". Allocates nothing. */
const char *bide__no_task_text(lua_State *L, bide_host *h, int idx);
/* A timer could not be started: for the limit, or for lack of memory. */
int bide__timer_error(lua_State *L, bide_host *h, const char *op);

/* Calls nested deeper than h->max_depth in a thread raise from now on, in threads made later. A
 * hook per call is what it costs. */
void bide__depth_open(bide_host *h);

#endif
