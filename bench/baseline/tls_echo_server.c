/* SPDX-License-Identifier: MIT */
/*
 * tls_echo_server CERT KEY: the floor under a TLS server, OpenSSL on non-blocking sockets and
 * epoll; writes back what it read.
 *
 * Invariant: one message is under way per connection, so a write is never larger than the socket
 * buffer, and one that would block ends the connection.
 */
#include "../tools/bench.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/epoll.h>

static SSL_CTX *g_ctx;

static int listen_here(void) {
  struct sockaddr_in a = bench_loopback(0);
  socklen_t n = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, 4096)) bench_die("listen");
  if (getsockname(fd, (struct sockaddr *)&a, &n)) bench_die("getsockname");
  printf("port %d\n", ntohs(a.sin_port));
  fflush(stdout);
  return fd;
}

static void drop(SSL *ssl) {
  int fd = SSL_get_fd(ssl);
  SSL_free(ssl);
  close(fd);
}

static void take_connections(int ep, int listener) {
  int fd, on = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    SSL *ssl = SSL_new(g_ctx);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ssl};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!ssl || !SSL_set_fd(ssl, fd)) bench_die("SSL_new");
    SSL_set_accept_state(ssl);
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev)) bench_die("epoll_ctl");
  }
}

/* SSL_read does the handshake as well, until it is through. */
static void echo(SSL *ssl) {
  static char buf[16384];
  int n;
  while ((n = SSL_read(ssl, buf, sizeof buf)) > 0)
    if (SSL_write(ssl, buf, n) != n) break;
  if (n > 0 || SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ) drop(ssl);
  ERR_clear_error();
}

int main(int argc, char **argv) {
  struct epoll_event events[256], ev = {.events = EPOLLIN, .data.ptr = NULL};
  signal(SIGPIPE, SIG_IGN);
  g_ctx = SSL_CTX_new(TLS_server_method());
  if (!g_ctx || argc < 3 || SSL_CTX_use_certificate_chain_file(g_ctx, argv[1]) != 1 ||
      SSL_CTX_use_PrivateKey_file(g_ctx, argv[2], SSL_FILETYPE_PEM) != 1)
    bench_die("certificate");
  SSL_CTX_set_min_proto_version(g_ctx, TLS1_2_VERSION);
  int listener = listen_here(), ep = epoll_create1(EPOLL_CLOEXEC);
  if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev)) bench_die("epoll");
  for (;;) {
    int n = epoll_wait(ep, events, 256, -1);
    if (n < 0 && errno != EINTR) bench_die("epoll_wait");
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr) echo(events[i].data.ptr);
      else take_connections(ep, listener);
    }
  }
}
