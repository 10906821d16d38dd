/* SPDX-License-Identifier: MIT */
/*
 * What is written, the tables behind it, lists in values, and dates.
 */
#include "check.h"
#include "http/h1.h"

static bide_slice s(const char *p) {
  return bide__slice(p, strlen(p));
}

/* The out's bytes end at an inaccessible page. */
static bide_out room(size_t n) {
  return bide__out(check_room(n), n);
}

static bool holds(const bide_out *o, const char *expected) {
  return bide__out_ok(o) && bide__slice_eq(bide__out_slice(o), s(expected));
}

/* ---- Tables --------------------------------------------------------------------------------- */

static void test_names(void) {
  static const char *const names[] = {
#define X(id, text) text,
      BIDE_H1_NAMES(X)
#undef X
  };
  size_t last = 0;
  check(BIDE_H_COUNT <= 64, "ids fit a set of 64 bits");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    size_t n = strlen(names[i]);
    char upper[64];
    for (size_t k = 0; k < n; k++)
      upper[k] = names[i][k] == '-' ? '-' : (char)(names[i][k] & ~0x20);
    check(n >= last, "%s stands in order of length", names[i]);
    check(bide__h1_name_id(check_guarded(names[i], n), n) == i + 1, "finds %s", names[i]);
    check(bide__h1_name_id(check_guarded(upper, n), n) == i + 1, "finds %s in capitals", names[i]);
    check(bide__slice_eq(bide__h1_name_of((bide_h1_id)(i + 1)), s(names[i])), "names %s", names[i]);
    check(bide__h1_name_id(names[i], n - 1) != i + 1, "not without its last letter: %s", names[i]);
    upper[n - 1] = 'Q';
    check(bide__h1_name_id(upper, n) == BIDE_H_OTHER, "not with another letter: %s", names[i]);
    upper[n - 1] = (char)(names[i][n - 1] & ~0x20);
    upper[n / 2] = '_';
    check(bide__h1_name_id(upper, n) == BIDE_H_OTHER, "not with another in the middle: %s",
          names[i]);
    last = n;
  }
  check(bide__h1_name_id("", 0) == BIDE_H_OTHER, "the empty name");
  check(bide__h1_name_id("x", 1) == BIDE_H_OTHER, "a short name");
  check(bide__h1_name_of(BIDE_H_OTHER).n == 0, "other has no name");
  check(bide__h1_name_of((bide_h1_id)200).n == 0, "nor has an id out of range");
}

static void test_methods(void) {
  check(bide__h1_method_id("GET", 3) == BIDE_M_GET, "GET");
  check(bide__h1_method_id("PATCH", 5) == BIDE_M_PATCH, "PATCH");
  check(bide__h1_method_id("CONNECT", 7) == BIDE_M_CONNECT, "CONNECT");
  check(bide__h1_method_id("get", 3) == BIDE_M_OTHER, "methods have a case");
  check(bide__h1_method_id("GE", 2) == BIDE_M_OTHER, "and a length");
}

static void test_texts(void) {
  check(strcmp(bide__h1_reason(200), "OK") == 0, "200");
  check(strcmp(bide__h1_reason(511), "Network Authentication Required") == 0, "511");
  check(bide__h1_reason(299)[0] == '\0' && bide__h1_reason(-1)[0] == '\0', "no reason");
  check(bide__h1_reason(512)[0] == '\0' && bide__h1_reason(1 << 30)[0] == '\0', "no reason above");
  check(strcmp(bide__h1_error_name(BIDE_H1_EMETHOD), "EMETHOD") == 0, "first error");
  check(strcmp(bide__h1_error_name(BIDE_H1_EINVALID), "EINVALID") == 0, "last error");
  check(strcmp(bide__h1_error_name(0), "none") == 0, "no error");
  check(strcmp(bide__h1_error_name(-1000), "none") == 0, "no such error");
  check(bide__h1_error_status(BIDE_H1_EHEADSIZE) == 431, "431");
  check(bide__h1_error_status(BIDE_H1_EMAJOR) == 505, "505");
  for (int e = -1; e >= -BIDE_H1_ERROR_COUNT; e--) {
    int status = bide__h1_error_status(e);
    check(bide__h1_reason(status)[0] != '\0' && bide__h1_error_text(e)[0] != '\0', "error %d", e);
  }
}

