/* SPDX-License-Identifier: MIT */
/* buf.c: a queue of bytes (contract in buf.h). */
#include "buf.h"

#include <assert.h>

enum { FIRST_CAP = 512 };

int bide__hbuf_reserve(bide_host *h, bide_hbuf *b, size_t more) {
  size_t cap = b->cap ? b->cap : FIRST_CAP;
  char *p;
  if (more <= b->cap - b->start - b->n) return 0;
  /* Moving is worth it only when at least half is free: each move then pays for as many bytes. */
  if (b->start >= b->cap / 2 && more <= b->cap - b->n) {
    memmove(b->p, b->p + b->start, b->n);
    b->start = 0;
    return 0;
  }
  if (more > SIZE_MAX / 4 - b->n) return UV_ENOMEM;
  while (cap < b->n + more) cap *= 2;
  if (cap == b->cap) cap *= 2;
  p = bide__alloc(h, cap);
  if (!p) return UV_ENOMEM;
  if (b->n) memcpy(p, b->p + b->start, b->n);
  if (b->p) bide__free(h, b->p, b->cap);
  b->p = p;
  b->start = 0;
  b->cap = cap;
  return 0;
}

int bide__hbuf_put(bide_host *h, bide_hbuf *b, const char *p, size_t n) {
  if (n == 0) return 0;
  if (bide__hbuf_reserve(h, b, n) != 0) return UV_ENOMEM;
  memcpy(b->p + b->start + b->n, p, n);
  b->n += n;
  return 0;
}

void bide__hbuf_take(bide_hbuf *b, size_t n) {
  assert(n <= b->n);
  b->start += n;
  b->n -= n;
  if (b->n == 0) b->start = 0;
}

void bide__hbuf_free(bide_host *h, bide_hbuf *b) {
  if (b->p) bide__free(h, b->p, b->cap);
  b->p = NULL;
  b->start = b->n = b->cap = 0;
}
