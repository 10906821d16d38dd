/* SPDX-License-Identifier: MIT */
/* inspect.c: bide.tasks and bide.dump: every living task, under the one that owns it, with what it
 * waits for, since when and where.
 *
 * First the tasks are listed without calling anything that could change them; then each becomes a
 * table. Tasks end only in steps of their own, so the list holds until this function returns. */
#include "inspect.h"
#include "core/error.h"
#include "core/name.h"
#include "core/run.h"
#include "core/trace.h"

#include <stdio.h>

enum { DEPTH_MAX = 100, CHILDREN_MAX = 100 };

typedef struct snapshot {
  const bide_task *task, *owner; /* borrowed */
} snapshot;

/* ---- collecting ---- */

/* The task that owns `t`: whose group, combinator or bide.run it is in. */
static const bide_task *owner_of(const bide_task *t) {
  const bide_scope *s;
  for (s = t->scope; s; s = s->parent)
    if (s->owner && s->owner != t) return s->owner;
  return NULL;
}

/* Pushes a block with all tasks, the newest first. */
static uint32_t list_tasks(lua_State *L, bide_host *h, const snapshot **list) {
  bide_scope *s, *root = bide__run_outermost(h);
  uint32_t n = 0, max = h->live_tasks;
  snapshot *at = lua_newuserdatauv(L, (max + 1) * sizeof *at, 0);
  const bide_task *t;
  *list = at;
  for (s = root; s; s = bide__scope_walk(s, root, 1))
    for (t = s->tasks; t && n < max; t = t->snext) {
      at[n].task = t;
      at[n++].owner = owner_of(t);
    }
  return n;
}

/* ---- one task ---- */

static const char *status_of(const bide_host *h, const bide_task *t) {
  if (t == h->current) return "running";
  if (!(t->fut.flags & BIDE_TF_STARTED)) return "new";
  if (!t->wait) return "running"; /* it awaits one that runs in its place, or is being resumed */
  return t->wait->set ? "ready" : "waiting";
}

static void set_text(lua_State *L, const char *key, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static void set_site(lua_State *L, const bide_host *h, const char *key, uint32_t site) {
  char text[100];
  if (site) set_text(L, key, bide__site_text(h, site, text, sizeof text));
}

static void set_wait(lua_State *L, bide_host *h, const bide_task *t) {
  char text[160];
  const bide_wait *w = t->wait;
  if (!w || w->set) return;
  if (w->ops->describe) w->ops->describe(w, text, sizeof text);
  else snprintf(text, sizeof text, "%s", w->ops->op);
  set_text(L, "waits", text);
  lua_pushnumber(L, bide__coarse_age(h, t->since));
  lua_setfield(L, -2, "waited");
}

static void push_entry(lua_State *L, bide_host *h, const bide_task *t) {
  char name[100];
  lua_createtable(L, 0, 10);
  bide__push_task(L, h, t);
  bide__task_name(L, h, -1, name, sizeof name);
  lua_setfield(L, -2, "task");
  set_text(L, "name", name);
  set_text(L, "status", status_of(h, t));
  lua_pushboolean(L, (t->fut.flags & BIDE_TF_DAEMON) != 0);
  lua_setfield(L, -2, "daemon");
  lua_pushnumber(L, bide__coarse_age(h, t->born));
  lua_setfield(L, -2, "age");
  set_wait(L, h, t);
  if (t->L && (t->fut.flags & BIDE_TF_STARTED))
    set_site(L, h, "where", bide__task_place(L, h, t, t == h->current ? L : NULL));
  set_site(L, h, "spawned", t->site_spawn);
  lua_newtable(L);
  lua_setfield(L, -2, "children");
}

/* ---- the tree ---- */

/* Appends the entry on top to the list at `list`; the entry stays. */
static void append_entry(lua_State *L, int list) {
  lua_pushvalue(L, -1);
  lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
}

/* Pushes the list of those that no task owns, each with its children, the oldest first. */
static void push_tree(lua_State *L, bide_host *h) {
  int tree, entries;
  const snapshot *list;
  uint32_t n, i;
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  lua_newtable(L);
  tree = lua_gettop(L);
  lua_newtable(L); /* task → entry */
  entries = lua_gettop(L);
  n = list_tasks(L, h, &list);
  for (i = 0; i < n; i++) {
    push_entry(L, h, list[i].task);
    lua_rawsetp(L, entries, list[i].task);
  }
  while (n-- > 0) {
    lua_rawgetp(L, entries, list[n].task);
    if (list[n].owner && lua_rawgetp(L, entries, list[n].owner) == LUA_TTABLE) {
      lua_getfield(L, -1, "children");
      lua_pushvalue(L, -3);
      append_entry(L, lua_gettop(L) - 1);
    } else {
      lua_settop(L, entries + 2);
      append_entry(L, tree);
    }
    lua_settop(L, entries + 1);
  }
  lua_settop(L, tree);
}

/* ---- text ---- */

static const char *field(lua_State *L, int entry, const char *name) {
  const char *text = lua_getfield(L, entry, name) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1); /* the entry holds it */
  return text;
}

static double seconds(lua_State *L, int entry, const char *name) {
  double s;
  lua_getfield(L, entry, name);
  s = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return s;
}

