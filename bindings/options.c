/* SPDX-License-Identifier: MIT */
/* options.c: tables of options and other arguments of several libraries (contract in options.h). */
#include "options.h"
#include "core/error.h"
#include "net/addr.h"

#include <stdio.h>
#include <string.h>

void bide__check_options(lua_State *L, int idx, const char *const *names) {
  if (lua_isnoneornil(L, idx)) return;
  if (!lua_istable(L, idx)) bide__type_error(L, idx, "table of options");
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    int known = 0;
    for (int i = 0; key && names[i] && !known; i++) known = !strcmp(names[i], key);
    if (!known) {
      key = luaL_tolstring(L, -2, NULL);
      luaL_argerror(L, idx, lua_pushfstring(L, "unknown option '%s'", key));
    }
    lua_pop(L, 1);
  }
}

/* Pushes the option; 0 (nothing pushed) when it is not given. */
static int get(lua_State *L, int idx, const char *name) {
  if (!lua_istable(L, idx)) return 0;
  lua_pushstring(L, name);
  if (lua_rawget(L, idx) != LUA_TNIL) return 1;
  lua_pop(L, 1);
  return 0;
}

int bide__opt_refuse(lua_State *L, int idx, const char *name, const char *expected) {
  return luaL_argerror(L, idx,
                       lua_pushfstring(L, "option '%s': %s expected, got %s", name, expected,
                                       luaL_tolstring(L, -1, NULL)));
}

lua_Integer bide__opt_integer(lua_State *L, int idx, const char *name, lua_Integer value,
                              lua_Integer min, lua_Integer max) {
  int ok;
  if (!get(L, idx, name)) return value;
  lua_Integer n = lua_tointegerx(L, -1, &ok);
  if (!ok || lua_type(L, -1) != LUA_TNUMBER || n < min || n > max) {
    char expected[64];
    snprintf(expected, sizeof expected, "integer from %lld to %lld", (long long)min,
             (long long)max);
    bide__opt_refuse(L, idx, name, expected);
  }
  lua_pop(L, 1);
  return n;
}

int bide__opt_boolean(lua_State *L, int idx, const char *name, int value) {
  if (!get(L, idx, name)) return value;
  if (!lua_isboolean(L, -1)) bide__opt_refuse(L, idx, name, "boolean");
  value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

double bide__opt_seconds(lua_State *L, int idx, const char *name, double value) {
  if (!get(L, idx, name)) return value;
  value = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(value >= 0))
    bide__opt_refuse(L, idx, name, "seconds (a number, 0 or more)");
  lua_pop(L, 1);
  return value;
}

const char *bide__opt_string(lua_State *L, int idx, const char *name, size_t *len) {
  if (!get(L, idx, name)) return NULL;
  if (lua_type(L, -1) != LUA_TSTRING) bide__opt_refuse(L, idx, name, "string");
  const char *s = lua_tolstring(L, -1, len);
  lua_pop(L, 1); /* the table holds it */
  return s;
}

const char *bide__check_host(lua_State *L, int arg) {
  size_t n;
  if (lua_type(L, arg) != LUA_TSTRING) bide__type_error(L, arg, "host name or address (string)");
  const char *host = lua_tolstring(L, arg, &n);
  luaL_argcheck(L, bide__addr_host_valid(host, n), arg,
                "host name or address expected (1 to 253 bytes without spaces or controls)");
  return host;
}

int bide__check_port(lua_State *L, int arg, int min) {
  int ok;
  lua_Integer port = lua_tointegerx(L, arg, &ok);
  if (!ok) bide__type_error(L, arg, "port (integer)");
  if (port < min || port > 65535)
    luaL_argerror(
        L, arg,
        lua_pushfstring(L, "port from %d to 65535 expected, got %I", min, (LUAI_UACINT)port));
  return (int)port;
}
