/* SPDX-License-Identifier: MIT */
/* test_drive.c: the three ways to drive a host, and calling, spawning, cancelling from C. */
#include "check.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

static const char sleeper[] = "local bide = require 'bide' bide.sleep(0.02) return 'slept'";

static void calls_to_the_end(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  CHECK(run_script(host, sleeper) == 0);
  CHECK_STR(result(host), "slept");
  CHECK(run_script(host, "error('wrong', 0)") == BIDE_ERROR);
  CHECK_STR(result(host), "wrong");
  CHECK(lua_gettop(bide_lua(host)) >= 2);
  CHECK(run_script(host, "syntax error") == BIDE_ERROR);
  CHECK(run_script(host, "return 1") == 0);
  end_host(host, &h);
}

static void on_done(bide_host *host, int ok, void *arg) {
  (void)host;
  *(int *)arg = ok ? 1 : 2;
}

static void runs_what_was_spawned(void) {
  held h;
  int done = 0, failed = 0;
  bide_host *host = begin_host(NULL, &h);
  CHECK(spawn_script(host, sleeper) == 0);
  CHECK(bide_on_done(host, -1, on_done, &done) == 0);
  CHECK(spawn_script(host, "error 'x'") == 0);
  CHECK(bide_on_done(host, -1, on_done, &failed) == 0);
  CHECK(done == 0);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  CHECK(done == 1 && failed == 2);
  CHECK(bide_unhandled(host) == 1 && reports == 1);
  lua_settop(bide_lua(host), 0);
  lua_pushinteger(bide_lua(host), 1);
  CHECK(bide_on_done(host, -1, on_done, &done) == UV_EINVAL);
  end_host(host, &h);
}

static void ends_a_deadlock(void) {
  held h;
  int done = 0;
  bide_host *host = begin_host(NULL, &h);
  CHECK(spawn_script(host, "local bide = require 'bide' bide.future():await()") == 0);
  CHECK(bide_on_done(host, -1, on_done, &done) == 0);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  CHECK(done == 2);
  end_host(host, &h);
}

static void tells_a_task_of_its_end_once(void) {
  held h;
  int done = 0;
  bide_host *host = begin_host(NULL, &h);
  /* a future that is collected with the state is not told of any more */
  CHECK(run_script(host, "return require 'bide'.future()") == 0);
  CHECK(bide_on_done(host, -1, on_done, &done) == 0);
  CHECK(spawn_script(host, "require 'bide'.sleep(60)") == 0);
  CHECK(bide_run(host, UV_RUN_NOWAIT) == 1);
  end_host(host, &h);
  CHECK(done == 0);
}

static void collect_then_count(bide_host *host, int ok, void *arg) {
  lua_gc(bide_lua(host), LUA_GCCOLLECT, 0);
  lua_gc(bide_lua(host), LUA_GCCOLLECT, 0);
  *(int *)arg += ok ? 1 : 100;
}

/* Nobody refers to the task any more, which ends without a wait. */
static void tells_of_a_task_that_is_garbage_then(void) {
  static const char *const ends[] = {"return", "return 1, {}", "error 'x'"};
  held h;
  int told = 0, i, k;
  bide_host *host = begin_host(NULL, &h);
  CHECK(run_script(host, "require 'bide'.spawn(function() end):await()") == 0);
  for (i = 0; i < 3; i++)
    for (k = 0; k < 3; k++) {
      CHECK(spawn_script(host, ends[i]) == 0);
      CHECK(bide_on_done(host, -1, collect_then_count, &told) == 0);
      CHECK(bide_on_done(host, -1, collect_then_count, &told) == 0);
      lua_settop(bide_lua(host), 0);
    }
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  CHECK(told == 12 + 600);
  end_host(host, &h);
}

static void on_cancel_timer(uv_timer_t *t) {
  bide_cancel(t->data);
}

