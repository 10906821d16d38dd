/* SPDX-License-Identifier: MIT */
/*
 * URLs: the generic syntax and its refusals, what http adds. Inputs end at an inaccessible page.
 */
#include "check.h"
#include "http/url.h"

static bide_slice s(const char *p) {
  return bide__slice(p, strlen(p));
}

static const char *const error_names[] = {
#define X(name, text) #name,
    BIDE_URL_ERRORS(X)
#undef X
};

/* ---- Parsing -------------------------------------------------------------------------------- */

static void tell_part(text *t, const char *name, bide_slice part, bool there) {
  if (!there) return;
  text_add(t, " %s=", name);
  text_put_visible(t, part.p, part.n);
}

static void tell(text *t, const bide_url *u) {
  static const char *const kinds[] = {"-", "name", "ipv4", "ipv6", "future"};
  tell_part(t, "scheme", u->scheme, u->has & BIDE_URL_HAS_SCHEME);
  tell_part(t, "user", u->user, u->has & BIDE_URL_HAS_USER);
  if (u->has & BIDE_URL_HAS_AUTHORITY) {
    tell_part(t, kinds[u->host_kind], u->host, true);
    text_add(t, " :%d", u->port);
  }
  tell_part(t, "path", u->path, true);
  tell_part(t, "query", u->query, u->has & BIDE_URL_HAS_QUERY);
  tell_part(t, "fragment", u->fragment, u->has & BIDE_URL_HAS_FRAGMENT);
}

typedef struct row {
  const char *in;
  size_t n;
  const char *expected; /* the parts, or "ERROR at N" */
} row;

#define R(in, expected)                                                                            \
  { in, sizeof(in) - 1, expected }

typedef int parser(bide_url *u, const char *p, size_t n, unsigned mode, size_t *where);

static void run_table(const row *rows, size_t n, parser *parse, unsigned mode) {
  for (size_t i = 0; i < n; i++) {
    bide_url u;
    size_t where = 0;
    text t, name;
    text_clear(&t);
    text_clear(&name);
    int r = parse(&u, check_guarded(rows[i].in, rows[i].n), rows[i].n, mode, &where);
    if (r < 0) text_add(&t, "%s at %zu", error_names[-1 - r], where);
    else tell(&t, &u);
    text_put_visible(&name, rows[i].in, rows[i].n);
    check_text(t.p + (t.p[0] == ' '), rows[i].expected, name.p);
  }
}

