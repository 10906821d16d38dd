/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing heads. The first bytes of the input choose limits, method and cuts; the rest is the
 * message. Checked: any cut gives the same head or the same error; what is handed out lies inside,
 * in order, and holds nothing that could end a line; what was understood, written again, is
 * understood the same.
 */
#ifndef BIDE_SPEC_FUZZ_HEAD_H
#define BIDE_SPEC_FUZZ_HEAD_H

#include "fuzz.h"
#include "http/h1.h"

enum { FUZZ_FIELDS = 64, FUZZ_SETUP = 4 };

typedef struct fuzz_setup {
  bide_h1_limits limits;
  uint16_t cap;
  bool response;
  bide_h1_method answers;
} fuzz_setup;

typedef struct fuzz_parse {
  bide_h1_head h;
  bide_h1_field fields[FUZZ_FIELDS];
  int r;
} fuzz_parse;

static inline fuzz_setup fuzz_read_setup(const uint8_t *data, bool response) {
  static const bide_h1_limits wide = {8192, 16384, 65536};
  fuzz_setup s = {wide, FUZZ_FIELDS, response, BIDE_M_GET};
  if (data[0] & 1) s.limits = (bide_h1_limits){data[1], data[2], (uint32_t)data[1] + data[2]};
  if (data[0] & 2) s.cap = data[0] >> 5;
  s.answers = (bide_h1_method)((data[0] >> 2 & 7) % BIDE_M_COUNT);
  return s;
}

static inline void fuzz_begin(fuzz_parse *p, const fuzz_setup *s) {
  if (s->response) bide__h1_init_response(&p->h, p->fields, s->cap, &s->limits, s->answers);
  else bide__h1_init_request(&p->h, p->fields, s->cap, &s->limits);
}

/* Each call sees all bytes so far, at an address of their own. */
static inline void fuzz_parse_cut(fuzz_parse *p, const fuzz_setup *s, const char *in, size_t n,
                                  uint32_t seed) {
  size_t have = 0;
  fuzz_begin(p, s);
  do {
    have += fuzz_step(&seed, n - have);
    char *copy = fuzz_copy(in, have);
    p->r = bide__h1_parse(&p->h, copy, have);
    free(copy);
    REQUIRE(p->r <= (int)have);
  } while (p->r == BIDE_H1_MORE && have < n);
  bide__h1_rebase(&p->h, in);
}

static inline void fuzz_same_head(const fuzz_parse *a, const fuzz_parse *b) {
  const bide_h1_head *x = &a->h, *y = &b->h;
  REQUIRE(a->r == b->r);
  if (a->r <= 0) return;
  REQUIRE(x->count == y->count && x->minor == y->minor && x->method == y->method);
  REQUIRE(x->form == y->form && x->kind == y->kind && x->status == y->status);
  REQUIRE(x->flags == y->flags && x->method_n == y->method_n && x->size == y->size);
  REQUIRE(x->text == y->text && x->text_n == y->text_n);
  REQUIRE(x->seen == y->seen && x->length == y->length);
  for (unsigned i = 0; i < x->count; i++)
    REQUIRE(memcmp(&a->fields[i], &b->fields[i], sizeof a->fields[i]) == 0);
}

static inline void fuzz_check_fields(const bide_h1_head *h, const char *in) {
  const char *last = in + h->text + h->text_n;
  for (unsigned i = 0; i < h->count; i++) {
    bide_slice name = bide__h1_name(h, &h->fields[i]), value = bide__h1_value(h, &h->fields[i]);
    REQUIRE(fuzz_inside(name.p, name.n, in, h->size) && name.p >= last + 2);
    bool moved = h->fields[i].id == BIDE_H_HOST && value.p < name.p; /* into the target */
    REQUIRE(moved ? fuzz_inside(value.p, value.n, in + h->text, h->text_n)
                  : value.p > name.p + name.n && value.p + value.n <= in + h->size - 4);
    REQUIRE(bide__h1_valid_token(name.p, name.n) && bide__h1_valid_value(value.p, value.n));
    REQUIRE(h->fields[i].id == bide__h1_name_id(name.p, name.n));
    REQUIRE(bide__h1_find(h, (bide_h1_id)h->fields[i].id, i) == &h->fields[i]);
    last = moved ? name.p + name.n : value.p + value.n;
  }
}

