/* SPDX-License-Identifier: MIT */
/* traceback.c: the stack of a task as its reader wrote it: the frames of the coroutines in it, the
 * innermost first, its own, those of the tasks that await it, and at last where all of these were
 * spawned, unless that line was shown. Frames of bide's own are left out.
 *
 * An error that leaves a plain coroutine through its wrap function, or the body of a timeout, has
 * lost the frames there by the time it leaves the task; one that was awaited has its traceback
 * already. Such text is kept aside with the error's value, for one error at a time
 * (host->kept_ref, weak: {value, text, whether it is whole}). */
#include "error.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

enum { FRAMES_TOP = 12, FRAMES_END = 11, TASKS_MAX = 16, THREADS_MAX = 200, SEEN_MAX = 96 };

typedef struct trace {
  lua_State *L;
  luaL_Buffer b;
  bide_host *host;
  char own[LUA_IDSIZE + 240]; /* beginning of the names of bide's own Lua files */
  uint32_t seen[SEEN_MAX];    /* sites shown so far */
  int nseen;
} trace;

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
static int is_own_function(lua_State *co, lua_Debug *ar, const bide_host *h) {
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

static int is_hidden(trace *t, lua_State *co, lua_Debug *ar) {
  if (*ar->what == 'C') return is_own_function(co, ar, t->host);
  return strncmp(ar->source, t->own, strlen(t->own)) == 0;
}

/* ---- frames ---- */

static int was_seen(const trace *t, uint32_t site) {
  int i;
  for (i = 0; i < t->nseen; i++)
    if (t->seen[i] == site) return 1;
  return 0;
}

static void see(trace *t, uint32_t site) {
  if (site && t->nseen < SEEN_MAX) t->seen[t->nseen++] = site;
}

static void add(trace *t) {
  luaL_addvalue(&t->b);
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

static void add_frame(trace *t, lua_State *co, lua_Debug *ar) {
  lua_State *L = t->L;
  if (!push_words(L, co, ar)) return;
  if (ar->currentline > 0) {
    see(t, bide__site_line(t->host, ar, ar->currentline));
    lua_pushfstring(L, "\n\t%s:%d: in %s", ar->short_src, ar->currentline, lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "\n\t%s: in %s", ar->short_src, lua_tostring(L, -1));
  }
  lua_remove(L, -2);
  add(t);
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

static void add_stack(trace *t, lua_State *co, int level) {
  lua_Debug ar;
  int n = depth(co), skip = n - level > FRAMES_TOP + FRAMES_END;
  if (!lua_checkstack(co, 4)) return;
  for (; lua_getstack(co, level, &ar); level++) {
    if (skip && level == FRAMES_TOP) {
      lua_pushfstring(t->L, "\n\t...\t(skipping %d levels)", n - FRAMES_END - level);
      add(t);
      level = n - FRAMES_END - 1;
      continue;
    }
    lua_getinfo(co, "Slnt", &ar);
    if (!is_hidden(t, co, &ar)) add_frame(t, co, &ar);
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
  trace t;
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
static void add_stacks(trace *t, lua_State *co, lua_State *running, int level) {
  lua_State *list[THREADS_MAX];
  int n = list_threads(co, running, list), i;
  for (i = n - 1; i >= 0; i--) add_stack(t, list[i], i == n - 1 && running ? level : 0);
}

/* ---- dead coroutines ---- */

enum { KEPT_VALUE = 1, KEPT_TEXT, KEPT_WHOLE };

void bide__forget_traceback(lua_State *L, bide_host *h) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->kept_ref);
  lua_pushboolean(L, 0);
  lua_rawseti(L, -2, KEPT_TEXT);
  lua_pop(L, 1);
}

/* Pushes the text kept for the error at idx, or "". Strings may be equal by chance: they must have
 * come up in the task that runs. */
static void push_kept(lua_State *L, bide_host *h, int idx) {
  int same = 0, plain = !lua_istable(L, idx) && !lua_isuserdata(L, idx);
  idx = lua_absindex(L, idx);
  if (!plain || h->kept_task == h->current) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->kept_ref);
    lua_rawgeti(L, -1, KEPT_VALUE);
    lua_rawgeti(L, -2, KEPT_TEXT);
    same = lua_rawequal(L, -2, idx) && lua_isstring(L, -1);
    if (same) lua_insert(L, -3);
    lua_pop(L, same ? 2 : 3);
  }
  if (!same) lua_pushliteral(L, "");
}

/* Keeps the text at `text` for the error at `err`. */
static void keep(lua_State *L, bide_host *h, int err, int text, int whole) {
  err = lua_absindex(L, err);
  text = lua_absindex(L, text);
  luaL_checkstack(L, 4, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->kept_ref);
  lua_pushvalue(L, err);
  lua_rawseti(L, -2, KEPT_VALUE);
  lua_pushvalue(L, text);
  lua_rawseti(L, -2, KEPT_TEXT);
  lua_pushboolean(L, whole);
  lua_rawseti(L, -2, KEPT_WHOLE);
  lua_pop(L, 1);
  h->kept_task = h->current;
}

static void init(trace *t, lua_State *L, bide_host *h) {
  luaL_checkstack(L, 16, NULL);
  t->L = L;
  t->host = h;
  t->nseen = 0;
  find_own(L, t->own, sizeof t->own);
}

/* (error, thread) → text */
static int dead_frames(lua_State *L) {
  trace t;
  int kept;
  init(&t, L, bide__host_of(L));
  push_kept(L, t.host, 1);
  kept = lua_gettop(L);
  luaL_buffinit(L, &t.b);
  lua_pushvalue(L, kept);
  add(&t);
  add_stack(&t, lua_touserdata(L, 2), 0);
  luaL_pushresult(&t.b);
  return 1;
}

void bide__push_dead_frames(lua_State *L, bide_host *h, lua_State *co) {
  luaL_checkstack(L, 4, NULL);
  if (h->current) {
    lua_pushcfunction(L, dead_frames);
    lua_pushvalue(L, -2);
    lua_pushlightuserdata(L, co);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK) return;
    lua_pop(L, 1);
  }
  lua_pushboolean(L, 0);
}

