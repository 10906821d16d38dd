/* SPDX-License-Identifier: MIT */
/* own_loop.c: several scripts at once on the host's own loop, until all have ended; C is told of
 * each end and reads the results.
 *
 *     cc -o own_loop own_loop.c $(pkg-config --cflags --libs bide)
 */
#include <stdio.h>
#include <string.h>

#include <bide.h>
#include <lauxlib.h>

static const char script[] = "local bide = require 'bide'\n"
                             "local name, seconds = ...\n"
                             "bide.sleep(seconds)\n"
                             "if name == 'bad' then error 'it went wrong' end\n"
                             "return name, 'after ' .. seconds .. ' s'\n";

/* A task of the host, kept in the registry so that its results can be read at its end. */
typedef struct job {
  const char *name;
  double seconds;
  int ref;
} job;

/* On the loop's thread, outside of any task: the stack of bide_lua is ours. */
static void on_done(bide_host *host, int ok, void *arg) {
  job *j = arg;
  lua_State *L = bide_lua(host);
  int top = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, j->ref);
  luaL_unref(L, LUA_REGISTRYINDEX, j->ref);
  int n = bide_result(host, -1); /* reading the error handles it: it is not reported */
  if (ok && n == 2) printf("%s: %s\n", lua_tostring(L, -2), lua_tostring(L, -1));
  else printf("%s failed: %s\n", j->name, luaL_tolstring(L, -1, NULL));
  lua_settop(L, top);
}

static int start(bide_host *host, job *j) {
  lua_State *L = bide_lua(host);
  int status = bide_load_string(host, script, strlen(script), "=script");
  if (status < 0) return status;
  lua_pushstring(L, j->name);
  lua_pushnumber(L, j->seconds);
  status = bide_spawn(host, 2); /* nothing runs yet; the task is on the stack */
  if (status < 0) return status;
  status = bide_on_done(host, -1, on_done, j);
  j->ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return status;
}

int main(void) {
  job jobs[] = {{"slow", 0.06, 0}, {"bad", 0.04, 0}, {"quick", 0.02, 0}};
  bide_host *host = bide_new(NULL);
  if (!host) return 1;
  for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
    if (start(host, &jobs[i]) < 0) return 1;
  int left = bide_run(host, UV_RUN_DEFAULT);
  printf("%d tasks left, %d errors unhandled\n", left, bide_unhandled(host));
  bide_free(host);
  return 0;
}
