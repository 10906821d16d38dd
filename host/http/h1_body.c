/* SPDX-License-Identifier: MIT */
/*
 * The body decoders: by length, until the connection ends, chunked (RFC 9112 sections 6.3 and 7.1).
 * Data is handed out as slices of the input; only chunk lines and trailers are looked at byte by
 * byte. Owns nothing.
 *
 * Invariants: a chunk's data is given out only after its size line was complete and valid; nothing
 * past the end of the message is ever taken. Chunk extensions are checked against their grammar and
 * dropped.
 */
#include "h1.h"
#include "h1_scan.h"

enum { /* phases of a chunked body */
       SIZE,
       PADDING,   /* whitespace after the size */
       EXT_BEGIN, /* after ';' */
       EXT_NAME,
       EXT_NAMED, /* whitespace after the name: '=' or ';' must follow */
       EXT_EQUAL, /* after '=' */
       EXT_TOKEN,
       EXT_QUOTED,
       EXT_ESCAPE, /* after a backslash in a quoted string */
       EXT_CLOSED, /* after the closing quote */
       EXT_NEXT,   /* whitespace after the value: ';' must follow */
       SIZE_LF,
       DATA,
       DATA_CR,
       DATA_LF,
       TRAILER, /* at the beginning of a line */
       TRAILER_NAME,
       TRAILER_VALUE,
       TRAILER_LF,
       END_LF,
       ENDED
};

enum { EXT_CREDIT = 16 }; /* bytes of data that pay for one byte of extension */

void bide__h1_body_init(bide_h1_body *b, const bide_h1_head *h) {
  memset(b, 0, sizeof *b);
  b->kind = h->kind;
  b->phase = SIZE;
  b->left = h->kind == BIDE_H1_LENGTH ? h->length : 0;
  b->ext_left = BIDE_H1_MAX_CHUNK_EXT;
  b->max_trailer = BIDE_H1_MAX_TRAILER;
  b->padded = h->response;
}

/* ---- Chunk lines ---------------------------------------------------------------------------- */

static int size_digit(bide_h1_body *b, int digit) {
  if (++b->line_n > BIDE_H1_MAX_CHUNK_DIGIT || b->left > (uint64_t)INT64_MAX >> 4)
    return BIDE_H1_ECHUNKBIG;
  b->left = b->left << 4 | (uint64_t)digit;
  return 0;
}

/* What the grammar of extensions tells apart (RFC 9112 section 7.1.1). */
enum { C_TOKEN, C_BLANK, C_SEMICOLON, C_EQUALS, C_QUOTE, C_BACKSLASH, C_CR, C_TEXT, C_COUNT };

static unsigned ext_class(char c) {
  switch (c) {
  case ' ':
  case '\t': return C_BLANK;
  case ';': return C_SEMICOLON;
  case '=': return C_EQUALS;
  case '"': return C_QUOTE;
  case '\\': return C_BACKSLASH;
  case '\r': return C_CR;
  default:
    if (bide__h1_is(c, BIDE_C_TOKEN)) return C_TOKEN;
    return bide__h1_is(c, BIDE_C_VALUE) ? C_TEXT : C_COUNT;
  }
}

/* Where each phase goes on each class; 0 (SIZE, which nothing returns to here) is a refusal.
 * Columns: token, blank, ; = " \ CR, other text. */
