/* SPDX-License-Identifier: MIT */
/* test_teardown.c: hosts freed in the middle of anything: in bounded time, with nothing left. */
#include "scripts.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

/* A sanitizer keeps what was freed for a while, and takes its time. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif

/* The descriptors of this process. */
static int descriptors(void) {
  int fd, n = 0;
  for (fd = 0; fd < 1024; fd++) n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

/* Frees the host, in bounded time; says which scripts did not let it. */
static void end_timed(bide_host *host, held *h, const char *what) {
  double start = now();
  end_host(host, h);
  if (h->blocks || now() - start > 5)
    printf("%ld blocks, %.1f s: %s\n", h->blocks, now() - start, what);
  CHECK(now() - start < 5);
}

/* Some turns of the loop, with a moment for what comes from outside. */
static void run_turns(bide_host *host, int turns) {
  struct pollfd p = {bide_fd(host), POLLIN, 0};
  while (turns-- > 0) {
    int ms = bide_timeout(host);
    poll(&p, 1, ms < 0 || ms > 1 ? 1 : ms);
    bide_step(host, 0.002);
  }
}

static void free_after(const bide_options *o, const char *script, int turns, int before) {
  held h;
  bide_host *host = begin_scripted(o, &h);
  CHECK(spawn_script(host, script) == 0);
  run_turns(host, turns);
  end_timed(host, &h, script);
  if (descriptors() != before) printf("descriptors are left by: %s\n", script);
  CHECK(descriptors() == before);
}

/* Each script, freed after so many turns: from before its first step on. */
static void free_in_the_middle(void) {
  static const int after[] = {0, 1, 3, 12};
  held h;
  int before, i;
  size_t k;
  end_host(begin_scripted(NULL, &h), &h);
  before = descriptors();
  for (k = 0; k < sizeof after / sizeof after[0]; k++) {
    for (i = 0; i < script_count; i++) free_after(NULL, scripts[i], after[k], before);
    for (i = 0; lonely_scripts[i]; i++) free_after(NULL, lonely_scripts[i], after[k], before);
  }
}

/* Suspended in mid-code, where no wait can be refused. */
static void free_what_computes(void) {
  static const char *const computing[] = {
      "while true do end",
      "while true do pcall(function() while true do end end) end",
      "xpcall(function() while true do end end, function() while true do end end)",
      "local t <close> = closing(function() while true do end end) while true do end",
      "coroutine.wrap(function() while true do pcall(bide.spawn, print) end end)()",
      "for i = 1, 10 do bide.spawn(function() while true do end end) end while true do end",
  };
  bide_options o = BIDE_OPTIONS;
  held h;
  size_t i;
  int before;
  o.cpu_slice = 0.001;
  end_host(begin_scripted(&o, &h), &h);
  before = descriptors();
  for (i = 0; i < sizeof computing / sizeof computing[0]; i++)
    free_after(&o, computing[i], 4, before);
}

/* ---- all together, in an order that differs each time ---- */

static unsigned seed;

static void count_handle(uv_handle_t *handle, void *arg) {
  (void)handle;
  ++*(int *)arg;
}

/* Nothing of the host's is left on the caller's loop, and no callback comes late. */
static void check_loop(uv_loop_t *loop) {
  int handles = 0;
  uv_walk(loop, count_handle, &handles);
  CHECK(handles == 0);
  CHECK(uv_run(loop, UV_RUN_NOWAIT) == 0);
}

/* What is cut short by a limit runs its clean-up, which may compute for ever: a budget ends that.
 */
static bide_options any_options(uv_loop_t *loop) {
  bide_options o = BIDE_OPTIONS;
  o.loop = rand() % 2 ? loop : NULL;
  o.cpu_slice = rand() % 3 ? 0 : 0.002;
  o.memory_limit = rand() % 3 ? 0 : (size_t)(1 + rand() % 8) << 20;
  o.max_tasks = rand() % 4 ? 0 : 30;
  if (o.memory_limit || o.max_tasks) o.cpu_budget = 0.1;
  return o;
}

static void free_one_of_all(uv_loop_t *loop) {
  bide_options o = any_options(loop);
  held h;
  bide_host *host = begin_scripted(&o, &h);
  int k;
  for (k = 0; k < 12; k++) {
    int status = spawn_script(host, scripts[rand() % script_count]);
    CHECK(status == 0 || o.memory_limit || o.max_tasks);
    if (rand() % 4 == 0) run_turns(host, 1);
  }
  run_turns(host, rand() % 8);
  if (rand() % 10 == 0) bide_cancel_task(host, 1);
  if (rand() % 10 == 0) bide_cancel(host);
  if (rand() % 10 == 0) bide_interrupt(host);
  end_timed(host, &h, "several");
  check_loop(loop);
}

/* For TEARDOWN_SECONDS (2); SEED begins elsewhere. */
static void free_all_together(void) {
  const char *seconds = getenv("TEARDOWN_SECONDS"), *from = getenv("SEED");
  double end = now() + (seconds ? atof(seconds) : 2);
  uv_loop_t loop;
  int rounds = 0;
  seed = from ? (unsigned)strtoul(from, NULL, 10) : (unsigned)uv_hrtime();
  CHECK(uv_loop_init(&loop) == 0);
  for (; now() < end || rounds == 0; rounds++, seed++) {
    srand(seed);
    if (getenv("SEED")) printf("seed %u\n", seed);
    free_one_of_all(&loop);
  }
  printf("%d rounds, seeds up to %u\n", rounds, seed - 1);
  CHECK(uv_loop_close(&loop) == 0);
}

/* A host a script calls and frees, again and again: the memory stays flat. */
static void ten_thousand_hosts(void) {
  int i, n = CHECKED ? 500 : 10000;
  long before = 0;
  for (i = 0; i < n; i++) {
    bide_host *host = bide_new(NULL);
    if (i == n / 10) before = resident();
    if (run_script(host, "local bide = require 'bide' bide.spawn(bide.sleep, 0) return 1") != 0)
      CHECK(0);
    bide_free(host);
  }
  if (!CHECKED) CHECK(resident() - before < 2 << 20);
}

static int left;

static void on_done(bide_host *host, int ok, void *arg) {
  (void)host;
  (void)arg;
  left += !ok;
}

static void tells_of_tasks_ended_by_teardown(void) {
  held h;
  int i;
  bide_host *host = begin_host(NULL, &h);
  left = 0;
  for (i = 0; i < 10; i++) {
    CHECK(spawn_script(host, "require 'bide'.sleep(60)") == 0);
    CHECK(bide_on_done(host, -1, on_done, NULL) == 0);
  }
  bide_run(host, UV_RUN_NOWAIT);
  end_host(host, &h);
  CHECK(left == 10);
}

/* ---- what C code has on the loop ---- */

static int open_handles;

static void on_closed(uv_handle_t *handle) {
  open_handles--;
  free(handle);
}

static void on_tick(uv_timer_t *timer) {
  (void)timer;
}

static int l_ticker_gc(lua_State *L) {
  uv_timer_t **box = lua_touserdata(L, 1);
  if (*box) uv_close((uv_handle_t *)*box, on_closed);
  *box = NULL;
  return 0;
}

/* A userdata whose finalizer closes its handle, as any binding of libuv's does. */
static int l_ticker(lua_State *L) {
  uv_timer_t **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = malloc(sizeof **box);
  uv_timer_init(bide_loop(bide_host_of(L)), *box);
  uv_timer_start(*box, on_tick, 1, 1);
  open_handles++;
  lua_newtable(L);
  lua_pushcfunction(L, l_ticker_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  return 1;
}

static void finalizers_may_close_handles(void) {
  held h;
  uv_loop_t loop;
  bide_options o = BIDE_OPTIONS;
  int own;
  CHECK(uv_loop_init(&loop) == 0);
  for (own = 0; own < 2; own++) {
    bide_host *host;
    o.loop = own ? NULL : &loop;
    host = begin_host(&o, &h);
    lua_register(bide_lua(host), "ticker", l_ticker);
    CHECK(spawn_script(host, "a, b = ticker(), ticker() require 'bide'.sleep(60)") == 0);
    CHECK(bide_run(host, UV_RUN_NOWAIT) == 1);
    CHECK(open_handles == 2);
    end_host(host, &h);
    if (!own) uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(open_handles == 0);
  }
  CHECK(uv_loop_close(&loop) == 0);
}

/* Nobody closed them: the loop was the host's, so they end with it. */
static void handles_that_are_left_hold_nothing_up(void) {
  held h;
  static uv_timer_t ticking, idle;
  bide_host *host = begin_host(NULL, &h);
  double start = now();
  uv_timer_init(bide_loop(host), &ticking);
  uv_timer_start(&ticking, on_tick, 1, 1);
  uv_timer_init(bide_loop(host), &idle);
  end_host(host, &h);
  CHECK(now() - start < 1);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"free_in_the_middle", free_in_the_middle},
      {"free_what_computes", free_what_computes},
      {"free_all_together", free_all_together},
      {"ten_thousand_hosts", ten_thousand_hosts},
      {"tells_of_tasks_ended_by_teardown", tells_of_tasks_ended_by_teardown},
      {"finalizers_may_close_handles", finalizers_may_close_handles},
      {"handles_that_are_left_hold_nothing_up", handles_that_are_left_hold_nothing_up},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
