/* SPDX-License-Identifier: MIT */
/*
 * Chunked bodies. Checked: any cut gives the same data, trailers, end and error; pieces lie in the
 * input, in order; each call takes something or asks for more; trailers that were let through parse
 * as headers do; the data, encoded again, decodes to itself.
 */
#include "fuzz.h"
#include "http/h1.h"

enum { SETUP = 2, ROOM = 1 << 20 };

typedef struct outcome {
  int r;
  size_t used;
  bide_out data, trailers;
} outcome;

static void decode(outcome *o, const uint8_t *setup, const char *in, size_t n, uint32_t seed) {
  bide_h1_head h = {.kind = BIDE_H1_CHUNKED, .response = (setup[0] & 1) != 0};
  bide_h1_body b;
  bide__h1_body_init(&b, &h);
  b.keep_trailers = (setup[0] & 2) != 0;
  if (setup[0] & 4) b.max_trailer = setup[0] >> 3;
  if (setup[0] & 4) b.ext_left = setup[0] >> 3;
  o->data.n = o->trailers.n = o->used = 0;
  o->r = BIDE_H1_MORE;
  while (o->used < n && (o->r == BIDE_H1_MORE || o->r == BIDE_H1_DATA || o->r == BIDE_H1_TRAILER)) {
    size_t end = o->used + fuzz_step(&seed, n - o->used);
    char *piece = fuzz_copy(in + o->used, end - o->used);
    size_t at = 0, size = end - o->used;
    do {
      size_t used;
      bide_slice out;
      o->r = bide__h1_decode(&b, piece + at, size - at, &used, &out);
      REQUIRE(used <= size - at && fuzz_inside(out.p, out.n, piece + at, used));
      REQUIRE(o->r != BIDE_H1_MORE || used == size - at);
      REQUIRE(o->r < 0 || b.left <= INT64_MAX); /* no size wraps around */
      REQUIRE((out.n != 0) == (o->r == BIDE_H1_DATA || o->r == BIDE_H1_TRAILER));
      if (o->r == BIDE_H1_DATA) bide__out_slice_put(&o->data, out);
      if (o->r == BIDE_H1_TRAILER) bide__out_slice_put(&o->trailers, out);
      at += used;
    } while (o->r == BIDE_H1_DATA || o->r == BIDE_H1_TRAILER);
    o->used += at;
    free(piece);
  }
  int eof = bide__h1_body_eof(&b);
  REQUIRE(eof == (o->r == BIDE_H1_DONE ? BIDE_H1_DONE : BIDE_H1_ETRUNCATED));
  REQUIRE(b.received == o->data.n);
}

static void check_same(const outcome *a, const outcome *b) {
  REQUIRE(a->r == b->r && (a->r < 0 || a->used == b->used));
  REQUIRE(bide__slice_eq(bide__out_slice(&a->data), bide__out_slice(&b->data)));
  if (a->r < 0) return; /* a piece in front of the error may or may not have been given out */
  REQUIRE(bide__slice_eq(bide__out_slice(&a->trailers), bide__out_slice(&b->trailers)));
}

static void check_trailers(bide_slice t) {
  static bide_h1_field fields[4096];
  static const bide_h1_limits wide = {1u << 20, 1u << 20, 1u << 20};
  bide_h1_head h;
  bide__h1_init_response(&h, fields, 4096, &wide, BIDE_M_GET);
  int r = bide__h1_parse_trailers(&h, t.p, t.n);
  REQUIRE(r == (int)t.n || r == BIDE_H1_EFIELDS);
}

static void encode_again(const outcome *o, uint32_t seed) {
  static char buf[ROOM], room[ROOM];
  bide_out out = bide__out(buf, sizeof buf);
  for (size_t at = 0; at < o->data.n;) {
    size_t n = fuzz_step(&seed, o->data.n - at);
    char head[BIDE_H1_CHUNK_HEAD];
    bide__out_put(&out, head, bide__h1_chunk_head(head, n));
    bide__out_put(&out, o->data.p + at, n);
    bide__out_put(&out, "\r\n", 2);
    at += n;
  }
  bide__out_slice_put(&out, BIDE_SLICE(BIDE_H1_LAST_CHUNK));
  if (!bide__out_ok(&out)) return;
  static const uint8_t plain[SETUP];
  outcome again = {.data = bide__out(room, sizeof room), .trailers = bide__out(NULL, 0)};
  decode(&again, plain, out.p, out.n, 0);
  REQUIRE(again.r == BIDE_H1_DONE && again.used == out.n);
  REQUIRE(bide__slice_eq(bide__out_slice(&again.data), bide__out_slice(&o->data)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char rooms[4][ROOM];
  if (size < SETUP || size > ROOM / 8) return 0;
  outcome whole = {.data = bide__out(rooms[0], ROOM), .trailers = bide__out(rooms[1], ROOM)};
  outcome other = {.data = bide__out(rooms[2], ROOM), .trailers = bide__out(rooms[3], ROOM)};
  const char *in = (const char *)data + SETUP;
  size_t n = size - SETUP;
  uint32_t seed = data[1] < 2 ? 2 : data[1] * 2654435761u;
  decode(&whole, data, in, n, 0);
  if (n <= 512) {
    decode(&other, data, in, n, 1);
    check_same(&whole, &other);
  }
  decode(&other, data, in, n, seed);
  check_same(&whole, &other);
  if (whole.r == BIDE_H1_DONE && whole.trailers.n != 0)
    check_trailers(bide__out_slice(&whole.trailers));
  encode_again(&whole, seed);
  return 0;
}