static const uint8_t ext_next[EXT_NEXT + 1][C_COUNT] = {
    [SIZE] = {0, PADDING, EXT_BEGIN, 0, 0, 0, SIZE_LF, 0},
    [PADDING] = {0, PADDING, EXT_BEGIN, 0, 0, 0, SIZE_LF, 0},
    [EXT_BEGIN] = {EXT_NAME, EXT_BEGIN, 0, 0, 0, 0, 0, 0},
    [EXT_NAME] = {EXT_NAME, EXT_NAMED, EXT_BEGIN, EXT_EQUAL, 0, 0, SIZE_LF, 0},
    [EXT_NAMED] = {0, EXT_NAMED, EXT_BEGIN, EXT_EQUAL, 0, 0, 0, 0},
    [EXT_EQUAL] = {EXT_TOKEN, EXT_EQUAL, 0, 0, EXT_QUOTED, 0, 0, 0},
    [EXT_TOKEN] = {EXT_TOKEN, EXT_NEXT, EXT_BEGIN, 0, 0, 0, SIZE_LF, 0},
    [EXT_QUOTED] = {EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_CLOSED, EXT_ESCAPE, 0,
                    EXT_QUOTED},
    [EXT_ESCAPE] = {EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, EXT_QUOTED, 0,
                    EXT_QUOTED},
    [EXT_CLOSED] = {0, EXT_NEXT, EXT_BEGIN, 0, 0, 0, SIZE_LF, 0},
    [EXT_NEXT] = {0, EXT_NEXT, EXT_BEGIN, 0, 0, 0, 0, 0},
};

/* A byte after the size's digits, up to and including the CR. */
static int after_size(bide_h1_body *b, char c) {
  unsigned class = ext_class(c), next = class < C_COUNT ? ext_next[b->phase][class] : 0;
  if (b->phase == PADDING && class == C_CR && !b->padded) next = 0;
  if (next == 0) {
    if (c == '\n') return BIDE_H1_ELF;
    return b->phase <= PADDING ? BIDE_H1_ECHUNKSIZE : BIDE_H1_ECHUNKEXT;
  }
  b->phase = (uint8_t)next;
  if (next == SIZE_LF) return 0;
  if (b->ext_left == 0) return BIDE_H1_ECHUNKEXTSIZE;
  b->ext_left--;
  return 0;
}

/* The size line is complete. */
static void begin_chunk(bide_h1_body *b) {
  uint64_t credit = b->ext_left + b->left / EXT_CREDIT;
  b->ext_left = credit < BIDE_H1_MAX_CHUNK_EXT ? (uint32_t)credit : BIDE_H1_MAX_CHUNK_EXT;
  b->line_n = 0;
  b->phase = b->left != 0 ? DATA : TRAILER;
}

/* One byte outside of data and trailers. */
static int chunk_byte(bide_h1_body *b, char c) {
  int digit;
  switch (b->phase) {
  case SIZE:
    digit = bide__hex_value(c);
    if (digit >= 0) return size_digit(b, digit);
    return b->line_n != 0 ? after_size(b, c) : BIDE_H1_ECHUNKSIZE;
  case SIZE_LF:
    if (c != '\n') return BIDE_H1_ECR;
    begin_chunk(b);
    return 0;
  case DATA_CR:
    if (c != '\r') return BIDE_H1_ECHUNKEND;
    b->phase = DATA_LF;
    return 0;
  case DATA_LF:
    if (c != '\n') return BIDE_H1_ECHUNKEND;
    b->phase = SIZE;
    return 0;
  default: return after_size(b, c);
  }
}

/* ---- Trailers ------------------------------------------------------------------------------- */

static int trailer_line_byte(bide_h1_body *b, char c) {
  b->line_n = 0;
  if (c == '\r') b->phase = END_LF;
  else if (c == '\n') return BIDE_H1_ELF;
  else if (c == ' ' || c == '\t') return BIDE_H1_EFOLD;
  else if (!bide__h1_is(c, BIDE_C_TOKEN)) return BIDE_H1_ENAME;
  else b->phase = TRAILER_NAME;
  return 0;
}

static int trailer_name_byte(bide_h1_body *b, char c) {
  if (bide__h1_is(c, BIDE_C_TOKEN)) return 0;
  if (c == '\n') return BIDE_H1_ELF;
  if (c == ' ' || c == '\t') return BIDE_H1_ECOLON;
  if (c != ':') return BIDE_H1_ENAME;
  b->phase = TRAILER_VALUE;
  return 0;
}

