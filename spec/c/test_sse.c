/* SPDX-License-Identifier: MIT */
/*
 * Event streams: the examples of the WHATWG specification and its corners, however the input is
 * cut.
 */
#include "check.h"
#include "http/sse.h"

#include <stdlib.h>

typedef struct row {
  const char *in;
  size_t n;
  const char *expected; /* {type|data|last id} for each event, then what was left over */
} row;

#define R(in, expected)                                                                            \
  { in, sizeof(in) - 1, expected }

static const row rows[] = {
    R("", ""),
    R("data: a\n\n", "{|a|}"),
    R("data:a\n\n", "{|a|}"),
    R("data:  a\n\n", "{| a|}"),
    R("data: a \n\n", "{|a |}"),
    R("data: a\r\n\r\n", "{|a|}"),
    R("data: a\r\r", "{|a|}"),
    R("data: a\n\r", "{|a|}"),
    R("data: a\r\n\n", "{|a|}"),
    R("data: a\r\n\rdata: b\n\n", "{|a|}{|b|}"),
    R("data: a\r\r\ndata: b\r\r", "{|a|}{|b|}"),
    R("data: a\n\n\n\r\n\rdata: b\n\n", "{|a|}{|b|}"),
    R("data: YHOO\ndata: +2\ndata: 10\n\n", "{|YHOO\\n+2\\n10|}"),
    R(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
      "{|first event|1}{|second event|}"),
    R("data\n\ndata\ndata\n\ndata:", "{||}{|\\n|}"),
    R("data:test\n\ndata: test\n\n", "{|test|}{|test|}"),
    R("event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\ndata: x\n\n",
      "{add|73857293|}{remove|2153|}{|x|}"),
    R("event: a\nevent: b\ndata: x\n\n", "{b|x|}"),
    R("event: a\nevent\ndata: x\n\n", "{|x|}"),
    R("event: a\n\ndata: x\n\n", "{|x|}"),
    R("data: x\n\n\n\n", "{|x|}"),
    /* Names. */
    R("data : a\n\n", ""),
    R("Data: a\n\n", ""),
    R(" data: a\n\n", ""),
    R("dat: a\n\n", ""),
    R("dataa: a\n\n", ""),
    R("databcdefghijkl: a\n\n", ""),
    R("databcdefghijkl\ndata\n\n", "{||}"),
    R("\0data: a\n\n", ""),
    R("data: a: b\n\n", "{|a: b|}"),
    R("data::a\n\n", "{|:a|}"),
    R(":data: a\n\n:\n\n::\n\n", ""),
    R(":c\ndata: a\n:c\ndata: b\n\n", "{|a\\nb|}"),
    R("data: a\0b\xff\n\n", "{|a\\x00b\\xff|}"),
    /* Ids. */
    R("id: 1\ndata: a\n\ndata: b\n\n", "{|a|1}{|b|1}"),
    R("id: 1\n\ndata: b\n\n", "{|b|1}"),
    R("id: 1\nid: 22\ndata: a\n\n", "{|a|22}"),
    R("id: 1\nid: 2\0\ndata: a\n\n", "{|a|1}"),
    R("id: 1\0\ndata: a\n\n", "{|a|}"),
    R("id: 1\ndata: a\n\nid: \0\ndata: b\n\n", "{|a|1}{|b|1}"),
    R("id: 1\ndata: a\n\nid\ndata: b\n\n", "{|a|1}{|b|}"),
    R("id: 1\ndata: a\n\nid: 2\ndata: b", "{|a|1}"),
    R("id: long id\ndata: a\n\nid: b\n\nid: c\ndata: d\n\n", "{|a|long id}{|d|c}"),
    /* The byte order mark. */
    R("\xef\xbb\xbf"
      "data: a\n\n",
      "{|a|}"),
    R("\xef\xbb\xbf\xef\xbb\xbf"
      "data: a\n\n",
      ""),
    R("\xef\xbb"
      "data: a\n\ndata: b\n\n",
      "{|b|}"),
    R("\xef"
      ":a\ndata: b\n\n",
      "{|b|}"),
    R("data: a\n\n\xef\xbb\xbf"
      "data: b\n\n",
      "{|a|}"),
    R("\xef\xbb\xbf\n\ndata\n\n", "{||}"),
    /* Incomplete. */
    R("data: a\n", ""),
    R("data: a\n\ndata: b\n", "{|a|}"),
    R("data: a\r", ""),
};

