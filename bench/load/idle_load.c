/* SPDX-License-Identifier: MIT */
/*
 * idle_load PORT COUNT quiet|http: opens that many connections and then holds them, saying nothing
 * (`http`: after one complete request and answer each). Prints `ready COUNT` and waits to be ended.
 */
#include "../tools/bench.h"

#include <sys/time.h>

static const char k_request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
static const char k_body[] = "hello world\n";

/* One request, and its answer until the expected body ends it. */
static void exchange(int fd) {
  char buf[4096];
  size_t have = 0, body = sizeof k_body - 1;
  struct timeval limit = {.tv_sec = 10};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) bench_die("setsockopt");
  if (write(fd, k_request, sizeof k_request - 1) != sizeof k_request - 1) bench_die("write");
  while (have < body || memcmp(buf + have - body, k_body, body)) {
    ssize_t n = read(fd, buf + have, sizeof buf - have);
    if (n <= 0) bench_die("the answer is not complete");
    have += (size_t)n;
  }
}

int main(int argc, char **argv) {
  long port = bench_arg(argc, argv, 1, "port", 65535);
  long count = bench_arg(argc, argv, 2, "count", 19000);
  int http = argc > 3 && !strcmp(argv[3], "http");
  for (long i = 0; i < count; i++) {
    int fd = bench_connect(port);
    if (http) exchange(fd);
  }
  printf("ready %ld\n", count);
  fflush(stdout);
  for (;;) pause();
}
