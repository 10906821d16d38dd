/* SPDX-License-Identifier: MIT */
/* report.c: prints errors (contract in report.h). Owns nothing. */
#include "report.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

/* text(value) -> string. */
static int l_text(lua_State *L) {
  if (!lua_tostring(L, 1)) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    return 1;
  }
  lua_settop(L, 1);
  return 1;
}

static void print_value(lua_State *L, int index) {
  size_t size;
  const char *text = lua_tolstring(L, index, &size);
  fwrite(text, 1, size, stderr);
}

/* A script that does not load has no stack: the heading alone tells nothing. */
static bool has_lines(lua_State *L, int traceback) {
  const char *text = lua_type(L, traceback) == LUA_TSTRING ? lua_tostring(L, traceback) : NULL;
  return text && strchr(text, '\n') != NULL;
}

void report_error(lua_State *L, int error, int traceback) {
  int top = lua_gettop(L);
  error = lua_absindex(L, error);
  if (traceback) traceback = lua_absindex(L, traceback);
  fflush(stdout);
  fputs("bide: ", stderr);
  if (!lua_checkstack(L, 4)) {
    fputs("stack overflow\n", stderr);
    return;
  }
  lua_pushcfunction(L, l_text);
  lua_pushvalue(L, error);
  /* A __tostring that fails must not hide that there was an error. */
  if (lua_pcall(L, 1, 1, 0) == LUA_OK || lua_type(L, -1) == LUA_TSTRING) print_value(L, -1);
  else fputs("(error while showing the error)", stderr);
  fputc('\n', stderr);
  if (traceback && has_lines(L, traceback)) {
    print_value(L, traceback);
    fputc('\n', stderr);
  }
  fflush(stderr);
  lua_settop(L, top);
}

/* is_cancelled(value) -> boolean. */
static int l_is_cancelled(lua_State *L) {
  lua_getfield(L, 1, "code");
  lua_pushliteral(L, "ECANCELED");
  lua_pushboolean(L, lua_rawequal(L, -1, -2));
  return 1;
}

bool report_is_cancelled(lua_State *L, int error) {
  error = lua_absindex(L, error);
  if (lua_type(L, error) != LUA_TTABLE || !lua_checkstack(L, 4)) return false;
  lua_pushcfunction(L, l_is_cancelled);
  lua_pushvalue(L, error);
  bool cancelled = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  lua_pop(L, 1);
  return cancelled;
}
