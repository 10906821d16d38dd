/* SPDX-License-Identifier: MIT */
/*
 * The floor under an HTTP server: raw libuv that looks only for the blank line and answers each
 * with the same 12 bytes. No parsing, no limits, no timeouts; it bounds what any server can reach.
 */
#include "server.h"

static const char k_answer[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/plain\r\n"
                               "Content-Length: 12\r\n"
                               "\r\n"
                               "hello world\n";

/* How many requests end in these bytes; `state` carries a blank line split between two reads. */
static size_t requests_in(conn *c, const char *bytes, size_t n) {
  static const char blank[] = "\r\n\r\n";
  size_t found = 0;
  for (size_t i = 0; i < n; i++) {
    if (bytes[i] == blank[c->state]) {
      if (++c->state == 4) {
        c->state = 0;
        found++;
      }
    } else {
      c->state = bytes[i] == '\r';
    }
  }
  return found;
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf) {
  if (n < 0) {
    conn_close(s);
    return;
  }
  size_t found = requests_in((conn *)s, buf->base, (size_t)n);
  while (found-- > 0 && !uv_is_closing((uv_handle_t *)s))
    conn_send(s, (char *)k_answer, sizeof k_answer - 1);
}

int main(void) {
  return serve(on_read);
}
