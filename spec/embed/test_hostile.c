/* SPDX-License-Identifier: MIT */
/* test_hostile.c: scripts that do their worst (spec/hostile) in a sandbox: none crashes it, leaks,
 * or outlasts its limits, and the host can be used after it. HOSTILE_SEED, HOSTILE_RUNS: what
 * anything.lua draws by, and how often. */
#include "check.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>

static const char *const network[] = {"127.0.0.1:*", "localhost:*", NULL};

static bide_host *begin(held *h) {
  bide_options o = BIDE_OPTIONS;
  o.sandbox = 1;
  o.network = network;
  o.root = "spec/hostile";
  o.cpu_budget = 3;
  o.cpu_slice = 0.01;
  o.memory_limit = 32 << 20;
  o.max_tasks = 20000;
  o.max_timers = 20000;
  o.max_sockets = 100;
  return begin_host(&o, h);
}

/* Drives what was spawned for some seconds at the most. */
static void drive(bide_host *host, double seconds) {
  double end = now() + seconds;
  while (bide_step(host, 0.01) > 0 && now() < end) {
    struct timespec pause = {0, 100000};
    if (bide_timeout(host) != 0) nanosleep(&pause, NULL);
  }
}

static void set_global(bide_host *host, const char *name, lua_Integer value) {
  lua_pushinteger(bide_lua(host), value);
  lua_setglobal(bide_lua(host), name);
}

/* One script, in a host of its own; `used_after` when nothing of it may be left running. */
static void run_file(const char *path, lua_Integer seed, double seconds) {
  held h;
  bide_host *host = begin(&h);
  double start = now();
  lua_settop(bide_lua(host), 0);
  set_global(host, "seed", seed);
  CHECK(bide_load_file(host, path) == 0);
  if (bide_spawn(host, 0) == 0) drive(host, seconds);
  lua_settop(bide_lua(host), 0);
  if (getenv("SHOW")) {
    lua_getglobal(bide_lua(host), "reached");
    printf("%lld rounds\n", lua_tointeger(bide_lua(host), 1));
    lua_settop(bide_lua(host), 0);
  }
  bide_interrupt(host);
  drive(host, 5);
  CHECK(spawn_script(host, "alive = true") == 0);
  drive(host, 5);
  if (getenv("SHOW"))
    printf("%.2f s, %d reports, %zu bytes: %s %lld\n", now() - start, reports, bide_memory(host),
           path, (long long)seed);
  end_host(host, &h);
  CHECK(now() - start < seconds + 40);
}

static void what_plain_hosts_survive(void) {
  glob_t found;
  size_t i;
  CHECK(glob("spec/hostile/*.lua", 0, NULL, &found) == 0);
  for (i = 0; i < found.gl_pathc; i++) run_file(found.gl_pathv[i], 1, 10);
  globfree(&found);
}

static void what_is_for_sandboxes(void) {
  glob_t found;
  size_t i;
  CHECK(glob("spec/hostile/sandboxed/*.lua", 0, NULL, &found) == 0);
  for (i = 0; i < found.gl_pathc; i++) run_file(found.gl_pathv[i], 1, 10);
  globfree(&found);
}

static void anything_called_with_anything(void) {
  const char *from = getenv("HOSTILE_SEED"), *runs = getenv("HOSTILE_RUNS");
  lua_Integer seed = from ? atoll(from) : (lua_Integer)(now() * 1e6), n = runs ? atoll(runs) : 5;
  for (; n > 0; n--, seed++) {
    printf("seed %lld\n", (long long)seed);
    fflush(stdout);
    run_file("spec/hostile/sandboxed/anything.lua", seed, 3);
  }
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"what_plain_hosts_survive", what_plain_hosts_survive},
      {"what_is_for_sandboxes", what_is_for_sandboxes},
      {"anything_called_with_anything", anything_called_with_anything},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
