/* SPDX-License-Identifier: MIT */
/* channel.c: see channel.h. Where a receiver and a sender meet, the one that comes second does it
 * all: it moves the value and wakes the other, whose wait is then complete, so that no later
 * cancellation can lose the value. */
#include "channel.h"
#include "error.h"
#include "select.h"

#include <string.h>

enum { TRANSIT = 1, RING = 2 }; /* user values */
enum { FIRST_SIZE = 8 };

static const char magic = 0;

/* ---- lifetime ---- */

bide_chan *bide__tochan(lua_State *L, int idx) {
  bide_chan *ch = lua_touserdata(L, idx);
  if (!ch || lua_rawlen(L, idx) < sizeof *ch) return NULL;
  return ch->magic == &magic ? ch : NULL;
}

bide_chan *bide__chan_push(lua_State *L, bide_host *h, uint32_t capacity) {
  bide_chan *ch = lua_newuserdatauv(L, sizeof *ch, 2);
  memset(ch, 0, sizeof *ch);
  ch->host = h;
  ch->capacity = capacity;
  bide__queue_init(&ch->receivers);
  bide__queue_init(&ch->senders);
  bide__queue_init(&ch->settled);
  ch->magic = &magic;
  lua_newtable(L);
  lua_setiuservalue(L, -2, TRANSIT);
  if (capacity > 0) {
    lua_newtable(L);
    lua_setiuservalue(L, -2, RING);
  }
  return ch;
}

/* `p` is matched, or its channel closed: its task goes on. */
static void fire(bide_peer *p, int status) {
  bide__queue_leave(&p->place);
  if (p->slot) bide__queue_add(&p->ch->settled, &p->place);
  if (p->selects) bide__select_fired(p, status);
  else bide__wake(&bide_container(p, bide_task, op.peer)->own, status);
}

static bide_peer *first(const bide_place *queue) {
  return (bide_peer *)bide__queue_first(queue);
}

void bide__chan_close(bide_chan *ch) {
  bide_peer *p;
  ch->closed = 1;
  while ((p = first(&ch->receivers)) != NULL) fire(p, 0);
  while ((p = first(&ch->senders)) != NULL) fire(p, UV_EBADF);
}

void bide__chan_fini(bide_chan *ch) {
  bide_peer *p;
  ch->closed = 1;
  while ((p = first(&ch->receivers)) != NULL || (p = first(&ch->senders)) != NULL)
    fire(p, UV_ECANCELED);
  while ((p = first(&ch->settled)) != NULL) {
    bide__queue_leave(&p->place);
    p->slot = 0;
    p->ch = NULL;
  }
  bide__free(ch->host, ch->slots.free, ch->slots.cap * sizeof *ch->slots.free);
  memset(&ch->slots, 0, sizeof ch->slots);
  ch->used = 0;
}

/* ---- values in transit ---- */

/* Puts the value on top of the stack (popped) into a slot; may raise (memory), nothing done. */
static uint32_t put(lua_State *L, bide_chan *ch, int idx) {
  uint32_t slot = bide__slot_peek(ch->host, &ch->slots);
  if (slot == 0) luaL_error(L, "not enough memory");
  lua_getiuservalue(L, idx, TRANSIT);
  lua_insert(L, -2);
  lua_rawseti(L, -2, slot);
  lua_pop(L, 1);
  bide__slot_take(&ch->slots);
  return slot;
}

/* Pushes the value of a slot and gives the slot back. Never raises: the key is there. */
static void take_out(lua_State *L, bide_chan *ch, int idx, uint32_t slot) {
  lua_getiuservalue(L, idx, TRANSIT);
  lua_rawgeti(L, -1, slot);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -3, slot);
  lua_remove(L, -2);
  bide__slot_give(&ch->slots, slot);
}

/* ---- the buffer ---- */

/* Makes room in the ring: doubles it and moves what stands before the head behind the old end. */
static void grow(lua_State *L, bide_chan *ch, int ring) {
  uint32_t size = ch->size ? ch->size * 2 : FIRST_SIZE, i;
  if (size > ch->capacity) size = ch->capacity;
  for (i = ch->size + 1; i <= size; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, ring, i);
  }
  for (i = 0; i < ch->head; i++) {
    uint32_t to = ch->size + i;
    lua_rawgeti(L, ring, i + 1);
    lua_rawseti(L, ring, (lua_Integer)(to < size ? to : to - size) + 1);
  }
  ch->size = size;
}

static lua_Integer position(const bide_chan *ch, uint32_t i) {
  uint32_t at = ch->head + i;
  return (lua_Integer)(at < ch->size ? at : at - ch->size) + 1;
}

/* Adds the value on top of the stack (popped); there is room within the capacity. */
static void add(lua_State *L, bide_chan *ch, int idx) {
  lua_getiuservalue(L, idx, RING);
  if (ch->used == ch->size) grow(L, ch, lua_gettop(L));
  lua_insert(L, -2);
  lua_rawseti(L, -2, position(ch, ch->used));
  lua_pop(L, 1);
  ch->used++;
}

static void remove_first(lua_State *L, bide_chan *ch, int idx) {
  lua_Integer at = position(ch, 0);
  lua_getiuservalue(L, idx, RING);
  lua_rawgeti(L, -1, at);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -3, at);
  lua_remove(L, -2);
  ch->head = ch->head + 1 == ch->size ? 0 : ch->head + 1;
  ch->used--;
}