static const row generic[] = {
    R("http://example.com", "scheme=http name=example.com :80 path="),
    R("https://u:p@h:8443/a/b?c=d&e#f",
      "scheme=https user=u:p name=h :8443 path=/a/b query=c=d&e fragment=f"),
    R("ftp://ftp.is.co.za/rfc/rfc1808.txt",
      "scheme=ftp name=ftp.is.co.za :0 path=/rfc/rfc1808.txt"),
    R("ldap://[2001:db8::7]/c=GB?objectClass?one",
      "scheme=ldap ipv6=2001:db8::7 :0 path=/c=GB query=objectClass?one"),
    R("mailto:John.Doe@example.com", "scheme=mailto path=John.Doe@example.com"),
    R("news:comp.infosystems.www.servers.unix",
      "scheme=news path=comp.infosystems.www.servers.unix"),
    R("tel:+1-816-555-1212", "scheme=tel path=+1-816-555-1212"),
    R("telnet://192.0.2.16:80/", "scheme=telnet ipv4=192.0.2.16 :80 path=/"),
    R("urn:oasis:names:specification:docbook:dtd:xml:4.1.2",
      "scheme=urn path=oasis:names:specification:docbook:dtd:xml:4.1.2"),
    R("", "path="),
    R("a/b", "path=a/b"),
    R("/a?", "path=/a query="),
    R("?q", "path= query=q"),
    R("#", "path= fragment="),
    R("#a?b/c", "path= fragment=a?b/c"),
    R("?a/b?c#d", "path= query=a/b?c fragment=d"),
    R("//h/p", "name=h :0 path=/p"),
    R("//", "-= :0 path="),
    R("file:///x", "scheme=file -= :0 path=/x"),
    R("x:", "scheme=x path="),
    R("a+b-c.1:x", "scheme=a+b-c.1 path=x"),
    R("./a:b", "path=./a:b"),
    R("a/b:c", "path=a/b:c"),
    R("http:x", "scheme=http path=x"),
    R("//@h", "user= name=h :0 path="),
    R("//:@h", "user=: name=h :0 path="),
    R("//a%40b@h", "user=a%40b name=h :0 path="),
    R("//h:", "name=h :0 path="),
    R("http://h:", "scheme=http name=h :80 path="),
    R("HTTPS://h", "scheme=HTTPS name=h :443 path="),
    R("//a%2fb!$&'()*+,;=-._~", "name=a%2fb!$&'()*+,;=-._~ :0 path="),
    R("//[v1.a:b]:1", "future=v1.a:b :1 path="),
    R("//h:65535", "name=h :65535 path="),
    R("//h:00080", "name=h :80 path="),
    R("/%41%zz", "EPERCENT at 4"),
    R("/%4", "EPERCENT at 1"),
    R("/%", "EPERCENT at 1"),
    R("?%g0", "EPERCENT at 1"),
    R("#%0g", "EPERCENT at 1"),
    R("//%4@h", "EPERCENT at 2"),
    R("//h%", "EPERCENT at 3"),
    R(":x", "ESCHEME at 0"),
    R("1a:x", "ESCHEME at 0"),
    R("a b:x", "ESPACE at 1"),
    R("a_b:x", "ESCHEME at 1"),
    R("\xc3:x", "ESCHEME at 0"),
    R("a%41:x", "ESCHEME at 1"),
    R("//h:x", "EPORT at 4"),
    R("//h:1x", "EPORT at 5"),
    R("//h:-1", "EPORT at 4"),
    R("//h:65536", "EPORT at 8"),
    R("//h:99999999999999999999", "EPORT at 8"),
    R("//h:80:80", "EPORT at 6"),
    R("//a@b@c", "EHOST at 5"),
    R("//a b", "ESPACE at 3"),
    R("//a\\b", "EHOST at 3"),
    R("//a\\@b", "EUSER at 3"),
    R("//a[b", "EHOST at 3"),
    R("//[", "EHOST at 2"),
    R("//[]", "EHOST at 3"),
    R("//[::1", "EHOST at 2"),
    R("//[::1]x", "EHOST at 7"),
    R("//[::1]]", "EHOST at 7"),
    R("//[::g]", "EHOST at 3"),
    R("//[fe80::1%25eth0]", "EHOST at 3"),
    R("//[v1]", "EHOST at 3"),
    R("//[v.x]", "EHOST at 3"),
    R("//[1.2.3.4]", "EHOST at 3"),
    R("//\xc3\xa9", "EIDN at 2"),
    R("//u\xc3@h", "EUSER at 3"),
    R("/a b", "ESPACE at 2"),
    R("/a\0b", "ESPACE at 2"),
    R("/a\tb", "ESPACE at 2"),
    R("/a\r\nb", "ESPACE at 2"),
    R("/a\x7f", "ESPACE at 2"),
    R("\nhttp://h", "ESPACE at 0"),
    R("/\\", "ECHAR at 1"),
    R("\\\\h\\", "ECHAR at 0"),
    R("/[", "ECHAR at 1"),
    R("/a#b#c", "ECHAR at 4"),
    R("/\xc3\xa9", "ECHAR at 1"),
    R("/\"", "ECHAR at 1"),
    R("/<", "ECHAR at 1"),
    R("?{", "ECHAR at 1"),
    R("?`", "ECHAR at 1"),
    R("#^", "ECHAR at 1"),
    R("#|", "ECHAR at 1"),
};

static const row lax[] = {
    R("/\xc3\xa9?[]#\"<>^`{|}", "path=/\\xc3\\xa9 query=[] fragment=\"<>^`{|}"),
    R("/\\", "ECHAR at 1"),
    R("/a b", "ESPACE at 2"),
    R("/%4", "EPERCENT at 1"),
    R("//\xc3", "EIDN at 2"),
    R("//h/a#b#", "ECHAR at 7"),
};

static const row spaces[] = {
    R("/a b? c #d ", "path=/a b query= c  fragment=d "),
    R("//a b/", "ESPACE at 3"),
    R("/a\tb", "ESPACE at 2"),
    R("/a\nb", "ESPACE at 2"),
    R(" /a", "path= /a"),
    R(" http://h", "ESPACE at 0"),
};

