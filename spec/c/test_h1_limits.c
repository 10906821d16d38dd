/* SPDX-License-Identifier: MIT */
/*
 * Heads at their limits of size and count, every byte where it matters, and what is asked of a head
 * that is complete: its target's parts, its headers.
 */
#include "drive.h"

/* A request whose first line, header line or head has just that size. */
static const char *sized(const char *before, size_t n, const char *after) {
  static text t;
  text_clear(&t);
  text_add(&t, "%s", before);
  for (size_t i = 0; i < n; i++) text_put(&t, "x", 1);
  text_add(&t, "%s", after);
  return t.p;
}

static const char *outcome(const char *in, size_t n, uint16_t cap, const bide_h1_limits *limits) {
  drive d = {.in = in, .n = n, .cap = cap, .limits = limits};
  return drive_head(&d);
}

static bool fails(const char *in, const char *error, const bide_h1_limits *limits) {
  return strcmp(outcome(in, strlen(in), 0, limits), error) == 0;
}

static bool passes(const char *in, const bide_h1_limits *limits) {
  return strncmp(outcome(in, strlen(in), 0, limits), "GET /", 5) == 0;
}

static void test_line_limits(void) {
  static const bide_h1_limits limits = {64, 40, 1000};
  const char *in = sized("GET /", 64 - 14, " HTTP/1.1\r\nHost: a\r\n\r\n");
  check(passes(in, &limits), "a first line of just the limit passes");
  in = sized("GET /", 64 - 13, " HTTP/1.1\r\nHost: a\r\n\r\n");
  check(fails(in, "ELINESIZE", &limits), "one byte more does not");
  check(fails(sized("GET /", 60, ""), "MORE", &limits), "65 bytes may still end in a line end");
  check(fails(sized("GET /", 61, ""), "ELINESIZE", &limits), "an endless one fails at byte 66");
  in = sized("GET / HTTP/1.1\r\nHost: a\r\nx: ", 40 - 3, "\r\n\r\n");
  check(passes(in, &limits), "a header line of just the limit passes");
  in = sized("GET / HTTP/1.1\r\nHost: a\r\nx: ", 40 - 2, "\r\n\r\n");
  check(fails(in, "EFIELDSIZE", &limits), "one byte more does not");
  in = sized("GET / HTTP/1.1\r\n", 41, "");
  check(fails(in, "MORE", &limits), "a name of 41 bytes is not known to be too long");
  in = sized("GET / HTTP/1.1\r\n", 42, "");
  check(fails(in, "EFIELDSIZE", &limits), "an endless name fails at byte 42");
  in = sized("GET / HTTP/1.1\r\nx:", 40, "");
  check(fails(in, "EFIELDSIZE", &limits), "an endless value fails at byte 42");
  check(fails("\r\nGET /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
              "ELINESIZE", &limits),
        "the limit holds after an empty line");
}

static void test_head_limit(void) {
  static const bide_h1_limits limits = {64, 100, 100};
  const char *start = "GET / HTTP/1.1\r\nHost: a\r\n";
  const char *in =
      sized("GET / HTTP/1.1\r\nHost: a\r\nx: ", 100 - 3 - strlen(start) - 4, "\r\n\r\n");
  check(strlen(in) == 100 && passes(in, &limits), "a head of just the limit passes");
  static const bide_h1_limits smaller = {64, 100, 99};
  check(fails(in, "EHEADSIZE", &smaller), "one byte more does not");
  check(
      fails("GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\ni:\r\nj:\r\nk:\r\nl:"
            "\r\nm:\r\nn:\r\no:\r\np:\r\nq:\r\nr:\r\ns:\r\nt:\r\nu:\r\nv:\r\nw:\r\nx:\r\n",
            "EHEADSIZE", &limits),
      "many short lines fail, too");
}

static void test_count_limit(void) {
  static const char in[] = "GET / HTTP/1.1\r\nHost: a\r\nb: c\r\nd: e\r\n\r\n";
  check(strncmp(outcome(in, sizeof in - 1, 3, NULL), "GET /", 5) == 0,
        "three headers in three places");
  check_text(outcome(in, sizeof in - 1, 2, NULL), "EFIELDS", "three headers in two places");
  check_text(outcome(in, 32, 2, NULL), "EFIELDS", "the first byte of a header too many is enough");
  check_text(outcome(in, 31, 2, NULL), "MORE", "the end of the last one is not");
  check_text(outcome("GET / HTTP/1.0\r\n\r\n", 18, 1, NULL), "GET / 1.0 origin none ", "no header");
}