/* ---- meeting ---- */

/* Pushes the value of the sender that has waited longest and lets it go on. */
static void take_from(lua_State *L, bide_chan *ch, int idx, bide_peer *sender) {
  take_out(L, ch, idx, sender->slot);
  sender->slot = 0;
  fire(sender, 0);
}

int bide__chan_take(lua_State *L, bide_chan *ch, int idx) {
  bide_peer *sender = first(&ch->senders);
  idx = lua_absindex(L, idx);
  if (ch->used > 0) {
    remove_first(L, ch, idx);
    if (sender) {
      take_from(L, ch, idx, sender);
      add(L, ch, idx);
    }
    return 1;
  }
  if (!sender) return 0;
  take_from(L, ch, idx, sender);
  return 1;
}

int bide__chan_give(lua_State *L, bide_chan *ch, int idx, int value) {
  bide_peer *receiver = first(&ch->receivers);
  idx = lua_absindex(L, idx);
  if (!receiver && ch->used >= ch->capacity) return 0;
  lua_pushvalue(L, value);
  if (receiver) {
    receiver->slot = put(L, ch, idx);
    fire(receiver, 0);
  } else {
    add(L, ch, idx);
  }
  return 1;
}

/* ---- waiting ---- */

void bide__chan_wait(lua_State *L, bide_chan *ch, int idx, bide_peer *p) {
  p->slot = p->sends ? put(L, ch, idx) : 0;
  p->ch = ch;
  bide__queue_add(p->sends ? &ch->senders : &ch->receivers, &p->place);
}

int bide__chan_settle(lua_State *L, int idx, bide_peer *p) {
  uint32_t slot = p->slot;
  if (slot == 0) return 0;
  bide__queue_leave(&p->place);
  p->slot = 0;
  take_out(L, p->ch, idx, slot);
  return 1;
}

void bide__chan_leave(bide_peer *p) {
  if (!p->place.next) return;
  bide__queue_leave(&p->place);
  if (p->slot) bide__queue_add(&p->ch->settled, &p->place);
}

void bide__chan_drop(bide_peer *p) {
  bide__queue_leave(&p->place);
  if (p->slot) bide__slot_give(&p->ch->slots, p->slot);
  p->slot = 0;
}

static bide_peer *peer_of(bide_wait *w) {
  return &bide_container(w, bide_task, own)->op.peer;
}

static void abort_peer(bide_wait *w, int status) {
  bide__chan_leave(peer_of(w));
  bide__wake(w, status);
}

static void drop_peer(bide_wait *w) {
  bide__chan_drop(peer_of(w));
}

static const bide_waitops recv_ops = {"channel recv", abort_peer, NULL, drop_peer, 0};
static const bide_waitops send_ops = {"channel send", abort_peer, NULL, drop_peer, 0};

static int k_recv(lua_State *L, bide_host *h, bide_wait *w) {
  if (w->status < 0) return bide__raise_status(L, h, w->status, "recv");
  return bide__chan_settle(L, 1, peer_of(w));
}

/* Had already: the value is on top of the stack. */
static int k_received(lua_State *L, bide_host *h, bide_wait *w) {
  (void)L;
  (void)h;
  (void)w;
  return 1;
}

static int k_send(lua_State *L, bide_host *h, bide_wait *w) {
  if (w->status >= 0) return 0;
  bide__chan_settle(L, 1, peer_of(w));
  if (w->status == UV_EBADF)
    return bide__error(L, h, "EBADF", "send", "the channel was closed before anybody received");
  return bide__raise_status(L, h, w->status, "send");
}

static int k_sent(lua_State *L, bide_host *h, bide_wait *w) {
  (void)L;
  (void)h;
  (void)w;
  return 0;
}

static bide_peer *prepare(bide_host *h, const bide_waitops *ops, int sends) {
  bide_task *t = h->current;
  bide_peer *p = &t->op.peer;
  bide__wait_init(h, &t->own, ops);
  memset(p, 0, sizeof *p);
  p->sends = (uint8_t)sends;
  return p;
}

int bide__chan_recv(lua_State *L, bide_host *h, bide_chan *ch) {
  bide_wait *own;
  if (bide__checkpoint(L, h, "recv")) return bide__refuse(L, h);
  own = &h->current->own;
  if (bide__chan_take(L, ch, 1)) return bide__complete(L, h, own, 0, k_received);
  if (ch->closed) return bide__complete(L, h, own, 0, k_sent);
  bide__chan_wait(L, ch, 1, prepare(h, &recv_ops, 0));
  return bide__suspend(L, h, own, &recv_ops, k_recv);
}

int bide__chan_send(lua_State *L, bide_host *h, bide_chan *ch) {
  bide_wait *own;
  if (bide__checkpoint(L, h, "send")) return bide__refuse(L, h);
  own = &h->current->own;
  if (ch->closed) return bide__error(L, h, "EBADF", "send", "the channel is closed");
  if (bide__chan_give(L, ch, 1, 2)) return bide__complete(L, h, own, 0, k_sent);
  bide__chan_wait(L, ch, 1, prepare(h, &send_ops, 1));
  return bide__suspend(L, h, own, &send_ops, k_send);
}
