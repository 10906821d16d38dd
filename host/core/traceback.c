/* SPDX-License-Identifier: MIT */
/* traceback.c: what a traceback tells, as its reader wrote it: the stack of the task that failed,
 * who awaits it, who awaits that, and at last where these were spawned.
 *
 * An error that reaches another task goes on with the traceback that it has: the stack of the task
 * that failed first stays in front, each further task that the error leaves adds its own, and who
 * awaits is told anew, for that may have changed. So a failed task keeps a *record* of its text and
 * where the parts of it end.
 *
 * Within a task, frames get lost before the error leaves it: those of a plain coroutine that it
 * leaves through the wrap function, those in the body of a timeout. They are *kept* aside as text,
 * with the record that the error came with, for one error at a time: its value weakly in the table
 * kept_ref, {record or false, frames} at kept_origin_ref. An error that is a table and is raised
 * again after others have passed is found in origins_ref (weak), as is an entry of settle. */
#include "error.h"
#include "name.h"
#include "stack.h"
#include "trace.h"

#include <string.h>

enum { TASKS_MAX = 16, HOPS_MAX = 16, FRAMES_MAX = 16384 };

/* A record: its text; how much of it are stacks of tasks that failed; the end of the section after
 * it, of the task BY that awaited it, if any; where the spawn sites begin; in how many tasks it
 * failed; and the task that took the error last. Tasks are here to be compared only. */
enum { R_TEXT = 1, R_OWN, R_NEXT, R_SPAWNS, R_HOPS, R_BY, R_BY_BORN, R_TAKER, R_TAKER_BORN };
enum { K_RECORD = 1, K_FRAMES };

static lua_Integer field(lua_State *L, int t, int key) {
  lua_Integer n;
  lua_rawgeti(L, t, key);
  n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

static void set_field(lua_State *L, int t, int key, size_t n) {
  t = lua_absindex(L, t);
  lua_pushinteger(L, (lua_Integer)n);
  lua_rawseti(L, t, key);
}

/* Does the record at t name `task` there? */
static int names(lua_State *L, int t, int key, const bide_task *task) {
  int same;
  lua_rawgeti(L, t, key);
  same = task && lua_touserdata(L, -1) == task && field(L, t, key + 1) == task->born;
  lua_pop(L, 1);
  return same;
}

static void set_name(lua_State *L, int t, int key, const bide_task *task) {
  t = lua_absindex(L, t);
  lua_pushlightuserdata(L, (void *)(uintptr_t)task);
  lua_rawseti(L, t, key);
  set_field(L, t, key + 1, task ? task->born : 0);
}

/* ---- what is kept of an error ---- */

void bide__forget_traceback(lua_State *L, bide_host *h) {
  lua_pushboolean(L, 0);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->kept_origin_ref);
}

/* Pops {record, frames}: they belong to the error at err. */
static void keep(lua_State *L, bide_host *h, int err) {
  err = lua_absindex(L, err);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->kept_ref);
  lua_pushvalue(L, err);
  lua_rawseti(L, -2, 1);
  lua_pop(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->kept_origin_ref);
  h->kept_task = h->current;
}

/* Pushes the pair of a record (at `record`, or 0) and the frames on top of the stack (popped). */
static void push_pair(lua_State *L, int record) {
  lua_createtable(L, 2, 0);
  if (record) lua_pushvalue(L, record);
  else lua_pushboolean(L, 0);
  lua_rawseti(L, -2, K_RECORD);
  lua_insert(L, -2);
  lua_rawseti(L, -2, K_FRAMES);
}

static int is_plain(lua_State *L, int idx) {
  return !lua_istable(L, idx) && !lua_isuserdata(L, idx);
}

/* Pushes what origins_ref has for the value at idx. */
static void push_origin(lua_State *L, bide_host *h, int idx) {
  idx = lua_absindex(L, idx);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->origins_ref);
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

