/* SPDX-License-Identifier: MIT */
/* check.h: what the C programs under spec/embed share. Each is a program of its own: a list of
 * tests, run in order, or those named on the command line; ends with `N passed, N failed`. */
#ifndef SPEC_EMBED_CHECK_H
#define SPEC_EMBED_CHECK_H

#include <stddef.h>

#include <bide.h>

typedef struct test {
  const char *name;
  void (*run)(void);
} test;

/* Runs the tests; for `return run_tests(argc, argv, tests);`. The list ends with a NULL name. */
int run_tests(int argc, char **argv, const test *tests);

/* Notes a failure of the running test and goes on. */
void check_at(const char *file, int line, int holds, const char *what);
#define CHECK(expr) check_at(__FILE__, __LINE__, (expr) != 0, #expr)

/* A failed comparison shows both strings; NULL is shown as such. */
void check_str_at(const char *file, int line, const char *found, const char *expected);
#define CHECK_STR(found, expected) check_str_at(__FILE__, __LINE__, found, expected)

/* An allocator that counts what it holds: for bide_options. */
typedef struct held {
  long blocks;
} held;
void *held_alloc(void *ud, void *p, size_t osize, size_t nsize);

/* A host with these options (NULL: defaults), its reports to the running test's failures unless
 * `quiet`, and an allocator that counts; end_host frees it and checks that nothing is left. */
bide_host *begin_host(const bide_options *options, held *h);
void end_host(bide_host *host, held *h);
extern int reports; /* how many there were since begin_host */
extern char last_report[4096];

/* Compiles `script` and runs it by bide_call; returns the status. The results or the error are left
 * on the stack of the host's state, which is emptied first. */
int run_script(bide_host *host, const char *script);
/* The same, started by bide_spawn. */
int spawn_script(bide_host *host, const char *script);
/* The string at index 1 of the host's state ("nil" for nil, code of a bide.Error). */
const char *result(bide_host *host);

/* Monotonic seconds; CPU seconds of this thread. */
double now(void);
double cpu_now(void);
/* Resident bytes of the process. */
long resident(void);

#endif
