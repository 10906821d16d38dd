/* SPDX-License-Identifier: MIT */
/*
 * text/event-stream (WHATWG HTML, section 9.2.6), incrementally. No I/O; memory only through the
 * caller's `grow`. Lines end in LF, CR or CRLF, wherever the reads are cut; an event is given out
 * as soon as its blank line is known (after a CR, not waiting for a LF); an incomplete last event
 * is never given out. Bytes are not checked for UTF-8.
 *
 * Invariant: data + type + id never hold more than `max_event` bytes together.
 */
#ifndef BIDE_HTTP_SSE_H
#define BIDE_HTTP_SSE_H

#include "text.h"

enum {
  BIDE_SSE_MORE = 0,     /* all input taken */
  BIDE_SSE_EVENT = 1,    /* an event is ready */
  BIDE_SSE_ETOOBIG = -1, /* event larger than the limit; the parser must not be used again */
  BIDE_SSE_ENOMEM = -2   /* `grow` refused; may be called again with the unused input */
};

/* Makes `b->cap` at least `want`, keeping the first `b->n` bytes, and returns true; or returns
 * false and leaves `b` as it was. The caller frees each `p` after the parser's last use. */
typedef bool bide_sse_grow(void *arg, bide_out *b, size_t want);

/* Read `type`, `data`, `last_id`, `retry` after BIDE_SSE_EVENT, until the next call. An empty type
 * stands for "message". */
typedef struct bide_sse {
  bide_out data;
  bide_out type;
  bide_out last_id; /* as of the last dispatched event: what Last-Event-ID repeats */
  int64_t retry;    /* milliseconds, -1 until the server named some */

  /* Private to the parser. */
  bide_out id; /* of the event at hand, not dispatched yet */
  bide_sse_grow *grow;
  void *arg; /* borrowed */
  size_t max_event;
  size_t id_start;   /* where the id line at hand begins in `id` */
  int64_t retry_new; /* of the line at hand; negative when it is no number */
  uint8_t phase, field, name_n, bom_n;
  bool skip_lf, id_new, id_bad, dispatched;
  char name[8];
} bide_sse;

void bide__sse_init(bide_sse *s, size_t max_event, bide_sse_grow *grow, void *arg);

/* Parses on. `*used` is what was taken: call again with the rest after an event. */
int bide__sse_next(bide_sse *s, const char *in, size_t n, size_t *used);

#endif
