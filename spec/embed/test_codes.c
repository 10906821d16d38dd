/* SPDX-License-Identifier: MIT */
/* test_codes.c: examples of the errors that only a host with limits raises; each carries code, op,
 * where and message. spec/codes_spec.lua has those of all other codes. */
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "check.h"

static int has_field(lua_State *L, const char *name, const char *wanted) {
  int same = lua_getfield(L, 1, name) == LUA_TSTRING &&
             (!wanted || strcmp(lua_tostring(L, -1), wanted) == 0);
  if (!same) printf("%s: %s\n", name, luaL_tolstring(L, -1, NULL));
  lua_settop(L, 1);
  return same;
}

/* The error on the stack of the host's state, raised in line 1 of a script. */
static void check_error(bide_host *host, const char *code, const char *op, const char *where) {
  lua_State *L = bide_lua(host);
  CHECK(lua_istable(L, 1));
  if (!lua_istable(L, 1)) return;
  lua_settop(L, 1);
  CHECK(has_field(L, "code", code));
  CHECK(has_field(L, "op", op));
  CHECK(has_field(L, "where", where));
  CHECK(has_field(L, "message", NULL));
}

static void too_many_tasks(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.max_tasks = 3;
  host = begin_host(&o, &h);
  CHECK(run_script(host, "for i = 1, 9 do require 'bide'.spawn(print) end") == BIDE_ERROR);
  check_error(host, "ELIMIT", "spawn", "script:1");
  end_host(host, &h);
}

static void budget_used_up(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.cpu_budget = 0.02;
  host = begin_host(&o, &h);
  CHECK(run_script(host, "while true do end") == BIDE_STOPPED);
  check_error(host, "EBUDGET", "run", NULL);
  end_host(host, &h);
}

static int l_interrupt(lua_State *L) {
  bide_interrupt(bide_host_of(L));
  return 0;
}

static void interrupted(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.interruptible = 1;
  host = begin_host(&o, &h);
  lua_register(bide_lua(host), "interrupt", l_interrupt);
  CHECK(run_script(host, "interrupt() while true do end") == BIDE_STOPPED);
  check_error(host, "EINTR", "run", NULL);
  end_host(host, &h);
}

/* ENOMEM: what a C future is rejected with when there is no memory for its text; spec/oom. */

int main(int argc, char **argv) {
  static const test tests[] = {
      {"too_many_tasks", too_many_tasks},
      {"budget_used_up", budget_used_up},
      {"interrupted", interrupted},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
