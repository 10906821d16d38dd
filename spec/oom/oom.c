/* SPDX-License-Identifier: MIT */
/* oom.c: every allocation fails once: `oom [script...]`, by default each spec/oom/<name>.lua.
 *
 * A script is run in a fresh host once without a failure, which counts its allocations, then once
 * per allocation n, with n failing: alone (with the one retry that Lua makes after a collection),
 * and with all that follow it. What must hold each time: no crash, no hang, nothing left allocated
 * after bide_free, and either success or an error. Attempts run in children, in batches, so that a
 * crash is told with its n. Each script in each mode counts as one test.
 *
 * OOM_LIMIT (3000): up to there each n is tried, beyond it OOM_SAMPLE (300) drawn ones. OOM_SECONDS
 * (0: no limit) for all together: then as many drawn ones as fit. OOM_SEED: what to draw by. */
#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

#include <bide.h>

enum { BATCH = 50, ATTEMPT_SECONDS = 30, FAILURES_SHOWN = 5 };

typedef enum mode { MODE_ONCE, MODE_ONWARDS, MODE_COUNT } mode;
static const char *const mode_names[] = {"once", "onwards"};

/* An allocator that keeps count; a block's size is given back with it. */
typedef struct meter {
  uint64_t requests;
  uint64_t fail_from, fail_to; /* these requests fail; from 1, 0: none */
  int64_t blocks, bytes;       /* held now */
} meter;

/* Where a child is, in memory shared with its parent. */
typedef struct progress {
  uint64_t n;      /* being tried */
  uint64_t index;  /* its place in the plan */
  uint64_t errors; /* attempts that ended in an error */
  int64_t left;    /* blocks left by an attempt */
} progress;

typedef struct plan {
  uint64_t *n; /* owned */
  size_t size;
} plan;

static progress *shared;
static uint64_t random_state;

