/* SPDX-License-Identifier: MIT */
/* test_limits.c: memory, slices, budgets, interrupts, counts, depth. Times are loose: the machine
 * may be busy with other things. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

/* ---- memory ---- */

static void memory_is_limited(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.memory_limit = 2 << 20;
  host = begin_host(&o, &h);
  CHECK(bide_memory(host) > 10000 && bide_memory(host) < 2 << 20);
  CHECK(run_script(host, "local t = {} for i = 1, 1e9 do t[i] = {i} end") == BIDE_ERROR);
  CHECK_STR(result(host), "not enough memory");
  CHECK(run_script(host, "local s = ('x'):rep(3 << 20)") == BIDE_ERROR);
  CHECK_STR(result(host), "not enough memory");
  CHECK(run_script(host, "local t = {} local bide = require 'bide'\n"
                         "for i = 1, 1e6 do t[i] = bide.spawn(bide.sleep, 1) end") == BIDE_ERROR);
  CHECK_STR(result(host), "not enough memory");
  CHECK(bide_memory(host) <= 2 << 20);
  CHECK(run_script(host, "collectgarbage() return 'goes on'") == 0);
  CHECK_STR(result(host), "goes on");
  end_host(host, &h);
  o.memory_limit = 1000;
  o.alloc = NULL;
  CHECK(bide_new(&o) == NULL);
}

/* ---- slices ---- */

#define BURN "local function burn(n) local x = 0 for i = 1, n do x = x + i end return x end\n"

static void slices_let_others_run(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.cpu_slice = 0.005;
  host = begin_host(&o, &h);
  CHECK(run_script(host,
                   BURN "local bide = require 'bide'\n"
                        "local n = 0\n"
                        "bide.daemon(function() while true do n = n + 1 bide.sleep(0) end end)\n"
                        "local t = bide.spawn(burn, 2e7)\n"
                        "assert(t:await() == 2e7 * (2e7 + 1) // 2) return n > 5") == 0);
  CHECK_STR(result(host), "true");
  end_host(host, &h);
  host = begin_host(NULL, &h);
  CHECK(run_script(host,
                   BURN "local bide = require 'bide'\n"
                        "local n = 0\n"
                        "bide.daemon(function() while true do n = n + 1 bide.sleep(0) end end)\n"
                        "local t = bide.spawn(burn, 2e7) t:await() return n") == 0);
  CHECK(lua_tointeger(bide_lua(host), 1) <= 2);
  end_host(host, &h);
}

/* Of one who is known to compute, that is: from the second on. By CPU time, for what other programs
 * take is not the script's doing. */
static void slices_end_when_they_are_due(void) {
  enum { STEPS = 100 };
  held h;
  int i, late = 0;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.cpu_slice = 0.002;
  host = begin_host(&o, &h);
  CHECK(spawn_script(host, "while true do end") == 0);
  bide_step(host, 0.002);
  for (i = 0; i < STEPS; i++) {
    double start = cpu_now();
    CHECK(bide_step(host, 0.002) == 1);
    if (cpu_now() - start > 0.0035) late++;
  }
  CHECK(late <= STEPS / 10);
  end_host(host, &h);
}

/* What slices would cost is the hook: nobody has one who does not overrun, in a coroutine neither.
 */
static void nothing_is_hooked_while_nobody_overruns(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.cpu_slice = 0.2; /* a signal each 50 ms */
  host = begin_host(&o, &h);
  CHECK(run_script(host, "local bide = require 'bide'\n"
                         "local function step() local stop = os.clock() + 0.1\n"
                         "while os.clock() < stop do if debug.gethook() then return 'hooked' end "
                         "end return 'free' end\n"
                         "local a = bide.spawn(step):await()\n"
                         "return a .. ' ' .. coroutine.wrap(step)()") == 0);
  CHECK_STR(result(host), "free free");
  end_host(host, &h);
}

static volatile int hook_calls, foreign_signals;

static void hook(lua_State *L, lua_Debug *ar) {
  (void)L;
  if (ar->event == LUA_HOOKCOUNT) hook_calls++;
}

static void on_signal(int signo) {
  (void)signo;
  foreign_signals++;
}

