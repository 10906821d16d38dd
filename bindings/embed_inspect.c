/* SPDX-License-Identifier: MIT */
/* embed_inspect.c: what C callers can see of a host's tasks. Owns nothing. */
#include "bide.h"
#include "core/debug.h"
#include "core/slice.h"
#include "inspect.h"

static int debug_protected(lua_State *L) {
  bide__debug_switch(L, bide__host_of(L), lua_toboolean(L, 1));
  return 0;
}

int bide_debug(bide_host *h, int on) {
  lua_pushcfunction(h->main, debug_protected);
  lua_pushboolean(h->main, on);
  return lua_pcall(h->main, 1, 0, 0) == LUA_OK ? 0 : BIDE_ERROR;
}

void bide_dump(bide_host *h) {
  if (!h->closed) bide__dump(h->top ? h->top : h->from, h, 0);
}

/* Another's hook keeps its other events until ours has run. */
static void hook_dump(lua_State *L, lua_Debug *ar) {
  bide_host *h = bide__host_of(L);
  if (ar->event != LUA_HOOKCOUNT) {
    if (h->dumped_hook) h->dumped_hook(L, ar);
    return;
  }
  lua_sethook(L, h->dumped_hook, h->dumped_mask, h->dumped_count);
  bide__dump(L, h, 1);
}

/* lua_sethook is what Lua's own interpreter calls in its handler for Ctrl-C. */
int bide_dump_running(bide_host *h) {
  lua_State *L = h->top;
  if (!L || bide__is_slice_hook(L)) return 0; /* it is on its way to the loop */
  if (lua_gethook(L) == hook_dump) return 1;
  h->dump_hook = hook_dump;
  h->dumped_hook = lua_gethook(L);
  h->dumped_mask = lua_gethookmask(L);
  h->dumped_count = lua_gethookcount(L);
  lua_sethook(L, hook_dump, h->dumped_mask | LUA_MASKCOUNT, 2); /* as in slice.c */
  return 1;
}