typedef struct retry_row {
  const char *in;
  int64_t expected;
} retry_row;

static const retry_row retries[] = {
    {"", -1},
    {"retry: 100\n", 100},
    {"retry:0\n", 0},
    {"retry: 100", -1},
    {"retry\n", -1},
    {"retry:\n", -1},
    {"retry: -1\n", -1},
    {"retry: 1a\n", -1},
    {"retry: a1\n", -1},
    {"retry:  1\n", -1},
    {"retry: 1 \n", -1},
    {"retry: 1.5\n", -1},
    {"retry: 5\nretry: x\n", 5},
    {"retry: 5\nretry: 6\n", 6},
};

/* Grows by just what is asked for, at a new address; every `refuse`th time it refuses. */
typedef struct heap {
  int calls;
  int refuse;
} heap;

static bool grow(void *arg, bide_out *b, size_t want) {
  heap *h = arg;
  if (h->refuse != 0 && ++h->calls % h->refuse == 0) return false;
  char *p = malloc(want);
  if (p == NULL) return false;
  if (b->n != 0) memcpy(p, b->p, b->n);
  free(b->p);
  b->p = p;
  b->cap = want;
  return true;
}

static void drop(bide_sse *e) {
  free(e->data.p);
  free(e->type.p);
  free(e->id.p);
  free(e->last_id.p);
}

static void tell_event(text *t, const bide_sse *e) {
  text_add(t, "{");
  text_put_visible(t, e->type.p, e->type.n);
  text_add(t, "|");
  text_put_visible(t, e->data.p, e->data.n);
  text_add(t, "|");
  text_put_visible(t, e->last_id.p, e->last_id.n);
  text_add(t, "}");
}

/* All events of one piece of input; true unless an error ended it. */
static int feed(bide_sse *e, const char *in, size_t n, text *t) {
  for (int tries = 0; n != 0 && tries < 100000; tries++) {
    size_t used;
    int r = bide__sse_next(e, in, n, &used);
    in += used;
    n -= used;
    if (r == BIDE_SSE_EVENT) tell_event(t, e);
    else if (r < 0 && r != BIDE_SSE_ENOMEM) return r;
  }
  return n == 0 ? 0 : BIDE_SSE_ENOMEM;
}

/* Cut at `first`, then into pieces of `step` (0: the rest at once). */
static void run(const row *r, size_t first, size_t step, int refuse, text *t) {
  heap h = {0, refuse};
  bide_sse e;
  size_t at = 0;
  bide__sse_init(&e, 1000, grow, &h);
  text_clear(t);
  while (at < r->n) {
    size_t end = at < first ? first : step == 0 ? r->n : at + step;
    if (end > r->n) end = r->n;
    if (feed(&e, check_guarded(r->in + at, end - at), end - at, t) != 0) text_add(t, " failed");
    at = end;
  }
  drop(&e);
}

static void test_streams(void) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    text whole, other, name;
    text_clear(&name);
    text_put_visible(&name, rows[i].in, rows[i].n);
    run(&rows[i], rows[i].n, 0, 0, &whole);
    check_text(whole.p, rows[i].expected, name.p);
    for (size_t k = 1; k < rows[i].n; k++) {
      run(&rows[i], k, 0, 0, &other);
      if (strcmp(other.p, whole.p) != 0) check(false, "cut at %zu: %s: %s", k, name.p, other.p);
    }
    for (size_t step = 1; step <= 3; step++) {
      run(&rows[i], 0, step, 0, &other);
      if (strcmp(other.p, whole.p) != 0) check(false, "in steps of %zu: %s", step, name.p);
    }
    run(&rows[i], 0, 0, 2, &other);
    if (strcmp(other.p, whole.p) != 0) check(false, "with failing memory: %s: %s", name.p, other.p);
  }
}

