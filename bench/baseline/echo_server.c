/* SPDX-License-Identifier: MIT */
/* The floor under a TCP server: raw libuv that writes back what it read. */
#include "server.h"

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
  if (n < 0) conn_close(s);
  else if (n > 0) conn_send(s, buf->base, (size_t)n);
}

int main(void) {
  return serve(on_read);
}
