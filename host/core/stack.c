/* SPDX-License-Identifier: MIT */
/* stack.c: see stack.h. A task's stack is that of its thread and those of the plain coroutines that
 * run in it; which these are, the frames of resume and of wrap functions tell. */
#include "stack.h"
#include "name.h"
#include "trace.h"
#include "wait.h"

#include <stdio.h>
#include <string.h>

enum { THREADS_MAX = 200 };

/* ---- bide's own frames ---- */

/* Compiled in, their chunk names begin so; else they lie where bide/require.lua lies. */
static void find_own(lua_State *L, char *own, size_t size) {
  lua_Debug ar;
  const char *slash;
  int top = lua_gettop(L);
  snprintf(own, size, "=bide/");
  if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) == LUA_TTABLE &&
      lua_getfield(L, -1, "bide.require") == LUA_TFUNCTION && !lua_iscfunction(L, -1)) {
    lua_getinfo(L, ">S", &ar);
    slash = strrchr(ar.source, '/');
    if (slash && (size_t)(slash - ar.source) + 2 < size)
      snprintf(own, size, "%.*s", (int)(slash - ar.source) + 1, ar.source);
  }
  lua_settop(L, top);
}

int bide__is_own_source(lua_State *L, const char *source) {
  char own[300];
  luaL_checkstack(L, 4, NULL);
  find_own(L, own, sizeof own);
  return strncmp(source, own, strlen(own)) == 0;
}

/* bide's C functions have the host as their first upvalue. */
int bide__is_own_function(lua_State *co, lua_Debug *ar, const bide_host *h) {
  int own;
  lua_getinfo(co, "f", ar);
  if (!lua_getupvalue(co, -1, 1)) {
    lua_pop(co, 1);
    return 0;
  }
  own = lua_touserdata(co, -1) == h;
  lua_pop(co, 2);
  return own;
}

static int is_hidden(bide_trace *t, lua_State *co, lua_Debug *ar) {
  if (*ar->what == 'C') return bide__is_own_function(co, ar, t->host);
  return strncmp(ar->source, t->own, strlen(t->own)) == 0;
}

/* ---- frames ---- */

void bide__trace_init(bide_trace *t, lua_State *L, bide_host *h) {
  luaL_checkstack(L, 16, NULL);
  t->L = L;
  t->host = h;
  find_own(L, t->own, sizeof t->own);
}

void bide__trace_add(bide_trace *t) {
  luaL_addvalue(&t->b);
}

/* A site stands alone at the end of its line, or is followed by ": in". */
int bide__trace_shows(const bide_trace *t, const char *site) {
  const char *at = t->b.b, *end = at + t->b.n;
  size_t size = strlen(site);
  for (; (size_t)(end - at) >= size && (at = memchr(at, site[0], (size_t)(end - at))); at++) {
    const char *after = at + size;
    if (after > end) return 0;
    if (memcmp(at, site, size) != 0) continue;
    if ((at[-1] == '\t' || at[-1] == ' ') && (after == end || *after == ':' || *after == '\n'))
      return 1;
  }
  return 0;
}

/* The words for the function: "function 'table.sort'", "local 'f'". 0: a nameless C function, such
 * as bide's own at the bottom of a task. */
static int push_words(lua_State *L, lua_State *co, lua_Debug *ar) {
  if (*ar->what == 'C') {
    if (!bide__push_function_name(L, co, ar)) return 0;
    if (strchr(lua_tostring(L, -1), '\'')) return 1;
    lua_pushfstring(L, "function '%s'", lua_tostring(L, -1));
    lua_remove(L, -2);
  } else if (*ar->namewhat) {
    lua_pushfstring(L, "%s '%s'", ar->namewhat, ar->name);
  } else if (*ar->what == 'm') {
    lua_pushliteral(L, "main chunk");
  } else {
    lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
  }
  return 1;
}

