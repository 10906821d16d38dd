/* SPDX-License-Identifier: MIT */
/* libs.c: the list of the libraries that are fields of the module: tcp, http, dns… Each is opened
 * here, once per state. */
#include "bindings.h"

typedef struct lib {
  const char *name;
  void (*open)(lua_State *L, int host); /* pushes its table */
  int lua;                              /* lua/bide/<name>.lua adds to it and is the module */
} lib;

static const lib libs[] = {
    {"tcp", bide__open_tcp, 0},
    {"unix", bide__open_unix, 0},
    {"dns", bide__open_dns, 0},
    {"http", bide__open_http, 1},
    {"udp", bide__open_udp, 0},
    {"tls", bide__open_tls, 0},
    {NULL, NULL, 0},
};

void bide__open_libs(lua_State *L, int host) {
  const lib *l;
  int loaded;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_insert(L, -2);
  loaded = lua_gettop(L) - 1;
  for (l = libs; l->name; l++) {
    l->open(L, host);
    if (!l->lua) {
      lua_pushfstring(L, "bide.%s", l->name);
      lua_pushvalue(L, -2);
      lua_settable(L,
                   loaded); /* where argument errors find a function's name, also through pcall */
    }
    lua_setfield(L, -2, l->name);
  }
  lua_remove(L, loaded);
}
