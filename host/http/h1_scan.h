/* SPDX-License-Identifier: MIT */
/*
 * Finding the end of a run of bytes, sixteen at a time where the machine can: the part of the head
 * parser that its speed hangs on. No state, no object file. Nothing at or past `end` is read.
 *
 * Invariant: each function returns the first byte in [p, end) outside its class, or `end`; the wide
 * paths only skip what the plain loop would skip. BIDE_H1_NO_SSE2 builds what other machines get.
 */
#ifndef BIDE_HTTP_H1_SCAN_H
#define BIDE_HTTP_H1_SCAN_H

#include "text.h"

#if defined(__SSE2__) && !defined(BIDE_H1_NO_SSE2)
#include <emmintrin.h>
#define BIDE_H1_SSE2 1
#endif

enum { BIDE_C_TOKEN = 1, BIDE_C_VALUE = 2, BIDE_C_TARGET = 4 };

/* Classes of all 256 bytes; in h1_name.c. */
extern const uint8_t bide__h1_class[256];

static inline bool bide__h1_is(char c, unsigned class) {
  return (bide__h1_class[(unsigned char)c] & class) != 0;
}

#ifndef BIDE_H1_SSE2
/* Not 0 if one of eight bytes is below 0x20 or is 0x7f. */
static inline uint64_t bide__h1_odd8(const char *p) {
  const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
  uint64_t x, del;
  memcpy(&x, p, sizeof x);
  del = x ^ ones * 0x7f;
  return (((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & high;
}
#endif

/* To the first control but HTAB. RFC 9110 section 5.5. */
static inline const char *bide__h1_skip_value(const char *p, const char *end) {
#ifdef BIDE_H1_SSE2
  const __m128i ctl = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f), tab = _mm_set1_epi8('\t');
  while (end - p >= 16) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, ctl), x);
    low = _mm_andnot_si128(_mm_cmpeq_epi8(x, tab), low);
    int odd = _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(x, del)));
    if (odd != 0) return p + __builtin_ctz((unsigned)odd);
    p += 16;
  }
#else
  while (end - p >= 8 && bide__h1_odd8(p) == 0) p += 8;
#endif
  while (p < end && bide__h1_is(*p, BIDE_C_VALUE)) p++;
  return p;
}

/* To the first space, control or '#'. */
static inline const char *bide__h1_skip_target(const char *p, const char *end) {
#ifdef BIDE_H1_SSE2
  const __m128i ctl = _mm_set1_epi8(0x20), del = _mm_set1_epi8(0x7f), hash = _mm_set1_epi8('#');
  while (end - p >= 16) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i bad = _mm_cmpeq_epi8(_mm_min_epu8(x, ctl), x);
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(x, hash));
    int odd = _mm_movemask_epi8(_mm_or_si128(bad, _mm_cmpeq_epi8(x, del)));
    if (odd != 0) return p + __builtin_ctz((unsigned)odd);
    p += 16;
  }
#endif
  while (p < end && bide__h1_is(*p, BIDE_C_TARGET)) p++;
  return p;
}

/* To the first byte that is no tchar (RFC 9110 section 5.6.2). The wide path knows letters, digits
 * and '-', which is what header names are made of; any other byte goes to the table. */
static inline const char *bide__h1_skip_token(const char *p, const char *end) {
#ifdef BIDE_H1_SSE2
  const __m128i bit = _mm_set1_epi8(0x20), dash = _mm_set1_epi8('-');
  const __m128i a = _mm_set1_epi8('a'), z = _mm_set1_epi8(25);
  while (end - p >= 16) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i letter = _mm_sub_epi8(_mm_or_si128(x, bit), a);
    letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, z), letter);
    int good = _mm_movemask_epi8(_mm_or_si128(letter, _mm_cmpeq_epi8(x, dash)));
    if (good != 0xffff) {
      p += __builtin_ctz(~(unsigned)good);
      break;
    }
    p += 16;
  }
#endif
  while (p < end && bide__h1_is(*p, BIDE_C_TOKEN)) p++;
  return p;
}

#endif
