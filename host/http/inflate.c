/* SPDX-License-Identifier: MIT */
/* inflate.c: content codings by zlib (contract in inflate.h). */
#include "inflate.h"

#include <limits.h>
#include <zlib.h>

/* START: nothing seen. SNIFF: one byte of a `deflate` body is held back. BODY: within a member.
 * END: behind one. */
enum { START, SNIFF, BODY, END };

/* Between two decoders: room, and how much may pass, by what the first one was given. */
#define BETWEEN       8192
#define BETWEEN_FREE  (1 << 20)
#define BETWEEN_RATIO 100

struct bide_inflate {
  bide_host *host;
  z_stream z;
  uint8_t coding, phase;
  unsigned char held;  /* the first byte, while SNIFF */
  bide_inflate *outer; /* owned: its output is the input of this; NULL: none */
  char *in;            /* owned, BETWEEN bytes: where that stands; NULL without `outer` */
  size_t at, n;        /* what is not taken yet of it */
  uint64_t given;      /* bytes of input so far */
  bool full;           /* its room was filled: there may be more without input */
};

/* zlib frees without telling the size: it stands before each block. */
typedef union block_head {
  size_t size;
  max_align_t align;
} block_head;

static void *z_alloc(void *arg, unsigned items, unsigned size) {
  size_t n = (size_t)items * size + sizeof(block_head);
  block_head *b = bide__alloc(arg, n);
  if (!b) return NULL;
  b->size = n;
  return b + 1;
}

static void z_free(void *arg, void *p) {
  block_head *b = (block_head *)p - 1;
  bide__free(arg, b, b->size);
}

int bide__inflate_coding(bide_slice v) {
  if (bide__slice_eq_nocase(v, BIDE_SLICE("gzip")) ||
      bide__slice_eq_nocase(v, BIDE_SLICE("x-gzip")))
    return BIDE_CODING_GZIP;
  if (bide__slice_eq_nocase(v, BIDE_SLICE("deflate"))) return BIDE_CODING_DEFLATE;
  return BIDE_CODING_NONE;
}

static bide_inflate *new_decoder(bide_host *h, int coding) {
  bide_inflate *z = bide__alloc(h, sizeof *z);
  if (!z) return NULL;
  memset(z, 0, sizeof *z);
  z->host = h;
  z->coding = (uint8_t)coding;
  z->z.zalloc = z_alloc;
  z->z.zfree = z_free;
  z->z.opaque = h;
  /* 32 + 15: a zlib or a gzip header, whichever is there; a gzip body is checked for its own below.
   */
  if (inflateInit2(&z->z, coding == BIDE_CODING_GZIP ? 16 + 15 : 15) == Z_OK) return z;
  bide__free(h, z, sizeof *z);
  return NULL;
}

bide_inflate *bide__inflate_new(bide_host *h, int coding, bide_inflate *outer) {
  bide_inflate *z = new_decoder(h, coding);
  if (!outer) return z;
  if (!z) {
    bide__inflate_free(outer);
    return NULL;
  }
  z->outer = outer;
  z->in = bide__alloc(h, BETWEEN);
  if (z->in) return z;
  bide__inflate_free(z);
  return NULL;
}

void bide__inflate_free(bide_inflate *z) {
  while (z) {
    bide_inflate *outer = z->outer;
    inflateEnd(&z->z);
    if (z->in) bide__free(z->host, z->in, BETWEEN);
    bide__free(z->host, z, sizeof *z);
    z = outer;
  }
}

bool bide__inflate_complete(const bide_inflate *z) {
  for (; z; z = z->outer)
    if (z->n > 0 || (z->phase != END && z->phase != START)) return false;
  return true;
}

uint64_t bide__inflate_given(const bide_inflate *z) {
  uint64_t most = 0;
  for (; z; z = z->outer)
    if (z->given > most) most = z->given;
  return most;
}

