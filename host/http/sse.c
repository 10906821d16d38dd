/* SPDX-License-Identifier: MIT */
/*
 * The event stream parser. The input is cut into runs (a field name, a value, a line end); values
 * are copied run by run into the three buffers, so an event costs one copy and no allocation once
 * these have grown. Owns nothing: the buffers are the caller's, through `grow`.
 *
 * Invariant: `id` becomes `last_id` only when its event is dispatched, so that a reconnect never
 * claims an event of which only the beginning was seen.
 */
#include "sse.h"

enum { NAME, COLON, VALUE }; /* phases of a line; NAME with name_n == 0 is its beginning */

enum { F_OTHER, F_DATA, F_EVENT, F_ID, F_RETRY };

static const bide_slice field_names[] = {
    [F_DATA] = {"data", 4}, [F_EVENT] = {"event", 5}, [F_ID] = {"id", 2}, [F_RETRY] = {"retry", 5}};

static const char byte_order_mark[3] = {'\xef', '\xbb', '\xbf'};

void bide__sse_init(bide_sse *s, size_t max_event, bide_sse_grow *grow, void *arg) {
  memset(s, 0, sizeof *s);
  s->grow = grow;
  s->arg = arg;
  s->max_event = max_event;
  s->retry = -1;
}

/* Appends to one of the event's buffers within the limit on all of them. */
static int append(bide_sse *s, bide_out *b, const char *p, size_t n) {
  if (n == 0) return 0;
  size_t held = s->data.n + s->type.n + s->id.n;
  if (n > s->max_event - held) return BIDE_SSE_ETOOBIG;
  size_t want = b->n + n;
  if (want > b->cap && (!s->grow(s->arg, b, want) || b->cap < want)) return BIDE_SSE_ENOMEM;
  bide__out_put(b, p, n);
  return 0;
}

static uint8_t field_of(const bide_sse *s) {
  bide_slice name = {s->name, s->name_n};
  for (uint8_t f = F_DATA; f <= F_RETRY; f++)
    if (bide__slice_eq(name, field_names[f])) return f;
  return F_OTHER; /* comments, whose name is empty, among them */
}

/* ---- Fields --------------------------------------------------------------------------------- */

static void begin_field(bide_sse *s) {
  s->field = field_of(s);
  s->id_start = s->id.n;
  s->id_bad = false;
  s->retry_new = -1;
  if (s->field == F_EVENT) s->type.n = 0;
}

static void read_retry(bide_sse *s, const char *p, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!bide__is_digit(p[i])) s->retry_new = -2;
    if (s->retry_new == -2) return;
    int64_t before = s->retry_new < 0 ? 0 : s->retry_new;
    bool fits = before < INT64_MAX / 10 - 1;
    s->retry_new = fits ? before * 10 + (p[i] - '0') : before;
  }
}

/* An id with a NUL is ignored; what stood before it has been copied by then, or is not. */
static int read_id(bide_sse *s, const char *p, size_t n) {
  const char *nul = memchr(p, '\0', n);
  if (s->id_bad) return 0;
  int r = append(s, &s->id, p, nul != NULL ? (size_t)(nul - p) : n);
  if (r == 0 && nul != NULL) s->id_bad = true;
  return r;
}

/* A piece of the value. Takes effect whole or not at all. */
static int read_value(bide_sse *s, const char *p, size_t n) {
  switch (s->field) {
  case F_DATA: return append(s, &s->data, p, n);
  case F_EVENT: return append(s, &s->type, p, n);
  case F_ID: return read_id(s, p, n);
  case F_RETRY: read_retry(s, p, n); return 0;
  default: return 0;
  }
}

/* The later of two ids in one event replaces the earlier, unless it is to be ignored. */
static void end_id(bide_sse *s) {
  size_t n = s->id.n - s->id_start;
  if (s->id_bad) {
    s->id.n = s->id_start;
    return;
  }
  if (n != 0 && s->id_start != 0) memmove(s->id.p, s->id.p + s->id_start, n);
  s->id.n = n;
  s->id_new = true;
}

