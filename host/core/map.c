/* SPDX-License-Identifier: MIT */
/* map.c: see map.h. Two waits: for a free slot while drawing (in the scope), and for the last child
 * at the end (outside of it). */
#include "map.h"
#include "error.h"
#include "trace.h"

#include <string.h>

enum { SOURCE = 1, FUNCTION = 2, RESULTS = 3, MAP = 4, FAILURE = 5 };

/* ---- lifetime ---- */

static void release_ended(bide_map *m) {
  for (; m->ended; m->ended = m->ended->next) bide__task_release(m->body.host, m->ended->task);
  m->ended_tail = &m->ended;
}

/* No child is left. */
static void map_free(bide_map *m) {
  bide_host *h = m->body.host;
  release_ended(m);
  bide__failed_fini(h, &m->failed);
  bide__scope_close(h, &m->body.scope);
  while (m->all) {
    bide_map_slot *slot = m->all;
    m->all = slot->all;
    bide__free(h, slot, sizeof *slot);
  }
  bide__free(h, m, sizeof *m);
}

static void orphan(bide_map *m) {
  m->orphan = 1;
  bide__scope_cancel(m->body.host, &m->body.scope);
  if (m->running == 0) map_free(m);
}

static void drop_scope(bide_scope *s) {
  orphan(bide_container(s, bide_map, body.scope));
}

/* ---- children ---- */

/* A child has ended, its link is not notified yet: nonzero keeps it anchored. */
static int on_child_ended(bide_scope *s, bide_task *t) {
  bide_map *m = bide_container(s, bide_map, body.scope);
  if (m->orphan) return 0;
  if (t->fut.state == BIDE_DONE) return m->collect;
  if (t->fut.state == BIDE_CANCELLED && s->eff) {
    m->cut |= (unsigned char)bide__scope_is_cut(s);
    return 0;
  }
  bide__failed_add(&m->failed, t);
  bide__scope_cancel(m->body.host, s);
  return 1;
}

static void on_child(bide_link *link) {
  bide_map_slot *slot = bide_container(link, bide_map_slot, link);
  bide_map *m = slot->map;
  m->running--;
  slot->next = NULL;
  if (m->orphan) {
    if (m->running == 0) map_free(m);
    return;
  }
  if (m->collect && slot->task->fut.state == BIDE_DONE) {
    *m->ended_tail = slot;
    m->ended_tail = &slot->next;
  } else {
    slot->next = m->free;
    m->free = slot;
  }
  if (m->wait.task && !m->wait.set && (m->drawing || m->running == 0))
    bide__wake(&m->wait, m->abort_status);
}

const bide_task *bide__map_awaiter(const bide_link *link) {
  if (link->notify != on_child) return NULL;
  return bide_container(link, const bide_map_slot, link)->map->body.scope.owner;
}

/* Takes the results of those that have ended into the table; may raise (memory). */
static void collect(lua_State *L, bide_map *m) {
  bide_host *h = m->body.host;
  while (m->ended) {
    bide_map_slot *slot = m->ended;
    bide__push_task(L, h, slot->task);
    bide__push_first(L, lua_gettop(L));
    lua_rawseti(L, RESULTS, slot->index);
    lua_pop(L, 1);
    m->ended = slot->next;
    if (!m->ended) m->ended_tail = &m->ended;
    bide__task_release(h, slot->task);
    slot->next = m->free;
    m->free = slot;
  }
}

static bide_map_slot *free_slot(lua_State *L, bide_map *m) {
  bide_map_slot *slot = m->free;
  if (slot) return slot;
  slot = bide__alloc(m->body.host, sizeof *slot);
  if (!slot) {
    luaL_error(L, "not enough memory");
    return NULL;
  }
  memset(slot, 0, sizeof *slot);
  slot->map = m;
  slot->all = m->all;
  m->all = m->free = slot;
  return slot;
}

/* Starts a child for the item on top of the stack (popped). */
static void start_child(lua_State *L, bide_host *h, bide_map *m) {
  bide_map_slot *slot = free_slot(L, m);
  int flags = BIDE_TF_OWNED | (h->current->fut.flags & BIDE_TF_DAEMON);
  lua_pushvalue(L, FUNCTION);
  lua_insert(L, -2);
  lua_pushinteger(L, m->drawn + 1);
  slot->task = bide__spawn(L, h, 2, &m->body.scope, flags, m->site);
  slot->index = ++m->drawn;
  m->free = slot->next;
  bide__link(&slot->task->fut, &slot->link, on_child);
  m->running++;
  lua_pop(L, 1);
}

/* ---- drawing ---- */

static int draw(lua_State *L, bide_host *h, bide_map *m);

static void abort_slot(bide_wait *w, int status) {
  bide_map *m = bide_container(w, bide_map, wait);
  if (status == BIDE_EDEADLK && m->running) w->aborted = 0; /* the children's first */
  else bide__wake(w, status);
}

static const bide_waitops slot_ops = {"map", abort_slot, NULL, NULL, 1};

static int k_slot(lua_State *L, bide_host *h, bide_wait *w) {
  if (w->status < 0) return bide__raise_status(L, h, w->status, "map");
  return draw(L, h, bide_container(w, bide_map, wait));
}