void bide__trace_frame(bide_trace *t, lua_State *co, lua_Debug *ar) {
  lua_State *L = t->L;
  if (is_hidden(t, co, ar) || !push_words(L, co, ar)) return;
  if (ar->currentline > 0) {
    lua_pushfstring(L, "\n\t%s:%d: in %s", ar->short_src, ar->currentline, lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "\n\t%s: in %s", ar->short_src, lua_tostring(L, -1));
  }
  lua_remove(L, -2);
  bide__trace_add(t);
  if (ar->istailcall) luaL_addstring(&t->b, "\n\t(...tail calls...)");
}

static int depth(lua_State *co) {
  lua_Debug ar;
  int lo = 0, hi = 1;
  while (lua_getstack(co, hi, &ar)) {
    lo = hi;
    hi *= 2;
  }
  while (lo < hi) {
    int mid = (lo + hi) / 2;
    if (lua_getstack(co, mid, &ar)) lo = mid + 1;
    else hi = mid;
  }
  return hi;
}

void bide__trace_stack(bide_trace *t, lua_State *co, int level) {
  lua_Debug ar;
  int n = depth(co), skip = n - level > BIDE_FRAMES_TOP + BIDE_FRAMES_END;
  if (!lua_checkstack(co, 4)) return;
  for (; lua_getstack(co, level, &ar); level++) {
    if (skip && level == BIDE_FRAMES_TOP) {
      lua_pushfstring(t->L, "\n\t...\t(skipping %d levels)", n - BIDE_FRAMES_END - level);
      bide__trace_add(t);
      level = n - BIDE_FRAMES_END - 1;
      continue;
    }
    lua_getinfo(co, "Slnt", &ar);
    bide__trace_frame(t, co, &ar);
  }
}

/* ---- coroutines in a task ---- */

static int is_inside(lua_State *co, lua_State *inner) {
  lua_Debug ar;
  if (!inner || inner == co) return 0;
  return bide__is_waiting(inner) || (lua_status(inner) == LUA_OK && lua_getstack(inner, 0, &ar));
}

/* The coroutine that the innermost function of `co`, resume or a wrap function, is running. */
static lua_State *inner_of(lua_State *co) {
  lua_Debug ar;
  lua_State *inner = NULL;
  if (!lua_getstack(co, 0, &ar) || !lua_checkstack(co, 4)) return NULL;
  lua_getinfo(co, "S", &ar);
  if (*ar.what != 'C') return NULL;
  if (lua_getlocal(co, &ar, 1)) {
    inner = lua_tothread(co, -1);
    lua_pop(co, 1);
  }
  if (is_inside(co, inner)) return inner;
  lua_getinfo(co, "f", &ar);
  inner = NULL;
  if (lua_getupvalue(co, -1, 2)) {
    inner = lua_tothread(co, -1);
    lua_pop(co, 1);
  }
  lua_pop(co, 1);
  return is_inside(co, inner) ? inner : NULL;
}

/* The threads from `co` inwards. */
static int list_threads(lua_State *co, lua_State *running, lua_State **list) {
  int n = 0;
  for (; co && n < THREADS_MAX; co = inner_of(co)) list[n++] = co;
  if (running && (n == 0 || list[n - 1] != running) && n < THREADS_MAX) list[n++] = running;
  return n;
}

uint32_t bide__task_place(lua_State *L, bide_host *h, const bide_task *task, lua_State *running) {
  lua_State *list[THREADS_MAX];
  lua_Debug ar;
  bide_trace t;
  int n = list_threads(task->L, running, list), level;
  find_own(L, t.own, sizeof t.own);
  while (n-- > 0)
    for (level = 0; lua_getstack(list[n], level, &ar); level++) {
      lua_getinfo(list[n], "Sl", &ar);
      if (ar.currentline > 0 && strncmp(ar.source, t.own, strlen(t.own)) != 0)
        return bide__site_line(h, &ar, ar.currentline);
    }
  return 0;
}

/* All stacks from `co` inwards, the innermost first; `level` holds for that one. */
void bide__trace_stacks(bide_trace *t, lua_State *co, lua_State *running, int level) {
  lua_State *list[THREADS_MAX];
  int n = list_threads(co, running, list), i;
  for (i = n - 1; i >= 0; i--) bide__trace_stack(t, list[i], i == n - 1 && running ? level : 0);
}
