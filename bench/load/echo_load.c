/* SPDX-License-Identifier: MIT */
/*
 * echo_load PORT CONNECTIONS MILLISECONDS [tls]: ping-pong of 64 bytes over each connection at
 * once, with epoll, until the time is up. Every reply is compared with what was sent.
 *
 * Once it is, each connection ends with its last reply read: nothing is reset.
 *
 * Invariant: one message is under way per connection; each carries its own round number, so that a
 * stale or swapped reply is noticed.
 */
#include "../tools/bench.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <time.h>

enum { MESSAGE = 64, MAX_CONNS = 4096 };

typedef struct peer {
  int fd;
  SSL *ssl; /* NULL: plain */
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
  ssize_t n = p->ssl ? SSL_write(p->ssl, p->sent, MESSAGE) : write(p->fd, p->sent, MESSAGE);
  if (n != MESSAGE) bench_die("write");
}

/* Reads up to `size` bytes; 0 when none are here yet. */
static size_t take(peer *p, char *to, size_t size) {
  ssize_t n;
  if (p->ssl) {
    n = SSL_read(p->ssl, to, (int)size);
    if (n <= 0 && SSL_get_error(p->ssl, (int)n) == SSL_ERROR_WANT_READ) return 0;
  } else {
    n = read(p->fd, to, size);
    if (n < 0 && errno == EAGAIN) return 0;
  }
  if (n <= 0) bench_die("read");
  return (size_t)n;
}

/* Takes what has come; true when the whole reply is here. */
static int pong(peer *p) {
  p->have += take(p, p->got + p->have, MESSAGE - p->have);
  if (p->have < MESSAGE) return 0;
  errno = 0;
  if (memcmp(p->sent, p->got, MESSAGE)) bench_die("the echo differs");
  return 1;
}

/* The handshake is done blocking; the certificate is not looked at. */
static SSL *secure(SSL_CTX *ctx, int fd) {
  SSL *ssl = SSL_new(ctx);
  if (!ssl || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1) bench_die("SSL_connect");
  return ssl;
}

static void open_peers(int ep, long port, long count, SSL_CTX *ctx) {
  for (long i = 0; i < count; i++) {
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &g_peers[i]};
    g_peers[i].fd = bench_connect(port);
    if (ctx) g_peers[i].ssl = secure(ctx, g_peers[i].fd);
    if (fcntl(g_peers[i].fd, F_SETFL, O_NONBLOCK)) bench_die("fcntl");
    memset(g_peers[i].sent, (int)('a' + i % 26), MESSAGE);
    if (epoll_ctl(ep, EPOLL_CTL_ADD, g_peers[i].fd, &ev)) bench_die("epoll_ctl");
  }
}

int main(int argc, char **argv) {
  long port = bench_arg(argc, argv, 1, "port", 65535);
  long count = bench_arg(argc, argv, 2, "connections", MAX_CONNS);
  double limit = (double)bench_arg(argc, argv, 3, "milliseconds", 60000) / 1e3;
  SSL_CTX *ctx = argc > 4 ? SSL_CTX_new(TLS_client_method()) : NULL;
  struct epoll_event events[256];
  unsigned long trips = 0;
  int ep = epoll_create1(EPOLL_CLOEXEC);
  if (ep < 0) bench_die("epoll_create1");
  open_peers(ep, port, count, ctx);
  double start = now(), took = 0;
  for (long i = 0; i < count; i++) ping(&g_peers[i]);
  for (long open = count; open > 0;) {
    int n = epoll_wait(ep, events, 256, 5000);
    if (n <= 0) bench_die("epoll_wait");
    took = now() - start;
    for (int i = 0; i < n; i++) {
      peer *p = events[i].data.ptr;
      if (!pong(p)) continue;
      trips++;
      if (took < limit) ping(p);
      else open--;
    }
  }
  printf("round_trips %lu\nseconds %.6f\n", trips, took);
  return 0;
}