void bide__keep_dead_frames(lua_State *L, bide_host *h) {
  if (lua_isstring(L, -2)) keep(L, h, -1, -2, 0);
  lua_remove(L, -2);
}

/* The text begins so if it is the traceback of a task. */
static const char head[] = "stack traceback:";

void bide__keep_traceback(lua_State *L, bide_host *h, int err, int traceback, int awaited) {
  if (lua_isstring(L, traceback)) keep(L, h, err, traceback, awaited);
}

/* The kept text on top of the stack is the traceback of a task that was awaited when it failed: it
 * has shown all that follows. */
static int is_whole(lua_State *L, bide_host *h) {
  int awaited;
  if (strncmp(lua_tostring(L, -1), head, sizeof head - 1) != 0) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->kept_ref);
  lua_rawgeti(L, -1, KEPT_WHOLE);
  awaited = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return awaited;
}

/* ---- bodies ---- */

/* The frames of `co` from `level` down to the first function of bide's, in which the body runs. */
static void add_body(trace *t, lua_State *co, int level) {
  lua_Debug ar;
  int n;
  for (n = 0; n < FRAMES_TOP + FRAMES_END && lua_getstack(co, level, &ar); level++, n++) {
    lua_getinfo(co, "Slnt", &ar);
    if (*ar.what == 'C' && is_own_function(co, &ar, t->host)) return;
    if (!is_hidden(t, co, &ar)) add_frame(t, co, &ar);
  }
}

int bide__body_handler(lua_State *L) {
  bide_host *h = bide__host_of(L);
  trace t;
  int kept;
  if (!h->current || bide__error_is_own_cancel(L, h, 1)) return 1;
  init(&t, L, h);
  push_kept(L, h, 1);
  kept = lua_gettop(L);
  luaL_buffinit(L, &t.b);
  lua_pushvalue(L, kept);
  add(&t);
  add_body(&t, L, 1);
  luaL_pushresult(&t.b);
  lua_pushvalue(L, 1);
  bide__keep_dead_frames(L, h);
  return 1;
}

/* ---- the whole ---- */

static void add_name(trace *t, const bide_task *task) {
  char name[100];
  lua_State *L = t->L;
  bide__push_task(L, t->host, task);
  bide__task_name(L, t->host, -1, name, sizeof name);
  lua_pop(L, 1);
  luaL_addstring(&t->b, name);
}

/* Who waits for `task`, or else owns it (group, bide.run in a task); *how: in which words. */
static const bide_task *next_out(const bide_task *task, const char **how) {
  const bide_task *by = bide__awaiter(task);
  const bide_scope *s;
  *how = "awaited by task ";
  if (by) return by;
  for (s = task->scope; s; s = s->parent) {
    if (!s->owner || s->owner == task) continue;
    *how = s->kind == BIDE_SCOPE_RUN ? "run by task " : "in a group of task ";
    return s->owner;
  }
  return NULL;
}

static void add_spawn(trace *t, const bide_task *task, int named) {
  char text[100];
  if (!task->site_spawn || was_seen(t, task->site_spawn)) return;
  see(t, task->site_spawn);
  luaL_addstring(&t->b, "\n");
  if (named) {
    luaL_addstring(&t->b, "task ");
    add_name(t, task);
    luaL_addstring(&t->b, " was ");
  }
  luaL_addstring(&t->b, "spawned at ");
  luaL_addstring(&t->b, bide__site_text(t->host, task->site_spawn, text, sizeof text));
}

static void add_tasks(trace *t, const bide_task *task) {
  const bide_task *list[TASKS_MAX];
  const char *how;
  int n = 1, i;
  list[0] = task;
  while (n < TASKS_MAX && (list[n] = next_out(list[n - 1], &how)) != NULL) {
    luaL_addstring(&t->b, "\n");
    luaL_addstring(&t->b, how);
    add_name(t, list[n]);
    if (list[n]->L) add_stacks(t, list[n]->L, NULL, 0);
    n++;
  }
  for (i = 0; i < n; i++) add_spawn(t, list[i], i > 0);
}

void bide__traceback(lua_State *L, bide_host *h, lua_State *co, const bide_task *task, int level,
                     int err) {
  trace t;
  int kept;
  init(&t, L, h);
  if (err) push_kept(L, h, err);
  else lua_pushliteral(L, "");
  if (err && is_whole(L, h)) return;
  kept = lua_gettop(L);
  luaL_buffinit(L, &t.b);
  if (strncmp(lua_tostring(L, kept), head, sizeof head - 1) != 0) luaL_addstring(&t.b, head);
  lua_pushvalue(L, kept);
  add(&t);
  if (task && strncmp(lua_tostring(L, kept), head, sizeof head - 1) == 0) {
    luaL_addstring(&t.b, "\nawaited by task ");
    add_name(&t, task);
  }
  add_stacks(&t, task ? task->L : co, co, level);
  if (task) add_tasks(&t, task);
  luaL_pushresult(&t.b);
  lua_remove(L, -2);
}
