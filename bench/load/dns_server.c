/* SPDX-License-Identifier: MIT */
/*
 * A DNS server on a free port of 127.0.0.1: an address for each A question, none for the others,
 * and silence for every name that begins with "silent". Ends with whoever started it.
 */
#include "../tools/bench.h"

#include <sys/prctl.h>
#include <signal.h>

enum { HEADER = 12, MOST = 512 };

/* Where the question behind the header ends, or 0. */
static size_t question_end(const unsigned char *p, size_t n) {
  size_t at = HEADER;
  while (at < n && p[at]) at += 1u + p[at];
  return at + 5 <= n ? at + 5 : 0;
}

/* Turns the question in p into its answer; its length, or 0 for none. */
static size_t answer(unsigned char *p, size_t n) {
  static const unsigned char record[] = {0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 9};
  size_t end = question_end(p, n);
  if (!end || !strncasecmp((char *)p + HEADER + 1, "silent", 6)) return 0;
  p[2] = 0x81; /* an answer, recursion wanted … */
  p[3] = 0x80; /* … and available; no error */
  memset(p + 6, 0, 6);
  if (p[end - 3] != 1) return end;
  p[7] = 1;
  memcpy(p + end, record, sizeof record);
  return end + sizeof record;
}

int main(void) {
  struct sockaddr_in a = bench_loopback(0), from;
  socklen_t n = sizeof a;
  unsigned char p[MOST * 2];
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || getsockname(fd, (struct sockaddr *)&a, &n))
    bench_die("bind");
  printf("port %d\n", ntohs(a.sin_port));
  fflush(stdout);
  for (;;) {
    n = sizeof from;
    ssize_t got = recvfrom(fd, p, MOST, 0, (struct sockaddr *)&from, &n);
    size_t size = got > HEADER ? answer(p, (size_t)got) : 0;
    if (size) sendto(fd, p, size, 0, (struct sockaddr *)&from, n);
  }
}