static int end_field(bide_sse *s) {
  if (s->field == F_DATA) return append(s, &s->data, "\n", 1);
  if (s->field == F_ID) end_id(s);
  if (s->field == F_RETRY && s->retry_new >= 0) s->retry = s->retry_new;
  return 0;
}

/* The blank line. An event without data is none, but its id counts. */
static int dispatch(bide_sse *s) {
  if (s->id_new) {
    bide_out old = s->last_id;
    s->last_id = s->id;
    s->id = old;
    s->id.n = 0;
    s->id_new = false;
  }
  if (s->data.n == 0) {
    s->type.n = 0;
    return BIDE_SSE_MORE;
  }
  s->data.n--; /* the last line's newline */
  s->dispatched = true;
  return BIDE_SSE_EVENT;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static bool is_line_end(char c) {
  return c == '\n' || c == '\r';
}

/* The name so far; one too long for any field is only counted up to the buffer's size. */
static size_t read_name(bide_sse *s, const char *in, size_t n) {
  size_t i = 0;
  for (; i < n && in[i] != ':' && !is_line_end(in[i]); i++)
    if (s->name_n < sizeof s->name) s->name[s->name_n++] = in[i];
  return i;
}

/* At a line end: EVENT, MORE or an error, upon which nothing has happened. */
static int end_line(bide_sse *s, char c) {
  int r = 0;
  bool blank = s->phase == NAME && s->name_n == 0;
  if (s->phase == NAME && !blank) begin_field(s); /* a name alone: an empty value */
  r = blank ? dispatch(s) : end_field(s);
  if (r < 0) return r;
  s->phase = NAME;
  s->name_n = 0;
  s->skip_lf = c == '\r';
  return r;
}

/* Takes one run of bytes from a non-empty input. */
static int step(bide_sse *s, const char *in, size_t n, size_t *taken) {
  size_t i = 0;
  int r = 0;
  *taken = 1;
  if (s->phase == NAME) {
    i = read_name(s, in, n);
    *taken = i;
    if (i == n) return BIDE_SSE_MORE;
    if (in[i] == ':') {
      begin_field(s);
      s->phase = COLON;
      *taken = i + 1;
      return BIDE_SSE_MORE;
    }
  } else if (s->phase == COLON) {
    s->phase = VALUE;
    *taken = in[0] == ' ';
    return BIDE_SSE_MORE;
  } else {
    while (i < n && !is_line_end(in[i])) i++;
    *taken = 0;
    if ((r = read_value(s, in, i)) < 0) return r;
    *taken = i;
    if (i == n) return BIDE_SSE_MORE;
  }
  r = end_line(s, in[i]);
  if (r >= 0) *taken = i + 1;
  return r;
}

/* One byte order mark at the very beginning is dropped; a part of one is the start of a name. */
static size_t skip_mark(bide_sse *s, const char *in, size_t n) {
  size_t i = 0;
  while (i < n && s->bom_n < sizeof byte_order_mark && in[i] == byte_order_mark[s->bom_n])
    i++, s->bom_n++;
  if (i == n || s->bom_n == sizeof byte_order_mark) return i;
  read_name(s, byte_order_mark, s->bom_n);
  s->bom_n = sizeof byte_order_mark;
  return i;
}

int bide__sse_next(bide_sse *s, const char *in, size_t n, size_t *used) {
  size_t i = 0, taken;
  int r = BIDE_SSE_MORE;
  if (s->dispatched) {
    s->data.n = s->type.n = 0;
    s->dispatched = false;
  }
  if (s->bom_n < sizeof byte_order_mark) i = skip_mark(s, in, n);
  while (i < n && r == BIDE_SSE_MORE) {
    if (s->skip_lf) {
      s->skip_lf = false;
      if (in[i] == '\n') i++;
      continue;
    }
    r = step(s, in + i, n - i, &taken);
    i += taken;
  }
  *used = i;
  return r;
}
