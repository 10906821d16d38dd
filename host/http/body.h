/* SPDX-License-Identifier: MIT */
/* body.h: a message body as it comes in: framing undone, then the content coding, piece by piece.
 *
 * Works on bytes that the caller holds and gives pieces that lie in those bytes or in the caller's
 * scratch, so that nothing is kept here but the decoders' state. A piece is given only when asked
 * for: that is the back-pressure, and the bound on what a bomb can expand to. */
#ifndef BIDE_HTTP_BODY_H
#define BIDE_HTTP_BODY_H

#include "h1.h"
#include "inflate.h"

#define BIDE_BODY_SCRATCH 16384
#define BIDE_BODY_CODINGS 3 /* so many on top of each other are undone */

/* Beside the codes of h1.h, and apart from libuv's. */
enum {
  BIDE_BODY_ECODING = -9000, /* corrupt or truncated content coding */
  BIDE_BODY_ENOMEM = -9001,
  BIDE_BODY_ETOOBIG = -9002,  /* for users: more than they take */
  BIDE_BODY_ETIME = -9003,    /* nothing came in time */
  BIDE_BODY_ELOST = -9004,    /* the connection is gone */
  BIDE_BODY_EINFORM = -9005,  /* too many informational responses */
  BIDE_BODY_EUPGRADE = -9006, /* the server switched protocols unasked */
  BIDE_BODY_EEARLY = -9007,   /* a proxy sent more than its answer to CONNECT */
  BIDE_BODY_ECODINGS = -9008, /* more content codings than BIDE_BODY_CODINGS */
};

typedef struct bide_hbody {
  bide_h1_body wire;
  bide_inflate *inflate; /* owned; NULL without a coding */
  size_t raw;            /* bytes at the front of the input that are out of the framing already */
  bool full;             /* the decoder filled its room: it may have more without input */
  bool done;
} bide_hbody;

/* For the body behind `head`. `decode`: undo the content codings, if we know them all. 0, or
 * ENOMEM or ECODINGS of the codes above. */
int bide__hbody_init(bide_host *h, bide_hbody *b, const bide_h1_head *head, bool decode);
void bide__hbody_fini(bide_hbody *b);
/* The most bytes that the body was so far in any of its coded forms. */
static inline uint64_t bide__hbody_coded(const bide_hbody *b) {
  return b->inflate ? bide__inflate_given(b->inflate) : 0;
}

/* The next piece. BIDE_H1_DATA with *piece, BIDE_H1_MORE (all input taken), BIDE_H1_DONE, or an
 * error (h1.h's or one of those above). *used bytes of input are done with. `scratch` holds
 * BIDE_BODY_SCRATCH bytes; a piece is valid until the input or the scratch is touched. */
int bide__hbody_next(bide_hbody *b, const char *in, size_t n, size_t *used, char *scratch,
                     bide_slice *piece);
/* The connection has ended behind the input that was taken: BIDE_H1_DONE or an error. */
int bide__hbody_eof(bide_hbody *b);
/* h1.h's codes overlap libuv's: where both may stand, they are moved out of the way. */
static inline int bide__hbody_code(int r) {
  return r > -1000 ? r - 9100 : r;
}
static inline int bide__hbody_h1(int code) {
  return code < -9099 ? code + 9100 : 0;
}
static inline bool bide__hbody_is_code(int code) {
  return code <= BIDE_BODY_ECODING;
}
/* For plain and for moved codes. */
const char *bide__hbody_error_text(int code);

#endif