static int run(bide_inflate *z, const void *in, size_t n, size_t *used, char *out, size_t room,
               size_t *made) {
  int r;
  uInt in_n = n > UINT_MAX ? UINT_MAX : (uInt)n, out_n = room > UINT_MAX ? UINT_MAX : (uInt)room;
  z->z.next_in = (Bytef *)(uintptr_t)in;
  z->z.avail_in = in_n;
  z->z.next_out = (Bytef *)out;
  z->z.avail_out = out_n;
  r = inflate(&z->z, Z_NO_FLUSH);
  *used += in_n - z->z.avail_in;
  *made += out_n - z->z.avail_out;
  if (r == Z_STREAM_END) z->phase = END;
  if (r == Z_MEM_ERROR) return BIDE_INFLATE_ENOMEM;
  return r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR ? BIDE_INFLATE_OK
                                                            : BIDE_INFLATE_ECORRUPT;
}

/* Decides from two bytes whether a `deflate` body has zlib's header (RFC 1950 section 2.2). */
static int sniff(bide_inflate *z, unsigned char second, char *out) {
  size_t used = 0, made = 0;
  bool wrapped = (z->held & 0x0f) == 8 && ((unsigned)z->held << 8 | second) % 31 == 0;
  if (!wrapped && inflateReset2(&z->z, -15) != Z_OK) return BIDE_INFLATE_ECORRUPT;
  z->phase = BODY;
  return run(z, &z->held, 1, &used, out, 0, &made);
}

static int begin(bide_inflate *z, const char *in, size_t n, size_t *used, char *out) {
  if (z->phase == START && z->coding == BIDE_CODING_GZIP) z->phase = BODY;
  if (z->phase == START) {
    z->held = (unsigned char)in[0];
    z->phase = SNIFF;
    *used = 1;
    if (n == 1) return BIDE_INFLATE_OK;
  }
  return z->phase == SNIFF ? sniff(z, (unsigned char)in[*used], out) : BIDE_INFLATE_OK;
}

/* A step of this decoder alone. */
static int step(bide_inflate *z, const char *in, size_t n, size_t *used, char *out, size_t room,
                size_t *made) {
  *used = *made = 0;
  if (z->phase == END) {
    if (n == 0) return BIDE_INFLATE_OK;
    if (z->coding != BIDE_CODING_GZIP || inflateReset(&z->z) != Z_OK) return BIDE_INFLATE_ECORRUPT;
    z->phase = BODY;
  } else if (z->phase != BODY) {
    int r;
    if (n == 0) return BIDE_INFLATE_OK;
    r = begin(z, in, n, used, out);
    if (r != BIDE_INFLATE_OK || z->phase == SNIFF) return r;
  }
  return run(z, in + *used, n - *used, used, out, room, made);
}

/* Decodes what stands in z->in, as far as there is room. */
static int take_held(bide_inflate *z, char *out, size_t room, size_t *made) {
  while (z->n > 0 || z->full) {
    size_t took, got;
    int r = step(z, z->in + z->at, z->n, &took, out + *made, room - *made, &got);
    if (r != BIDE_INFLATE_OK) return r;
    z->at += took;
    z->n -= took;
    *made += got;
    z->full = *made == room;
    if (z->full) break;
    if (took == 0 && got == 0 && z->n > 0) return BIDE_INFLATE_ECORRUPT;
  }
  return BIDE_INFLATE_OK;
}

/* Has the decoder before it fill z->in, which is empty. */
static int refill(bide_inflate *z, const char *in, size_t n, size_t *used) {
  size_t took;
  int r = bide__inflate_step(z->outer, in + *used, n - *used, &took, z->in, BETWEEN, &z->n);
  z->at = 0;
  z->given += z->n;
  *used += took;
  if (r != BIDE_INFLATE_OK || z->given <= BETWEEN_FREE) return r;
  return (z->given - BETWEEN_FREE) / BETWEEN_RATIO > z->outer->given ? BIDE_INFLATE_ETOOBIG : r;
}

int bide__inflate_step(bide_inflate *z, const char *in, size_t n, size_t *used, char *out,
                       size_t room, size_t *made) {
  int r;
  if (!z->outer) {
    r = step(z, in, n, used, out, room, made);
    z->given += *used;
    return r;
  }
  *used = *made = 0;
  do {
    r = take_held(z, out, room, made);
    if (r == BIDE_INFLATE_OK && !z->full) r = refill(z, in, n, used);
  } while (r == BIDE_INFLATE_OK && z->n > 0 && !z->full);
  return r;
}