/* Every byte, where it matters. */
static void test_all_bytes(void) {
  static const char tchars[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (int c = 0; c < 256; c++) {
    char line[64] = "GET / HTTP/1.1\r\nHost: a\r\n";
    bool token = c != 0 && strchr(tchars, c) != NULL;
    size_t n = strlen(line);
    memcpy(line + n, "abcdefghijklmnopqrst_x: y\r\n\r\n", 30);
    line[n + 20] = (char)c;
    bool passed = strncmp(outcome(line, n + 29, 0, NULL), "GET /", 5) == 0;
    check(passed == (token || c == ':'), "byte %d in a name", c);
    memcpy(line + n, "a: bcdefghijklmnopqrst_uv\r\n\r\n", 30);
    line[n + 22] = (char)c;
    passed = strncmp(outcome(line, n + 29, 0, NULL), "GET /", 5) == 0;
    check(passed == ((c >= ' ' && c != 127) || c == '\t'), "byte %d in a value", c);
  }
}

/* ---- Splitting ------------------------------------------------------------------------------ */

static const struct {
  const char *target, *expected;
} targets[] = {
    {"/", "/ - "},
    {"/a/b?c=d?e", "/a/b + c=d?e"},
    {"/a?", "/a + "},
    {"http://h", "/ - "},
    {"http://h/x?y", "/x + y"},
    {"http://h?y", "/ + y"},
    {"http://h:80/?", "/ + "},
};

static void split_one(const char *request, const char *expected) {
  bide_h1_field fields[4];
  bide_h1_head h;
  bide_slice path, query;
  bool has;
  text t;
  bide__h1_init_request(&h, fields, 4, NULL);
  const char *copy = check_guarded(request, strlen(request));
  if (!check(bide__h1_parse(&h, copy, strlen(request)) > 0, "parses %s", request)) return;
  bide__h1_split_target(&h, &path, &query, &has);
  text_clear(&t);
  text_add(&t, "%.*s %c %.*s", (int)path.n, path.p, has ? '+' : '-', (int)query.n, query.p);
  check_text(t.p, expected, request);
}

static void test_split_target(void) {
  char request[128];
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", targets[i].target);
    split_one(request, targets[i].expected);
  }
  split_one("OPTIONS * HTTP/1.0\r\n\r\n", "* - ");
  split_one("CONNECT a:1 HTTP/1.0\r\n\r\n", " - ");
}

static void test_find(void) {
  static const char in[] = "GET / HTTP/1.0\r\nAccept: 1\r\nX: y\r\nAccept: 2\r\n\r\n";
  bide_h1_field fields[8];
  bide_h1_head h;
  bide__h1_init_request(&h, fields, 8, NULL);
  check(bide__h1_parse(&h, in, sizeof in - 1) > 0, "parses");
  check(bide__h1_find(&h, BIDE_H_ACCEPT, 0) == &fields[0], "finds the first");
  check(bide__h1_find(&h, BIDE_H_ACCEPT, 1) == &fields[2], "finds the next");
  check(bide__h1_find(&h, BIDE_H_ACCEPT, 3) == NULL, "finds no third");
  check(bide__h1_find(&h, BIDE_H_COOKIE, 0) == NULL, "finds none that is not there");
  char moved[sizeof in];
  memcpy(moved, in, sizeof in);
  bide__h1_rebase(&h, moved);
  check(bide__h1_value(&h, &fields[2]).p == moved + 41, "follows its buffer");
}

/* No bytes yet is no reason to have a buffer. */
static void test_no_buffer(void) {
  bide_h1_field fields[2];
  bide_h1_head h;
  bide__h1_init_request(&h, fields, 2, NULL);
  check(bide__h1_parse(&h, NULL, 0) == BIDE_H1_MORE, "no buffer");
  check(bide__h1_parse(&h, "GET / HTTP/1.0\r\n\r\n", 18) == 18, "then one");
}

int main(int argc, char **argv) {
  check_begin(argc, argv);
  test_line_limits();
  test_head_limit();
  test_count_limit();
  test_all_bytes();
  test_split_target();
  test_find();
  test_no_buffer();
  return check_end();
}