static const row http[] = {
    R("http://h", "scheme=http name=h :80 path="),
    R("HtTpS://H/", "scheme=HtTpS name=H :443 path=/"),
    R("ws://h:81?q", "scheme=ws name=h :81 path= query=q"),
    R("wss://h", "scheme=wss name=h :443 path="),
    R("http://a_b-c.d9.", "scheme=http name=a_b-c.d9. :80 path="),
    R("http://127.0.0.1:1", "scheme=http ipv4=127.0.0.1 :1 path="),
    R("http://255.255.255.255", "scheme=http ipv4=255.255.255.255 :80 path="),
    R("http://[::1]:80/", "scheme=http ipv6=::1 :80 path=/"),
    R("http://1.2.3.4.example", "scheme=http name=1.2.3.4.example :80 path="),
    R("http://1x", "scheme=http name=1x :80 path="),
    R("http://0xg", "scheme=http name=0xg :80 path="),
    R("http://xn--bcher-kva.example/", "scheme=http name=xn--bcher-kva.example :80 path=/"),
    R("", "EEMPTY at 0"),
    R("h", "ESCHEME at 0"),
    R("/p", "ESCHEME at 0"),
    R("//h/p", "ESCHEME at 0"),
    R("localhost:80", "EPROTOCOL at 0"),
    R("ftp://h", "EPROTOCOL at 0"),
    R("file:///etc/passwd", "EPROTOCOL at 0"),
    R("javascript:alert(1)", "EPROTOCOL at 0"),
    R("httpx://h", "EPROTOCOL at 0"),
    R("http:", "ENOHOST at 0"),
    R("http:h", "ENOHOST at 0"),
    R("http:/h", "ENOHOST at 0"),
    R("http://", "ENOHOST at 0"),
    R("http:///p", "ENOHOST at 0"),
    R("http://:80/", "ENOHOST at 0"),
    R("http://u@/", "ENOHOST at 0"),
    R("http://?q", "ENOHOST at 0"),
    R("http://h:0", "EPORT at 7"),
    R("http://h:00", "EPORT at 7"),
    R("http://[v1.a]", "EHOST at 8"),
    R("http://a%41", "EHOST at 7"),
    R("http://a,b", "EHOST at 7"),
    R("http://a!", "EHOST at 7"),
    R("http://a..b", "EHOST at 7"),
    R("http://.a", "EHOST at 7"),
    R("http://.", "EHOST at 7"),
    R("http://a..", "EHOST at 7"),
    R("http://1", "EHOST at 7"),
    R("http://2130706433", "EHOST at 7"),
    R("http://0x7f000001", "EHOST at 7"),
    R("http://0x7f.1", "EHOST at 7"),
    R("http://0x", "EHOST at 7"),
    R("http://127.1", "EHOST at 7"),
    R("http://127.0.0.1.", "EHOST at 7"),
    R("http://127.0.0.256", "EHOST at 7"),
    R("http://127.0.0.01", "EHOST at 7"),
    R("http://1.2.3.4.5", "EHOST at 7"),
    R("http://a.0x1F", "EHOST at 7"),
    R("http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b",
      "scheme=http name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b :80 "
      "path="),
    R("http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", "EHOST at 7"),
};

static const struct {
  const char *text;
  bool valid;
} ipv6[] = {
    {"::", true},
    {"::1", true},
    {"1::", true},
    {"1:2:3:4:5:6:7:8", true},
    {"1:2:3:4:5:6:7::", true},
    {"::2:3:4:5:6:7:8", true},
    {"1::3:4:5:6:7:8", true},
    {"1:2:3:4:5:6:1.2.3.4", true},
    {"::1.2.3.4", true},
    {"::ffff:255.255.255.255", true},
    {"1:2:3:4:5::1.2.3.4", true},
    {"ABCD:ef01::", true},
    {"1", false},
    {":", false},
    {":::", false},
    {"::1::", false},
    {":1", false},
    {"1:", false},
    {"1:2:3:4:5:6:7", false},
    {"1:2:3:4:5:6:7:8:9", false},
    {"1:2:3:4:5:6:7:8::", false},
    {"::1:2:3:4:5:6:7:8", false},
    {"12345::", false},
    {"1:2:3:4:5:6:7:1.2.3.4", false},
    {"::1.2.3", false},
    {"::1.2.3.4.5", false},
    {"::1.2.3.256", false},
    {"::1.2.3.04", false},
    {"1.2.3.4::", false},
    {"::1.2.3.4:1", false},
    {"1:::2", false},
    {"::1 ", false},
};

