/* SPDX-License-Identifier: MIT */
/*
 * Starts one program for the driver, which is plain Lua and can neither fork nor read rusage.
 *
 *   launch run   REPORT OUTPUT CPU SECONDS program args…   run to its end, or kill it after SECONDS
 *   launch serve REPORT OUTPUT CPU SECONDS program args…   run until our stdin ends (or SECONDS)
 *   launch times COUNT program args…                       run COUNT times, print the median wall
 * time launch cpu PID                                         print the CPU seconds used by PID so
 * far
 *
 * REPORT receives `name value` lines (pid at once; wall, cpu, rss_kb and status at the end), OUTPUT
 * the program's stdout and stderr; CPU is the core it is pinned to, or -1.
 *
 * Invariant: the program never outlives us; the kernel kills it if we die first.
 */
#include "bench.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

enum { MAX_TIMES = 10000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t) {
  return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* In the child: streams, core, descriptors, then the program itself. */
static _Noreturn void become(char **argv, const char *output, int cpu) {
  int in = open("/dev/null", O_RDONLY);
  int out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (in < 0 || out < 0) bench_die(output);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) bench_die("dup2");
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set)) bench_die("sched_setaffinity");
  }
  bench_raise_fds();
  execvp(argv[0], argv);
  bench_die(argv[0]);
}

static int pidfd_of(pid_t pid) {
  return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Waits for the program's end, for `limit` seconds at most; a server also until stdin ends. */
static void wait_for(int pidfd, int serve, double limit) {
  struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN},
                          {.fd = serve ? 0 : -1, .events = POLLIN}};
  double end = now() + limit;
  for (;;) {
    char drop[64];
    int left = (int)((end - now()) * 1000);
    if (left <= 0 || poll(fds, 2, left) < 0) return;
    if (fds[0].revents) return;
    if (fds[1].revents && read(0, drop, sizeof drop) <= 0) return;
  }
}

static int supervise(int serve, const char *report, const char *output, int cpu, long limit,
                     char **argv) {
  FILE *r = fopen(report, "w");
  if (!r) bench_die(report);
  double start = now();
  pid_t pid = fork();
  if (pid < 0) bench_die("fork");
  if (pid == 0) become(argv, output, cpu);
  fprintf(r, "pid %d\n", (int)pid);
  fflush(r);

  int pidfd = pidfd_of(pid), status = 0;
  if (pidfd < 0) bench_die("pidfd_open");
  wait_for(pidfd, serve, (double)limit);
  siginfo_t ended = {0};
  waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT);
  if (ended.si_pid == 0) kill(pid, serve ? SIGTERM : SIGKILL);
  if (serve) {
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    if (poll(&p, 1, 2000) == 0) kill(pid, SIGKILL);
  }
  struct rusage u;
  if (wait4(pid, &status, 0, &u) < 0) bench_die("wait4");
  fprintf(r, "wall %.6f\ncpu %.6f\nrss_kb %ld\nstatus %d\n", now() - start,
          seconds(u.ru_utime) + seconds(u.ru_stime), u.ru_maxrss,
          WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  fclose(r);
  return 0;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* fork + exec + exit + wait, as a shell would see it; the program's output is thrown away. */
static int times(int count, char **argv) {
  static double took[MAX_TIMES];
  posix_spawn_file_actions_t files;
  if (posix_spawn_file_actions_init(&files)) bench_die("posix_spawn_file_actions_init");
  if (posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0)) bench_die("addopen");
  for (int i = 0; i < count; i++) {
    pid_t pid;
    int status = 0;
    double start = now();
    errno = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
    if (errno) bench_die(argv[0]);
    if (waitpid(pid, &status, 0) < 0 || status != 0) bench_die("the program failed");
    took[i] = now() - start;
  }
  posix_spawn_file_actions_destroy(&files);
  qsort(took, (size_t)count, sizeof took[0], by_value);
  printf("ms %.4f\n", took[count / 2] * 1e3);
  return 0;
}

static int cpu_of(pid_t pid) {
  clockid_t clock;
  struct timespec t;
  errno = clock_getcpuclockid(pid, &clock);
  if (errno || clock_gettime(clock, &t)) bench_die("clock_getcpuclockid");
  printf("cpu %.9f\n", (double)t.tv_sec + (double)t.tv_nsec / 1e9);
  return 0;
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  int serve = !strcmp(mode, "serve");
  if ((serve || !strcmp(mode, "run")) && argc > 6)
    return supervise(serve, argv[2], argv[3], atoi(argv[4]),
                     bench_arg(argc, argv, 5, "seconds", 3600), argv + 6);
  if (!strcmp(mode, "times") && argc > 3)
    return times((int)bench_arg(argc, argv, 2, "count", MAX_TIMES), argv + 3);
  if (!strcmp(mode, "cpu") && argc > 2)
    return cpu_of((pid_t)bench_arg(argc, argv, 2, "pid", 1L << 30));
  fprintf(stderr, "usage: launch run|serve|times|cpu …; see the head of launch.c\n");
  return 2;
}
