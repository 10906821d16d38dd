/* SPDX-License-Identifier: MIT */
/* thread.c: what keeps tasks and their Lua threads alive, and the pool of threads that are used
 * again. Registry keys come from luaL_ref and are never given back to it, only to our own list. */
#include "thread.h"

/* ---- the collector ----
 *
 * It begins when the heap has doubled, and goes over all that lives, threads twice. While tasks
 * only become more, each doubling is in vain. So what living tasks take is told to it as memory
 * that it need not count: a collection comes as late as if they had been there before. That is said
 * once for as many tasks as there have been since the last collection; beyond them all counts as
 * ever. Not where memory is limited. */

/* A task and its entries in tables, which grow by doubling; a thread, its stack and its calls. */
enum { TASK_BYTES = 300, THREAD_BYTES = 1200, THREADS_EACH = 256, MANY_BYTES = 32 << 20 };

/* Of many only: where they take little, the collector may as well look at them. */
static uint32_t living_kb(const bide_host *h) {
  uint64_t bytes = (uint64_t)h->live_tasks * TASK_BYTES + (uint64_t)h->threads * THREAD_BYTES;
  return bytes > MANY_BYTES ? (uint32_t)((bytes - MANY_BYTES) >> 10) : 0;
}

void bide__collector_spare(lua_State *L, bide_host *h) {
  uint32_t kb = living_kb(h);
  if (kb <= h->spared || !h->own_state || h->meter || !lua_gc(L, LUA_GCISRUNNING)) return;
  lua_gc(L, LUA_GCSTEP, -(int)(kb - h->spared));
  h->spared = kb;
}

/* A finalizer that each collection calls: the object becomes garbage anew. */
static int on_collected(lua_State *L) {
  bide_host *h = lua_touserdata(L, lua_upvalueindex(1));
  if (h->closed) return 0;
  h->spared = living_kb(h);
  lua_getmetatable(L, 1);
  lua_setmetatable(L, 1);
  return 0;
}

/* stack: …, host */
void bide__collector_watch(lua_State *L) {
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -3);
  lua_pushcclosure(L, on_collected, 1);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}

/* ---- anchors ---- */

uint32_t bide__anchor(lua_State *L, bide_host *h) {
  bide_slots *s = &h->slots;
  uint32_t slot;
  if (BIDE_LIKELY(s->nfree > 0)) {
    slot = s->free[--s->nfree];
    lua_rawseti(L, LUA_REGISTRYINDEX, slot);
    return slot;
  }
  if (bide__slot_peek(h, s) == 0) luaL_error(L, "not enough memory");
  slot = (uint32_t)luaL_ref(L, LUA_REGISTRYINDEX);
  s->top++;
  return slot;
}

void bide__slots_reserve(lua_State *L, bide_host *h, uint32_t n) {
  uint32_t i, first = 0;
  for (i = 0; i < n; i++) {
    lua_pushboolean(L, 0);
    if (bide__slot_peek(h, &h->slots) == 0) luaL_error(L, "not enough memory");
    first = (uint32_t)luaL_ref(L, LUA_REGISTRYINDEX);
    h->slots.top++;
  }
  for (i = 0; i < n; i++) bide__slot_give(&h->slots, first - i);
}

void bide__unanchor(bide_host *h, uint32_t slot) {
  lua_pushboolean(h->from, 0); /* not nil: the key stays ours */
  lua_rawseti(h->from, LUA_REGISTRYINDEX, slot);
  bide__slot_give(&h->slots, slot);
}

bide_thread bide__thread_take(lua_State *L, bide_host *h) {
  bide_thread th;
  if (BIDE_LIKELY(h->pool_n > 0)) return h->pool[--h->pool_n];
  th.L = lua_newthread(L);
  th.slot = bide__anchor(L, h);
  if (++h->threads % THREADS_EACH == 0) bide__collector_spare(L, h);
  return th;
}

void bide__thread_drop(bide_host *h, bide_thread th) {
  bide__unanchor(h, th.slot);
  h->threads--;
}

static int pool_has_room(bide_host *h) {
  uint32_t cap;
  void *p;
  if (h->pool_n < h->pool_cap) return 1;
  if (h->pool_cap >= h->pool_max) return 0;
  cap = h->pool_cap ? h->pool_cap * 2 : 16;
  p = bide__realloc(h, h->pool, h->pool_cap * sizeof *h->pool, cap * sizeof *h->pool);
  if (!p) return 0;
  h->pool = p;
  h->pool_cap = cap;
  return 1;
}

void bide__thread_return(bide_host *h, bide_thread th) {
  if (pool_has_room(h)) {
    lua_Hook hook = lua_gethook(h->main);
    if (BIDE_UNLIKELY(hook || lua_gethook(th.L))) /* what a new thread would inherit */
      lua_sethook(th.L, hook, lua_gethookmask(h->main), lua_gethookcount(h->main));
    h->pool[h->pool_n++] = th;
  } else {
    bide__thread_drop(h, th);
  }
}

void bide__thread_pool_fini(bide_host *h) {
  bide__free(h, h->pool, h->pool_cap * sizeof *h->pool);
  h->pool = NULL;
  h->pool_n = h->pool_cap = 0;
}
