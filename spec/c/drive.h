/* SPDX-License-Identifier: MIT */
/*
 * Drives a head or a body through every way its bytes can arrive, and tells the outcome as text:
 * whole, byte by byte, cut in two at every place, each time at a new address whose next page is
 * inaccessible. All ways must give the same text; a difference is a failed case of its own.
 */
#ifndef BIDE_SPEC_DRIVE_H
#define BIDE_SPEC_DRIVE_H

#include "check.h"
#include "http/h1.h"

typedef struct drive {
  const char *in;
  size_t n;
  bool response;
  bide_h1_method answers; /* of a response */
  uint16_t cap;           /* 0: 64 headers */
  const bide_h1_limits *limits;
} drive;

/*
 * "MORE", an error's name, or
 *   GET /x 1.1 origin none K | host: a +3
 *   200 OK 1.1 length=5 KL | content-length: 5
 * flags: K keep-alive, U upgrade, E expects 100, L has a length; +N: bytes left after the head.
 * Known headers are told by their own lower-case name, others as they came.
 */
const char *drive_head(const drive *d);

/* A body after such a framing: "data" pieces joined, then [trailers], then DONE +N, MORE, or the
 * error; after MORE what the end of the connection means. */
typedef struct drive_body {
  const char *in;
  size_t n;
  bide_h1_kind kind;
  uint64_t length;
  bool response;
  bool trailers;
} drive_body;

const char *drive_decode(const drive_body *d);

#endif
