/* SPDX-License-Identifier: MIT */
/*
 * What others had to fix: bytes that llhttp and its predecessor, Node, nginx and picohttpparser
 * once took for something else, each row with where it comes from. The bytes are ours, made after
 * the descriptions of the mistakes.
 */
#include "drive.h"
#include "http/url.h"

typedef struct lesson {
  char kind; /* a request's head, a response's, a chunked body, a URL */
  const char *in;
  size_t n;
  const char *expected;
} lesson;

enum { REQUEST, RESPONSE, CHUNKED, URL };

#define L(kind, in, expected)                                                                      \
  { kind, in, sizeof(in) - 1, expected }
#define Q(lines, expected) L(REQUEST, "POST / HTTP/1.1\r\nHost: a\r\n" lines "\r\n", expected)
#define S(lines, expected) L(RESPONSE, "HTTP/1.1 200 OK\r\n" lines "\r\n", expected)

static const lesson llhttp[] = {
    /* 2021: a space before the colon was skipped, so two hops saw two framings. */
    Q("Transfer-Encoding : chunked\r\n", "ECOLON"),
    Q("Content-Length : 5\r\n", "ECOLON"),
    /* 2021: what follows `;` in a chunk's size line was not looked at: a bare CR hid in it. */
    L(CHUNKED, "2;\r\r;a\r\n02\r\n45\r\n0\r\n\r\n", "\"\" ECHUNKEXT"),
    L(CHUNKED, "1;a=\x01\r\nx\r\n0\r\n\r\n", "\"\" ECHUNKEXT"),
    /* 2022: a coding that only begins with, or contains, `chunked` was taken for it. */
    Q("Transfer-Encoding: chunkedchunked\r\n", "ETE"),
    Q("Transfer-Encoding: chunked, identity\r\n", "ETE"),
    Q("Transfer-Encoding: yeet\r\n", "ETE"),
    /* 2022: a line feed alone ended a header line, so one header was two. */
    Q("X: y\nTransfer-Encoding: chunked\r\n", "ELF"),
    Q("X:\nContent-Length: 5\r\n", "ELF"),
    /* 2022: Transfer-Encoding folded over two lines. */
    Q("Transfer-Encoding: chunked\r\n , identity\r\n", "EFOLD"),
    Q("Transfer-Encoding:\r\n chunked\r\n", "EFOLD"),
    /* 2022, 2023: a carriage return alone ended a header line. */
    Q("X: y\rTransfer-Encoding: chunked\r\n", "ECR"),
    Q("X:\r\rContent-Length: 5\r\n", "ECR"),
    /* 2023: a header without a name, behind an empty line that was none. */
    Q(":\r\n", "ENAME"),
    /* 2024: a space before the first header's name made it another header. */
    L(REQUEST, "GET / HTTP/1.1\r\n Content-Length: 5\r\nHost: a\r\n\r\n", "EFOLD"),
    /* 2025: CR LF CR and any byte ended the head. */
    L(REQUEST, "GET / HTTP/1.1\r\nHost: a\r\n\rXGET /hidden: HTTP/1.1\r\n", "ECR"),
    /* Versions that were read digit by digit. */
    L(REQUEST, "GET / HTTP/1.1.1\r\nHost: a\r\n\r\n", "EVERSION"),
    L(REQUEST, "GET / HTTP/123.1\r\nHost: a\r\n\r\n", "EVERSION"),
    /* Methods of other protocols on the same parser. */
    L(REQUEST, "SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", "EVERSION"),
    L(REQUEST, "DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", "EVERSION"),
    /* A response's head that ends in the middle of its status. */
    L(RESPONSE, "HTTP/1.1 2 00 OK\r\n\r\n", "ESTATUS"),
    /* Chunk sizes that wrapped around. */
    L(CHUNKED, "fffffffffffffffff\r\nx", "\"\" ECHUNKBIG"),
    L(CHUNKED, "10000000000000001\r\nx\r\n0\r\n\r\n", "\"\" ECHUNKBIG"),
};