/* ---- Writing -------------------------------------------------------------------------------- */

static void test_lines(void) {
  bide_out o = room(200);
  check(bide__h1_put_request(&o, s("GET"), s("/a?b")) == 0, "request line");
  check(bide__h1_put_field(&o, s("Host"), s("a")) == 0, "field");
  check(bide__h1_put_field(&o, s("X"), s("")) == 0, "empty value");
  bide__h1_put_length(&o, 0);
  bide__h1_put_end(&o);
  check(holds(&o, "GET /a?b HTTP/1.1\r\nHost: a\r\nX: \r\ncontent-length: 0\r\n\r\n"), "all of it");
  o = room(200);
  check(bide__h1_put_status(&o, 404, s("")) == 0, "status with the usual reason");
  check(bide__h1_put_status(&o, 299, s("")) == 0, "status without a reason");
  check(bide__h1_put_status(&o, 200, s("fine \xc3\xa9")) == 0, "status with a reason");
  bide__h1_put_length(&o, UINT64_MAX);
  check(holds(&o, "HTTP/1.1 404 Not Found\r\nHTTP/1.1 299 \r\nHTTP/1.1 200 fine \xc3\xa9\r\n"
                  "content-length: 18446744073709551615\r\n"),
        "all of them");
}

/* Every byte that could end something early is refused, and then nothing is written. */
static void test_injection(void) {
  static const char bad[] = "\0\r\n\x01\x0b\x0c\x1f\x7f";
  char letters[] = "abcdefghijklmnopqrstuvwxyz";
  bide_out o = room(100);
  for (size_t i = 0; i < sizeof bad - 1; i++) {
    for (size_t at = 0; at < 26; at += 5) {
      letters[at] = bad[i];
      bide_slice t = {letters, 26};
      check(bide__h1_put_field(&o, s("a"), t) == BIDE_H1_EINVALID, "value with byte %d", bad[i]);
      check(bide__h1_put_field(&o, t, s("a")) == BIDE_H1_EINVALID, "name with byte %d", bad[i]);
      check(bide__h1_put_request(&o, t, s("/")) == BIDE_H1_EINVALID, "method with byte %d", bad[i]);
      check(bide__h1_put_request(&o, s("A"), t) == BIDE_H1_EINVALID, "target with byte %d", bad[i]);
      check(bide__h1_put_status(&o, 200, t) == BIDE_H1_EINVALID, "reason with byte %d", bad[i]);
      letters[at] = 'x';
    }
  }
  check(bide__h1_put_field(&o, s(""), s("a")) == BIDE_H1_EINVALID, "empty name");
  check(bide__h1_put_field(&o, s("a:"), s("a")) == BIDE_H1_EINVALID, "name with colon");
  check(bide__h1_put_field(&o, s("a b"), s("a")) == BIDE_H1_EINVALID, "name with space");
  check(bide__h1_put_field(&o, s("a"), s(" a")) == BIDE_H1_EINVALID, "value after a space");
  check(bide__h1_put_field(&o, s("a"), s("a\t")) == BIDE_H1_EINVALID, "value before a tab");
  check(bide__h1_put_field(&o, s("a"), s(" ")) == BIDE_H1_EINVALID, "value of a space");
  check(bide__h1_put_request(&o, s(""), s("/")) == BIDE_H1_EINVALID, "empty method");
  check(bide__h1_put_request(&o, s("GET"), s("")) == BIDE_H1_EINVALID, "empty target");
  check(bide__h1_put_request(&o, s("GET"), s("/ x")) == BIDE_H1_EINVALID, "target with space");
  check(bide__h1_put_request(&o, s("GET"), s("/#")) == BIDE_H1_EINVALID, "target with fragment");
  check(bide__h1_put_request(&o, s("GET"), s("/\xc3")) == BIDE_H1_EINVALID, "target not in ASCII");
  check(bide__h1_put_status(&o, 99, s("")) == BIDE_H1_EINVALID, "status 99");
  check(bide__h1_put_status(&o, 1000, s("")) == BIDE_H1_EINVALID, "status 1000");
  check(o.n == 0, "nothing was written");
}