static inline void fuzz_check_framing(const bide_h1_head *h) {
  bool length = bide__h1_has(h, BIDE_H_CONTENT_LENGTH);
  REQUIRE(length == ((h->flags & BIDE_H1_HAS_LENGTH) != 0) && h->length <= INT64_MAX);
  REQUIRE(!(length && bide__h1_has(h, BIDE_H_TRANSFER_ENCODING)));
  REQUIRE(h->kind != BIDE_H1_LENGTH || (length && h->length != 0));
  REQUIRE(h->kind != BIDE_H1_CHUNKED || (h->minor == 1 && !length));
  bool last = h->kind == BIDE_H1_CLOSE || h->kind == BIDE_H1_TUNNEL;
  REQUIRE(!last || (h->response && (h->flags & BIDE_H1_KEEP_ALIVE) == 0));
}

/* Written again it parses the same, apart from an old version, or a target not in ASCII. */
static inline void fuzz_write_again(const fuzz_parse *p, const fuzz_setup *s) {
  static char buf[256 * 1024];
  static fuzz_parse again;
  static const bide_h1_limits wide = {1u << 20, 1u << 20, 1u << 20};
  fuzz_setup other = *s;
  bide_out o = bide__out(buf, sizeof buf);
  const bide_h1_head *h = &p->h;
  bide_slice text = bide__h1_text(h);
  other.limits = wide;
  if (h->minor != 1) return;
  int r = h->response ? bide__h1_put_status(&o, h->status, text)
                      : bide__h1_put_request(&o, bide__h1_method(h), text);
  if (r != 0) {
    REQUIRE(!h->response);
    return;
  }
  for (unsigned i = 0; i < h->count; i++) {
    bide_slice name = bide__h1_name(h, &h->fields[i]), value = bide__h1_value(h, &h->fields[i]);
    REQUIRE(bide__h1_put_field(&o, name, value) == 0);
  }
  bide__h1_put_end(&o);
  REQUIRE(bide__out_ok(&o));
  fuzz_parse_cut(&again, &other, buf, o.n, 0);
  REQUIRE(again.r == (int)o.n && again.h.count == h->count && again.h.kind == h->kind);
  REQUIRE(again.h.flags == h->flags && again.h.seen == h->seen && again.h.length == h->length);
}

static inline int fuzz_one_head(const uint8_t *data, size_t size, bool response) {
  static fuzz_parse whole, other;
  if (size < FUZZ_SETUP) return 0;
  fuzz_setup s = fuzz_read_setup(data, response);
  size_t n = size - FUZZ_SETUP;
  char *in = fuzz_copy(data + FUZZ_SETUP, n);
  fuzz_parse_cut(&whole, &s, in, n, 0);
  fuzz_parse_cut(&other, &s, in, n, data[3] < 2 ? 2 : data[3] * 2654435761u);
  fuzz_same_head(&whole, &other);
  if (n <= 512) {
    fuzz_parse_cut(&other, &s, in, n, 1);
    fuzz_same_head(&whole, &other);
  }
  REQUIRE(whole.r >= -BIDE_H1_ERROR_COUNT);
  if (whole.r > 0) {
    const bide_h1_head *h = &whole.h;
    REQUIRE(h->size == (uint32_t)whole.r && memcmp(in + h->size - 4, "\r\n\r\n", 4) == 0);
    REQUIRE(h->size <= s.limits.max_head && h->count <= s.cap);
    REQUIRE(fuzz_inside(in + h->text, h->text_n, in, h->size));
    fuzz_check_fields(h, in);
    fuzz_check_framing(h);
    fuzz_parse_cut(&other, &s, in, h->size, 0);
    fuzz_same_head(&whole, &other);
    fuzz_write_again(&whole, &s);
    bide_slice path, query;
    if (!response) {
      bide__h1_split_target(h, &path, &query, NULL);
      REQUIRE(path.n + query.n <= h->text_n + 1);
    }
  }
  free(in);
  return 0;
}

#endif