static int is_kept(lua_State *L, bide_host *h, int err) {
  int same;
  if (h->kept_task != h->current) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->kept_ref);
  lua_rawgeti(L, -1, 1);
  same = lua_rawequal(L, -1, err);
  lua_pop(L, 2);
  return same;
}

/* Pushes the record (or nil) and the frames that are kept for the error at err; only if it came up
 * in the task that runs: equal values may be raised elsewhere by chance. */
static void push_kept(lua_State *L, bide_host *h, int err) {
  int pair;
  err = lua_absindex(L, err);
  pair = lua_gettop(L) + 1;
  if (is_kept(L, h, err) && lua_rawgeti(L, LUA_REGISTRYINDEX, h->kept_origin_ref) == LUA_TTABLE) {
    if (lua_rawgeti(L, pair, K_RECORD) != LUA_TTABLE) {
      lua_pop(L, 1);
      lua_pushnil(L);
    }
    lua_rawgeti(L, pair, K_FRAMES);
    lua_remove(L, pair);
    return;
  }
  lua_settop(L, pair - 1);
  if (!is_plain(L, err)) push_origin(L, h, err);
  if (lua_gettop(L) < pair || !lua_istable(L, pair) || !names(L, pair, R_TAKER, h->current)) {
    lua_settop(L, pair - 1);
    lua_pushnil(L);
  }
  lua_pushliteral(L, "");
}

void bide__keep_record(lua_State *L, bide_host *h, int err, int record) {
  if (!lua_istable(L, record)) return;
  err = lua_absindex(L, err);
  record = lua_absindex(L, record);
  luaL_checkstack(L, 8, NULL);
  set_name(L, record, R_TAKER, h->current);
  lua_pushliteral(L, "");
  push_pair(L, record);
  keep(L, h, err);
  if (!is_plain(L, err)) bide__note_record(L, h, err, record);
}

int bide__push_kept_record(lua_State *L, bide_host *h, int err) {
  push_kept(L, h, err);
  lua_pop(L, 1);
  return lua_istable(L, -1);
}

void bide__note_record(lua_State *L, bide_host *h, int at, int record) {
  at = lua_absindex(L, at);
  record = lua_absindex(L, record);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->origins_ref);
  lua_pushvalue(L, at);
  lua_pushvalue(L, record);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

int bide__push_noted(lua_State *L, bide_host *h, int at) {
  push_origin(L, h, at);
  return lua_istable(L, -1);
}

/* ---- frames that are about to be lost ---- */

/* The frames of `co` from `level`, which may have raised, down to the first function of bide's
 * beneath it, in which the body runs. */
static void add_body(bide_trace *t, lua_State *co, int level) {
  lua_Debug ar;
  int n;
  for (n = 0; n < BIDE_FRAMES_TOP + BIDE_FRAMES_END && lua_getstack(co, level, &ar); level++, n++) {
    lua_getinfo(co, "Slnt", &ar);
    if (n > 0 && *ar.what == 'C' && bide__is_own_function(co, &ar, t->host)) return;
    bide__trace_frame(t, co, &ar);
  }
}

/* Who catches an error and meets its like again (the same text, raised in a loop) has no other than
 * the one that is kept: what the text from `had` on repeats is dropped. */
static void drop_repeated(luaL_Buffer *b, size_t had) {
  size_t n = luaL_bufflen(b) - had;
  const char *text = luaL_buffaddr(b);
  if (n <= had && memcmp(text + had - n, text + had, n) == 0) luaL_buffsub(b, n);
}

/* Pushes the pair for the error at err with more frames: all of `co`, or those of the body that L
 * runs; but no more than what somebody would read. */
static void push_more(lua_State *L, bide_host *h, int err, lua_State *co) {
  bide_trace t;
  int record;
  size_t had;
  bide__trace_init(&t, L, h);
  push_kept(L, h, err);
  record = lua_gettop(L) - 1;
  luaL_buffinit(L, &t.b);
  lua_pushvalue(L, record + 1);
  bide__trace_add(&t);
  had = luaL_bufflen(&t.b);
  if (had < FRAMES_MAX) {
    if (co) bide__trace_stack(&t, co, 0);
    else add_body(&t, L, 1);
    drop_repeated(&t.b, had);
  }
  luaL_pushresult(&t.b);
  push_pair(L, record);
  lua_replace(L, record);
  lua_settop(L, record);
}

