/* SPDX-License-Identifier: MIT */
/* barrier.c: which C function keeps a thread from waiting. Lua itself does not tell: the stack is
 * searched for the innermost C function that cannot be continued. */
#include "name.h"
#include "trace.h"

#include <string.h>

enum { LEVELS_MAX = 200 };

/* ---- what is in the way ---- */

/* Is a finalizer on this stack? */
static int stands_finalizer(lua_State *co) {
  lua_Debug ar;
  int level;
  for (level = 0; lua_getstack(co, level, &ar); level++) {
    lua_getinfo(co, "n", &ar);
    if (ar.name && strcmp(ar.name, "__gc") == 0) return 1;
  }
  return 0;
}

/* While one runs lua_gc refuses everything, and nothing else makes it say so; since 5.4.4. */
int bide__in_finalizer(lua_State *L) {
  if (LUA_VERSION_RELEASE_NUM >= 50404) return lua_gc(L, LUA_GCCOUNT) < 0;
  return stands_finalizer(L);
}

/* `name` on top of the stack becomes "name (called at file:line)". */
static void add_place(lua_State *L, bide_host *h, lua_State *co, int level) {
  char where[100];
  bide__site_text(h, bide__site_at(h, co, level), where, sizeof where);
  lua_pushfstring(L, "%s (called at %s)", lua_tostring(L, -1), where);
  lua_remove(L, -2);
}

/* Where the function that is the message handler of the xpcall at `level` runs, the innermost such
 * place, or -1; *times: how often it was called by an error. */
static int handler_below(lua_State *co, lua_Debug *call, int level, int *times) {
  lua_Debug ar;
  int at = -1, i;
  *times = 0;
  if (!lua_checkstack(co, 4) || !lua_getlocal(co, call, 2)) return -1;
  for (i = 0; i < level && lua_getstack(co, i, &ar); i++) {
    lua_getinfo(co, "f", &ar);
    if (lua_rawequal(co, -1, -2)) {
      lua_getinfo(co, "n", &ar);
      if (at < 0) at = i;
      if (!*ar.namewhat) ++*times; /* else a function has called it, perhaps itself */
    }
    lua_pop(co, 1);
  }
  lua_pop(co, 1);
  return at;
}

/* The search: C functions that Lua can continue are not in the way, but a message handler that
 * xpcall has called, which stands further in, is. */
static int push_from(lua_State *L, bide_host *h, lua_State *co) {
  lua_Debug ar;
  int level, at = -1, handler, times;
  for (level = 1; level < LEVELS_MAX && lua_getstack(co, level, &ar); level++) {
    lua_getinfo(co, "S", &ar);
    if (*ar.what != 'C' || !bide__push_function_name(L, co, &ar)) continue;
    if (strcmp(lua_tostring(L, -1), "xpcall") == 0) {
      handler = handler_below(co, &ar, level, &times);
      if (handler > 0 && (at < 0 || handler < at)) {
        if (at >= 0) lua_pop(L, 2);
        else lua_pop(L, 1);
        lua_pushliteral(L, "a message handler of xpcall");
        add_place(L, h, co, level);
        return 1;
      }
    }
    if (at < 0 && strcmp(lua_tostring(L, -1), "pcall") != 0 &&
        strcmp(lua_tostring(L, -1), "xpcall") != 0)
      at = level; /* its name stays */
    else lua_pop(L, 1);
  }
  if (at >= 0) add_place(L, h, co, at);
  return at >= 0;
}

int bide__handler_again(lua_State *co) {
  lua_Debug ar;
  int level, times = 0;
  for (level = 1; level < LEVELS_MAX && times < 2 && lua_getstack(co, level, &ar); level++) {
    int is;
    lua_getinfo(co, "S", &ar);
    if (*ar.what != 'C' || !bide__push_function_name(co, co, &ar)) continue;
    is = strcmp(lua_tostring(co, -1), "xpcall") == 0;
    lua_pop(co, 1);
    if (is) handler_below(co, &ar, level, &times);
  }
  return times >= 2;
}

/* `co` was resumed by somebody who does not pass waits on. */
static void push_resumer(lua_State *L, bide_host *h) {
  lua_Debug ar;
  if (!lua_getstack(h->top, 0, &ar) || !bide__push_function_name(L, h->top, &ar))
    lua_pushliteral(L, "a C function");
  add_place(L, h, h->top, 0);
  lua_pushfstring(L, "%s, which resumes coroutines but is not bide's coroutine.resume",
                  lua_tostring(L, -1));
  lua_remove(L, -2);
}

void bide__push_barrier(lua_State *L, bide_host *h, lua_State *co) {
  luaL_checkstack(L, 16, NULL);
  if (stands_finalizer(co) || bide__in_finalizer(co)) {
    lua_pushliteral(L, "a finalizer (__gc)");
    return;
  }
  if (h->close_depth) {
    lua_pushliteral(L, "the closing of a coroutine");
    if (h->top) add_place(L, h, h->top, 0);
    return;
  }
  if (h->top && co != h->top) {
    if (lua_isyieldable(h->top)) {
      push_resumer(L, h);
      return;
    }
    co = h->top;
  }
  if (!push_from(L, h, co)) lua_pushliteral(L, "a C function");
}
