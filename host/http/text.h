/* SPDX-License-Identifier: MIT */
/*
 * The two text shapes that all protocol code shares: a slice (borrowed bytes) and an out (a bounded
 * buffer of the caller's that is appended to). Owns nothing, allocates nothing, has no object file.
 *
 * Invariant of an out: bytes past `cap` are never written, but always counted. So `n > cap` means
 * "did not fit", and `n` is then the size that would have.
 */
#ifndef BIDE_HTTP_TEXT_H
#define BIDE_HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes somebody else owns. `p` may be NULL only when `n` is 0. Not NUL-terminated. */
typedef struct bide_slice {
  const char *p;
  size_t n;
} bide_slice;

typedef struct bide_out {
  char *p; /* owned by the caller */
  size_t n;
  size_t cap;
} bide_out;

#define BIDE_SLICE(literal) ((bide_slice){(literal), sizeof(literal) - 1})

static inline bide_slice bide__slice(const char *p, size_t n) {
  return (bide_slice){p, n};
}

static inline bide_out bide__out(char *p, size_t cap) {
  return (bide_out){p, 0, cap};
}

/* True as long as everything appended so far has fitted. */
static inline bool bide__out_ok(const bide_out *o) {
  return o->n <= o->cap;
}

static inline bide_slice bide__out_slice(const bide_out *o) {
  return (bide_slice){o->p, o->n < o->cap ? o->n : o->cap};
}

static inline void bide__out_put(bide_out *o, const char *p, size_t n) {
  if (n != 0 && o->n <= o->cap && n <= o->cap - o->n) memcpy(o->p + o->n, p, n);
  o->n = n <= SIZE_MAX - o->n ? o->n + n : SIZE_MAX;
}

static inline void bide__out_byte(bide_out *o, char c) {
  if (o->n < o->cap) o->p[o->n] = c;
  if (o->n < SIZE_MAX) o->n++;
}

static inline void bide__out_slice_put(bide_out *o, bide_slice s) {
  bide__out_put(o, s.p, s.n);
}

/* ASCII only: the locale never has a say in a protocol. */
static inline char bide__lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool bide__is_digit(char c) {
  return c >= '0' && c <= '9';
}

static inline bool bide__is_alpha(char c) {
  return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* The value of a hexadecimal digit, or -1. */
static inline int bide__hex_value(char c) {
  if (bide__is_digit(c)) return c - '0';
  char lower = (char)(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static inline bool bide__slice_eq(bide_slice a, bide_slice b) {
  return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool bide__slice_eq_nocase(bide_slice a, bide_slice b) {
  if (a.n != b.n) return false;
  for (size_t i = 0; i < a.n; i++)
    if (bide__lower(a.p[i]) != bide__lower(b.p[i])) return false;
  return true;
}

#endif