/* At each size of the buffer: nothing past its end, the same count, no partial piece counted. */
static void test_room(void) {
  static const char whole[] = "GET / HTTP/1.1\r\na: b\r\ncontent-length: 42\r\n\r\n";
  for (size_t n = 0; n < sizeof whole + 2; n++) {
    bide_out o = room(n);
    bide__h1_put_request(&o, s("GET"), s("/"));
    bide__h1_put_field(&o, s("a"), s("b"));
    bide__h1_put_length(&o, 42);
    bide__h1_put_end(&o);
    check(o.n == sizeof whole - 1 && bide__out_ok(&o) == (n >= sizeof whole - 1), "room %zu", n);
    if (bide__out_ok(&o)) check(holds(&o, whole), "room %zu: text", n);
  }
}

static void test_chunk_heads(void) {
  static const struct {
    uint64_t n;
    const char *expected;
  } rows[] = {{1, "1\r\n"},
              {15, "f\r\n"},
              {16, "10\r\n"},
              {0xabcdef, "abcdef\r\n"},
              {UINT64_MAX, "ffffffffffffffff\r\n"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char *out = check_room(BIDE_H1_CHUNK_HEAD);
    size_t n = bide__h1_chunk_head(out, rows[i].n);
    check(bide__slice_eq(bide__slice(out, n), s(rows[i].expected)), "%s", rows[i].expected);
  }
}

/* ---- Lists ---------------------------------------------------------------------------------- */

static void list_is(const char *value, const char *expected) {
  text t;
  bide_slice rest = {check_guarded(value, strlen(value)), strlen(value)}, element;
  text_clear(&t);
  while (bide__h1_next_element(&rest, &element)) text_add(&t, "<%.*s>", (int)element.n, element.p);
  check_text(t.p, expected, value);
}

static void test_lists(void) {
  list_is("", "");
  list_is("a", "<a>");
  list_is(" a , b\t,c ", "<a><b><c>");
  list_is(",,a,,b,", "<a><b>");
  list_is("\"a,b\",c", "<\"a,b\"><c>");
  list_is("\"a\\\",b\",c", "<\"a\\\",b\"><c>");
  list_is("\"a,b", "<\"a,b>");
  list_is("\"a\\", "<\"a\\>");
  check(bide__h1_list_has(s("a, GZIP"), s("gzip")), "has gzip");
  check(!bide__h1_list_has(s("a, xgzip"), s("gzip")), "has no gzip");
  check(bide__h1_keep_alive_timeout(s("timeout=5, max=100")) == 5, "timeout=5");
  check(bide__h1_keep_alive_timeout(s("max=1, Timeout=30")) == 30, "timeout=30");
  check(bide__h1_keep_alive_timeout(s("timeout=99999999999999999999")) == INT32_MAX, "clamped");
  check(bide__h1_keep_alive_timeout(s("timeout=")) == -1, "no number");
  check(bide__h1_keep_alive_timeout(s("timeout=5x")) == -1, "not a number");
  check(bide__h1_keep_alive_timeout(s("timeout=-5")) == -1, "negative");
  check(bide__h1_keep_alive_timeout(s("")) == -1, "empty");
}

/* ---- Dates ---------------------------------------------------------------------------------- */

static const struct {
  int64_t t;
  const char *text;
} dates[] = {
    {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
    {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
    {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
    {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
    {951868800, "Wed, 01 Mar 2000 00:00:00 GMT"},
    {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
    {4107456000, "Sun, 28 Feb 2100 00:00:00 GMT"},
    {2147483648, "Tue, 19 Jan 2038 03:14:08 GMT"},
    {1735689599, "Tue, 31 Dec 2024 23:59:59 GMT"},
    {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    {-62167219200, "Sat, 01 Jan 0000 00:00:00 GMT"},
};

static void test_dates(void) {
  char *out = check_room(BIDE_H1_DATE);
  int64_t t = 0;
  for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
    bide__h1_format_date(out, dates[i].t);
    check(memcmp(out, dates[i].text, BIDE_H1_DATE) == 0, "%s", dates[i].text);
    check(bide__h1_parse_date(s(dates[i].text), 0, &t) && t == dates[i].t, "from %s",
          dates[i].text);
  }
  bide__h1_format_date(out, INT64_MAX);
  check(memcmp(out, "Fri, 31 Dec 9999", 16) == 0, "the last date there is");
  bide__h1_format_date(out, INT64_MIN);
  check(memcmp(out, "Sat, 01 Jan 0000", 16) == 0, "the first");
  int64_t now = 1700000000;
  bool same = true;
  for (int64_t at = -3000000000; at < 6000000000; at += 86399 * 7 + 1) {
    bide__h1_format_date(out, at);
    same = same && bide__h1_parse_date(bide__slice(out, BIDE_H1_DATE), now, &t) && t == at;
  }
  check(same, "each date reads back");
}

static void test_other_dates(void) {
  int64_t now = 1700000000, t = 0; /* 2023 */
  check(bide__h1_parse_date(s("Sunday, 06-Nov-94 08:49:37 GMT"), now, &t) && t == 784111777,
        "RFC 850");
  check(bide__h1_parse_date(s("Sun Nov  6 08:49:37 1994"), now, &t) && t == 784111777, "asctime");
  check(bide__h1_parse_date(s("Wednesday, 01-Jan-73 00:00:00 GMT"), now, &t) && t == 3250454400,
        "50 years ahead");
  check(bide__h1_parse_date(s("Monday, 01-Jan-74 00:00:00 GMT"), now, &t) && t == 126230400,
        "51 years ahead is 49 ago");
  check(bide__h1_parse_date(s("Sun, 06 Nov 1994 08:49:60 GMT"), now, &t), "a leap second");
  static const char *const bad[] = {
      "",
      "x",
      "Sun, 06 Nov 1994 08:49:37 GMT ",
      " Sun, 06 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37",
      "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 06 nov 1994 08:49:37 GMT",
      "Sun, 32 Nov 1994 08:49:37 GMT",
      "Sun, 31 Nov 1994 08:49:37 GMT",
      "Sun, 00 Nov 1994 08:49:37 GMT",
      "Sun, 29 Feb 1900 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:49:37 GMT",
      "Sun, 06 Nov 1994 08:60:37 GMT",
      "Sun, 06 Nov 1994 08:49:61 GMT",
      "Sun, 06 Nov 1994 08:49:37 UTC",
      "Sun, 06 Nov -994 08:49:37 GMT",
      "Xyz, 06 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08.49.37 GMT",
      "Sun Nov 6 08:49:37 1994",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    bide_slice date = {check_guarded(bad[i], strlen(bad[i])), strlen(bad[i])};
    check(!bide__h1_parse_date(date, now, &t), "refuses '%s'", bad[i]);
  }
  static const char good[] = "Sunday, 06-Nov-94 08:49:37 GMT";
  for (size_t n = 0; n < sizeof good - 1; n++)
    check(!bide__h1_parse_date(bide__slice(check_guarded(good, n), n), now, &t), "cut at %zu", n);
  check(bide__h1_parse_date(s(good), INT64_MAX, &t), "whatever the time is");
}

int main(int argc, char **argv) {
  check_begin(argc, argv);
  test_names();
  test_methods();
  test_texts();
  test_lines();
  test_injection();
  test_room();
  test_chunk_heads();
  test_lists();
  test_dates();
  test_other_dates();
  return check_end();
}