static int trailer_value_byte(bide_h1_body *b, char c) {
  if (bide__h1_is(c, BIDE_C_VALUE)) return 0;
  if (c == '\n') return BIDE_H1_ELF;
  if (c != '\r') return BIDE_H1_EVALUE;
  b->phase = TRAILER_LF;
  return 0;
}

/* The same rules and errors as for a head. */
static int trailer_byte(bide_h1_body *b, char c) {
  if (b->trailer_n == b->max_trailer) return BIDE_H1_ETRAILERSIZE;
  b->trailer_n++;
  switch (b->phase) {
  case TRAILER: return trailer_line_byte(b, c);
  case TRAILER_NAME: return trailer_name_byte(b, c);
  case TRAILER_VALUE: return trailer_value_byte(b, c);
  default:
    if (c != '\n') return BIDE_H1_ECR;
    b->phase = b->phase == END_LF ? ENDED : TRAILER;
    return 0;
  }
}

static int decode_trailers(bide_h1_body *b, const char *in, size_t n, size_t *used,
                           bide_slice *piece) {
  size_t i = 0;
  while (i < n && b->phase != ENDED) {
    int r = trailer_byte(b, in[i]);
    if (r != 0) return r;
    i++;
  }
  *used += i;
  if (b->keep_trailers && i != 0) {
    *piece = bide__slice(in, i);
    return BIDE_H1_TRAILER;
  }
  return b->phase == ENDED ? BIDE_H1_DONE : BIDE_H1_MORE;
}

/* ---- Bodies --------------------------------------------------------------------------------- */

/* Hands out what the input holds of the `left` bytes. */
static int give_data(bide_h1_body *b, const char *in, size_t n, size_t *used, bide_slice *piece) {
  if (n == 0) return BIDE_H1_MORE;
  if (n > b->left) n = (size_t)b->left;
  *piece = bide__slice(in, n);
  *used += n;
  b->left -= n;
  b->received += n;
  return BIDE_H1_DATA;
}

static int decode_chunked(bide_h1_body *b, const char *in, size_t n, size_t *used,
                          bide_slice *piece) {
  size_t i = 0;
  int r = 0;
  if (b->phase == ENDED) return BIDE_H1_DONE;
  while (i < n && r == 0 && b->phase != DATA && b->phase < TRAILER) {
    r = chunk_byte(b, in[i]);
    if (r == 0) i++;
  }
  *used = i;
  if (r != 0) return r;
  if (b->phase == DATA) {
    r = give_data(b, in + i, n - i, used, piece);
    if (b->left == 0) b->phase = DATA_CR;
    return r;
  }
  return b->phase >= TRAILER ? decode_trailers(b, in + i, n - i, used, piece) : BIDE_H1_MORE;
}

int bide__h1_decode(bide_h1_body *b, const char *in, size_t n, size_t *used, bide_slice *piece) {
  *used = 0;
  *piece = bide__slice(NULL, 0);
  switch (b->kind) {
  case BIDE_H1_NONE: return BIDE_H1_DONE;
  case BIDE_H1_CHUNKED: return decode_chunked(b, in, n, used, piece);
  case BIDE_H1_LENGTH: return b->left == 0 ? BIDE_H1_DONE : give_data(b, in, n, used, piece);
  default: b->left = UINT64_MAX; return give_data(b, in, n, used, piece);
  }
}

int bide__h1_body_eof(const bide_h1_body *b) {
  switch (b->kind) {
  case BIDE_H1_LENGTH: return b->left == 0 ? BIDE_H1_DONE : BIDE_H1_ETRUNCATED;
  case BIDE_H1_CHUNKED: return b->phase == ENDED ? BIDE_H1_DONE : BIDE_H1_ETRUNCATED;
  default: return BIDE_H1_DONE;
  }
}
