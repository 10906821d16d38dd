/* SPDX-License-Identifier: MIT */
/* tls_bio.c: OpenSSL reads from and writes to a connection by this; it owns nothing.
 *
 * Received bytes go from the kernel straight into OpenSSL's record buffer and leave it straight for
 * the kernel: with a pair of memory BIOs each would be copied once more. */
#include "tls.h"

static int on_read(BIO *b, char *p, size_t n, size_t *got) {
  bide_tls *t = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  ssize_t r = t->core->conn_recv(t->lower, p, n);
  if (r > 0) {
    if (!t->heard) t->first = (uint8_t)p[0];
    t->heard = 1;
    t->drained = (size_t)r < n;
    *got = (size_t)r;
    return 1;
  }
  t->drained = r == UV_EAGAIN;
  if (r == UV_EAGAIN) BIO_set_retry_read(b);
  else if (r == UV_EOF) t->eof = 1;
  else t->io_error = (int)r;
  return 0;
}

static int on_write(BIO *b, const char *p, size_t n, size_t *sent) {
  bide_tls *t = BIO_get_data(b);
  uv_buf_t buf = {.base = (char *)(uintptr_t)p, .len = n};
  BIO_clear_retry_flags(b);
  ssize_t r = t->core->conn_send(t->lower, &buf, 1);
  if (r > 0) {
    *sent = (size_t)r;
    return 1;
  }
  if (r == UV_EAGAIN || r == 0) BIO_set_retry_write(b);
  else t->io_error = (int)r;
  return 0;
}

static long on_control(BIO *b, int command, long n, void *p) {
  const bide_tls *t = BIO_get_data(b);
  (void)n;
  (void)p;
  if (command == BIO_CTRL_EOF) return t->eof;
  return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *bide__tls_bio_method(void) {
  BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection");
  if (m && BIO_meth_set_read_ex(m, on_read) && BIO_meth_set_write_ex(m, on_write) &&
      BIO_meth_set_ctrl(m, on_control))
    return m;
  BIO_meth_free(m);
  return NULL;
}
