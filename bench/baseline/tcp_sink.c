/* SPDX-License-Identifier: MIT */
/*
 * The floor under streaming: raw libuv that reads, counts and forgets. At the end of the stream it
 * answers with the count, so that the sender knows that all of it was read.
 */
#include "server.h"

static void on_shutdown(uv_shutdown_t *req, int status) {
  (void)status;
  conn_close(req->handle);
  free(req);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
  conn *c = (conn *)s;
  char text[32];
  (void)buf;
  if (n >= 0) {
    c->state += (unsigned long long)n;
    return;
  }
  uv_shutdown_t *req = n == UV_EOF ? malloc(sizeof *req) : NULL;
  if (n == UV_EOF) conn_send(s, text, (size_t)snprintf(text, sizeof text, "%llu\n", c->state));
  if (!req || uv_shutdown(req, s, on_shutdown)) {
    free(req);
    conn_close(s);
  }
}

int main(void) {
  return serve(on_read);
}