static void cancels_from_a_callback(void) {
  held h;
  uv_timer_t t;
  bide_host *host = begin_host(NULL, &h);
  uv_timer_init(bide_loop(host), &t);
  t.data = host;
  uv_timer_start(&t, on_cancel_timer, 10, 0);
  CHECK(run_script(host, "require 'bide'.sleep(60)") == UV_ECANCELED);
  CHECK_STR(result(host), "ECANCELED");
  CHECK(run_script(host, sleeper) == 0);
  uv_close((uv_handle_t *)&t, NULL);
  uv_run(bide_loop(host), UV_RUN_NOWAIT);
  end_host(host, &h);
}

static int ticks;
static bide_host *shared;

static void on_tick(uv_timer_t *t) {
  (void)t;
  ticks++;
}

static void count_handle(uv_handle_t *handle, void *arg) {
  (void)handle;
  ++*(int *)arg;
}

/* The caller's timer ticks beside the script's sleeps, and is all that is left on its loop. */
static void shares_a_callers_loop(void) {
  held h;
  uv_loop_t loop;
  uv_timer_t timer;
  int done = 0, handles = 0;
  bide_options o = BIDE_OPTIONS;
  CHECK(uv_loop_init(&loop) == 0);
  uv_timer_init(&loop, &timer);
  uv_timer_start(&timer, on_tick, 2, 2);
  uv_unref((uv_handle_t *)&timer);
  o.loop = &loop;
  shared = begin_host(&o, &h);
  CHECK(bide_loop(shared) == &loop);
  ticks = 0;
  CHECK(spawn_script(shared, sleeper) == 0);
  CHECK(bide_on_done(shared, -1, on_done, &done) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(done == 1 && ticks > 0);
  CHECK(run_script(shared, sleeper) == 0);
  CHECK(spawn_script(shared, "require 'bide'.sleep(60)") == 0);
  end_host(shared, &h);
  uv_walk(&loop, count_handle, &handles);
  CHECK(handles == 1 && !uv_is_closing((uv_handle_t *)&timer));
  ticks = 0;
  uv_ref((uv_handle_t *)&timer);
  uv_run(&loop, UV_RUN_ONCE);
  CHECK(ticks > 0);
  uv_close((uv_handle_t *)&timer, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
}

static bide_future *made;

static int l_wait(lua_State *L) {
  made = bide_future_new(L);
  return bide_await(L, made);
}

/* Between two calls of uv_run, with nothing else on the loop: it must know that there is work. */
static void wakes_a_callers_loop_from_outside(void) {
  held h;
  uv_loop_t loop;
  int done = 0;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  CHECK(uv_loop_init(&loop) == 0);
  o.loop = &loop;
  host = begin_host(&o, &h);
  lua_register(bide_lua(host), "wait", l_wait);
  CHECK(spawn_script(host, "wait() require 'bide'.sleep(0.001)") == 0);
  CHECK(bide_on_done(host, 1, on_done, &done) == 0);
  uv_run(&loop, UV_RUN_NOWAIT);
  uv_run(&loop, UV_RUN_NOWAIT);
  bide_resolve_nothing(made);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(done == 1);
  CHECK(spawn_script(host, "require 'bide'.future():await()") == 0);
  CHECK(bide_on_done(host, 1, on_done, &done) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(bide_cancel_task(host, 1) == 1);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(done == 2);
  done = 0;
  CHECK(spawn_script(host, "require 'bide'.future():await()") == 0);
  CHECK(bide_on_done(host, 1, on_done, &done) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  bide_cancel(host);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(done == 2);
  end_host(host, &h);
  CHECK(uv_loop_close(&loop) == 0);
}

/* Steps a host by poll(2) alone; returns how often it woke. */
static int poll_to_the_end(bide_host *host) {
  struct pollfd p = {bide_fd(host), POLLIN, 0};
  int woken = 0;
  do {
    poll(&p, 1, bide_timeout(host));
    woken++;
  } while (bide_step(host, 0) > 0 && woken < 100000);
  return woken;
}

static void steps_in_a_foreign_loop(void) {
  held h;
  int done = 0;
  bide_host *host = begin_host(NULL, &h);
  double start = now();
  CHECK(bide_fd(host) >= 0);
  bide_step(host, 0);
  CHECK(bide_timeout(host) == -1);
  CHECK(spawn_script(host, sleeper) == 0);
  CHECK(bide_on_done(host, -1, on_done, &done) == 0);
  CHECK(bide_timeout(host) == 0);
  CHECK(poll_to_the_end(host) < 20); /* no busy waiting */
  CHECK(done == 1 && now() - start >= 0.02);
  CHECK(bide_timeout(host) == -1);
  end_host(host, &h);
}

/* All that a script does over sockets reaches the foreign loop through the one descriptor. */
static void sees_sockets_in_a_foreign_loop(void) {
  held h;
  int done = 0;
  bide_host *host = begin_host(NULL, &h);
  CHECK(spawn_script(host, "local bide = require 'bide'\n"
                           "local server = bide.tcp.listen('127.0.0.1', 0, function(s)\n"
                           "  for line in s:lines() do s:write(line, '\\n') end\n"
                           "end, {daemon = true})\n"
                           "local _, port = server:address()\n"
                           "local c <close> = bide.tcp.connect('127.0.0.1', port)\n"
                           "for i = 1, 100 do\n"
                           "  c:write(i, '\\n')\n"
                           "  assert(c:read_line() == tostring(i))\n"
                           "end\n") == 0);
  CHECK(bide_on_done(host, -1, on_done, &done) == 0);
  CHECK(poll_to_the_end(host) < 5000);
  CHECK(done == 1);
  end_host(host, &h);
}

/* Many small pieces of work: a step of 2 ms ends in time, and the work ends after some frames. */
static void gives_a_frame_its_time(void) {
  held h;
  int frames = 0, late = 0;
  bide_host *host = begin_host(NULL, &h);
  CHECK(spawn_script(host, "local bide = require 'bide'\n"
                           "for i = 1, 300 do bide.spawn(function()\n"
                           "  for j = 1, 20 do for k = 1, 1000 do end bide.sleep(0) end\n"
                           "end) end") == 0);
  for (;; frames++) {
    double start = cpu_now();
    int left = bide_step(host, 0.002);
    if (cpu_now() - start > 0.004) late++;
    if (left <= 0 || frames > 10000) break;
  }
  CHECK(frames > 3 && frames < 10000);
  CHECK(late <= frames / 4);
  end_host(host, &h);
}

/* A signal for a broken pipe would end this process, which leaves it as it is. */
static void leaves_broken_pipes_to_errors(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  CHECK(signal(SIGPIPE, SIG_DFL) == SIG_DFL);
  CHECK(
      run_script(
          host,
          "local bide = require 'bide'\n"
          "local server = bide.tcp.listen('127.0.0.1', 0, function(s) s:close() end,\n"
          "  {daemon = true})\n"
          "local c = bide.tcp.connect('127.0.0.1', (select(2, server:address())))\n"
          "c:read()\n"
          "local err\n"
          "for i = 1, 100 do\n"
          "  local ok, e = pcall(c.write, c, ('x'):rep(100000)) if not ok then err = e break end\n"
          "  bide.sleep(0)\n"
          "end\n"
          "return err.code") == 0);
  CHECK(strcmp(result(host), "EPIPE") == 0 || strcmp(result(host), "ECONNRESET") == 0);
  CHECK(signal(SIGPIPE, SIG_DFL) == SIG_DFL);
  end_host(host, &h);
}

static int l_run_again(lua_State *L) {
  lua_pushinteger(L, bide_run(bide_host_of(L), UV_RUN_DEFAULT));
  lua_pushinteger(L, bide_step(bide_host_of(L), 0));
  return 2;
}

static void refuses_to_nest(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  lua_register(bide_lua(host), "run_again", l_run_again);
  CHECK(run_script(host, "local a, b = run_again() return (a == b) and a") == 0);
  CHECK(lua_tointeger(bide_lua(host), 1) == UV_EINVAL);
  end_host(host, &h);
}

/* The thread that drives the loop calls the handler of unhandled errors. */
static void is_driven_by_a_living_thread(void) {
  static const char *const runs[] = {"bide.run(bide.sleep, 0.001)", "bide.run(error, 'x')",
                                     "for i = 1, 9 do bide.run(bide.spawn, type, 1) end"};
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  char text[300];
  size_t i;
  o.max_tasks = 3;
  for (i = 0; i < sizeof runs / sizeof runs[0]; i++) {
    host = begin_host(&o, &h);
    snprintf(text, sizeof text,
             "bide = require 'bide' "
             "bide.on_unhandled(function() main = select(2, coroutine.running()) end) "
             "coroutine.wrap(function() pcall(function() %s end) end)()",
             runs[i]);
    CHECK(luaL_dostring(bide_lua(host), text) == LUA_OK);
    CHECK(spawn_script(host, "bide.spawn(error, 'y') bide.sleep(0)") == 0);
    CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
    lua_getglobal(bide_lua(host), "main");
    CHECK(lua_toboolean(bide_lua(host), -1));
    end_host(host, &h);
  }
  /* a run that cannot even begin */
  host = begin_host(&o, &h);
  for (i = 0; i < 3; i++) CHECK(spawn_script(host, "require 'bide'.sleep(0.001) error 'y'") == 0);
  CHECK(luaL_dostring(bide_lua(host),
                      "bide = require 'bide' "
                      "bide.on_unhandled(function() main = select(2, coroutine.running()) end) "
                      "coroutine.wrap(function() pcall(bide.run, type, 1) end)()") == LUA_OK);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  lua_getglobal(bide_lua(host), "main");
  CHECK(lua_toboolean(bide_lua(host), -1));
  end_host(host, &h);
}

static int refused;

/* Beside a task that makes garbage for ever it would take all memory. */
static int l_run_in_finalizer(lua_State *L) {
  bide_host *host = bide_host_of(L);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == UV_EINVAL);
  CHECK(bide_run(host, UV_RUN_NOWAIT) == UV_EINVAL);
  CHECK(bide_step(host, 0) == UV_EINVAL);
  lua_getglobal(bide_lua(host), "type");
  CHECK(bide_call(host, 0, 0) == BIDE_ERROR);
  CHECK_STR(luaL_tolstring(bide_lua(host), -2, NULL),
            "run: a finalizer (__gc) cannot run the loop: nothing is collected until it returns "
            "(ENOYIELD)");
  lua_pop(bide_lua(host), 3);
  refused++;
  return 0;
}

static void refuses_in_a_finalizer(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  lua_State *L = bide_lua(host);
  refused = 0;
  CHECK(spawn_script(host, "require 'bide'.sleep(60)") == 0);
  lua_register(L, "run", l_run_in_finalizer);
  CHECK(luaL_dostring(L, "setmetatable({}, {__gc = run}) collectgarbage()") == LUA_OK);
  CHECK(refused == 1);
  CHECK(bide_run(host, UV_RUN_NOWAIT) == 1);
  end_host(host, &h);
}

static int l_wait_in_c(lua_State *L) {
  bide_future *f = bide_future_new(L);
  bide_resolve_nothing(f);
  return bide_await(L, f);
}

/* Lua calls the handler again for the refusal, and again for that. */
static void refuses_in_a_message_handler(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  lua_register(bide_lua(host), "wait", l_wait_in_c);
  CHECK(run_script(host, "return xpcall(error, wait)") == 0);
  CHECK_STR(result(host), "false");
  CHECK(run_script(host, "return (xpcall(error, function() return wait() end))") == 0);
  CHECK(run_script(host, "wait() return 'waited'") == 0);
  end_host(host, &h);
}

static int busy;

static void drive_again(bide_host *host, void *arg) {
  (void)arg;
  busy += bide_run(host, UV_RUN_NOWAIT) == UV_EINVAL && bide_step(host, 0) == UV_EINVAL &&
          run_script(host, "return 1") == BIDE_ERROR;
  lua_settop(bide_lua(host), 0);
}

static void drive_when_done(bide_host *host, int ok, void *arg) {
  (void)ok;
  drive_again(host, arg);
}

/* The loop runs already, whoever has called uv_run. */
static void refuses_to_nest_on_a_callers_loop(void) {
  held h;
  uv_loop_t loop;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  busy = 0;
  CHECK(uv_loop_init(&loop) == 0);
  o.loop = &loop;
  host = begin_host(&o, &h);
  CHECK(spawn_script(host, "require 'bide'.sleep(0.001)") == 0);
  CHECK(bide_on_done(host, -1, drive_when_done, NULL) == 0);
  CHECK(bide_post(host, drive_again, NULL) == 0);
  while (busy < 2 && uv_run(&loop, UV_RUN_ONCE)) {}
  CHECK(busy == 2);
  CHECK(run_script(host, "return 1") == 0);
  end_host(host, &h);
  CHECK(uv_loop_close(&loop) == 0);
}

/* What has ended all tasks does not reach those to come. */
static void cancellations_end_with_what_they_cancel(void) {
  static const char waits[] = "require 'bide'.sleep(0.001) return 'fine'";
  held h;
  int i, done = 0;
  bide_host *host = begin_host(NULL, &h);
  for (i = 0; i < 3; i++) {
    CHECK(spawn_script(host, i == 1 ? "require 'bide'.sleep(60)" : waits) == 0);
    if (i == 1) bide_cancel(host);
    if (i == 2) bide_interrupt(host);
    bide_run(host, UV_RUN_DEFAULT);
    bide_cancel(host); /* nothing runs */
    CHECK(run_script(host, waits) == 0);
    CHECK_STR(result(host), "fine");
    CHECK(spawn_script(host, waits) == 0);
    CHECK(bide_on_done(host, -1, on_done, &done) == 0);
    CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
    CHECK(done == 1);
    done = 0;
    lua_settop(bide_lua(host), 0);
  }
  end_host(host, &h);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"calls_to_the_end", calls_to_the_end},
      {"runs_what_was_spawned", runs_what_was_spawned},
      {"ends_a_deadlock", ends_a_deadlock},
      {"tells_a_task_of_its_end_once", tells_a_task_of_its_end_once},
      {"tells_of_a_task_that_is_garbage_then", tells_of_a_task_that_is_garbage_then},
      {"cancels_from_a_callback", cancels_from_a_callback},
      {"shares_a_callers_loop", shares_a_callers_loop},
      {"wakes_a_callers_loop_from_outside", wakes_a_callers_loop_from_outside},
      {"steps_in_a_foreign_loop", steps_in_a_foreign_loop},
      {"sees_sockets_in_a_foreign_loop", sees_sockets_in_a_foreign_loop},
      {"gives_a_frame_its_time", gives_a_frame_its_time},
      {"leaves_broken_pipes_to_errors", leaves_broken_pipes_to_errors},
      {"refuses_to_nest", refuses_to_nest},
      {"is_driven_by_a_living_thread", is_driven_by_a_living_thread},
      {"refuses_in_a_finalizer", refuses_in_a_finalizer},
      {"refuses_in_a_message_handler", refuses_in_a_message_handler},
      {"refuses_to_nest_on_a_callers_loop", refuses_to_nest_on_a_callers_loop},
      {"cancellations_end_with_what_they_cancel", cancellations_end_with_what_they_cancel},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
