/* SPDX-License-Identifier: MIT */
/* test_inspect.c: what a C program gets to see: tracebacks of errors, the tree of tasks, the
 * warnings of debug mode. */
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include <lauxlib.h>

#include "check.h"

/* Line 2 raises, line 5 awaits what failed on line 3. */
static const char late[] = "local bide = require 'bide'\n"
                           "local function deep() bide.sleep(0) error({}) end\n"
                           "local task = bide.spawn(deep)\n"
                           "bide.wait { task }\n"
                           "task:await() return 1\n";

/* Each of the texts stands behind the one before it. */
static int in_order(const char *text, const char *const *wanted) {
  for (; *wanted; wanted++) {
    text = text ? strstr(text, *wanted) : NULL;
    if (!text) return 0;
    text += strlen(*wanted);
  }
  return 1;
}

static const char *const parts[] = {"stack traceback:",      "script:2: in",
                                    "\nawaited by task ",    "script:5: in",
                                    "\nspawned at script:3", NULL};

static void reports_where_an_error_came_from(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  CHECK(spawn_script(host, late) == 0);
  lua_settop(bide_lua(host), 0);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  CHECK(reports == 1 && in_order(last_report, parts));
  end_host(host, &h);
}

static void call_returns_the_traceback(void) {
  held h;
  bide_host *host = begin_host(NULL, &h);
  CHECK(run_script(host, late) == BIDE_ERROR);
  CHECK(lua_isstring(bide_lua(host), 2) && in_order(lua_tostring(bide_lua(host), 2), parts));
  CHECK(reports == 0);
  end_host(host, &h);
}

static void on_done(bide_host *host, int ok, void *arg) {
  (void)host;
  *(int *)arg = ok ? 1 : 2;
}

/* The C program sees the failure, but handles it only by taking the result. */
static void a_look_is_no_handling(void) {
  held h;
  int done = 0;
  bide_host *host = begin_host(NULL, &h);
  CHECK(spawn_script(host, late) == 0);
  CHECK(bide_on_done(host, -1, on_done, &done) == 0);
  CHECK(bide_run(host, UV_RUN_DEFAULT) == 0);
  CHECK(done == 2 && reports == 1 && in_order(last_report, parts));
  end_host(host, &h);
}

static void dumps_the_tree(void) {
  static const char *const lines[] = {"2 tasks",     "\n  ",  ": gather, ", ", at script:2",
                                      "\n    child", "sleep", NULL};
  held h;
  bide_host *host = begin_host(NULL, &h);
  CHECK(spawn_script(host, "local bide = require 'bide'\n"
                           "bide.gather(function() bide.current():name 'child' bide.sleep(60) end) "
                           "return 1\n") == 0);
  CHECK(bide_run(host, UV_RUN_NOWAIT) == 2);
  bide_dump(host);
  CHECK(reports == 1 && in_order(last_report, lines));
  end_host(host, &h);
}

static bide_host *spinning;

static void on_alarm(int signo) {
  (void)signo;
  if (reports) bide_interrupt(spinning);
  else CHECK(bide_dump_running(spinning) == 1);
}

/* A limit of the depth is a hook of its own, which stays. */
static void dumps_what_computes_beside_a_hook(void) {
  static const char *const lines[] = {"1 task", "the running task: ", "script:1", NULL};
  struct itimerval at = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
  held h;
  bide_options o = BIDE_OPTIONS;
  o.max_depth = 100;
  o.interruptible = 1;
  spinning = begin_host(&o, &h);
  signal(SIGALRM, on_alarm);
  setitimer(ITIMER_REAL, &at, NULL);
  CHECK(run_script(spinning, "while true do end") == BIDE_STOPPED);
  setitimer(ITIMER_REAL, &never, NULL);
  signal(SIGALRM, SIG_DFL);
  CHECK(reports == 1 && in_order(last_report, lines));
  CHECK(run_script(spinning, "local function f(n) return n == 0 and 0 or 1 + f(n - 1) end\n"
                             "return f(500)") == BIDE_ERROR);
  end_host(spinning, &h);
}

static volatile int dumps;

static void on_frequent_alarm(int signo) {
  (void)signo;
  if (bide_dump_running(spinning)) dumps++;
}

/* Three hooks on one thread: of the depth, of slices, of the dump. */
static void dumps_what_is_sliced(void) {
  struct itimerval at = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
  held h;
  bide_options o = BIDE_OPTIONS;
  o.max_depth = 100;
  o.cpu_slice = 0.001;
  spinning = begin_host(&o, &h);
  dumps = 0;
  signal(SIGALRM, on_frequent_alarm);
  setitimer(ITIMER_REAL, &at, NULL);
  CHECK(run_script(spinning, "local bide, clock = require 'bide', os.clock\n"
                             "bide.daemon(function() while true do bide.sleep(0) end end)\n"
                             "local function id(x) return x end\n"
                             "local past, n, m = clock() + 0.3, 0, 0\n"
                             "while clock() < past do n = n + id(1) m = m + 1 end\n"
                             "return n == m") == 0);
  setitimer(ITIMER_REAL, &never, NULL);
  signal(SIGALRM, SIG_DFL);
  CHECK(dumps > 10 && reports > 10);
  CHECK_STR(result(spinning), "true");
  end_host(spinning, &h);
}

static void warns_in_debug_mode(void) {
  static const char *const lines[] = {"bide: debug: task script has held the loop for ", "script:2",
                                      NULL};
  static const char busy[] = "local clock, last = os.clock, os.clock() + 0.15\n"
                             "while clock() < last do end\n";
  held h;
  bide_host *host = begin_host(NULL, &h);
  CHECK(run_script(host, busy) == 0);
  CHECK(reports == 0);
  CHECK(bide_debug(host, 1) == 0);
  CHECK(run_script(host, busy) == 0);
  CHECK(reports == 1 && in_order(last_report, lines));
  CHECK(bide_debug(host, 0) == 0);
  CHECK(run_script(host, busy) == 0);
  CHECK(reports == 1 && !lua_gethook(bide_lua(host)));
  end_host(host, &h);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      {"reports_where_an_error_came_from", reports_where_an_error_came_from},
      {"call_returns_the_traceback", call_returns_the_traceback},
      {"a_look_is_no_handling", a_look_is_no_handling},
      {"dumps_the_tree", dumps_the_tree},
      {"dumps_what_computes_beside_a_hook", dumps_what_computes_beside_a_hook},
      {"dumps_what_is_sliced", dumps_what_is_sliced},
      {"warns_in_debug_mode", warns_in_debug_mode},
      {NULL, NULL},
  };
  return run_tests(argc, argv, tests);
}