static void test_ipv6(void) {
  for (size_t i = 0; i < sizeof ipv6 / sizeof *ipv6; i++) {
    char in[64];
    bide_url u;
    int n = snprintf(in, sizeof in, "//[%s]", ipv6[i].text);
    int r = bide__url_parse(&u, check_guarded(in, (size_t)n), (size_t)n, 0, NULL);
    check((r == 0 && u.host_kind == BIDE_HOST_IPV6) == ipv6[i].valid, "[%s]", ipv6[i].text);
  }
}

static void test_sizes(void) {
  static char long_url[BIDE_URL_MAX + 2];
  bide_url u;
  memset(long_url, 'a', sizeof long_url);
  memcpy(long_url, "http://h/", 9);
  check(bide__url_parse_http(&u, long_url, BIDE_URL_MAX, 0, NULL) == 0, "the longest URL");
  check(bide__url_parse_http(&u, long_url, BIDE_URL_MAX + 1, 0, NULL) == BIDE_URL_ETOOLONG,
        "one byte more");
  memset(long_url, 'a', sizeof long_url);
  for (size_t i = 7 + 63; i < 300; i += 64) long_url[i] = '.';
  memcpy(long_url, "http://", 7);
  check(bide__url_parse_http(&u, long_url, 7 + 253, 0, NULL) == 0, "the longest host");
  check(bide__url_parse_http(&u, long_url, 7 + 254, 0, NULL) == BIDE_URL_EHOST, "a longer one");
}

/* An empty slice may have no address. */
static void test_no_bytes(void) {
  bide_url base, u;
  char buf[32];
  bide_out o = bide__out(buf, sizeof buf);
  bide__url_parse(&base, "http://h/a?b", 12, 0, NULL);
  check(bide__url_parse(&u, NULL, 0, 0, NULL) == 0 && u.has == 0, "the empty reference");
  check(bide__url_resolve(&base, &u, false, &o) == 0 && o.n == 12, "resolves to the base");
  check(bide__url_parse_http(&u, NULL, 0, 0, NULL) == BIDE_URL_EEMPTY, "but is no URL");
}

static void test_authority(void) {
  static const struct {
    const char *in;
    int r;
    const char *host;
    int port;
  } rows[] = {
      {"h", 0, "h", 0},
      {"h:80", 0, "h", 80},
      {"h:", 0, "h", 0},
      {"[::1]:443", 0, "::1", 443},
      {"", 0, "", 0},
      {":80", 0, "", 80},
      {"u@h", BIDE_URL_EHOST, "", 0},
      {"h/p", BIDE_URL_EHOST, "", 0},
      {"h?", BIDE_URL_EHOST, "", 0},
      {"h:x", BIDE_URL_EPORT, "", 0},
      {"h ", BIDE_URL_ESPACE, "", 0},
      {"::1", BIDE_URL_EPORT, "", 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    bide_slice host = {"", 0};
    uint16_t port = 0;
    size_t n = strlen(rows[i].in);
    int r = bide__url_parse_authority(check_guarded(rows[i].in, n), n, &host, &port, NULL);
    bool ok = r == rows[i].r &&
              (r != 0 || (bide__slice_eq(host, s(rows[i].host)) && port == rows[i].port));
    check(ok, "authority '%s'", rows[i].in);
  }
}

#define TABLE(t, parse, mode) run_table(t, sizeof(t) / sizeof *(t), parse, mode)

int main(int argc, char **argv) {
  check_begin(argc, argv);
  TABLE(generic, bide__url_parse, BIDE_URL_STRICT);
  TABLE(lax, bide__url_parse, BIDE_URL_LAX);
  TABLE(spaces, bide__url_parse, BIDE_URL_SPACES);
  TABLE(http, bide__url_parse_http, BIDE_URL_STRICT);
  test_ipv6();
  test_sizes();
  test_authority();
  test_no_bytes();
  check(strcmp(bide__url_error_text(BIDE_URL_EEMPTY), "empty URL") == 0, "an error's text");
  check(strcmp(bide__url_error_text(-99), "no error") == 0, "no such error");
  return check_end();
}
