/* SPDX-License-Identifier: MIT */
/* test_names.c: what futures of C are called where bide tells of them. */
#include "check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

static void drop_it(bide_future *f, void *arg) {
  (void)arg;
  bide_future_drop(f);
}

static int l_await(lua_State *L) {
  bide_future *f = bide_future_new(L);
  bide_future_on_cancel(f, drop_it, NULL);
  return bide_await(L, f);
}

static int l_sensor(lua_State *L) {
  bide_future *f = bide_future_new(L);
  bide_future_on_cancel(f, drop_it, NULL);
  bide_future_name(f, "sensor");
  return bide_await(L, f);
}

static int l_unnamed(lua_State *L) {
  bide_future *f = bide_future_new(L);
  bide_future_on_cancel(f, drop_it, NULL);
  bide_future_name(f, "sensor");
  bide_future_name(f, NULL);
  return bide_await(L, f);
}

static void work_slowly(void *arg) {
  (void)arg;
  usleep(30000);
}

static int l_work(lua_State *L) {
  static const bide_job job = {work_slowly, NULL, NULL, NULL};
  return bide_work(L, &job, NULL);
}

/* It shows in dumps, in timeouts, and as `op` of the error of the wait itself. */
static void check_name(lua_CFunction call, const char *name) {
  held h;
  char line[40];
  bide_host *host = begin_host(NULL, &h);
  lua_register(bide_lua(host), "call", call);
  CHECK(luaL_dostring(bide_lua(host), "bide = require 'bide'") == 0);
  CHECK(spawn_script(host, "local ok, err = pcall(call) ops = err.op") == 0);
  CHECK(bide_run(host, UV_RUN_NOWAIT) == 1);
  bide_dump(host);
  snprintf(line, sizeof line, ": %s, ", name);
  CHECK(strstr(last_report, line) != NULL);
  CHECK(bide_cancel_task(host, 1) == 1);
  CHECK(run_script(host, "local ok, err = pcall(bide.timeout, 0.005, call)\n"
                         "return ops .. ' ' .. err.message") == 0);
  CHECK(strncmp(result(host), name, strlen(name)) == 0);
  CHECK(strstr(strchr(result(host), ' '), name) != NULL);
  end_host(host, &h);
}

static void futures_have_names(void) {
  check_name(l_await, "await");
  check_name(l_sensor, "sensor");
  check_name(l_unnamed, "await");
  check_name(l_work, "work");
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"futures_have_names", futures_have_names},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
