/* SPDX-License-Identifier: MIT */
/* buf.h: bytes that wait: a queue of bytes in one piece of memory.
 *
 * Owns its memory (the host's allocator). The bytes are p[start] … p[start + n - 1]. Taking moves
 * `start`; the room before it is won back when more is put, so that a queue that never quite
 * empties costs each byte a bounded number of moves. An empty one that was never used has no
 * memory. */
#ifndef BIDE_HTTP_BUF_H
#define BIDE_HTTP_BUF_H

#include "core/host.h"

#include <string.h>

typedef struct bide_hbuf {
  char *p; /* owned */
  size_t start, n, cap;
} bide_hbuf;

static inline char *bide__hbuf_at(const bide_hbuf *b) {
  return b->p + b->start;
}

/* Makes room for `more` bytes behind the last. 0 or UV_ENOMEM (nothing changed). */
int bide__hbuf_reserve(bide_host *h, bide_hbuf *b, size_t more);
/* Appends. 0 or UV_ENOMEM (nothing appended). */
int bide__hbuf_put(bide_host *h, bide_hbuf *b, const char *p, size_t n);
/* Drops the first `n` bytes (n <= b->n). */
void bide__hbuf_take(bide_hbuf *b, size_t n);
/* Frees the memory; the buffer is empty and usable. */
void bide__hbuf_free(bide_host *h, bide_hbuf *b);

#endif