/* The iterator has given what is on top of the stack. */
static int drawn(lua_State *L, bide_host *h, bide_map *m) {
  if (lua_isnil(L, -1)) return 0;
  start_child(L, h, m);
  return 1;
}

static int k_drawn(lua_State *L, int status, lua_KContext ctx) {
  bide_map *m = (bide_map *)ctx;
  bide_host *h = m->body.host;
  (void)status;
  return drawn(L, h, m) ? draw(L, h, m) : 0;
}

static int draw(lua_State *L, bide_host *h, bide_map *m) {
  for (;;) {
    lua_settop(L, MAP);
    collect(L, m);
    if (m->failed.first) return 0;
    if (m->running >= m->limit) return bide__suspend(L, h, &m->wait, &slot_ops, k_slot);
    if (m->count >= 0) {
      if (m->drawn == m->count) return 0;
      lua_geti(L, SOURCE, m->drawn + 1);
      start_child(L, h, m);
    } else {
      lua_pushvalue(L, SOURCE);
      lua_callk(L, 0, 1, (lua_KContext)m, k_drawn);
      if (!drawn(L, h, m)) return 0;
    }
  }
}

static int draw_all(lua_State *L) {
  return draw(L, bide__host(L), lua_touserdata(L, MAP));
}

/* ---- the end ---- */

static void abort_end(bide_wait *w, int status) {
  bide_map *m = bide_container(w, bide_map, wait);
  if (status == BIDE_EDEADLK && m->running) {
    w->aborted = 0;
    return;
  }
  m->abort_status = status;
  bide__scope_cancel(m->body.host, &m->body.scope);
  if (m->running == 0 && !w->set) bide__wake(w, status);
}

static void drop_end(bide_wait *w) {
  orphan(bide_container(w, bide_map, wait));
}

static const bide_waitops end_ops = {"map", abort_end, NULL, drop_end, 1};

static int finish_results(lua_State *L) {
  bide_map *m = lua_touserdata(L, MAP);
  collect(L, m);
  lua_pushinteger(L, m->drawn);
  if (!m->collect) return 1;
  lua_setfield(L, RESULTS, "n");
  lua_pushvalue(L, RESULTS);
  return 1;
}

static int k_end(lua_State *L, bide_host *h, bide_wait *w) {
  bide_map *m = bide_container(w, bide_map, wait);
  int status = w->status, failed = m->failed.first || m->failed.body, i;
  if (failed) {
    bide__failed_push(L, &m->failed, FAILURE);
  } else if (m->cut && status >= 0) {
    status = UV_ECANCELED;
  } else if (status >= 0) {
    lua_settop(L, MAP);
    lua_pushcfunction(L, finish_results);
    for (i = SOURCE; i <= MAP; i++) lua_pushvalue(L, i);
    failed = lua_pcall(L, MAP, 1, 0);
  }
  map_free(m);
  if (failed) return lua_error(L);
  return status < 0 ? bide__raise_status(L, h, status, "map") : 1;
}

/* All is drawn, or something has failed. */
static int k_body(lua_State *L, int status, lua_KContext ctx) {
  bide_map *m = (bide_map *)ctx;
  bide_host *h = m->body.host;
  bide_scope *s = &m->body.scope;
  if (status != LUA_OK && status != LUA_YIELD) {
    if (s->eff && bide__error_is_own_cancel(L, h, -1)) {
      /* no failure of the iterator's: it must not take the place of a child's error */
      m->cut |= (unsigned char)bide__scope_is_cut(s);
    } else {
      m->failed.body = 1;
      m->failed.body_first = m->failed.first == NULL;
    }
  }
  m->drawing = 0;
  bide__scope_leave(h->current, s);
  s->kind = BIDE_SCOPE_OWNED;
  if (m->failed.body) bide__scope_cancel(h, s);
  if (m->running == 0) {
    bide__wait_init(h, &m->wait, &end_ops);
    return bide__complete(L, h, &m->wait, 0, k_end);
  }
  return bide__suspend(L, h, &m->wait, &end_ops, k_end);
}

static bide_map *map_new(bide_host *h) {
  bide_task *t = h->current;
  bide_map *m = bide__alloc(h, sizeof *m);
  if (!m) return NULL;
  memset(m, 0, sizeof *m);
  m->body.host = h;
  m->drawing = 1;
  m->ended_tail = &m->ended;
  bide__failed_init(&m->failed);
  bide__scope_open(&m->body.scope, t->scope, t, BIDE_SCOPE_BODY, 0);
  m->body.scope.drop = drop_scope;
  m->body.scope.ended = on_child_ended;
  bide__scope_enter(t, &m->body.scope);
  return m;
}

int bide__map(lua_State *L, bide_host *h, uint32_t limit, lua_Integer count) {
  uint32_t site = bide__site_caller(L, h);
  bide_map *m;
  int status, i;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, draw_all, 1);
  if ((m = map_new(h)) == NULL) return luaL_error(L, "not enough memory");
  m->limit = limit;
  m->count = count;
  m->collect = lua_istable(L, RESULTS);
  m->site = site;
  lua_pushlightuserdata(L, m);
  lua_insert(L, MAP);
  for (i = SOURCE; i <= MAP; i++) lua_pushvalue(L, i);
  status = lua_pcallk(L, MAP, 0, 0, (lua_KContext)m, k_body);
  return k_body(L, status, (lua_KContext)m);
}