/* The caller's instruction hook and signal handler work on beside slices, and are there after. */
static void hooks_and_signals_are_left_alone(void) {
  held h;
  struct sigaction act, before;
  int signo = SIGRTMIN + 3, i;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  memset(&act, 0, sizeof act);
  act.sa_handler = on_signal;
  sigaction(signo, &act, &before);
  o.cpu_slice = 0.005;
  o.signal = signo;
  host = begin_host(&o, &h);
  hook_calls = foreign_signals = 0;
  lua_sethook(bide_lua(host), hook, LUA_MASKCOUNT, 10000);
  for (i = 0; i < 3; i++) /* the threads of the later ones are from the pool */
    CHECK(run_script(host, BURN "return require 'bide'.spawn(burn, 1e7):await()") == 0);
  CHECK(hook_calls > 2500 && hook_calls < 15000);
  CHECK(lua_gethook(bide_lua(host)) == hook);
  raise(signo);
  CHECK(foreign_signals == 1);
  end_host(host, &h);
  raise(signo);
  CHECK(foreign_signals == 2);
  sigaction(signo, &before, NULL);
}

/* ---- stopping ---- */

static const char *const stubborn[] = {
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "local function f() pcall(f) while true do pcall(f) end end f()",
    "local co = coroutine.wrap(function() while true do pcall(coroutine.yield) end end) "
    "while true do co() end",
    "coroutine.wrap(function() while true do pcall(error) end end)()",
    "local t <close> = setmetatable({}, {__close = function() while true do end end}) "
    "while true do end",
    "bide.shield(function() while true do pcall(bide.sleep, 0) end end)",
    "bide.group(function(g) g:spawn(function() while true do pcall(bide.sleep, 0) end end) end)",
    "xpcall(function() while true do end end, function() while true do end end)",
    "local co = coroutine.create(function() local t <close> = setmetatable({}, {__close = "
    "function() while true do end end}) coroutine.yield() end) coroutine.resume(co) "
    "while true do coroutine.close(co) end",
    "table.sort({1, 2, 3, 4}, function() while true do end end)",
    "string.gsub('x', 'x', function() while true do end end)",
    "bide.spawn(function() while true do bide.sleep(0) end end):await()",
    "bide.compute(function() while true do end end):await()",
    "bide.gather(function() while true do end end, function() bide.sleep(60) end)",
    "while true do bide.spawn(function() end) bide.sleep(0) end",
    "bide.spawn(error, 'x') bide.on_unhandled(function() while true do end end) bide.sleep(0.01)",
    "while true do local ok = pcall(string.gsub, 'x', '.', function() while true do end end) end",
    "while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end",
    "while true do xpcall(error, function() while true do end end) end",
    "local t = setmetatable({}, {__index = function(_, k) while true do pcall(error) end end}) "
    "while true do local _ = t.x end",
    "local function f() local ok <close> = setmetatable({}, {__close = f}) while true do end end "
    "f()",
    "while true do coroutine.wrap(function() while true do pcall(pcall, error) end end)() end",
    "bide.spawn(function() while true do pcall(bide.timeout, 1, function() while true do end end) "
    "end end) while true do pcall(bide.sleep, 1) end",
    "for _ in function() while true do end end do end",
    "load(function() while true do end end)",
    "bide.map(function() while true do end end, print)",
};
enum { STUBBORN = sizeof stubborn / sizeof stubborn[0] };

static char script[1000];

static const char *with_bide(const char *text) {
  snprintf(script, sizeof script, "local bide = require 'bide' %s", text);
  return script;
}

static void budgets_end_what_will_not_end(void) {
  held h;
  int i;
  bide_options o = BIDE_OPTIONS;
  o.cpu_budget = 0.03;
  o.max_depth = 5000; /* Lua takes time quadratic in the depth to unwind nested pcalls */
  for (i = 0; i < STUBBORN; i++) {
    bide_host *host = begin_host(&o, &h);
    double start = now();
    CHECK(run_script(host, with_bide(stubborn[i])) == BIDE_STOPPED);
    CHECK_STR(result(host), "EBUDGET");
    if (getenv("SHOW")) printf("%.3f %s\n", now() - start, stubborn[i]);
    CHECK(now() - start < 5);
    CHECK(run_script(host, "require 'bide'.sleep(0.001) return 'whole again'") == 0);
    CHECK_STR(result(host), "whole again");
    if (now() - start >= 5) printf("slow: %s\n", stubborn[i]);
    end_host(host, &h);
  }
}

static void *run_interrupter(void *arg) {
  usleep(20000);
  bide_interrupt(arg);
  return NULL;
}

