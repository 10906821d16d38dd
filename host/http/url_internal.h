/* SPDX-License-Identifier: MIT */
/*
 * The classes of bytes that reading and writing URLs share, and nobody else sees.
 */
#ifndef BIDE_HTTP_URL_INTERNAL_H
#define BIDE_HTTP_URL_INTERNAL_H

#include "url.h"

enum { /* RFC 3986 section 2; percent triplets are handled beside them */
       BIDE_U_UNRESERVED = 1,
       BIDE_U_SUB_DELIM = 2,
       BIDE_U_PCHAR = 4, /* unreserved, sub-delims, ':', '@' */
       BIDE_U_TAIL = 8,  /* query and fragment: pchar, '/', '?' */
       BIDE_U_SCHEME = 16,
       BIDE_U_COLON = 32,
       BIDE_U_EXTRA = 64, /* what BIDE_URL_LAX admits beside them */
       BIDE_U_FORM = 128  /* what a form leaves as it is */
};

/* In url.c. */
extern const uint8_t bide__url_class[256];

static inline bool bide__url_is(char c, unsigned classes) {
  return (bide__url_class[(unsigned char)c] & classes) != 0;
}

#endif
