/* SPDX-License-Identifier: MIT */
/* dns.c: bide.dns. */
#include "dial.h"
#include "lookup.h"

/* A copy on the stack of a shared answer, so that an error in between leaks nothing. */
static int k_resolve(lua_State *L, bide_host *h, bide_wait *w) {
  bide_addr at[BIDE_ADDRS_MAX];
  char text[BIDE_ADDR_TEXT];
  bide_addrs *addrs;
  uint32_t n;
  int status = bide__lookup_take(h, w, &addrs);
  if (status) return bide__lookup_fail(L, h, status, "resolve", lua_tostring(L, 1));
  n = addrs->n;
  for (uint32_t i = 0; i < n; i++) at[i] = addrs->at[i];
  bide__addrs_unref(h, addrs);
  lua_createtable(L, (int)n, 0);
  for (uint32_t i = 0; i < n; i++) {
    lua_pushstring(L, bide__addr_text(&at[i], text, sizeof text));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* resolve(name, {family=, timeout=}) → list of addresses */
static int l_resolve(lua_State *L) {
  static const char *const names[] = {"family", "timeout", NULL};
  bide_host *h = bide__host(L);
  const char *name = bide__check_host(L, 1);
  lua_settop(L, 2);
  bide__check_options(L, 2, names);
  int family = bide__opt_family(L, 2);
  double timeout = bide__opt_seconds(L, 2, "timeout", BIDE_LOOKUP_TIMEOUT);
  if (bide__checkpoint(L, h, "resolve")) return bide__refuse(L, h);
  return bide__lookup(L, h, name, family, timeout, k_resolve);
}

void bide__open_dns(lua_State *L, int host) {
  static const luaL_Reg functions[] = {{"resolve", l_resolve}, {NULL, NULL}};
  bide__new_lib(L, host, functions);
}