static void interrupts_reach_from_another_thread(void) {
  static const char sleeps[] = "require 'bide'.sleep(60)";
  held h;
  int i;
  bide_options o = BIDE_OPTIONS;
  o.interruptible = 1;
  o.max_depth = 5000;
  for (i = -1; i < STUBBORN; i++) {
    bide_host *host = begin_host(&o, &h);
    pthread_t thread;
    bide_interrupt(host); /* nothing runs yet: without effect */
    pthread_create(&thread, NULL, run_interrupter, host);
    CHECK(run_script(host, i < 0 ? sleeps : with_bide(stubborn[i])) == BIDE_STOPPED);
    CHECK_STR(result(host), "EINTR");
    pthread_join(thread, NULL);
    CHECK(run_script(host, "return 1") == 0);
    end_host(host, &h);
  }
}

static atomic_int interrupting;

static void *interrupt_often(void *arg) {
  for (; interrupting; sched_yield()) bide_interrupt(arg);
  return NULL;
}

/* A program that blocks the signal finds none of ours pending, whenever the interrupt came. */
static void no_signal_is_left_behind(void) {
  held h;
  int i, left = 0, signo = SIGRTMIN + 7;
  sigset_t set, before, pending;
  pthread_t thread;
  bide_host *host;
  bide_options o = BIDE_OPTIONS;
  o.interruptible = 1;
  sigemptyset(&set);
  sigaddset(&set, signo);
  pthread_sigmask(SIG_BLOCK, &set, &before);
  host = begin_host(&o, &h);
  interrupting = 1;
  pthread_create(&thread, NULL, interrupt_often, host);
  for (i = 0; i < 500; i++) {
    run_script(host, "return 1");
    sigpending(&pending);
    left += sigismember(&pending, signo);
  }
  interrupting = 0;
  pthread_join(thread, NULL);
  CHECK(left == 0);
  end_host(host, &h);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void a_stop_ends_spawned_tasks(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.cpu_budget = 0.03;
  host = begin_host(&o, &h);
  CHECK(spawn_script(host, "while true do pcall(require 'bide'.sleep, 0) end") == 0);
  CHECK(spawn_script(host, "require 'bide'.sleep(60)") == 0);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == BIDE_STOPPED);
  CHECK(spawn_script(host, "require 'bide'.sleep(0.001)") == 0);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  CHECK(reports == 0);
  end_host(host, &h);
}

/* Of tasks that are C alone no hook is ever called: the budget is looked at between them. */
static void a_budget_ends_tasks_in_c(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  double start;
  o.cpu_budget = 0.05;
  host = begin_host(&o, &h);
  start = cpu_now();
  CHECK(run_script(host, "local bide = require 'bide'\n"
                         "for i = 1, 10000 do bide.spawn(string.rep, 'x', 1000000) end\n"
                         "return 'all of them'") == BIDE_STOPPED);
  CHECK(cpu_now() - start < 0.5);
  end_host(host, &h);
}

/* Clean-up is granted instructions, but not each of them the time of a long call. */
static void teardown_ends_clean_up_in_c(void) {
  static const char *const sizes[] = {"1000", "100000", "4000000"};
  char text[300];
  held h;
  int i;
  for (i = 0; i < 3; i++) {
    bide_host *host = begin_host(NULL, &h);
    double start;
    snprintf(text, sizeof text,
             "local bide = require 'bide'\n"
             "local _ <close> = setmetatable({}, {__close = function()\n"
             "  while true do pcall(string.rep, 'x', %s) end\n"
             "end})\n"
             "bide.sleep(60)",
             sizes[i]);
    CHECK(spawn_script(host, text) == 0);
    CHECK(bide_run(host, UV_RUN_NOWAIT) == 1);
    start = cpu_now();
    end_host(host, &h);
    CHECK(cpu_now() - start < 4);
  }
}

/* A stop in the middle of a load runs no clean-up, so the module is still marked as being loaded;
 * who requires it later loads it anew, and does not wait for a task that is gone. */
static void a_module_cut_by_a_stop_can_be_loaded(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.cpu_budget = 0.03;
  host = begin_host(&o, &h);
  CHECK(run_script(host, "require 'bide' tries = 0\n"
                         "function package.preload.slow()\n"
                         "  tries = tries + 1\n"
                         "  while tries == 1 do end\n"
                         "  return {tries = tries}\n"
                         "end\n"
                         "return require('slow')") == BIDE_STOPPED);
  CHECK(run_script(host, "return require('slow').tries") == 0);
  CHECK_STR(result(host), "2");
  end_host(host, &h);
}

/* ---- counts ---- */

