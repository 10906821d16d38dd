/* SPDX-License-Identifier: MIT */
/*
 * What every benchmark program in C shares: how it reads its arguments, how it fails, how it reads
 * its own memory. Programs report figures on stdout as lines of `name value`.
 *
 * Invariant: nothing here is measured; it runs before or after the part that is.
 */
#ifndef BENCH_H
#define BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BENCH_UNUSED __attribute__((unused))

/* Ends the program: a benchmark that cannot run has no figure to give. */
static BENCH_UNUSED _Noreturn void bench_die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
  exit(1);
}

/* The positive number in argument `i`; ends the program when it is missing or out of range. */
static BENCH_UNUSED long bench_arg(int argc, char **argv, int i, const char *name, long max) {
  char *end = NULL;
  long n = i < argc ? strtol(argv[i], &end, 10) : 0;
  if (i >= argc || *end || n < 1 || n > max) {
    fprintf(stderr, "%s: argument %d, %s, must be 1 to %ld\n", argv[0], i, name, max);
    exit(2);
  }
  return n;
}

/* A field of /proc/self/status in kB ("VmRSS:", "VmHWM:"). */
static BENCH_UNUSED long bench_status_kb(const char *field) {
  FILE *f = fopen("/proc/self/status", "r");
  char line[256];
  long kb = -1;
  if (!f) bench_die("/proc/self/status");
  while (kb < 0 && fgets(line, sizeof line, f))
    if (!strncmp(line, field, strlen(field))) kb = strtol(line + strlen(field), NULL, 10);
  fclose(f);
  if (kb < 0) bench_die(field);
  return kb;
}

static BENCH_UNUSED struct sockaddr_in bench_loopback(long port) {
  struct sockaddr_in a;
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_port = htons((unsigned short)port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

/* A connected blocking socket to 127.0.0.1:port, without Nagle's delay. */
static BENCH_UNUSED int bench_connect(long port) {
  struct sockaddr_in a = bench_loopback(port);
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) bench_die("socket");
  if (connect(fd, (struct sockaddr *)&a, sizeof a)) bench_die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

/* Takes as many descriptors as the hard limit allows. */
static BENCH_UNUSED void bench_raise_fds(void) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r)) bench_die("getrlimit");
  r.rlim_cur = r.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &r)) bench_die("setrlimit");
}

#endif
