/* SPDX-License-Identifier: MIT */
/*
 * The drivers: see drive.h.
 */
#include "drive.h"

enum { FIELDS = 64, SPLIT_MAX = 700 };

/* Where the input is cut: [0, first), then to the end in steps (0: all at once). */
typedef struct cuts {
  size_t first;
  size_t step;
} cuts;

static size_t next_cut(const cuts *c, size_t at, size_t n) {
  size_t next = at < c->first ? c->first : c->step == 0 ? n : at + c->step;
  return next < n ? next : n;
}

/* ---- Heads ---------------------------------------------------------------------------------- */

static void tell_fields(text *t, const bide_h1_head *h) {
  for (unsigned i = 0; i < h->count; i++) {
    const bide_h1_field *f = &h->fields[i];
    bide_slice name = bide__h1_name(h, f), value = bide__h1_value(h, f);
    bide_slice known = bide__h1_name_of((bide_h1_id)f->id);
    text_add(t, " | ");
    text_put_visible(t, known.n != 0 ? known.p : name.p, name.n);
    text_add(t, ": ");
    text_put_visible(t, value.p, value.n);
  }
}

static void tell_framing(text *t, const bide_h1_head *h) {
  static const char *const kinds[] = {"none", "length", "chunked", "close", "tunnel"};
  text_add(t, " %s", kinds[h->kind]);
  if (h->kind == BIDE_H1_LENGTH) text_add(t, "=%llu", (unsigned long long)h->length);
  text_add(t, " ");
  if ((h->flags & BIDE_H1_KEEP_ALIVE) != 0) text_add(t, "K");
  if ((h->flags & BIDE_H1_UPGRADE) != 0) text_add(t, "U");
  if ((h->flags & BIDE_H1_CONTINUE) != 0) text_add(t, "E");
  if ((h->flags & BIDE_H1_HAS_LENGTH) != 0) text_add(t, "L");
}

static void tell_head(text *t, const bide_h1_head *h) {
  static const char *const forms[] = {"origin", "absolute", "authority", "asterisk"};
  bide_slice method = bide__h1_method(h), what = bide__h1_text(h);
  if (h->response) text_add(t, "%d ", h->status);
  else text_put_visible(t, method.p, method.n);
  if (!h->response) text_add(t, " ");
  text_put_visible(t, what.p, what.n);
  text_add(t, " 1.%d", h->minor);
  if (!h->response) text_add(t, " %s", forms[h->form]);
  tell_framing(t, h);
  tell_fields(t, h);
}

static void run_head(const drive *d, const cuts *c, text *t) {
  bide_h1_field fields[FIELDS];
  bide_h1_head h;
  uint16_t cap = d->cap != 0 ? d->cap : FIELDS;
  size_t at = 0;
  int r;
  if (d->response) bide__h1_init_response(&h, fields, cap, d->limits, d->answers);
  else bide__h1_init_request(&h, fields, cap, d->limits);
  do {
    at = next_cut(c, at, d->n);
    r = bide__h1_parse(&h, check_guarded(d->in, at), at);
  } while (r == BIDE_H1_MORE && at < d->n);
  text_clear(t);
  if (r == BIDE_H1_MORE) text_add(t, "MORE");
  else if (r < 0) text_add(t, "%s", bide__h1_error_name(r));
  else {
    tell_head(t, &h);
    if (d->n > (size_t)r) text_add(t, " +%zu", d->n - (size_t)r);
  }
}

/* Runs all ways through `run`; reports only those that differ. */
typedef void runner(const void *d, const cuts *c, text *t);

static const char *run_all(const void *d, size_t n, runner *run, const char *in) {
  static text whole, other;
  text name;
  cuts c = {n, 0};
  run(d, &c, &whole);
  for (size_t step = 1; step <= 3 && step < n; step++) {
    c = (cuts){0, step};
    run(d, &c, &other);
    if (strcmp(other.p, whole.p) != 0) {
      text_clear(&name);
      text_add(&name, "in steps of %zu: ", step);
      text_put_visible(&name, in, n);
      check_text(other.p, whole.p, name.p);
    }
  }
  for (size_t i = 1; i < n && n <= SPLIT_MAX; i++) {
    c = (cuts){i, 0};
    run(d, &c, &other);
    if (strcmp(other.p, whole.p) != 0) {
      text_clear(&name);
      text_add(&name, "cut at %zu: ", i);
      text_put_visible(&name, in, n);
      check_text(other.p, whole.p, name.p);
    }
  }
  return whole.p;
}

static void run_head_any(const void *d, const cuts *c, text *t) {
  run_head(d, c, t);
}

const char *drive_head(const drive *d) {
  return run_all(d, d->n, run_head_any, d->in);
}

/* ---- Bodies --------------------------------------------------------------------------------- */

static void tell_end(text *t, const bide_h1_body *b, int r, size_t left) {
  if (r < 0) text_add(t, "%s", bide__h1_error_name(r));
  else if (r == BIDE_H1_DONE && left != 0) text_add(t, "DONE +%zu", left);
  else if (r == BIDE_H1_DONE) text_add(t, "DONE");
  else {
    r = bide__h1_body_eof(b);
    text_add(t, "MORE, then %s", r < 0 ? bide__h1_error_name(r) : "DONE");
  }
}

static void run_body(const void *p, const cuts *c, text *t) {
  const drive_body *d = p;
  static text data, trailers;
  bide_h1_head h = {.kind = (uint8_t)d->kind, .length = d->length, .response = d->response};
  bide_h1_body b;
  size_t at = 0, end = 0, used;
  int r = BIDE_H1_MORE;
  bide__h1_body_init(&b, &h);
  b.keep_trailers = d->trailers;
  text_clear(&data);
  text_clear(&trailers);
  do {
    if (at == end) end = next_cut(c, end, d->n);
    bide_slice piece;
    r = bide__h1_decode(&b, check_guarded(d->in + at, end - at), end - at, &used, &piece);
    at += used;
    if (r == BIDE_H1_DATA) text_put_visible(&data, piece.p, piece.n);
    if (r == BIDE_H1_TRAILER) text_put_visible(&trailers, piece.p, piece.n);
  } while (r == BIDE_H1_DATA || r == BIDE_H1_TRAILER || (r == BIDE_H1_MORE && at < d->n));
  text_clear(t);
  text_add(t, "\"%s\" ", data.p);
  if (trailers.n != 0 && r >= 0) text_add(t, "[%s] ", trailers.p);
  tell_end(t, &b, r, d->n - at);
}

const char *drive_decode(const drive_body *d) {
  return run_all(d, d->n, run_body, d->in);
}
