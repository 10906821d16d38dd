/* SPDX-License-Identifier: MIT */
/*
 * echo_load PORT CONNECTIONS MILLISECONDS: ping-pong of 64 bytes over each connection at once, with
 * epoll, until the time is up. Every reply is compared with what was sent.
 *
 * Invariant: one message is under way per connection; each carries its own round number, so that a
 * stale or swapped reply is noticed.
 */
#include "../tools/bench.h"

#include <sys/epoll.h>
#include <time.h>

enum { MESSAGE = 64, MAX_CONNS = 4096 };

typedef struct peer {
  int fd;
  unsigned long round;
  size_t have;
  char sent[MESSAGE];
  char got[MESSAGE];
} peer;

static peer g_peers[MAX_CONNS];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void ping(peer *p) {
  p->round++;
  memcpy(p->sent, &p->round, sizeof p->round);
  p->have = 0;
  if (write(p->fd, p->sent, MESSAGE) != MESSAGE) bench_die("write");
}

/* Takes what has come; true when the whole reply is here. */
static int pong(peer *p) {
  ssize_t n = recv(p->fd, p->got + p->have, MESSAGE - p->have, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) bench_die("read");
  p->have += (size_t)n;
  if (p->have < MESSAGE) return 0;
  errno = 0;
  if (memcmp(p->sent, p->got, MESSAGE)) bench_die("the echo differs");
  return 1;
}

static void open_peers(int ep, long port, long count) {
  for (long i = 0; i < count; i++) {
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &g_peers[i]};
    g_peers[i].fd = bench_connect(port);
    memset(g_peers[i].sent, (int)('a' + i % 26), MESSAGE);
    if (epoll_ctl(ep, EPOLL_CTL_ADD, g_peers[i].fd, &ev)) bench_die("epoll_ctl");
  }
}

int main(int argc, char **argv) {
  long port = bench_arg(argc, argv, 1, "port", 65535);
  long count = bench_arg(argc, argv, 2, "connections", MAX_CONNS);
  double limit = (double)bench_arg(argc, argv, 3, "milliseconds", 60000) / 1e3;
  struct epoll_event events[256];
  unsigned long trips = 0;
  int ep = epoll_create1(EPOLL_CLOEXEC);
  if (ep < 0) bench_die("epoll_create1");
  open_peers(ep, port, count);
  double start = now();
  for (long i = 0; i < count; i++) ping(&g_peers[i]);
  while (now() - start < limit) {
    int n = epoll_wait(ep, events, 256, 5000);
    if (n <= 0) bench_die("epoll_wait");
    for (int i = 0; i < n; i++) {
      peer *p = events[i].data.ptr;
      if (!pong(p)) continue;
      trips++;
      ping(p);
    }
  }
  printf("round_trips %lu\nseconds %.6f\n", trips, now() - start);
  return 0;
}