static const lesson node[] = {
    /* 2018: spaces inside a length were skipped: `1 2` was 12. */
    Q("Content-Length: 1 2\r\n", "ELENGTH"),
    /* 2019: Transfer-Encoding with a byte more than it should have fell back to the length. */
    Q("Transfer-Encoding: chunked\x0b\r\nContent-Length: 5\r\n", "EVALUE"),
    Q("Transfer-Encoding: \x0b"
      "chunked\r\nContent-Length: 5\r\n",
      "EVALUE"),
    /* 2019: white space behind a value stayed: an allow-list compared with it. */
    Q("X: y \t \r\n", "POST / 1.1 origin none K | host: a | X: y"),
    /* 2020: a carriage return in a name was read as a hyphen. */
    Q("Content\rLength: 5\r\n", "ENAME"),
    /* 2020: of two Transfer-Encoding lines the second was not looked at. */
    Q("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "ETE"),
    /* 2014 to 2016: lengths that are none, lengths that differ. */
    Q("Content-Length: 5\r\nContent-Length: 6\r\n", "ELENGTHS"),
    Q("Content-Length: abc\r\n", "ELENGTH"),
    Q("Content-Length: 18446744073709551617\r\n", "ELENGTH"),
    /* 2016: answers to HEAD, 204 and 304 were waited for as if they had a body. */
    L(RESPONSE, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
      "304 Not Modified 1.1 none KL | content-length: 5"),
    L(RESPONSE, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
      "204 No Content 1.1 none  | transfer-encoding: chunked"),
    /* 2023: both framings at once, believed in the parser's own order. */
    Q("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "ELENGTHTE"),
    S("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "ELENGTHTE"),
    /* 2018: an URL that got as it was into the request line, cut to bytes: another request. */
    L(URL, "http://h/\xc4\x8d\xc4\x8aX", "ECHAR"),
    L(URL, "http://h/a\r\nX: y", "ESPACE"),
    /* 2018 to 2022, url.parse: hosts hidden by odd characters. */
    L(URL, "http://good\\@evil/", "EUSER"),
    L(URL, "http://good\\evil/", "EHOST"),
    L(URL, "http://good\tevil/", "ESPACE"),
    L(URL, "http://a@b@c/", "EHOST"),
    L(URL, "http://*evil/", "EHOST"),
    L(URL, "http://h^evil/", "EHOST"),
    L(URL, "javAscript:alert(1)", "EPROTOCOL"),
    L(URL, " http://h/", "ESPACE"),
    L(URL, "http://h:1e3/", "EPORT"),
    L(URL, "http://0x7f.0.0.1/", "EHOST"),
};

static const lesson nginx[] = {
    /* 2013: a chunk's size became negative, the stack's buffer was overrun. */
    L(CHUNKED, "ffffffffffffffff\r\nx", "\"\" ECHUNKBIG"),
    L(CHUNKED, "8000000000000000\r\nx", "\"\" ECHUNKBIG"),
    /* 2013: behind a space that was not escaped, NUL ended the path for some and not for others. */
    L(REQUEST, "GET /a \0.php HTTP/1.1\r\nHost: a\r\n\r\n", "EVERSION"),
    L(REQUEST, "GET /a\0.php HTTP/1.1\r\nHost: a\r\n\r\n", "ETARGET"),
    /* 2012: NUL in an upstream's header gave away memory. */
    S("X: y\0z\r\n", "EVALUE"),
    S("X\0: y\r\n", "ENAME"),
    /* 2021: control characters and spaces in names, and both framings, are refused since. */
    Q("X Y: z\r\n", "ECOLON"),
    Q("X\x7f: z\r\n", "ENAME"),
    Q("X\x01: z\r\n", "ENAME"),
    Q("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "ELENGTHTE"),
    L(REQUEST, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "ETEVERSION"),
    Q("Transfer-Encoding: gzip, chunked\r\n", "ETECODING"),
    /* 2021: control characters in the target, too. */
    L(REQUEST, "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "ETARGET"),
    L(REQUEST, "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "ETARGET"),
    /* Two Hosts, or one that is none: which server's rules hold? */
    Q("Host: b\r\n", "EHOST"),
    L(REQUEST, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "EHOST"),
    L(REQUEST, "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", "EVALUE"),
    L(REQUEST, "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", "ETARGET"),
    /* An HTTP/2 preface, and HTTP/0.9, on a plain port. */
    L(REQUEST, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "EMAJOR"),
    L(REQUEST, "GET /\r\n", "EVERSION"),
    /* 2023: an upstream's status line without anything else, or cut. */
    L(RESPONSE, "HTTP/1.1 200\r\n\r\n", "200  1.1 close "),
    L(RESPONSE, "HTTP/1.1\r\n\r\n", "EVERSION"),
    /* Empty lines before a request: one is robust, more is a game. */
    L(REQUEST, "\r\nGET / HTTP/1.0\r\n\r\n", "GET / 1.0 origin none "),
    L(REQUEST, "\r\n\r\nGET / HTTP/1.0\r\n\r\n", "EMETHOD"),
    /* Trailers were once read as a request's own headers. */
    L(CHUNKED, "0\r\nContent-Length: 5\r\n\r\nGET", "\"\" DONE +3"),
};

static const lesson pico[] = {
    /* An empty name, an empty method, an empty target. */
    Q(": y\r\n", "ENAME"),
    L(REQUEST, " / HTTP/1.0\r\n\r\n", "EMETHOD"),
    L(REQUEST, "GET  HTTP/1.0\r\n\r\n", "ETARGET"),
    L(REQUEST, "GET  / HTTP/1.0\r\n\r\n", "ETARGET"),
    /* Bytes that are no token in names and methods; tables that ended at 0x7f. */
    L(REQUEST, "G\0T / HTTP/1.0\r\n\r\n", "EMETHOD"),
    L(REQUEST, "G\tT / HTTP/1.0\r\n\r\n", "EMETHOD"),
    L(REQUEST, ":GET / HTTP/1.0\r\n\r\n", "EMETHOD"),
    L(REQUEST, "GET /\x7fhello HTTP/1.0\r\n\r\n", "ETARGET"),
    L(REQUEST, "GET / HTTP/1.0\r\na\0b: c\r\n\r\n", "ENAME"),
    L(REQUEST, "GET / HTTP/1.0\r\na\x1b: c\r\n\r\n", "ENAME"),
    L(REQUEST, "GET / HTTP/1.0\r\n/: 1\r\n\r\n", "ENAME"),
    L(REQUEST, "GET / HTTP/1.0\r\n\xe2: 1\r\n\r\n", "ENAME"),
    L(REQUEST, "GET / HTTP/1.0\r\nab: c\0d\r\n\r\n", "EVALUE"),
    L(REQUEST, "GET / HTTP/1.0\r\nab: c\x1b\r\n\r\n", "EVALUE"),
    L(REQUEST, "GET / HTTP/1.0\r\nfoo : ab\r\n\r\n", "ECOLON"),
    /* A status with a letter at its end, one without a space behind it. */
    L(RESPONSE, "HTTP/1.1 200X OK\r\n\r\n", "ESTATUS"),
    L(RESPONSE, "HTTP/1.1 200OK\r\n\r\n", "ESTATUS"),
    L(RESPONSE, "HTTP/1.2z 200 OK\r\n\r\n", "EVERSION"),
    L(RESPONSE, "HTTP/1.1 OK\r\n\r\n", "ESTATUS"),
    /* White space around values; values that are only that. */
    L(RESPONSE, "HTTP/1.1 200 OK\r\nbar: \t b\t \t\r\n\r\n", "200 OK 1.1 close  | bar: b"),
    L(RESPONSE, "HTTP/1.1 200 OK\r\nbar: \t \r\n\r\n", "200 OK 1.1 close  | bar: "),
    /* A second call, one byte later, must not jump over the end it has seen in part. */
    L(REQUEST, "GET / HTTP/1.0\r\n\r", "MORE"),
    L(REQUEST, "GET / HTTP/1.0\r\na: b\r\n\r", "MORE"),
    /* Chunks: sizes beyond 64 bits, an extension that never ends, no line end behind the data. */
    L(CHUNKED, "6\r\nhello \r\n10000000000000000\r\nx", "\"hello \" ECHUNKBIG"),
    L(CHUNKED, "b\r\nhello worldX0\r\n\r\n", "\"hello world\" ECHUNKEND"),
    L(CHUNKED, "5;a\nhello\r\n0\r\n\r\n", "\"\" ELF"),
    L(CHUNKED, "0\r\nvary: *\r\n\r\n", "\"\" DONE"),
};

static const char *url_outcome(const lesson *l) {
  static const char *const names[] = {
#define X(name, text) #name,
      BIDE_URL_ERRORS(X)
#undef X
  };
  bide_url u;
  int r = bide__url_parse_http(&u, check_guarded(l->in, l->n), l->n, BIDE_URL_STRICT, NULL);
  return r < 0 ? names[-1 - r] : "taken";
}

static const char *outcome(const lesson *l) {
  drive head = {.in = l->in, .n = l->n, .response = l->kind == RESPONSE, .answers = BIDE_M_GET};
  drive_body body = {.in = l->in, .n = l->n, .kind = BIDE_H1_CHUNKED};
  if (l->kind == URL) return url_outcome(l);
  return l->kind == CHUNKED ? drive_decode(&body) : drive_head(&head);
}

static void run(const char *whose, const lesson *rows, size_t n) {
  for (size_t i = 0; i < n; i++) {
    text name;
    text_clear(&name);
    text_add(&name, "%s: ", whose);
    text_put_visible(&name, rows[i].in, rows[i].n);
    check_text(outcome(&rows[i]), rows[i].expected, name.p);
  }
}

#define RUN(table) run(#table, table, sizeof(table) / sizeof *(table))

int main(int argc, char **argv) {
  check_begin(argc, argv);
  RUN(llhttp);
  RUN(node);
  RUN(nginx);
  RUN(pico);
  return check_end();
}