static uint64_t random_next(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static uint64_t setting(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void *meter_alloc(void *ud, void *block, size_t osize, size_t nsize) {
  meter *m = ud;
  if (nsize == 0) {
    if (block) m->blocks--, m->bytes -= (int64_t)osize;
    free(block);
    return NULL;
  }
  size_t held = block ? osize : 0;
  /* Lua relies on a block that shrinks: that never fails. */
  if (nsize > held) {
    m->requests++;
    if (m->requests >= m->fail_from && m->requests <= m->fail_to) return NULL;
  }
  void *result = realloc(block, nsize);
  if (!result) return NULL;
  if (!block) m->blocks++;
  m->bytes += (int64_t)nsize - (int64_t)held;
  return result;
}

/* Whether the error at `index` is one of memory: as text, or as bide's error, or the text that
 * luaL_checkstack has for a stack that cannot grow. Anything else means that a failed allocation
 * made the script see something wrong. */
static bool is_memory_error(lua_State *L, int index) {
  bool held = false;
  lua_pushvalue(L, index);
  if (lua_type(L, -1) == LUA_TTABLE) lua_getfield(L, -1, "code");
  const char *text = lua_tostring(L, -1);
  static const char *const known[] = {"memory", "ENOMEM", "stack overflow"};
  for (size_t i = 0; text && i < sizeof known / sizeof known[0]; i++)
    held = held || strstr(text, known[i]);
  if (!held) fprintf(stderr, "unexpected error: %s\n", text ? text : luaL_typename(L, -1));
  return held;
}

/* One run of the script. Returns 0 when it succeeded, -1 after an error of memory, -2 after another
 * one. */
static int attempt(const char *script, meter *m) {
  bide_options options = {.size = sizeof options};
  options.alloc = meter_alloc;
  options.alloc_ud = m;
  bide_host *host = bide_new(&options);
  if (!host) return -1;
  lua_State *L = bide_lua(host);
  int status = bide_load_file(host, script);
  if (status == 0) status = bide_call(host, 0, 0);
  m->fail_to = 0;
  int result = 0;
  if (status < 0) result = is_memory_error(L, 1) ? -1 : -2;
  if (status == 0 && bide_unhandled(host) > 0) result = -1;
  bide_free(host);
  return result;
}

static meter failing(uint64_t n, mode how) {
  meter m = {.fail_from = n, .fail_to = how == MODE_ONCE ? n + 1 : UINT64_MAX};
  return m;
}

/* A child: tries the plan from `from` on, up to a batch. Its exit status is 0 when all held. */
static void run_batch(const char *script, mode how, const plan *p, size_t from) {
  size_t end = from + BATCH < p->size ? from + BATCH : p->size;
  for (size_t i = from; i < end; i++) {
    meter m = failing(p->n[i], how);
    shared->n = p->n[i];
    shared->index = i;
    alarm(ATTEMPT_SECONDS);
    int result = attempt(script, &m);
    alarm(0);
    if (result < 0) shared->errors++;
    if (result < -1) _exit(1);
    if (m.blocks != 0 || m.bytes != 0) {
      shared->left = m.blocks;
      fprintf(stderr, "left behind: %lld blocks, %lld bytes\n", (long long)m.blocks,
              (long long)m.bytes);
      _exit(1);
    }
  }
}

static void show_file(FILE *file) {
  char line[1024];
  rewind(file);
  while (fgets(line, sizeof line, file)) fprintf(stdout, "    %s", line);
}

/* Runs a batch in a child. Returns the place to go on from; *held tells whether all was well. */
static size_t try_batch(const char *script, mode how, const plan *p, size_t from, bool *held) {
  FILE *errors = tmpfile();
  fflush(stdout);
  pid_t child = errors ? fork() : -1;
  if (child < 0) {
    perror("oom");
    exit(2);
  }
  if (child == 0) {
    dup2(fileno(errors), STDERR_FILENO);
    dup2(fileno(errors), STDOUT_FILENO);
    run_batch(script, how, p, from);
    exit(0); /* through the leak check, where there is one */
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) continue;
  *held = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  size_t next = from + BATCH;
  if (!*held) {
    next = shared->index + 1;
    printf("  %s, %s: n = %llu: %s %d\n", script, mode_names[how], (unsigned long long)shared->n,
           WIFSIGNALED(status) ? "signal" : "exit status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    show_file(errors);
  }
  fclose(errors);
  return next;
}

static void plan_add(plan *p, uint64_t n) {
  p->n[p->size++] = n;
}

/* Each n up to the limit, a sample of those beyond; all of it shuffled when time is short. */
static plan make_plan(uint64_t total, bool short_time) {
  uint64_t limit = setting("OOM_LIMIT", 3000), sample = setting("OOM_SAMPLE", 300);
  uint64_t all = total < limit ? total : limit;
  plan p = {.n = malloc((all + sample + 1) * sizeof(uint64_t))};
  if (!p.n) exit(2);
  for (uint64_t n = 1; n <= all; n++) plan_add(&p, n);
  for (uint64_t i = 0; total > all && i < sample; i++)
    plan_add(&p, all + 1 + random_next() % (total - all));
  for (size_t i = p.size; short_time && i > 1; i--) {
    size_t j = random_next() % i;
    uint64_t n = p.n[i - 1];
    p.n[i - 1] = p.n[j];
    p.n[j] = n;
  }
  return p;
}

/* One test. `seconds` 0: no limit. */
static bool test_script(const char *script, mode how, uint64_t total, double seconds) {
  plan p = make_plan(total, seconds > 0);
  struct timespec start, now;
  int failures = 0;
  size_t at = 0;
  shared->errors = 0;
  clock_gettime(CLOCK_MONOTONIC, &start);
  while (at < p.size && failures < FAILURES_SHOWN) {
    bool held;
    at = try_batch(script, how, &p, at, &held);
    if (!held) failures++;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double spent =
        (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
    if (seconds > 0 && spent > seconds) break;
  }
  if (at > p.size) at = p.size;
  printf("%s, %s: %zu of %llu allocations failed in turn, %llu ended in an error: %s\n", script,
         mode_names[how], at, (unsigned long long)total, (unsigned long long)shared->errors,
         failures ? "FAILED" : "ok");
  free(p.n);
  return failures == 0;
}

/* Runs without a failure in a child; returns the number of allocations, 0 when that did not work.
 */
static uint64_t count_allocations(const char *script) {
  fflush(stdout);
  shared->n = 0;
  pid_t child = fork();
  if (child == 0) {
    meter m = {0};
    int status = attempt(script, &m);
    shared->n = m.requests;
    exit(status < 0 || m.blocks != 0 || m.bytes != 0);
  }
  int status = 1;
  while (child > 0 && waitpid(child, &status, 0) < 0) continue;
  return status == 0 ? shared->n : 0;
}

int main(int argc, char **argv) {
  glob_t found = {0};
  char **scripts = argv + 1;
  size_t nscripts = (size_t)argc - 1;
  if (nscripts == 0) {
    glob("spec/oom/*.lua", 0, NULL, &found);
    scripts = found.gl_pathv;
    nscripts = found.gl_pathc;
  }
  uint64_t seed = setting("OOM_SEED", (uint64_t)time(NULL));
  uint64_t seconds = setting("OOM_SECONDS", 0);
  random_state = seed * 2654435769u + 1;
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 2;
  printf("seed %llu\n", (unsigned long long)seed);
  int passed = 0, failed = 0;
  for (size_t i = 0; i < nscripts; i++) {
    uint64_t total = count_allocations(scripts[i]);
    if (total == 0) printf("%s: fails with all the memory there is\n", scripts[i]);
    for (mode how = 0; how < MODE_COUNT; how++) {
      double share = (double)seconds / (double)(nscripts * MODE_COUNT);
      bool held = total > 0 && test_script(scripts[i], how, total, share);
      if (held) passed++;
      else failed++;
    }
  }
  globfree(&found);
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || passed == 0;
}