static void counts_are_limited(void) {
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.max_tasks = 100;
  o.max_timers = 10;
  o.max_sockets = 8;
  o.max_depth = 500;
  host = begin_host(&o, &h);
  CHECK(run_script(host, "local bide = require 'bide' local n = 0\n"
                         "while pcall(bide.spawn, function() bide.sleep(0) end) do n = n + 1 end\n"
                         "return n") == 0);
  CHECK_STR(result(host), "99");
  CHECK(run_script(host, "local bide = require 'bide' local n = 0\n"
                         "local t = {} for i = 1, 50 do t[i] = bide.spawn(bide.sleep, 0.01) end\n"
                         "for i = 1, 50 do local ok, err = pcall(t[i].await, t[i])\n"
                         "if not ok then n = n + 1 assert(err.code == 'ELIMIT') end end\n"
                         "return n") == 0);
  CHECK_STR(result(host), "40");
  CHECK(run_script(host, "local function f(n) return n == 0 and 0 or 1 + f(n - 1) end\n"
                         "assert(f(400) == 400) local ok, err = pcall(f, 1000) return err") == 0);
  CHECK(strstr(result(host), "stack overflow") != NULL);
  CHECK(run_script(host, "local bide = require 'bide'\n"
                         "local server = bide.tcp.listen('127.0.0.1', 0, function(s) s:read() end,"
                         "{daemon = true})\n"
                         "local _, port = server:address() local list = {}\n"
                         "local ok, err\n"
                         "for i = 1, 20 do ok, err = pcall(bide.tcp.connect, '127.0.0.1', port)\n"
                         "if not ok then break end list[i] = err end\n"
                         "for _, c in ipairs(list) do c:close() end\n"
                         "assert(not ok) return err") == 0);
  CHECK_STR(result(host), "EMFILE");
  end_host(host, &h);
}

/* Connects `n` times more than there can be tasks, to a server that `listen` makes. */
static void overload(const char *listen, int n) {
  char text[700];
  held h;
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  o.max_tasks = 4;
  host = begin_host(&o, &h);
  snprintf(text, sizeof text,
           "bide = require 'bide' local server = %s\n"
           "local _, port = server:address() local list = {}\n"
           "for i = 1, 2 + %d do\n"
           "  list[i] = bide.tcp.connect('127.0.0.1', port)\n"
           "  list[i]:write('GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n') bide.sleep(0)\n"
           "end\n"
           "for i = 3, #list do pcall(list[i].read_until, list[i], '\\r\\n') end\n"
           "server:close()",
           listen, n);
  CHECK(run_script(host, text) == 0);
  end_host(host, &h);
}

/* They are closed, which is told with the reason, ten times a second. */
static void servers_tell_of_the_limit_of_tasks(void) {
  static const char tcp[] = "bide.tcp.listen('127.0.0.1', 0, function() bide.sleep(60) end)";
  static const char http[] = "bide.http.serve({port = 0}, function() bide.sleep(60) end)";
  overload(tcp, 1);
  CHECK(reports == 1);
  CHECK_STR(last_report, "bide: accept: too many tasks; a connection was closed");
  overload(tcp, 25);
  CHECK(reports == 11);
  CHECK_STR(last_report, "bide: accept: 15 more connections were closed");
  overload(http, 1);
  CHECK(reports == 1);
  CHECK(strstr(last_report, ": 503: too many tasks: GET /") != NULL);
  overload(http, 25);
  CHECK(reports == 11);
  CHECK_STR(last_report, "bide: http server: 15 more requests refused");
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"memory_is_limited", memory_is_limited},
      {"slices_let_others_run", slices_let_others_run},
      {"slices_end_when_they_are_due", slices_end_when_they_are_due},
      {"nothing_is_hooked_while_nobody_overruns", nothing_is_hooked_while_nobody_overruns},
      {"hooks_and_signals_are_left_alone", hooks_and_signals_are_left_alone},
      {"budgets_end_what_will_not_end", budgets_end_what_will_not_end},
      {"interrupts_reach_from_another_thread", interrupts_reach_from_another_thread},
      {"no_signal_is_left_behind", no_signal_is_left_behind},
      {"a_stop_ends_spawned_tasks", a_stop_ends_spawned_tasks},
      {"a_budget_ends_tasks_in_c", a_budget_ends_tasks_in_c},
      {"teardown_ends_clean_up_in_c", teardown_ends_clean_up_in_c},
      {"a_module_cut_by_a_stop_can_be_loaded", a_module_cut_by_a_stop_can_be_loaded},
      {"counts_are_limited", counts_are_limited},
      {"servers_tell_of_the_limit_of_tasks", servers_tell_of_the_limit_of_tasks},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
