/* SPDX-License-Identifier: MIT */
/* dns.c: bide.dns. */
#include "dial.h"
#include "lookup.h"

#include <string.h>

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

/* servers(list): asks "address[:port]"s instead of those of resolv.conf; servers(): those again */
static int l_servers(lua_State *L) {
  bide_host *h = bide__host(L);
  luaL_Buffer b;
  if (lua_isnoneornil(L, 1)) {
    bide__resolve_servers(h, NULL);
    return 0;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 1);
  luaL_argcheck(L, n > 0 && n <= 32, 1, "list of 1 to 32 addresses expected");
  lua_settop(L, 1);
  luaL_buffinit(L, &b);
  for (lua_Integer i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&b, ',');
    if (lua_geti(L, 1, i) != LUA_TSTRING) luaL_argerror(L, 1, "list of addresses expected");
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  const char *list = lua_tostring(L, -1);
  luaL_argcheck(L, strlen(list) == lua_rawlen(L, -1), 1, "list of addresses expected");
  int status = bide__resolve_servers(h, list);
  luaL_argcheck(L, status != UV_EINVAL, 1, "list of addresses expected");
  return status ? bide__lookup_fail(L, h, status, "servers", list) : 0;
}

void bide__open_dns(lua_State *L, int host) {
  static const luaL_Reg functions[] = {
      {"resolve", l_resolve}, {"servers", l_servers}, {NULL, NULL}};
  bide__new_lib(L, host, functions);
}
