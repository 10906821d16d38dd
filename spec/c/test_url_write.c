/* SPDX-License-Identifier: MIT */
/*
 * URLs: resolution (all examples of RFC 3986 section 5.4), writing, origins, percent encoding. What
 * is written ends at an inaccessible page.
 */
#include "check.h"
#include "http/url.h"

static bide_slice s(const char *p) {
  return bide__slice(p, strlen(p));
}

/* ---- Resolution ----------------------------------------------------------------------------- */

typedef struct reference {
  const char *base, *ref, *expected;
} reference;

#define BASE "http://a/b/c/d;p?q"

static const reference references[] = {
    /* RFC 3986 section 5.4.1, normal examples. */
    {BASE, "g:h", "g:h"},
    {BASE, "g", "http://a/b/c/g"},
    {BASE, "./g", "http://a/b/c/g"},
    {BASE, "g/", "http://a/b/c/g/"},
    {BASE, "/g", "http://a/g"},
    {BASE, "//g", "http://g"},
    {BASE, "?y", "http://a/b/c/d;p?y"},
    {BASE, "g?y", "http://a/b/c/g?y"},
    {BASE, "#s", "http://a/b/c/d;p?q#s"},
    {BASE, "g#s", "http://a/b/c/g#s"},
    {BASE, "g?y#s", "http://a/b/c/g?y#s"},
    {BASE, ";x", "http://a/b/c/;x"},
    {BASE, "g;x", "http://a/b/c/g;x"},
    {BASE, "g;x?y#s", "http://a/b/c/g;x?y#s"},
    {BASE, "", "http://a/b/c/d;p?q"},
    {BASE, ".", "http://a/b/c/"},
    {BASE, "./", "http://a/b/c/"},
    {BASE, "..", "http://a/b/"},
    {BASE, "../", "http://a/b/"},
    {BASE, "../g", "http://a/b/g"},
    {BASE, "../..", "http://a/"},
    {BASE, "../../", "http://a/"},
    {BASE, "../../g", "http://a/g"},
    /* Section 5.4.2, abnormal ones. */
    {BASE, "../../../g", "http://a/g"},
    {BASE, "../../../../g", "http://a/g"},
    {BASE, "/./g", "http://a/g"},
    {BASE, "/../g", "http://a/g"},
    {BASE, "g.", "http://a/b/c/g."},
    {BASE, ".g", "http://a/b/c/.g"},
    {BASE, "g..", "http://a/b/c/g.."},
    {BASE, "..g", "http://a/b/c/..g"},
    {BASE, "./../g", "http://a/b/g"},
    {BASE, "./g/.", "http://a/b/c/g/"},
    {BASE, "g/./h", "http://a/b/c/g/h"},
    {BASE, "g/../h", "http://a/b/c/h"},
    {BASE, "g;x=1/./y", "http://a/b/c/g;x=1/y"},
    {BASE, "g;x=1/../y", "http://a/b/c/y"},
    {BASE, "g?y/./x", "http://a/b/c/g?y/./x"},
    {BASE, "g?y/../x", "http://a/b/c/g?y/../x"},
    {BASE, "g#s/./x", "http://a/b/c/g#s/./x"},
    {BASE, "g#s/../x", "http://a/b/c/g#s/../x"},
    {BASE, "http:g", "http:g"},
    /* Beyond them. */
    {"http://a", "b", "http://a/b"},
    {"http://a?q", "b", "http://a/b"},
    {"http://a?q", "", "http://a?q"},
    {"http://a?q", "?", "http://a?"},
    {"http://u:p@a:80/x", "/y", "http://u:p@a:80/y"},
    {"http://[::1]:80/x", "y", "http://[::1]:80/y"},
    {"http://a:/x", "y", "http://a:/y"},
    {"http://a/b", "//u@[v1.x]:9/../c", "http://u@[v1.x]:9/c"},
    {"http://a/b", "https://c/./d/../e", "https://c/e"},
    {"http://a/b/", "/..", "http://a/"},
    {"http://a/b/", "/.", "http://a/"},
    {"http://a/b//c/", "..", "http://a/b//"},
    {"http://a/b//c/", "../..", "http://a/b/"},
    {"http://a//", "../x", "http://a/x"},
    {"http://a/b", "//", "http://"},
    {"http://a/b", "%2e%2e/c", "http://a/%2e%2e/c"},
    {"http://a/b#f", "c", "http://a/c"},
    {"a:b", "c", "a:c"},
    {"a:b/c", "../d", "a:/d"},
    {"a:b/c", "../../d", "a:/d"},
    {"a:", "..", "a:"},
    {"a:b", "/.//c", "a:/.//c"},
    {"a:b", "/..//c", "a:/.//c"},
    {"a:b", "?q", "a:b?q"},
};

