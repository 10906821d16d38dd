/* SPDX-License-Identifier: MIT */
/*
 * The pre-flight of the network benchmarks: a figure counts only for a correct answer.
 *
 *   probe port              print a free port of 127.0.0.1
 *   probe http PORT COUNT   send COUNT GETs over one connection, one after the other, and print
 *                           the last answer as it came (head and body by Content-Length)
 *
 * Invariant: every read is bounded, in size by the buffer and in time by a receive timeout.
 */
#include "bench.h"

#include <ctype.h>
#include <sys/time.h>

static const char k_request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

static int free_port(void) {
  struct sockaddr_in a = bench_loopback(0);
  socklen_t n = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, n)) bench_die("bind");
  if (getsockname(fd, (struct sockaddr *)&a, &n)) bench_die("getsockname");
  printf("port %d\n", ntohs(a.sin_port));
  return 0;
}

/* The value of Content-Length in a head, or -1; header names are compared without case. */
static long content_length(const char *head, const char *end) {
  static const char name[] = "\r\ncontent-length:";
  for (; head + sizeof name < end; head++) {
    size_t i = 0;
    while (name[i] && tolower((unsigned char)head[i]) == name[i]) i++;
    if (!name[i]) return strtol(head + i, NULL, 10);
  }
  return -1;
}

/* Reads one answer into `buf`; returns its length. Bytes beyond it are an error. */
static size_t answer(int fd, char *buf, size_t size) {
  size_t have = 0, want = 0;
  while (!want || have < want) {
    ssize_t n = read(fd, buf + have, size - 1 - have);
    if (n <= 0) bench_die("the answer is not complete");
    have += (size_t)n;
    buf[have] = 0;
    char *end = want ? NULL : strstr(buf, "\r\n\r\n");
    if (end) {
      long length = content_length(buf, end + 4);
      if (length < 0 || (size_t)length > size / 2) bench_die("the answer has no Content-Length");
      want = (size_t)(end + 4 - buf) + (size_t)length;
    }
  }
  if (have > want) bench_die("bytes after the answer");
  return have;
}

static int http(long port, long count) {
  static char buf[65536];
  struct timeval limit = {.tv_sec = 5};
  int fd = bench_connect(port);
  size_t n = 0;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) bench_die("setsockopt");
  while (count-- > 0) {
    if (write(fd, k_request, sizeof k_request - 1) != sizeof k_request - 1) bench_die("write");
    n = answer(fd, buf, sizeof buf);
  }
  close(fd);
  return fwrite(buf, 1, n, stdout) == n ? 0 : 1;
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  if (!strcmp(mode, "port")) return free_port();
  if (!strcmp(mode, "http"))
    return http(bench_arg(argc, argv, 2, "port", 65535), bench_arg(argc, argv, 3, "count", 1000));
  fprintf(stderr, "usage: probe port | probe http PORT COUNT\n");
  return 2;
}
