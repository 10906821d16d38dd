/* SPDX-License-Identifier: MIT */
/* channel.h: values handed from task to task.
 *
 * A `bide_chan` is a full userdata with two user values: 1 the table of values in transit (those of
 * waiting senders, and those handed to a receiver that has not run yet), under slots that are used
 * again; 2 the table that is the ring of the buffer. Neither shrinks, so that once warm a hand-over
 * allocates nothing.
 *
 * Invariant: if a receiver waits, the buffer is empty and nobody waits to send (but the same
 * select); if a sender waits, the buffer is full. A peer that has been matched or aborted but has
 * not run yet and still owns a slot stands in `settled`. */
#ifndef BIDE_CORE_CHANNEL_H
#define BIDE_CORE_CHANNEL_H

#include "host.h"

#define BIDE_CHANNEL_MAX 0x7fffffff /* capacity without a limit */

typedef struct bide_chan {
  const char *magic;
  bide_host *host;
  bide_place receivers, senders, settled;
  bide_slots slots;          /* keys of the table of values in transit */
  uint32_t capacity;         /* of the buffer */
  uint32_t size, head, used; /* of the ring: positions, the first one used, how many are */
  uint8_t closed;
} bide_chan;

/* The channel at idx, or NULL. */
bide_chan *bide__tochan(lua_State *L, int idx);
/* Pushes a new channel, its metatable still to be set. */
bide_chan *bide__chan_push(lua_State *L, bide_host *h, uint32_t capacity);
/* In the finalizer: whoever still waits is woken with UV_ECANCELED; frees what the channel owns. */
void bide__chan_fini(bide_chan *ch);

/* Takes the next value of the channel at idx: pushes it and returns 1, or returns 0 when there is
 * none. May wake a sender. */
int bide__chan_take(lua_State *L, bide_chan *ch, int idx);
/* Gives it the value at `value`: to the receiver that has waited longest, or to the buffer. 0 when
 * it would have to wait. May raise (memory), nothing done. */
int bide__chan_give(lua_State *L, bide_chan *ch, int idx, int value);
/* Receivers that wait get the end, senders UV_EBADF. Idempotent. */
void bide__chan_close(bide_chan *ch);

/* The waits. Stack: 1 the channel, 2 the value to send. */
int bide__chan_recv(lua_State *L, bide_host *h, bide_chan *ch);
int bide__chan_send(lua_State *L, bide_host *h, bide_chan *ch);

/* For select: puts `p` among those who wait; a sender's value is the one on top of the stack
 * (popped). May raise (memory), nothing done. */
void bide__chan_wait(lua_State *L, bide_chan *ch, int idx, bide_peer *p);
/* Takes back the slot of `p` once its wait is over; pushes what was in it and returns 1, or returns
 * 0 when it has none. */
int bide__chan_settle(lua_State *L, int idx, bide_peer *p);
/* Leaves the queue; what `p` holds stays until it is settled. Runs no Lua. */
void bide__chan_leave(bide_peer *p);
/* The stack of the task is gone: gives up the slot. Runs no Lua. */
void bide__chan_drop(bide_peer *p);

#endif
