/* SPDX-License-Identifier: MIT */
/* inflate.h: gzip and deflate content codings (RFC 9110 section 8.4.1), undone piece by piece.
 *
 * Owns a zlib stream in the host's memory. Output is bounded by the caller's room at each call, so
 * a bomb expands only as far as somebody makes room for it. `deflate` is taken as zlib's format or,
 * as many servers send it, raw. Several gzip members in a row are one body (RFC 1952 section 2.2);
 * anything else behind the end is corruption.
 *
 * Codings on top of each other are a chain of decoders with a buffer between each two. What one
 * hands to the next has a bound of its own, for a little of the one may be much of the other and
 * nothing in the end. */
#ifndef BIDE_HTTP_INFLATE_H
#define BIDE_HTTP_INFLATE_H

#include "core/host.h"
#include "text.h"

enum { BIDE_CODING_NONE, BIDE_CODING_GZIP, BIDE_CODING_DEFLATE };

enum {
  BIDE_INFLATE_OK = 0,
  BIDE_INFLATE_ECORRUPT = -1,
  BIDE_INFLATE_ENOMEM = -2,
  BIDE_INFLATE_ETOOBIG = -3, /* too much between two codings */
};

typedef struct bide_inflate bide_inflate;

/* BIDE_CODING_… of an element of Content-Encoding; NONE for what we do not know. */
int bide__inflate_coding(bide_slice value);
/* `outer`: the decoder that gives the input, or NULL; it is this one's from here on, and freed on
 * failure. NULL when there is no memory. */
bide_inflate *bide__inflate_new(bide_host *h, int coding, bide_inflate *outer);
/* With those that give it its input. */
void bide__inflate_free(bide_inflate *z);
/* The most bytes that any decoder of the chain was given so far. */
uint64_t bide__inflate_given(const bide_inflate *z);
/* Takes input and gives output, each as far as it can: *used and *made say how far. There may be
 * more output without more input while `*made == room`. */
int bide__inflate_step(bide_inflate *z, const char *in, size_t n, size_t *used, char *out,
                       size_t room, size_t *made);
/* May the body end here? Yes at the end of a member, and before the first byte. */
bool bide__inflate_complete(const bide_inflate *z);

#endif
