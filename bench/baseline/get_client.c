/* SPDX-License-Identifier: MIT */
/*
 * get_client PORT COUNT CONNECTIONS [CERT]: the floor under an HTTP client, epoll and nothing else:
 * that many GETs over kept connections, one under way on each; with CERT over TLS, which trusts it.
 *
 * Prints the CPU time of a request in microseconds, without that of connecting.
 *
 * Of a response only the end of its head is looked for and its length compared with the first's.
 * Invariant: one request is under way per connection; a response comes whole before the next goes.
 */
#include "../tools/bench.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>

enum { MAX_CONNS = 4096, BODY = 1024 };

typedef struct peer {
  int fd;
  SSL *ssl; /* NULL: plain */
  size_t have;
  char in[2048];
} peer;

static peer g_peers[MAX_CONNS];
static long g_left, g_pending;
static char g_request[128];
static size_t g_request_n;

static void ask(peer *p) {
  ssize_t n = p->ssl ? SSL_write(p->ssl, g_request, (int)g_request_n)
                     : send(p->fd, g_request, g_request_n, MSG_NOSIGNAL);
  if (n != (ssize_t)g_request_n) bench_die("write");
  p->have = 0;
  g_left--;
  g_pending++;
}

/* CPU seconds so far. */
static double cpu(void) {
  struct rusage r;
  if (getrusage(RUSAGE_SELF, &r)) bench_die("getrusage");
  return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
         (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* The handshake is done blocking. Read-ahead takes a record with one system call, not two. */
static SSL *secure(SSL_CTX *ctx, int fd) {
  SSL *ssl = SSL_new(ctx);
  if (!ssl || !SSL_set_fd(ssl, fd)) bench_die("SSL_new");
  SSL_set_read_ahead(ssl, 1);
  if (SSL_connect(ssl) != 1) bench_die("SSL_connect");
  return ssl;
}

static void open_peer(peer *p, long port, SSL_CTX *ctx, int ep) {
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};
  p->fd = bench_connect(port);
  if (ctx) p->ssl = secure(ctx, p->fd);
  fcntl(p->fd, F_SETFL, O_NONBLOCK);
  if (epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &ev)) bench_die("epoll_ctl");
}

/* Takes what has come; true when the whole response is here. One read: it is shorter than a record,
 * and what would be left makes the next epoll_wait tell so. */
static int take(peer *p) {
  size_t room = sizeof p->in - 1 - p->have;
  ssize_t n =
      p->ssl ? SSL_read(p->ssl, p->in + p->have, (int)room) : recv(p->fd, p->in + p->have, room, 0);
  if (n <= 0 && p->ssl && SSL_get_error(p->ssl, (int)n) == SSL_ERROR_WANT_READ) return 0;
  if (n <= 0) bench_die("read");
  p->have += (size_t)n;
  p->in[p->have] = 0;
  char *end = strstr(p->in, "\r\n\r\n");
  if (!end) return 0;
  size_t got = p->have - (size_t)(end + 4 - p->in);
  errno = 0;
  if (got > BODY || strncmp(p->in, "HTTP/1.1 200 ", 13) != 0) bench_die("a wrong answer");
  return got == BODY;
}

static SSL_CTX *trusting(const char *cert) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  if (!ctx || SSL_CTX_load_verify_file(ctx, cert) != 1) bench_die("certificate");
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  return ctx;
}

int main(int argc, char **argv) {
  struct epoll_event events[256];
  long port = bench_arg(argc, argv, 1, "port", 65535);
  long count = g_left = bench_arg(argc, argv, 2, "count", 100000000),
       conns = bench_arg(argc, argv, 3, "connections", MAX_CONNS);
  SSL_CTX *ctx = argc > 4 ? trusting(argv[4]) : NULL;
  int ep = epoll_create1(EPOLL_CLOEXEC);
  if (ep < 0) bench_die("epoll_create1");
  g_request_n =
      (size_t)snprintf(g_request, sizeof g_request,
                       "GET / HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\nAccept: */*\r\n\r\n", port);
  for (long i = 0; i < conns; i++) open_peer(&g_peers[i], port, ctx, ep);
  double start = cpu();
  for (long i = 0; i < conns && g_left > 0; i++) ask(&g_peers[i]);
  while (g_pending) {
    int n = epoll_wait(ep, events, 256, 10000);
    if (n <= 0) bench_die("epoll_wait");
    for (int i = 0; i < n; i++) {
      peer *p = events[i].data.ptr;
      if (!take(p)) continue;
      g_pending--;
      if (g_left > 0) ask(p);
    }
  }
  printf("us %.3f\n", (cpu() - start) / (double)count * 1e6);
  return 0;
}