static int resolve(const reference *r, bool keep, bide_out *o) {
  bide_url base, ref;
  if (bide__url_parse(&base, r->base, strlen(r->base), 0, NULL) != 0) return -100;
  if (bide__url_parse(&ref, r->ref, strlen(r->ref), 0, NULL) != 0) return -101;
  return bide__url_resolve(&base, &ref, keep, o);
}

static void test_resolution(void) {
  for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
    const reference *r = &references[i];
    char buf[256] = "";
    bide_out o = bide__out(buf, sizeof buf - 1);
    check(resolve(r, false, &o) == 0, "%s on %s", r->ref, r->base);
    buf[o.n] = '\0';
    check_text(buf, r->expected, r->ref);
    size_t enough = strlen(r->base) + strlen(r->ref) + 8, n = 0;
    for (; n < enough; n++) { /* in room that is too small, then not */
      o = bide__out(check_room(n), n);
      if (resolve(r, false, &o) == 0) break;
    }
    check(n < enough && bide__slice_eq(bide__out_slice(&o), s(r->expected)), "in %zu bytes", n);
  }
  char buf[64];
  bide_out o = bide__out(buf, sizeof buf);
  check(resolve(&(reference){"b", "c", ""}, false, &o) == BIDE_URL_ESCHEME, "on a relative base");
  o = bide__out(buf, sizeof buf);
  resolve(&(reference){"http://a/b#f", "c", ""}, true, &o);
  check(bide__slice_eq(bide__out_slice(&o), s("http://a/c#f")), "a redirect inherits the fragment");
  o = bide__out(buf, sizeof buf);
  resolve(&(reference){"http://a/b#f", "c#", ""}, true, &o);
  check(bide__slice_eq(bide__out_slice(&o), s("http://a/c#")), "unless it has one");
}