static void test_retry(void) {
  for (size_t i = 0; i < sizeof retries / sizeof *retries; i++) {
    heap h = {0, 0};
    bide_sse e;
    text t;
    bide__sse_init(&e, 100, grow, &h);
    text_clear(&t);
    for (const char *p = retries[i].in; *p != '\0'; p++) feed(&e, p, 1, &t);
    check(e.retry == retries[i].expected, "retry of '%s'", retries[i].in);
    drop(&e);
  }
  heap h = {0, 0};
  bide_sse e;
  text t;
  text_clear(&t);
  bide__sse_init(&e, 100, grow, &h);
  feed(&e, "retry: 999999999999999999999999999999\n", 38, &t);
  check(e.retry > INT64_MAX / 1000, "a retry that overflows is only very long");
  drop(&e);
}

static void test_limit(void) {
  static const struct {
    const char *in;
    int expected;
  } limits[] = {
      {"data: 123456789\n\n", 0},
      {"data: 1234567890\n\n", BIDE_SSE_ETOOBIG},
      {"data: 1234567890", 0},
      {"data: 12345678901", BIDE_SSE_ETOOBIG},
      {"data: 1234\ndata: 5678\n\n", 0},
      {"data: 1234\ndata: 56789\n\n", BIDE_SSE_ETOOBIG},
      {"event: 12345\nid: 123\ndata: x\n\n", 0},
      {"event: 12345\nid: 123\ndata: xy\n\n", BIDE_SSE_ETOOBIG},
      {"event: 123456789012", BIDE_SSE_ETOOBIG},
      {"id: 123456789012", BIDE_SSE_ETOOBIG},
      {"data: 123456789\n\ndata: 123456789\n\n", 0},
      {"id: 1234567890\n\nid: 1234567890\n\ndata: 123456789\n\n", 0},
      {":12345678901234567890\n\n", 0},
      {"12345678901234567890: 12345678901234567890\n\n", 0},
  };
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    heap h = {0, 0};
    bide_sse e;
    text t;
    const char *in = limits[i].in;
    text_clear(&t);
    bide__sse_init(&e, 10, grow, &h);
    check(feed(&e, in, strlen(in), &t) == limits[i].expected, "limit 10: %s", in);
    drop(&e);
    bide__sse_init(&e, 10, grow, &h);
    int r = 0;
    for (size_t k = 0; k < strlen(in) && r == 0; k++) r = feed(&e, in + k, 1, &t);
    check(r == limits[i].expected, "limit 10, by byte: %s", in);
    drop(&e);
  }
}

/* The blank line ends an event even if its LF is still on the way. */
static void test_at_once(void) {
  heap h = {0, 0};
  bide_sse e;
  size_t used;
  bide__sse_init(&e, 100, grow, &h);
  check(bide__sse_next(&e, "data: a\r\n\r", 10, &used) == BIDE_SSE_EVENT, "an event at its CR");
  check(used == 10, "takes just that");
  check(bide__sse_next(&e, "\n", 1, &used) == BIDE_SSE_MORE && used == 1,
        "the LF is no blank line");
  check(bide__sse_next(&e, "data: b\n\n", 9, &used) == BIDE_SSE_EVENT, "the next event");
  check(e.data.n == 1 && e.data.p[0] == 'b', "has its own data");
  drop(&e);
}

int main(int argc, char **argv) {
  check_begin(argc, argv);
  test_streams();
  test_retry();
  test_limit();
  test_at_once();
  return check_end();
}
