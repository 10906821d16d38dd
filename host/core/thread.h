/* SPDX-License-Identifier: MIT */
/* thread.h: Lua threads for tasks, and the registry keys that anchor both. A new thread costs seven
 * times what one from the pool does. */
#ifndef BIDE_CORE_THREAD_H
#define BIDE_CORE_THREAD_H

#include "host.h"

/* Anchors the value on top of the stack (popped) in the registry and returns its key. May raise. */
uint32_t bide__anchor(lua_State *L, bide_host *h);
void bide__unanchor(bide_host *h, uint32_t slot);
/* Makes n registry keys, contiguous and few enough to lie in the registry's array. May raise. */
void bide__slots_reserve(lua_State *L, bide_host *h, uint32_t n);

/* From the pool, or a new one. May raise. */
bide_thread bide__thread_take(lua_State *L, bide_host *h);
/* Back to the pool, or let go of when that is full. Its function ended in order, or never began;
 * its stack is empty. */
void bide__thread_return(bide_host *h, bide_thread th);
/* Lets go of it. */
void bide__thread_drop(bide_host *h, bide_thread th);
/* Takes the thread away from `t`, if it has one; `clean`: it may be used again, unless user code
 * has seen it. */
static inline void bide__thread_give(bide_host *h, bide_task *t, int clean) {
  bide_thread th = {t->L, t->thread_slot};
  if (!th.L) return;
  t->L = NULL;
  if (BIDE_LIKELY(clean && !(t->fut.flags & BIDE_TF_SEEN))) bide__thread_return(h, th);
  else bide__thread_drop(h, th);
}
void bide__thread_pool_fini(bide_host *h);

/* Living tasks have become many more: the collector need not hurry for them. May run finalizers. */
void bide__collector_spare(lua_State *L, bide_host *h);
/* To be called once, with the host's userdata on top of the stack. May raise. */
void bide__collector_watch(lua_State *L);

#endif
