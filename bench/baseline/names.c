/* SPDX-License-Identifier: MIT */
/*
 * names PORT COUNT THREADS SECONDS TRIES: COUNT names looked up by getaddrinfo on THREADS threads,
 * every other one met with silence, each question sent TRIES times SECONDS apart. Meanwhile the
 * first thread wakes each millisecond, as other work would.
 *
 * Invariant: each thread has a resolver of its own (glibc's _res), told here where to ask.
 */
#include "../tools/bench.h"

#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdatomic.h>
#include <time.h>

static long g_port, g_count, g_seconds, g_tries;
static atomic_long g_next, g_over;
static double g_began;
static double *g_took; /* by name, negative: no address */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void set_up_resolver(void) {
  res_init();
  _res.retrans = (int)g_seconds;
  _res.retry = (int)g_tries;
  _res.nscount = 1;
  _res.nsaddr_list[0] = bench_loopback(g_port);
}

static void look_up(long i) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
  char name[64];
  snprintf(name, sizeof name, "%s%ld.test.", i % 2 ? "silent" : "good", i);
  int r = getaddrinfo(name, NULL, &hints, &found);
  g_took[i] = r ? -1 : now() - g_began;
  if (!r) freeaddrinfo(found);
}

static void *work(void *arg) {
  long i;
  (void)arg;
  set_up_resolver();
  while ((i = atomic_fetch_add(&g_next, 1)) < g_count) {
    look_up(i);
    atomic_fetch_add(&g_over, 1);
  }
  return NULL;
}

/* The longest that a wake-up each millisecond came too late. */
static double tick(void) {
  double worst = 0;
  while (atomic_load(&g_over) < g_count) {
    struct timespec ms = {.tv_nsec = 1000000};
    double before = now();
    nanosleep(&ms, NULL);
    double late = now() - before - 0.001;
    if (late > worst) worst = late;
  }
  return worst;
}

static void report(double late) {
  double sum = 0, last = 0, all = now() - g_began;
  long n = 0;
  for (long i = 0; i < g_count; i++) {
    if (g_took[i] < 0) continue;
    sum += g_took[i];
    if (g_took[i] > last) last = g_took[i];
    n++;
  }
  printf("found %ld\nmean %.2f\nlast %.2f\nall %.2f\nlate %.1f\nmemory %ld\n", n,
         n ? sum / (double)n : 0, last, all, late * 1e3, bench_status_kb("VmHWM:"));
}

int main(int argc, char **argv) {
  long threads;
  g_port = bench_arg(argc, argv, 1, "port", 65535);
  g_count = bench_arg(argc, argv, 2, "count", 100000);
  threads = bench_arg(argc, argv, 3, "threads", 4000);
  g_seconds = bench_arg(argc, argv, 4, "seconds", 60);
  g_tries = bench_arg(argc, argv, 5, "tries", 10);
  g_took = calloc((size_t)g_count, sizeof *g_took);
  if (!g_took) bench_die("calloc");
  g_began = now();
  for (long i = 0; i < threads; i++) {
    pthread_t t;
    if ((errno = pthread_create(&t, NULL, work, NULL))) bench_die("pthread_create");
    pthread_detach(t);
  }
  report(tick());
  return 0;
}
