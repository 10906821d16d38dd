/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share: a check that stops the fuzzer, exact-size copies whose ends the
 * sanitizer watches, and cuts drawn from the input itself.
 */
#ifndef BIDE_SPEC_FUZZ_H
#define BIDE_SPEC_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))

static inline void fuzz_fail(const char *what, const char *file, int line) {
  fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
  abort();
}

/* The caller frees it. Never NULL. */
static inline char *fuzz_copy(const void *p, size_t n) {
  char *copy = malloc(n != 0 ? n : 1);
  if (copy == NULL) abort();
  if (n != 0) memcpy(copy, p, n);
  return copy;
}

/* The size of the next piece: seed 0 gives everything, 1 single bytes, others 1 to 16. */
static inline size_t fuzz_step(uint32_t *seed, size_t left) {
  if (*seed == 0) return left;
  size_t step = 1;
  if (*seed != 1) {
    *seed = *seed * 1664525u + 1013904223u;
    if (*seed < 2) *seed = 2;
    step += *seed >> 28;
  }
  return step < left ? step : left;
}

static inline bool fuzz_inside(const char *p, size_t n, const char *in, size_t size) {
  return n == 0 || (p >= in && n <= size && (size_t)(p - in) <= size - n);
}

#endif
