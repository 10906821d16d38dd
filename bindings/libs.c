/* SPDX-License-Identifier: MIT */
/* libs.c: the list of the libraries that are fields of the module: tcp, http, dns… Each is opened
 * here, once per state. */
#include "bindings.h"

typedef struct lib {
  const char *name;
  void (*open)(lua_State *L, int host); /* pushes its table */
} lib;

static const lib libs[] = {
    {"tcp", bide__open_tcp},
    {"unix", bide__open_unix},
    {"dns", bide__open_dns},
    {"http", bide__open_http},
    {"udp", bide__open_udp},
    {"tls", bide__open_tls},
    {NULL, NULL},
};

/* The function on top once more, another value: errors name each by the place where it stands. */
static void push_copy(lua_State *L) {
  int f = lua_gettop(L), n = 0;
  while (lua_getupvalue(L, f, n + 1)) n++;
  lua_pushcclosure(L, lua_tocfunction(L, f), n);
}

void bide__open_libs(lua_State *L, int host) {
  const lib *l;
  for (l = libs; l->name; l++) {
    const char *name = lua_pushfstring(L, "bide.%s", l->name);
    l->open(L, host);
    bide__name_functions(L, name);
    lua_setfield(L, -3, l->name);
    lua_pop(L, 1);
  }
  lua_getfield(L, -1, "http");
  lua_getfield(L, -1, "get");
  push_copy(L);
  lua_setfield(L, -4, "http_get");
  lua_pop(L, 2);
}
