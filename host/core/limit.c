/* SPDX-License-Identifier: MIT */
/* limit.c: see limit.h. */
#include "limit.h"
#include "error.h"

/* ---- memory ---- */

void *bide__meter_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  bide_meter *m = ud;
  void *q;
  if (!p) osize = 0; /* it tells what kind of object is made */
  if (nsize > osize && nsize - osize > m->limit - (m->used < m->limit ? m->used : m->limit)) {
    m->full = 1;
    return NULL;
  }
  q = m->alloc(m->ud, p, osize, nsize);
  if (q || nsize == 0) m->used = m->used - osize + nsize;
  return q;
}

void bide__meter_relieve(bide_host *h) {
  if (!h->meter || !h->meter->full || h->closed) return;
  h->meter->full = 0;
  lua_gc(h->from, LUA_GCCOLLECT, 0);
  lua_gc(h->from, LUA_GCCOLLECT, 0); /* what the finalizers of the first let go */
}

static int has_room(const bide_meter *m, size_t size) {
  return m->used < m->limit && m->limit - m->used >= size;
}

int bide__meter_room(lua_State *L, bide_host *h, size_t size) {
  bide_meter *m = h->meter;
  if (!m || has_room(m, size)) return 1;
  m->full = 1;
  lua_gc(L, LUA_GCCOLLECT, 0);
  return has_room(m, size);
}

int bide__charge(bide_host *h, size_t size) {
  bide_meter *m = h->meter;
  if (!m) return 0;
  if (m->used > m->limit || size > m->limit - m->used) {
    m->full = 1;
    return UV_ENOMEM;
  }
  m->used += size;
  return 0;
}

void bide__refund(bide_host *h, size_t size) {
  if (h->meter) h->meter->used -= size;
}

/* ---- counts ---- */

int bide__socket_take(bide_host *h) {
  if (h->sockets >= h->max_sockets) return UV_EMFILE;
  h->sockets++;
  return 0;
}

void bide__socket_give(bide_host *h) {
  h->sockets--;
}

int bide__limit_error(lua_State *L, bide_host *h, const char *op, const char *what, uint32_t max) {
  return bide__error(L, h, "ELIMIT", op, "too many %s (the limit is %d)", what, (int)max);
}

const char *bide__no_task_text(lua_State *L, bide_host *h, int idx) {
  return bide__error_is(L, h, idx, "ELIMIT") ? "too many tasks" : bide__code_text(UV_ENOMEM);
}

int bide__timer_error(lua_State *L, bide_host *h, const char *op) {
  if (h->timers.n >= h->max_timers || h->deadlines.n >= h->max_timers)
    return bide__limit_error(L, h, op, "timers", h->max_timers);
  return luaL_error(L, "not enough memory");
}

/* ---- depth ---- */

/* Looks at the depth of one call in so many that a thread cannot have grown by more than a quarter
 * of the limit in between; and when another thread runs than at the last look. */
static void hook_depth(lua_State *L, lua_Debug *ar) {
  bide_host *h = bide__host_of(L);
  lua_Debug level;
  (void)ar;
  if (h->depth_of == L && h->depth_left-- > 0) return;
  h->depth_of = L;
  h->depth_left = h->max_depth / 4;
  if (!lua_getstack(L, (int)h->max_depth, &level)) return;
  h->depth_left = 0; /* whoever catches this is still too deep */
  luaL_error(L, "stack overflow (more than %d nested calls)", (int)h->max_depth);
}

void bide__depth_open(bide_host *h) {
  lua_sethook(h->main, hook_depth, LUA_MASKCALL, 0);
}
