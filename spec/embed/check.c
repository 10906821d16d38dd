/* SPDX-License-Identifier: MIT */
/* check.c: see check.h. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

int reports;
char last_report[4096];
static int failures;

void check_at(const char *file, int line, int holds, const char *what) {
  if (holds) return;
  failures++;
  printf("%s:%d: does not hold: %s\n", file, line, what);
}

void check_str_at(const char *file, int line, const char *found, const char *expected) {
  if (found && expected && strcmp(found, expected) == 0) return;
  failures++;
  printf("%s:%d: found '%s', expected '%s'\n", file, line, found ? found : "(null)",
         expected ? expected : "(null)");
}

static int is_named(int argc, char **argv, const char *name) {
  int i;
  if (argc <= 1) return 1;
  for (i = 1; i < argc; i++)
    if (strcmp(argv[i], name) == 0) return 1;
  return 0;
}

int run_tests(int argc, char **argv, const test *tests) {
  int passed = 0, failed = 0;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (; tests->name; tests++) {
    if (!is_named(argc, argv, tests->name)) continue;
    failures = 0;
    tests->run();
    if (failures) printf("FAILED: %s\n", tests->name);
    if (failures) failed++;
    else passed++;
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed || !passed;
}

void *held_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  held *h = ud;
  void *q;
  (void)osize;
  if (nsize == 0) {
    if (p) h->blocks--;
    free(p);
    return NULL;
  }
  q = realloc(p, nsize);
  if (q && !p) h->blocks++;
  return q;
}

static void on_report(void *ud, const char *message) {
  (void)ud;
  reports++;
  snprintf(last_report, sizeof last_report, "%s", message);
  if (getenv("SHOW_REPORTS")) printf("report: %s\n", message);
}

bide_host *begin_host(const bide_options *options, held *h) {
  bide_options o = BIDE_OPTIONS;
  bide_host *host;
  if (options) o = *options;
  h->blocks = 0;
  reports = 0;
  last_report[0] = '\0';
  o.alloc = held_alloc;
  o.alloc_ud = h;
  o.report = on_report;
  host = bide_new(&o);
  if (!host) {
    printf("bide_new failed\n");
    exit(1);
  }
  return host;
}

void end_host(bide_host *host, held *h) {
  bide_free(host);
  CHECK(h->blocks == 0);
}

static int load(bide_host *host, const char *script) {
  lua_settop(bide_lua(host), 0);
  return bide_load_string(host, script, strlen(script), "=script");
}

int run_script(bide_host *host, const char *script) {
  int status = load(host, script);
  return status ? status : bide_call(host, 0, 1);
}

int spawn_script(bide_host *host, const char *script) {
  int status = load(host, script);
  return status ? status : bide_spawn(host, 0);
}

const char *result(bide_host *host) {
  lua_State *L = bide_lua(host);
  if (lua_gettop(L) == 0) return "nothing";
  if (lua_isnil(L, 1)) return "nil";
  if (lua_istable(L, 1)) {
    lua_getfield(L, 1, "code");
    lua_replace(L, 1);
  }
  return luaL_tolstring(L, 1, NULL);
}

double now(void) {
  return (double)uv_hrtime() / 1e9;
}

double cpu_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

long resident(void) {
  long pages = 0, size = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f) return 0;
  if (fscanf(f, "%ld %ld", &size, &pages) != 2) pages = 0;
  fclose(f);
  return pages * sysconf(_SC_PAGESIZE);
}

/* libuv closes descriptors by bare system calls, which the thread sanitizer does not see: it takes
 * the next owner of the number for a second writer. */
#if defined(__SANITIZE_THREAD__)
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
  return "race_top:epoll_create1\nrace_top:eventfd\nrace_top:pipe2\nrace_top:socket\n"
         "race_top:close\n";
}
#endif