/* (error, thread) → pair */
static int dead_frames(lua_State *L) {
  push_more(L, bide__host_of(L), 1, lua_touserdata(L, 2));
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
  if (lua_istable(L, -2)) {
    lua_pushvalue(L, -2);
    keep(L, h, -2);
  }
  lua_remove(L, -2);
}

int bide__body_handler(lua_State *L) {
  bide_host *h = bide__host_of(L);
  if (!h->current || bide__error_is_own_cancel(L, h, 1)) return 1;
  push_more(L, h, 1, NULL);
  keep(L, h, 1);
  lua_settop(L, 1);
  return 1;
}

/* ---- the whole ---- */

static void add_text(bide_trace *t, const char *text) {
  luaL_addstring(&t->b, text);
}

static void add_name(bide_trace *t, const bide_task *task) {
  char name[100];
  lua_State *L = t->L;
  bide__push_task(L, t->host, task);
  bide__task_name(L, t->host, -1, name, sizeof name);
  lua_pop(L, 1);
  add_text(t, name);
}

/* Who waits for `task`, or else owns it (group, bide.run in a task); *how: in which words. */
static const bide_task *next_out(const bide_task *task, const char **how) {
  const bide_task *by = bide__awaiter(task);
  const bide_scope *s;
  *how = "\nawaited by task ";
  if (by) return by;
  for (s = task->scope; s; s = s->parent) {
    if (!s->owner || s->owner == task) continue;
    *how = s->kind == BIDE_SCOPE_RUN ? "\nrun by task " : "\nin a group of task ";
    return s->owner;
  }
  return NULL;
}

static void add_spawn(bide_trace *t, const bide_task *task, int named) {
  char site[100];
  if (!task->site_spawn) return;
  bide__site_text(t->host, task->site_spawn, site, sizeof site);
  if (bide__trace_shows(t, site)) return;
  add_text(t, "\n");
  if (named) {
    add_text(t, "task ");
    add_name(t, task);
    add_text(t, " was ");
  }
  add_text(t, "spawned at ");
  add_text(t, site);
}

/* Adds those lines of the record's text on where its tasks were spawned that tell something new. */
static void add_spawns(bide_trace *t, int record) {
  size_t size;
  const char *text, *end, *next, *site;
  lua_rawgeti(t->L, record, R_TEXT);
  text = lua_tolstring(t->L, -1, &size);
  lua_pop(t->L, 1); /* the record holds it */
  end = text + size;
  text += field(t->L, record, R_SPAWNS);
  for (; text < end; text = next) {
    char line[300];
    next = memchr(text + 1, '\n', (size_t)(end - text - 1));
    if (!next) next = end;
    size = (size_t)(next - text) < sizeof line ? (size_t)(next - text) : sizeof line - 1;
    memcpy(line, text, size);
    line[size] = '\0';
    site = strstr(line, "spawned at ");
    if (!site || bide__trace_shows(t, site + strlen("spawned at "))) continue;
    luaL_addlstring(&t->b, line, size);
  }
}

/* What is to be made: the traceback of `task` (NULL: of `co` alone). `co`: the innermost thread, if
 * it runs. */
typedef struct subject {
  const bide_task *task;
  lua_State *co;
  int level;
} subject;

/* Where the parts of the text end; see the record. */
typedef struct parts {
  size_t own, next, spawns;
  const bide_task *by;
} parts;

static void add_own(bide_trace *t, const subject *s, int frames) {
  lua_pushvalue(t->L, frames);
  bide__trace_add(t);
  bide__trace_stacks(t, s->task ? s->task->L : s->co, s->co, s->level);
}

