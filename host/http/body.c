/* SPDX-License-Identifier: MIT */
/* body.c: incoming bodies (contract in body.h). */
#include "body.h"

/* The codings in the order of their application (RFC 9110 section 8.4): how many there are, 0 when
 * one is unknown, or ECODINGS. `identity` is none. */
static int codings_of(const bide_h1_head *head, uint8_t *list) {
  const bide_h1_field *f = bide__h1_find(head, BIDE_H_CONTENT_ENCODING, 0);
  int n = 0;
  for (; f; f = bide__h1_find(head, BIDE_H_CONTENT_ENCODING, (unsigned)(f - head->fields) + 1)) {
    bide_slice rest = bide__h1_value(head, f), name;
    while (bide__h1_next_element(&rest, &name)) {
      int coding = bide__inflate_coding(name);
      if (bide__slice_eq_nocase(name, BIDE_SLICE("identity"))) continue;
      if (coding == BIDE_CODING_NONE) return 0;
      if (n < BIDE_BODY_CODINGS) list[n] = (uint8_t)coding;
      n++;
    }
  }
  return n <= BIDE_BODY_CODINGS ? n : BIDE_BODY_ECODINGS;
}

int bide__hbody_init(bide_host *h, bide_hbody *b, const bide_h1_head *head, bool decode) {
  uint8_t codings[BIDE_BODY_CODINGS];
  int n = decode && head->kind != BIDE_H1_NONE ? codings_of(head, codings) : 0;
  bide__h1_body_init(&b->wire, head);
  b->inflate = NULL;
  b->raw = 0;
  b->full = b->done = false;
  if (n < 0) return n;
  while (n-- > 0) /* the one applied last is undone first */
    if (!(b->inflate = bide__inflate_new(h, codings[n], b->inflate))) return BIDE_BODY_ENOMEM;
  return 0;
}

void bide__hbody_fini(bide_hbody *b) {
  if (b->inflate) bide__inflate_free(b->inflate);
  b->inflate = NULL;
}

/* One step of the decoder over the b->raw bytes at `in`. */
static int inflate_step(bide_hbody *b, const char *in, size_t *used, char *scratch,
                        bide_slice *piece) {
  size_t took = 0, made = 0;
  int r = bide__inflate_step(b->inflate, in, b->raw, &took, scratch, BIDE_BODY_SCRATCH, &made);
  *used += took;
  b->raw -= took;
  b->full = made == BIDE_BODY_SCRATCH;
  if (r == BIDE_INFLATE_ENOMEM) return BIDE_BODY_ENOMEM;
  if (r == BIDE_INFLATE_ETOOBIG) return BIDE_BODY_ETOOBIG;
  if (r != BIDE_INFLATE_OK || (took == 0 && made == 0 && b->raw > 0)) return BIDE_BODY_ECODING;
  *piece = bide__slice(scratch, made);
  return made > 0 ? BIDE_H1_DATA : BIDE_H1_MORE;
}

static int finish(bide_hbody *b) {
  if (b->inflate && !bide__inflate_complete(b->inflate)) return BIDE_BODY_ECODING;
  b->done = true;
  return BIDE_H1_DONE;
}

int bide__hbody_next(bide_hbody *b, const char *in, size_t n, size_t *used, char *scratch,
                     bide_slice *piece) {
  *used = 0;
  if (b->done) return BIDE_H1_DONE;
  for (;;) {
    size_t took;
    int r;
    if (b->raw > 0 || b->full) {
      r = inflate_step(b, in + *used, used, scratch, piece);
      if (r != BIDE_H1_MORE) return r;
      continue;
    }
    r = bide__h1_decode(&b->wire, in + *used, n - *used, &took, piece);
    *used += took;
    if (r == BIDE_H1_DONE) return finish(b);
    if (r != BIDE_H1_DATA || !b->inflate) return r;
    b->raw = piece->n; /* the piece is the end of what was taken: give it back */
    *used -= piece->n;
  }
}

int bide__hbody_eof(bide_hbody *b) {
  int r = bide__h1_body_eof(&b->wire);
  if (b->done) return BIDE_H1_DONE;
  return r == BIDE_H1_DONE ? finish(b) : r;
}

const char *bide__hbody_error_text(int code) {
  switch (code) {
  case BIDE_BODY_ECODING: return "compressed body is corrupt or cut short";
  case BIDE_BODY_ENOMEM: return "not enough memory";
  case BIDE_BODY_ETOOBIG: return "body larger than allowed";
  case BIDE_BODY_ETIME: return "body did not come in time";
  case BIDE_BODY_ELOST: return "the connection is gone";
  case BIDE_BODY_EINFORM: return "too many informational responses";
  case BIDE_BODY_EUPGRADE: return "the server switched protocols unasked";
  case BIDE_BODY_EEARLY: return "the proxy sent bytes before the TLS handshake";
  case BIDE_BODY_ECODINGS: return "too many content codings";
  default: return bide__h1_error_text(code < -9099 ? code + 9100 : code);
  }
}