/* "name: connect 10.0.0.1:5432, 3.2 s, at file:line (age 3.2 s)" */
static void push_line(lua_State *L, int entry) {
  char waited[32] = "", age[32];
  const char *waits = field(L, entry, "waits"), *where = field(L, entry, "where");
  const char *spawned = field(L, entry, "spawned");
  if (waits) snprintf(waited, sizeof waited, ", %.1f s", seconds(L, entry, "waited"));
  snprintf(age, sizeof age, "%.1f", seconds(L, entry, "age"));
  lua_getfield(L, entry, "daemon");
  lua_pushfstring(L, "%s%s: %s%s%s%s (age %s s)", lua_toboolean(L, -1) ? "daemon " : "",
                  field(L, entry, "name"), waits ? waits : field(L, entry, "status"), waited,
                  where || spawned ? (where ? ", at " : ", spawned at ") : "",
                  where ? where : (spawned ? spawned : ""), age);
  lua_remove(L, -2);
}

static void append_line(lua_State *L, int lines, int depth) {
  luaL_Buffer b;
  int i, text = lua_gettop(L);
  luaL_buffinit(L, &b);
  for (i = 0; i < depth; i++) luaL_addstring(&b, "  ");
  lua_pushvalue(L, text);
  luaL_addvalue(&b);
  luaL_pushresult(&b);
  lua_rawseti(L, lines, (lua_Integer)lua_rawlen(L, lines) + 1);
  lua_settop(L, text - 1);
}

/* Appends a line for each entry in the list on top of the stack and for those beneath it. */
static void append_list(lua_State *L, int lines, int depth) {
  int list = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, list), i;
  luaL_checkstack(L, LUA_MINSTACK, "tasks nested too deeply");
  for (i = 1; i <= n && i <= CHILDREN_MAX; i++) {
    if (lua_rawgeti(L, list, i) == LUA_TTABLE) {
      push_line(L, list + 1);
      append_line(L, lines, depth);
      if (lua_getfield(L, list + 1, "children") == LUA_TTABLE && depth < DEPTH_MAX)
        append_list(L, lines, depth + 1);
    }
    lua_settop(L, list);
  }
  if (n <= CHILDREN_MAX) return;
  lua_pushfstring(L, "and %I more", (LUAI_UACINT)(n - CHILDREN_MAX));
  append_line(L, lines, depth);
}

/* The tree at index 1 becomes its text. */
static int text_of(lua_State *L) {
  bide_host *h = bide__host_of(L);
  luaL_Buffer b;
  lua_Integer i, n;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_newtable(L);
  lua_pushfstring(L, "%I task%s", (LUAI_UACINT)h->live_tasks, h->live_tasks == 1 ? "" : "s");
  append_line(L, 2, 0);
  lua_pushvalue(L, 1);
  append_list(L, 2, 1);
  lua_settop(L, 2);
  n = (lua_Integer)lua_rawlen(L, 2);
  luaL_buffinit(L, &b);
  for (i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&b, '\n');
    lua_rawgeti(L, 2, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return 1;
}

void bide__push_dump(lua_State *L, bide_host *h) {
  luaL_checkstack(L, 4, NULL);
  lua_pushcfunction(L, text_of);
  push_tree(L, h);
  lua_call(L, 1, 1);
}

static int dump_protected(lua_State *L) {
  bide_host *h = bide__host_of(L);
  int stack = lua_toboolean(L, 1);
  bide__push_dump(L, h);
  if (stack && h->current) {
    lua_pushliteral(L, "\nthe running task: ");
    bide__traceback(L, h, L, h->current, 1);
    lua_concat(L, 3);
  }
  bide__report(h, lua_tostring(L, -1));
  return 0;
}

static void report_no_dump(bide_host *h, const char *why) {
  char text[200];
  snprintf(text, sizeof text, "bide: cannot show the tasks: %s", why ? why : "unknown error");
  bide__report(h, text);
}

void bide__dump(lua_State *L, bide_host *h, int stack) {
  if (!lua_checkstack(L, LUA_MINSTACK)) {
    report_no_dump(h, "not enough memory");
    return;
  }
  lua_pushcfunction(L, dump_protected);
  lua_pushboolean(L, stack);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  report_no_dump(h, lua_tostring(L, -1));
  lua_pop(L, 1);
}

/* ---- Lua ---- */

/* tasks() → list of {task=, name=, status=, daemon=, age=, waits=, waited=, where=, spawned=,
 * children=}; its tostring is the text. */
static int l_tasks(lua_State *L) {
  push_tree(L, bide__host(L));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

/* dump(file?): writes the text to the file, or reports it. */
static int l_dump(lua_State *L) {
  bide_host *h = bide__host(L);
  int file = lua_type(L, 1) == LUA_TTABLE || lua_type(L, 1) == LUA_TUSERDATA;
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    bide__push_dump(L, h);
    bide__report(h, lua_tostring(L, -1));
    return 0;
  }
  if (!file || lua_getfield(L, 1, "write") == LUA_TNIL)
    bide__type_error(L, 1, "file, or object with a method `write`,");
  lua_pushvalue(L, 1);
  bide__push_dump(L, h);
  lua_pushliteral(L, "\n");
  lua_call(L, 3, 0);
  return 0;
}

void bide__open_inspect(lua_State *L, int host) {
  static const luaL_Reg functions[] = {{"dump", l_dump}, {NULL, NULL}};
  bide__add_lib(L, host, functions);
  lua_pushvalue(L, host);
  lua_newtable(L);
  lua_pushcfunction(L, text_of);
  lua_setfield(L, -2, "__tostring");
  lua_pushcclosure(L, l_tasks, 2);
  lua_setfield(L, -2, "tasks");
}
