/* SPDX-License-Identifier: MIT */
/* select.c: the first case in order that can go on at once; else one peer per case waits in its
 * channel, and the first that is matched takes the others out. A timeout is the deadline of a scope
 * around the wait, so that a completion wins over it as everywhere. */
#include "select.h"
#include "error.h"

#include <string.h>

enum { CHANNELS = 1, VALUES = 2, SELF = 3 }; /* SELF: the bide_select, while it waits */

static size_t size_of(uint32_t n) {
  return sizeof(bide_select) + n * sizeof(bide_case);
}

static bide_select *select_of(bide_wait *w) {
  return bide_container(w, bide_select, wait);
}

static void leave_all(bide_select *s) {
  uint32_t i;
  for (i = 0; i < s->n; i++)
    if (i + 1 != s->chosen) bide__chan_leave(&s->at[i].peer);
}

void bide__select_fired(bide_peer *p, int status) {
  bide_case *c = bide_container(p, bide_case, peer);
  bide_select *s = bide_container(c - (c->index - 1), bide_select, at);
  s->chosen = c->index;
  leave_all(s);
  bide__wake(&s->wait, status);
}

static void abort_select(bide_wait *w, int status) {
  leave_all(select_of(w));
  bide__wake(w, status);
}

static void drop_select(bide_wait *w) {
  bide_select *s = select_of(w);
  uint32_t i;
  for (i = 0; i < s->n; i++) bide__chan_drop(&s->at[i].peer);
  bide__free(s->host, s, size_of(s->n));
}

static const bide_waitops select_ops = {"select", abort_select, NULL, drop_select, 0};

/* ---- at once ---- */

static bide_chan *push_channel(lua_State *L, uint32_t i) {
  lua_rawgeti(L, CHANNELS, (lua_Integer)i);
  return bide__tochan(L, -1);
}

static int k_now(lua_State *L, bide_host *h, bide_wait *w) {
  (void)h;
  (void)w;
  return lua_gettop(L) - VALUES;
}

static int closed_error(lua_State *L, bide_host *h, uint32_t i) {
  return bide__error(L, h, "EBADF", "select", "send in case %d: the channel is closed", (int)i);
}

/* Tries case i; leaves its results on the stack above VALUES and returns 1, or nothing and 0. */
static int try_case(lua_State *L, bide_host *h, uint32_t i) {
  bide_chan *ch = push_channel(L, i);
  int channel = lua_gettop(L), sends = lua_rawgeti(L, VALUES, (lua_Integer)i) != LUA_TNIL, done;
  if (sends && ch->closed) closed_error(L, h, i);
  if (sends) {
    done = bide__chan_give(L, ch, channel, channel + 1);
  } else {
    done = bide__chan_take(L, ch, channel);
    if (!done && ch->closed) {
      lua_pushnil(L);
      done = 1;
    }
  }
  if (!done) {
    lua_settop(L, VALUES);
    return 0;
  }
  lua_pushinteger(L, (lua_Integer)i);
  lua_replace(L, channel);
  lua_remove(L, channel + 1); /* what was to be sent */
  return 1;
}

/* ---- waiting ---- */

/* Pushes the value that the chosen case received; clears all slots. */
static int settle_all(lua_State *L, bide_select *s) {
  uint32_t i;
  int got = 0;
  for (i = 1; i <= s->n; i++) {
    bide_peer *p = &s->at[i - 1].peer;
    if (p->slot == 0) continue;
    push_channel(L, i);
    bide__chan_settle(L, lua_gettop(L), p);
    lua_remove(L, -2);
    if (i == s->chosen && !p->sends) got = 1;
    else lua_pop(L, 1);
  }
  return got;
}

static int k_select(lua_State *L, bide_host *h, bide_wait *w) {
  bide_select *s = select_of(w);
  uint32_t chosen = s->chosen;
  int status = w->status, receives = chosen && !s->at[chosen - 1].peer.sends;
  int expired = s->limit && bide__body_leave(s->limit), got = settle_all(L, s);
  bide__free(h, s, size_of(s->n));
  if (status == UV_EBADF) return closed_error(L, h, chosen);
  if (status < 0) return expired ? 0 : bide__raise_status(L, h, status, "select");
  lua_pushinteger(L, (lua_Integer)chosen);
  if (!receives) return 1;
  if (got) lua_insert(L, -2);
  else lua_pushnil(L);
  return 2;
}

/* (channels, values, select): protected, as making room for a value may raise. */
static int link_cases(lua_State *L) {
  bide_select *s = lua_touserdata(L, SELF);
  uint32_t i;
  for (i = 1; i <= s->n; i++) {
    bide_peer *p = &s->at[i - 1].peer;
    bide_chan *ch = push_channel(L, i);
    p->sends = lua_rawgeti(L, VALUES, (lua_Integer)i) != LUA_TNIL;
    bide__chan_wait(L, ch, SELF + 1, p);
    lua_settop(L, SELF);
  }
  return 0;
}

static bide_select *select_new(lua_State *L, bide_host *h, uint32_t n) {
  bide_select *s = bide__alloc(h, size_of(n));
  uint32_t i;
  if (!s) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  memset(s, 0, size_of(n));
  s->host = h;
  s->n = n;
  for (i = 0; i < n; i++) {
    s->at[i].index = i + 1;
    s->at[i].peer.selects = 1;
  }
  return s;
}

/* Takes the peers out again and raises the error on top of the stack. */
static int give_up(lua_State *L, bide_select *s) {
  leave_all(s);
  settle_all(L, s);
  bide__free(s->host, s, size_of(s->n));
  return lua_error(L);
}

int bide__select(lua_State *L, bide_host *h, uint32_t n, double seconds) {
  bide_select *s;
  uint32_t i;
  for (i = 1; i <= n; i++)
    if (try_case(L, h, i)) return bide__complete(L, h, &h->current->own, 0, k_now);
  s = select_new(L, h, n);
  lua_pushcfunction(L, link_cases);
  lua_pushvalue(L, CHANNELS);
  lua_pushvalue(L, VALUES);
  lua_pushlightuserdata(L, s);
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) return give_up(L, s);
  if (seconds >= 0 && (s->limit = bide__body_enter(h, seconds)) == NULL) {
    lua_pushliteral(L, "not enough memory");
    return give_up(L, s);
  }
  return bide__suspend(L, h, &s->wait, &select_ops, k_select);
}
