/* SPDX-License-Identifier: MIT */
/* thread.c: what keeps tasks and their Lua threads alive, and the pool of threads that are used
 * again. Registry keys come from luaL_ref and are never given back to it, only to our own list. */
#include "thread.h"

/* Anchored tasks and threads past which the collector is eased, and its pause in percent. */
enum { MANY = 65536, PAUSE_DEFAULT = 200, PAUSE_MANY = 400 };

/* The collector marks every thread anew in each cycle. While tasks are many, live and growing, a
 * cycle at each doubling is too often; unless the script has set a pause of its own. */
static void ease_collector(lua_State *L, bide_host *h) {
  int pause;
  if (!h->own_state || h->eased) return;
  pause = lua_gc(L, LUA_GCSETPAUSE, PAUSE_MANY);
  if (pause != PAUSE_DEFAULT) lua_gc(L, LUA_GCSETPAUSE, pause);
  else h->eased = 1;
}

void bide__collector_restore(bide_host *h) {
  if (!h->eased || h->live_tasks >= MANY) return;
  h->eased = 0;
  lua_gc(h->from, LUA_GCSETPAUSE, PAUSE_DEFAULT);
}

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
  if (++s->top == MANY) ease_collector(L, h);
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
  return th;
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
    if (lua_gettop(th.L)) lua_settop(th.L, 0);
    h->pool[h->pool_n++] = th;
  } else {
    bide__unanchor(h, th.slot);
  }
}

void bide__thread_give(bide_host *h, bide_task *t, int clean) {
  bide_thread th = {t->L, t->thread_slot};
  if (!th.L) return;
  t->L = NULL;
  if (clean && !(t->fut.flags & BIDE_TF_SEEN)) bide__thread_return(h, th);
  else bide__unanchor(h, th.slot);
}

void bide__thread_pool_fini(bide_host *h) {
  bide__free(h, h->pool, h->pool_cap * sizeof *h->pool);
  h->pool = NULL;
  h->pool_n = h->pool_cap = 0;
}
