/* SPDX-License-Identifier: MIT */
/*
 * The part the raw libuv servers share: listen on 127.0.0.1, accept, read into one buffer for the
 * whole loop, answer with uv_try_write and queue only what the socket did not take.
 *
 * Invariant: one buffer, so a callback is done with its bytes when it returns; a connection costs
 * one allocation, freed by its close callback.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include "../tools/bench.h"

#include <signal.h>
#include <uv.h>

typedef struct conn {
  uv_tcp_t tcp;
  unsigned long long state; /* the server's own: bytes seen, or how much of a blank line matched */
} conn;

typedef struct pending {
  uv_write_t req;
  char bytes[];
} pending;

static char g_buffer[65536];
static uv_read_cb g_on_read;

static BENCH_UNUSED void on_closed(uv_handle_t *h) {
  free(h);
}

static BENCH_UNUSED void conn_close(uv_stream_t *s) {
  if (!uv_is_closing((uv_handle_t *)s)) uv_close((uv_handle_t *)s, on_closed);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf) {
  (void)h, (void)hint;
  *buf = uv_buf_init(g_buffer, sizeof g_buffer);
}

static BENCH_UNUSED void on_written(uv_write_t *req, int status) {
  (void)status;
  free(req);
}

/* Sends a copy of what uv_try_write left over; closes the connection when it is broken. */
static BENCH_UNUSED void conn_send(uv_stream_t *s, char *bytes, size_t n) {
  uv_buf_t b = uv_buf_init(bytes, (unsigned)n);
  int sent = uv_try_write(s, &b, 1);
  if (sent == (int)n) return;
  if (sent < 0 && sent != UV_EAGAIN) {
    conn_close(s);
    return;
  }
  size_t done = sent > 0 ? (size_t)sent : 0;
  pending *p = malloc(sizeof *p + n - done);
  if (!p) bench_die("malloc");
  memcpy(p->bytes, bytes + done, n - done);
  b = uv_buf_init(p->bytes, (unsigned)(n - done));
  if (uv_write(&p->req, s, &b, 1, on_written)) free(p);
}

static void on_connection(uv_stream_t *server, int status) {
  conn *c = status ? NULL : calloc(1, sizeof *c);
  if (!c || uv_tcp_init(server->loop, &c->tcp)) bench_die("accept");
  if (uv_accept(server, (uv_stream_t *)&c->tcp)) {
    conn_close((uv_stream_t *)&c->tcp);
    return;
  }
  uv_tcp_nodelay(&c->tcp, 1);
  uv_read_start((uv_stream_t *)&c->tcp, on_alloc, g_on_read);
}

/* Serves for ever on a free port, which it prints. */
static int serve(uv_read_cb on_read) {
  uv_loop_t *loop = uv_default_loop();
  uv_tcp_t server;
  struct sockaddr_in a = bench_loopback(0);
  int n = sizeof a;
  g_on_read = on_read;
  signal(SIGPIPE, SIG_IGN);
  if (uv_tcp_init(loop, &server) || uv_tcp_bind(&server, (struct sockaddr *)&a, 0) ||
      uv_listen((uv_stream_t *)&server, 4096, on_connection) ||
      uv_tcp_getsockname(&server, (struct sockaddr *)&a, &n))
    bench_die("listen");
  printf("port %d\n", ntohs(a.sin_port));
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}

#endif
