/* SPDX-License-Identifier: MIT */
/* future.c: results, and the ring of links on a future (the future points to the last; the last
 * points to the first), so that joining at the end and leaving anywhere cost the same. */
#include "error.h"
#include "failure.h"
#include "name.h"
#include "run.h"
#include "trace.h"

#include <assert.h>
#include <string.h>

static int has_mt(lua_State *L, int idx, const void *mt) {
  int same;
  if (!lua_getmetatable(L, idx)) return 0;
  same = lua_topointer(L, -1) == mt;
  lua_pop(L, 1);
  return same;
}

bide_task *bide__totask(lua_State *L, int idx) {
  bide_fut *f = bide__tofuture(L, idx);
  return f && f->kind == BIDE_IS_TASK ? (bide_task *)f : NULL;
}

bide_fut *bide__future_push(lua_State *L, bide_host *h) {
  bide_fut *f = lua_newuserdatauv(L, sizeof *f, 1);
  memset(f, 0, sizeof *f);
  f->magic = BIDE_FUT_MAGIC;
  f->kind = BIDE_IS_FUTURE;
  if (h->current) f->slot = h->current->scope->run->serial;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->mt_future_ref);
  lua_setmetatable(L, -2);
  return f;
}

void bide__link(bide_fut *f, bide_link *link, void (*notify)(bide_link *)) {
  link->notify = notify;
  if (!f->waiters) {
    link->next = link->prev = link;
  } else {
    link->prev = f->waiters;
    link->next = f->waiters->next;
    link->next->prev = link;
    link->prev->next = link;
  }
  f->waiters = link;
}

void bide__unlink(bide_fut *f, bide_link *link) {
  if (!link->next) return;
  if (link->next == link) {
    f->waiters = NULL;
  } else {
    link->next->prev = link->prev;
    link->prev->next = link->next;
    if (f->waiters == link) f->waiters = link->prev;
  }
  link->next = link->prev = NULL;
}

void bide__future_end(bide_fut *f, int state) {
  assert(f->state == BIDE_PENDING);
  f->state = (uint8_t)state;
  while (f->waiters) {
    bide_link *first = f->waiters->next;
    bide__unlink(f, first);
    first->notify(first);
  }
}

void bide__store_results(lua_State *L, int idx, bide_fut *f, int n) {
  idx = lua_absindex(L, idx);
  if (n > 1) {
    int i;
    lua_createtable(L, n, 0);
    lua_insert(L, -(n + 1));
    for (i = n; i >= 1; i--) lua_rawseti(L, -(i + 1), i);
  } else if (n == 0) {
    if (!(f->flags & BIDE_TF_LOCALS)) return; /* the user value is nil as it was made */
    lua_pushnil(L);
  }
  lua_setiuservalue(L, idx, 1);
  f->nres = (uint32_t)n;
}

void bide__push_first(lua_State *L, int idx) {
  const bide_fut *f = lua_touserdata(L, idx);
  lua_getiuservalue(L, idx, 1);
  if (f->nres <= 1) return;
  lua_rawgeti(L, -1, 1);
  lua_remove(L, -2);
}

static int push_all(lua_State *L, int idx, const bide_fut *f) {
  uint32_t i, n = f->nres;
  if (n == 0) return 0;
  lua_getiuservalue(L, idx, 1);
  if (n == 1) return 1;
  luaL_checkstack(L, (int)n + 1, "too many results");
  if (!lua_istable(L, -1)) return 1;
  for (i = 1; i <= n; i++) lua_rawgeti(L, -(int)i, (lua_Integer)i);
  return (int)n;
}

static void push_cancelled(lua_State *L, bide_host *h, int idx) {
  const bide_fut *f = lua_touserdata(L, idx);
  char name[80];
  if (f->kind == BIDE_IS_TASK) {
    bide__task_name(L, h, idx, name, sizeof name);
    bide__error_push(L, h, "ECANCELED", "await", "task %s was cancelled", name);
  } else {
    bide__error_push(L, h, "ECANCELED", "await", "the future was cancelled");
  }
  lua_pushvalue(L, idx);
  lua_setfield(L, -2, "task");
  lua_getiuservalue(L, idx, 1);
  lua_setfield(L, -2, "reason");
}

static void push_native(lua_State *L, const bide_fut *f) {
  static const char *const text[] = {"unknown error", "not enough memory",
                                     "the task's thread was closed by a foreign coroutine.close",
                                     "C stack overflow"};
  lua_pushstring(L, text[f->native <= BIDE_NATIVE_CSTACK ? f->native : 0]);
}

void bide__push_error(lua_State *L, bide_host *h, int idx) {
  bide_fut *f = lua_touserdata(L, idx);
  idx = lua_absindex(L, idx);
  if (f->state == BIDE_CANCELLED) {
    push_cancelled(L, h, idx);
  } else if (f->native) {
    push_native(L, f);
  } else {
    bide_witness *witness;
    lua_getiuservalue(L, idx, 1);
    witness = lua_touserdata(L, -1);
    if (witness && has_mt(L, -1, h->mt_failure)) {
      bide__failure_seen(L, witness);
      lua_getiuservalue(L, -1, 1);
      lua_getiuservalue(L, -2, 2);
      bide__keep_record(L, h, -2, -1);
      lua_pop(L, 1);
      lua_remove(L, -2);
    }
  }
}

void bide__fut_seen(lua_State *L, bide_host *h, int idx) {
  const bide_fut *f = lua_touserdata(L, idx);
  bide_witness *witness;
  if (f->state != BIDE_FAILED || f->native) return;
  lua_getiuservalue(L, idx, 1);
  witness = lua_touserdata(L, -1);
  if (witness && has_mt(L, -1, h->mt_failure)) bide__failure_seen(L, witness);
  lua_pop(L, 1);
}

int bide__push_results(lua_State *L, bide_host *h, int idx) {
  const bide_fut *f = lua_touserdata(L, idx);
  if (f->state == BIDE_DONE) return push_all(L, idx, f);
  bide__push_error(L, h, idx);
  return lua_error(L);
}
