/* SPDX-License-Identifier: MIT */
/* steps.c: the main task of the program (contract in steps.h).
 *
 * All steps run in one task, so that what `-e` or `-l` spawned still runs beside the script. Each
 * is called through a continuation: a step may wait. Owns nothing. */
#include "steps.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lauxlib.h>

#include "print.h"
#include "prompt.h"
#include "warnings.h"

/* arg[0] is the script, arg[1] its first argument, what stands before it has negative indices.
 * Without a script arg[0] is the program. */
static void set_arg(lua_State *L, const arguments *args) {
  int after = args->argc - (args->script + 1);
  lua_createtable(L, after, args->script + 1);
  for (int i = 0; i < args->argc; i++) {
    lua_pushstring(L, args->argv[i]);
    lua_rawseti(L, -2, i - args->script);
  }
  lua_setglobal(L, "arg");
}

/* Pushes the folder that holds the script; a link is followed to what it names. */
static void push_script_folder(lua_State *L, const char *script) {
  char buffer[PATH_MAX];
  struct stat info;
  if (lstat(script, &info) == 0 && S_ISLNK(info.st_mode) && realpath(script, buffer))
    script = buffer;
  const char *slash = strrchr(script, '/');
  if (slash == script) lua_pushliteral(L, "");
  else if (slash) lua_pushlstring(L, script, (size_t)(slash - script));
  else lua_pushliteral(L, ".");
}

/* Puts `templates`, in which each ! stands for the folder on top, before package[field]. */
static void prepend(lua_State *L, const char *field, const char *templates) {
  const char *folder = lua_tostring(L, -1);
  lua_getglobal(L, "package");
  if (lua_type(L, -1) != LUA_TTABLE) {
    lua_pop(L, 1);
    return;
  }
  luaL_gsub(L, templates, "!", folder);
  lua_getfield(L, -2, field);
  if (lua_isstring(L, -1)) {
    lua_concat(L, 2);
    lua_setfield(L, -2, field);
    lua_pop(L, 1);
  } else {
    lua_pop(L, 3);
  }
}

/* The module paths as if LUA_PATH and LUA_CPATH were not set. */
static void reset_paths(lua_State *L) {
  lua_getglobal(L, "package");
  lua_pushliteral(L, LUA_PATH_DEFAULT);
  lua_setfield(L, -2, "path");
  lua_pushliteral(L, LUA_CPATH_DEFAULT);
  lua_setfield(L, -2, "cpath");
  lua_pop(L, 1);
}

int l_prepare(lua_State *L) {
  const arguments *args = lua_touserdata(L, 1);
  set_arg(L, args);
  if (args->ignore_env) reset_paths(L);
  warnings_start(L, args->warnings);
  lua_pushcfunction(L, l_print);
  lua_setglobal(L, "print");
  const step *last = args->nsteps > 0 ? &args->steps[args->nsteps - 1] : NULL;
  if (last && last->kind == STEP_PROMPT) {
    prompt_prepare();
    if (last > args->steps) last--;
  }
  if (last && last->kind == STEP_SCRIPT && last->text) {
    push_script_folder(L, last->text);
    prepend(L, "path", "!/?.lua;!/?/init.lua;");
    prepend(L, "cpath", "!/?.so;");
  }
  return 0;
}

/* Pushes the script's arguments as the global `arg` has them now; returns their number. */
static int push_arguments(lua_State *L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE) return luaL_error(L, "'arg' is not a table");
  lua_Integer n = luaL_len(L, -1);
  if (n < 0) n = 0;
  if (n >= INT_MAX) return luaL_error(L, "too many arguments to script");
  luaL_checkstack(L, (int)n + 3, "too many arguments to script");
  int table = lua_gettop(L);
  for (lua_Integer i = 1; i <= n; i++) lua_rawgeti(L, table, i);
  lua_remove(L, table);
  return (int)n;
}

static void check_load(lua_State *L, int status) {
  if (status != LUA_OK) lua_error(L);
}

/* Pushes the function of a step and its arguments; returns their number. */
static int push_step(lua_State *L, const step *s) {
  switch (s->kind) {
  case STEP_CODE:
    check_load(L, luaL_loadbufferx(L, s->text, strlen(s->text), s->chunk, NULL));
    return 0;
  case STEP_FILE: check_load(L, luaL_loadfilex(L, s->text, NULL)); return 0;
  case STEP_SCRIPT: check_load(L, luaL_loadfilex(L, s->text, NULL)); return push_arguments(L);
  case STEP_LIBRARY: {
    const char *equals = strchr(s->text, '=');
    lua_getglobal(L, "require");
    lua_pushstring(L, equals ? equals + 1 : s->text);
    return 1;
  }
  case STEP_PROMPT: prompt_push(L); return 1;
  }
  return luaL_error(L, "unknown step");
}

/* Takes the one result of a step: a library becomes a global. */
static void finish_step(lua_State *L, const step *s) {
  if (s->kind != STEP_LIBRARY) {
    lua_pop(L, 1);
    return;
  }
  const char *equals = strchr(s->text, '=');
  lua_pushlstring(L, s->text, equals ? (size_t)(equals - s->text) : strlen(s->text));
  lua_insert(L, -2);
  lua_pushglobaltable(L);
  lua_insert(L, -3);
  lua_settable(L, -3);
  lua_pop(L, 1);
}

static int k_steps(lua_State *L, int status, lua_KContext at);

static int run_steps(lua_State *L, int at) {
  const arguments *args = lua_touserdata(L, lua_upvalueindex(1));
  for (; at < args->nsteps; at++) {
    int nargs = push_step(L, &args->steps[at]);
    lua_callk(L, nargs, 1, at, k_steps);
    finish_step(L, &args->steps[at]);
  }
  return 0;
}

static int k_steps(lua_State *L, int status, lua_KContext at) {
  const arguments *args = lua_touserdata(L, lua_upvalueindex(1));
  (void)status;
  finish_step(L, &args->steps[at]);
  return run_steps(L, (int)at + 1);
}

/* Tracebacks and dumps call the task so. */
static void name_task(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "bide.core");
  lua_getfield(L, -1, "current");
  lua_call(L, 0, 1);
  lua_getfield(L, -1, "name");
  lua_insert(L, -2);
  lua_pushliteral(L, "main");
  lua_call(L, 2, 0);
  lua_pop(L, 2);
}

int l_steps(lua_State *L) {
  name_task(L);
  return run_steps(L, 0);
}
