/* SPDX-License-Identifier: MIT */
/*
 * Event streams. Checked: any cut, and memory that fails now and then, gives the same events and
 * the same end; the limit on an event holds; each call takes something, gives something, or fails.
 */
#include "fuzz.h"
#include "http/sse.h"

enum { SETUP = 2, ROOM = 1 << 20, LIMIT = 64 };

typedef struct heap {
  unsigned calls, refuse;
} heap;

static bool grow(void *arg, bide_out *b, size_t want) {
  heap *h = arg;
  if (h->refuse != 0 && ++h->calls % h->refuse == 0) return false;
  char *p = fuzz_copy(b->p, b->n);
  p = realloc(p, want);
  REQUIRE(p != NULL && want <= LIMIT);
  free(b->p);
  b->p = p;
  b->cap = want;
  return true;
}

static void tell(bide_out *o, bide_slice s) {
  bide__out_byte(o, (char)s.n);
  bide__out_slice_put(o, s);
}

/* The events in a row; returns 0 or ETOOBIG. */
static int run(bide_out *o, const char *in, size_t n, uint32_t seed, unsigned refuse) {
  heap h = {0, refuse};
  bide_sse s;
  int r = 0;
  bide__sse_init(&s, LIMIT, grow, &h);
  for (size_t at = 0; at < n && r != BIDE_SSE_ETOOBIG;) {
    size_t size = fuzz_step(&seed, n - at), used;
    char *piece = fuzz_copy(in + at, size);
    r = bide__sse_next(&s, piece, size, &used);
    REQUIRE(used <= size && (r != BIDE_SSE_MORE || used == size));
    REQUIRE(s.data.n + s.type.n + s.id.n <= LIMIT && s.last_id.n <= LIMIT);
    if (r == BIDE_SSE_EVENT) {
      tell(o, bide__out_slice(&s.type));
      tell(o, bide__out_slice(&s.data));
      tell(o, bide__out_slice(&s.last_id));
    }
    at += used;
    free(piece);
  }
  bide__out_put(o, (const char *)&s.retry, sizeof s.retry);
  free(s.data.p);
  free(s.type.p);
  free(s.id.p);
  free(s.last_id.p);
  return r == BIDE_SSE_ETOOBIG ? r : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char rooms[2][ROOM];
  if (size < SETUP || size > ROOM / 64) return 0;
  const char *in = (const char *)data + SETUP;
  size_t n = size - SETUP;
  uint32_t seeds[] = {n <= 512 ? 1 : 3, data[0] < 2 ? 2 : data[0] * 2654435761u, 0};
  bide_out whole = bide__out(rooms[0], ROOM);
  int r = run(&whole, in, n, 0, 0);
  for (size_t i = 0; i < 3; i++) {
    bide_out other = bide__out(rooms[1], ROOM);
    REQUIRE(run(&other, in, n, seeds[i], i == 2 ? 2 + data[1] % 5 : 0) == r);
    REQUIRE(bide__slice_eq(bide__out_slice(&whole), bide__out_slice(&other)));
  }
  return 0;
}
