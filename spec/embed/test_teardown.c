/* SPDX-License-Identifier: MIT */
/* test_teardown.c: hosts freed in the middle of anything: in bounded time, with nothing left. */
#include "check.h"

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

static char text[1200];

static const char *with_bide(const char *script) {
  snprintf(text, sizeof text, "local bide = require 'bide' %s", script);
  return text;
}

static const char *const scripts[] = {
    "bide.sleep(60)",
    "bide.future():await()",
    "while true do pcall(bide.sleep, 1) end",
    "while true do pcall(bide.sleep, 0) end",
    "local t <close> = setmetatable({}, {__close = function() while true do end end}) "
    "bide.sleep(60)",
    "local t <close> = setmetatable({}, {__close = function() while true do pcall(error) end end}) "
    "bide.sleep(60)",
    "local t <close> = setmetatable({}, {__close = function() pcall(bide.sleep, 1) error 'x' end}) "
    "bide.sleep(60)",
    "coroutine.wrap(function() pcall(bide.sleep, 60) while true do end end)()",
    "local co = coroutine.wrap(function() while true do pcall(bide.sleep, 60) end end) co()",
    "pcall(bide.sleep, 60) xpcall(function() while true do end end, function() while true do end "
    "end)",
    "bide.shield(function() bide.sleep(60) end)",
    "bide.shield(function() while true do pcall(bide.sleep, 60) end end)",
    "bide.timeout(60, bide.sleep, 70)",
    "bide.group(function(g) for i = 1, 10 do g:spawn(bide.sleep, 60) end end)",
    "bide.group(function(g) g:spawn(function() while true do pcall(bide.sleep, 60) end end) end)",
    "bide.gather(function() bide.sleep(60) end, function() bide.shield(bide.sleep, 60) end)",
    "bide.race{function() bide.sleep(60) end, function() while true do pcall(bide.sleep, 1) end "
    "end}",
    "for i = 1, 100 do bide.spawn(bide.sleep, 60) end",
    "for i = 1, 10 do bide.daemon(bide.sleep, 60) end bide.sleep(60)",
    "local t = bide.spawn(bide.sleep, 60) t:on_done(function() while true do end end) "
    "bide.sleep(60)",
    "bide.compute(function() while true do end end)",
    "bide.compute(function() while true do pcall(function() while true do end end) end end)",
    "local function deep(n) if n == 0 then bide.sleep(60) else bide.spawn(deep, n - 1):await() end "
    "end deep(100)",
    "local function deep(n) if n == 0 then bide.sleep(60) else bide.gather{function() deep(n - 1) "
    "end} end end deep(50)",
    "setmetatable({}, {__gc = function() error 'in gc' end}) bide.sleep(60)",
    "keep = setmetatable({}, {__gc = function() bide.sleep(1) end}) bide.sleep(60)",
    "keep = setmetatable({}, {__gc = function() bide.spawn(print) bide.future():resolve() end}) "
    "bide.sleep(60)",
    "bide.spawn(error, 'unseen') bide.sleep(60)",
    "local f = bide.future() bide.spawn(function() f:await() end) bide.sleep(60)",
    "local s = bide.tcp.listen('127.0.0.1', 0, function(c) c:read() end) local _, p = s:address() "
    "local c = bide.tcp.connect('127.0.0.1', p) c:read()",
    "local s = bide.tcp.listen('127.0.0.1', 0, function(c) bide.sleep(60) end) local _, p = "
    "s:address() local c = bide.tcp.connect('127.0.0.1', p) c:write(('x'):rep(1 << 24))",
    "local s = bide.http.serve({port = 0}, function() bide.sleep(60) end) local _, p = s:address() "
    "bide.http_get('http://127.0.0.1:' .. p)",
    "bide.dns.resolve('localhost')",
    "local u = bide.udp.bind('127.0.0.1', 0) u:recv()",
    "for i in bide.interval(60) do end",
    "local ch = bide.channel() ch:send(1)",
    "local l = bide.lock() local g <close> = l:acquire() bide.spawn(function() l:acquire() end) "
    "bide.sleep(60)",
    "bide.on_unhandled(function() while true do end end) pcall(bide.sleep, 60) error 'x'",
};
enum { SCRIPTS = sizeof scripts / sizeof scripts[0] };

/* Each script, freed after so many turns: from before its first step on. */
static void free_in_the_middle(void) {
  held h;
  int i, turns, k;
  for (i = 0; i < SCRIPTS; i++)
    for (turns = 0; turns < 4; turns += 1 + turns) {
      bide_host *host = begin_host(NULL, &h);
      double start;
      CHECK(spawn_script(host, with_bide(scripts[i])) == 0);
      for (k = 0; k < turns; k++) bide_run(host, UV_RUN_NOWAIT);
      start = now();
      end_host(host, &h);
      if (h.blocks || now() - start > 5)
        printf("%ld blocks, %.1f s: %s\n", h.blocks, now() - start, scripts[i]);
      CHECK(now() - start < 5);
    }
}

/* Some of them together, in an order that differs each time; but for the last, whose handler would
 * stay in an error of another. */
static void free_all_together(void) {
  held h;
  int round, i, k;
  unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : (unsigned)uv_hrtime();
  printf("seed %u\n", seed);
  srand(seed);
  for (round = 0; round < 10; round++) {
    bide_host *host = begin_host(NULL, &h);
    for (i = 0; i < 12; i++)
      CHECK(spawn_script(host, with_bide(scripts[rand() % (SCRIPTS - 1)])) == 0);
    for (k = rand() % 4; k > 0; k--) bide_step(host, 0.002);
    end_host(host, &h);
  }
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
      {"free_all_together", free_all_together},
      {"ten_thousand_hosts", ten_thousand_hosts},
      {"tells_of_tasks_ended_by_teardown", tells_of_tasks_ended_by_teardown},
      {"finalizers_may_close_handles", finalizers_may_close_handles},
      {"handles_that_are_left_hold_nothing_up", handles_that_are_left_hold_nothing_up},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
