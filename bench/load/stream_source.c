/* SPDX-License-Identifier: MIT */
/*
 * stream_source PORT MIB: sends that much, half-closes, and waits for the count that the sink
 * answers. The rate covers the whole exchange, so a sink cannot win by not reading.
 */
#include "../tools/bench.h"

#include <sys/time.h>
#include <time.h>

static char g_block[256 * 1024];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  long port = bench_arg(argc, argv, 1, "port", 65535);
  unsigned long long total = (unsigned long long)bench_arg(argc, argv, 2, "MiB", 65536) << 20;
  struct timeval limit = {.tv_sec = 30};
  char text[64];
  size_t have = 0;
  ssize_t n;
  memset(g_block, 'x', sizeof g_block);
  int fd = bench_connect(port);
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit))
    bench_die("setsockopt");
  double start = now();
  for (unsigned long long left = total; left > 0; left -= (unsigned long long)n) {
    n = write(fd, g_block, left < sizeof g_block ? (size_t)left : sizeof g_block);
    if (n <= 0) bench_die("write");
  }
  if (shutdown(fd, SHUT_WR)) bench_die("shutdown");
  while (have < sizeof text - 1 && (n = read(fd, text + have, sizeof text - 1 - have)) > 0)
    have += (size_t)n;
  double took = now() - start;
  text[have] = 0;
  errno = 0;
  if (strtoull(text, NULL, 10) != total) bench_die("the sink did not count every byte");
  printf("mb_per_s %.1f\n", (double)total / took / 1e6);
  return 0;
}