static void test_remove_dots(void) {
  static const struct {
    const char *in, *expected;
  } rows[] = {
      {"", ""},
      {".", ""},
      {"..", ""},
      {"../", ""},
      {"./", ""},
      {"/", "/"},
      {"/.", "/"},
      {"/..", "/"},
      {"/./", "/"},
      {"/../", "/"},
      {"/a/b/c/./../../g", "/a/g"},
      {"mid/content=5/../6", "mid/6"},
      {"../../a", "a"},
      {"./../a", "a"},
      {"/a/../../..", "/"},
      {"a/..", "/"},
      {"a/../b", "/b"},
      {"/...", "/..."},
      {"/a/..b", "/a/..b"},
      {"//..", "/"},
      {"/a//../b", "/a/b"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t n = strlen(rows[i].in);
    char *p = check_room(n);
    memcpy(p, rows[i].in, n);
    check(bide__slice_eq(bide__slice(p, bide__url_remove_dots(p, n)), s(rows[i].expected)),
          "dots in '%s'", rows[i].in);
  }
}

/* ---- Writing -------------------------------------------------------------------------------- */

typedef void putter(bide_out *o, const bide_url *u);

static void put_is(const char *url, putter *put, const char *expected) {
  bide_url u;
  int r = bide__url_parse_http(&u, url, strlen(url), BIDE_URL_LAX | BIDE_URL_SPACES, NULL);
  size_t n = strlen(expected);
  bide_out o = bide__out(check_room(n), n);
  if (check(r == 0, "parses %s", url)) put(&o, &u);
  check(o.n == n && bide__slice_eq(bide__out_slice(&o), s(expected)), "%s gives %s", url, expected);
}

static void put_normal(bide_out *o, const bide_url *u) {
  bide__url_put_normal(o, u, true);
}

static void test_put(void) {
  put_is("http://h", bide__url_put_target, "/");
  put_is("http://h?a b", bide__url_put_target, "/?a%20b");
  put_is("http://h/a b/\xc3\xa9/%41%c3?[]\"<>^`{|}#f", bide__url_put_target,
         "/a%20b/%C3%A9/%41%c3?%5B%5D%22%3C%3E%5E%60%7B%7C%7D");
  put_is("http://h/-._~!$&'()*+,;=:@/?", bide__url_put_target, "/-._~!$&'()*+,;=:@/?");
  put_is("HTTP://Ex.COM", bide__url_put_host, "ex.com");
  put_is("http://h:80", bide__url_put_host, "h");
  put_is("http://h:443", bide__url_put_host, "h:443");
  put_is("https://h:443", bide__url_put_host, "h");
  put_is("http://[2001:DB8::1]:65535/", bide__url_put_host, "[2001:db8::1]:65535");
  put_is("http://u:p@H/", bide__url_put_origin, "http://h:80");
  put_is("https://H/", bide__url_put_origin, "https://h:443");
  put_is("https://[::A]:1/", bide__url_put_origin, "https://[::a]:1");
  put_is("HTTP://u:p@H:80?Q#F g", put_normal, "http://h/?Q#F%20g");
}

static void test_same_origin(void) {
  bide_url a, b;
  static const struct {
    const char *a, *b;
    bool same;
  } rows[] = {
      {"http://h/a", "HTTP://H:80/b", true}, {"http://h", "https://h", false},
      {"http://h", "http://h:81", false},    {"http://h", "http://g", false},
      {"https://h", "http://h:443", false},  {"http://[::1]", "http://[::1]:80", true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    bide__url_parse_http(&a, rows[i].a, strlen(rows[i].a), 0, NULL);
    bide__url_parse_http(&b, rows[i].b, strlen(rows[i].b), 0, NULL);
    check(bide__url_same_origin(&a, &b) == rows[i].same, "%s and %s", rows[i].a, rows[i].b);
  }
  bide__url_parse_http(&a, "wss://h", 7, 0, NULL);
  check(bide__url_is_secure(&a) && !bide__url_is_secure(&b), "secure");
}

/* ---- Percent encoding ----------------------------------------------------------------------- */

static void test_encode(void) {
  static const struct {
    bide_url_set set;
    const char *kept;
  } sets[] = {
      {BIDE_URL_UNRESERVED, "-._~"},
      {BIDE_URL_PATH, "-._~!$&'()*+,;=:@/"},
      {BIDE_URL_QUERY, "-._~!$&'()*+,;=:@/?"},
      {BIDE_URL_FORM, "*-._"},
  };
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
    for (int c = 0; c < 256; c++) {
      char byte = (char)c, buf[4], expected[5], back[3];
      bide_out o = bide__out(buf, 3), decoded = bide__out(back, 3);
      bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      bide__url_encode(&o, &byte, 1, sets[i].set);
      if (sets[i].set == BIDE_URL_FORM && c == ' ') snprintf(expected, sizeof expected, "+");
      else if (alnum || (c != 0 && strchr(sets[i].kept, c) != NULL))
        snprintf(expected, sizeof expected, "%c", c);
      else snprintf(expected, sizeof expected, "%%%02X", c);
      int r = bide__url_decode(&decoded, o.p, o.n, sets[i].set == BIDE_URL_FORM);
      check(bide__slice_eq(bide__out_slice(&o), s(expected)), "set %zu, byte %d", i, c);
      check(r == 0 && decoded.n == 1 && back[0] == byte, "set %zu, byte %d, and back", i, c);
    }
  }
}

static void test_decode(void) {
  static const char *const bad[] = {"%", "%4", "a%", "%g0", "%0g", "%%41", "% 41"};
  char buf[16];
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    bide_out o = bide__out(buf, sizeof buf);
    size_t n = strlen(bad[i]);
    check(bide__url_decode(&o, check_guarded(bad[i], n), n, false) == BIDE_URL_EPERCENT, "%s",
          bad[i]);
  }
  memcpy(buf, "a%00%fF+b", 9);
  bide_out o = bide__out(buf, 9);
  check(bide__url_decode(&o, buf, 9, false) == 0 && o.n == 5, "in place");
  check(memcmp(buf, "a\0\xff+b", 5) == 0, "in place: bytes");
}

static void test_pairs(void) {
  text t;
  bide_slice rest = s("a=1&b=2=3&&c&=d&=&e="), name, value;
  text_clear(&t);
  while (bide__url_next_pair(&rest, &name, &value))
    text_add(&t, "<%.*s|%.*s>", (int)name.n, name.p, (int)value.n, value.p);
  check_text(t.p, "<a|1><b|2=3><c|><|d><|><e|>", "pairs");
  rest = s("&&");
  check(!bide__url_next_pair(&rest, &name, &value), "no pair");
}

int main(int argc, char **argv) {
  check_begin(argc, argv);
  test_resolution();
  test_remove_dots();
  test_put();
  test_same_origin();
  test_encode();
  test_decode();
  test_pairs();
  return check_end();
}