/* Begins with what the record at `record` tells; returns in how many tasks the error was by now. */
static lua_Integer add_from(bide_trace *t, const subject *s, int record, int frames) {
  lua_State *L = t->L;
  lua_Integer hops = field(L, record, R_HOPS), own = field(L, record, R_OWN);
  int known = names(L, record, R_BY, s->task);
  const char *text;
  if (hops < HOPS_MAX && known) own = field(L, record, R_NEXT);
  lua_rawgeti(L, record, R_TEXT);
  text = lua_tostring(L, -1);
  lua_pop(L, 1);
  luaL_addlstring(&t->b, text, (size_t)own);
  if (hops > HOPS_MAX) return hops;
  if (hops == HOPS_MAX) {
    add_text(t, "\n\t...\t(and by further tasks)");
  } else if (!known) {
    add_text(t, s->task ? "\nawaited by task " : "\nhanded on");
    if (s->task) add_name(t, s->task);
    add_own(t, s, frames);
  }
  return hops + 1;
}

/* Adds who awaits the task, who awaits that one, and where all were spawned. */
static void add_outer(bide_trace *t, const bide_task *task, int record, parts *p) {
  const bide_task *list[TASKS_MAX];
  const char *how;
  int n = 1, i;
  list[0] = task;
  while (n < TASKS_MAX && (list[n] = next_out(list[n - 1], &how)) != NULL) {
    add_text(t, how);
    add_name(t, list[n]);
    if (list[n]->L) bide__trace_stacks(t, list[n]->L, NULL, 0);
    if (n == 1) p->by = list[n];
    if (n == 1) p->next = luaL_bufflen(&t->b);
    n++;
  }
  p->spawns = luaL_bufflen(&t->b);
  if (record) add_spawns(t, record);
  for (i = 0; i < n; i++) add_spawn(t, list[i], i > 0 || record);
}

/* Pushes the text. The record (or nil) and the frames are the two values on top of the stack. */
static lua_Integer push_text(lua_State *L, bide_host *h, const subject *s, parts *p) {
  int frames = lua_gettop(L), record = lua_istable(L, frames - 1) ? frames - 1 : 0;
  lua_Integer hops = 1;
  bide_trace t;
  bide__trace_init(&t, L, h);
  luaL_buffinit(L, &t.b);
  if (record) {
    hops = add_from(&t, s, record, frames);
  } else {
    add_text(&t, "stack traceback:");
    add_own(&t, s, frames);
  }
  p->own = p->next = p->spawns = luaL_bufflen(&t.b);
  p->by = NULL;
  if (s->task) add_outer(&t, s->task, record, p);
  luaL_pushresult(&t.b);
  return hops;
}

void bide__traceback(lua_State *L, bide_host *h, lua_State *co, const bide_task *task, int level) {
  subject s = {task, co, level};
  parts p;
  luaL_checkstack(L, 8, NULL);
  lua_pushnil(L);
  lua_pushliteral(L, "");
  push_text(L, h, &s, &p);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void bide__push_record(lua_State *L, bide_host *h, lua_State *co, const bide_task *task, int level,
                       int err) {
  subject s = {task, co, level};
  parts p;
  lua_Integer hops;
  int base = lua_gettop(L);
  luaL_checkstack(L, 12, NULL);
  push_kept(L, h, err);
  hops = push_text(L, h, &s, &p);
  lua_createtable(L, R_TAKER_BORN, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, R_TEXT);
  set_field(L, -1, R_OWN, p.own);
  set_field(L, -1, R_NEXT, p.next);
  set_field(L, -1, R_SPAWNS, p.spawns);
  set_field(L, -1, R_HOPS, (size_t)hops);
  set_name(L, -1, R_BY, p.by);
  set_name(L, -1, R_TAKER, NULL);
  lua_replace(L, base + 1);
  lua_settop(L, base + 1);
}

int bide__push_record_text(lua_State *L, int record) {
  record = lua_absindex(L, record);
  if (!lua_istable(L, record)) lua_pushnil(L);
  else lua_rawgeti(L, record, R_TEXT);
  return lua_isstring(L, -1);
}
