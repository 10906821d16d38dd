/* SPDX-License-Identifier: MIT */
/*
 * Response heads: status lines, and where the body ends for each request method and status.
 */
#include "drive.h"

typedef struct row {
  bide_h1_method answers;
  const char *in;
  size_t n;
  const char *expected;
} row;

#define M(method, in, expected)                                                                    \
  { BIDE_M_##method, in, sizeof(in) - 1, expected }
#define R(in, expected) M(GET, in, expected)
/* A 200 with these header lines. */
#define H(lines, expected) R("HTTP/1.1 200 OK\r\n" lines "\r\n", expected)

static const row status_lines[] = {
    R("HTTP/1.1 200 OK\r\n\r\n", "200 OK 1.1 close "),
    R("HTTP/1.0 200 OK\r\n\r\n", "200 OK 1.0 close "),
    R("HTTP/1.7 200 OK\r\n\r\n", "200 OK 1.1 close "),
    R("HTTP/1.1 500 Internal Server Error\r\n\r\n", "500 Internal Server Error 1.1 close "),
    R("HTTP/1.1 200 \r\n\r\n", "200  1.1 close "),
    R("HTTP/1.1 200\r\n\r\n", "200  1.1 close "),
    R("HTTP/1.1 200  two  spaces \r\n\r\n", "200  two  spaces  1.1 close "),
    R("HTTP/1.1 200 \xc3\xa9\t\r\n\r\n", "200 \\xc3\\xa9\\x09 1.1 close "),
    R("HTTP/1.1 100 \r\n\r\n", "100  1.1 none K"),
    R("HTTP/1.1 999 x\r\n\r\n", "999 x 1.1 close "),
    R("HTTP/1.1 299\r\nA: b\r\n\r\nxyz", "299  1.1 close  | A: b +3"),
    R("", "MORE"),
    R("H", "MORE"),
    R("HTTP/1.", "MORE"),
    R("HTTP/1.1", "MORE"),
    R("HTTP/1.1 ", "MORE"),
    R("HTTP/1.1 2", "MORE"),
    R("HTTP/1.1 200", "MORE"),
    R("HTTP/1.1 200 OK\r", "MORE"),
    R("HTTP/1.1 200 OK\r\nA: 1\r\n", "MORE"),
    R("\r\nHTTP/1.1 200 OK\r\n", "EVERSION"),
    R(" HTTP/1.1 200 OK\r\n", "EVERSION"),
    R("\0HTTP/1.1 200 OK\r\n", "EVERSION"),
    R("garbage", "EVERSION"),
    R("<html>", "EVERSION"),
    R("GET / HTTP/1.1\r\n", "EVERSION"),
    R("\x15\x03\x01", "EVERSION"),
    R("SSH-2.0-x\r\n", "EVERSION"),
    R("220 smtp ready\r\n", "EVERSION"),
    R("ICY 200 OK\r\n", "EVERSION"),
    R("http/1.1 200 OK\r\n", "EVERSION"),
    R("HTTP/1. 200 OK\r\n", "EVERSION"),
    R("HTTP/1.2z 200 OK\r\n", "EVERSION"),
    R("HTTP/1.11 200 OK\r\n", "EVERSION"),
    R("HTTP/1.1\t200 OK\r\n", "EVERSION"),
    R("HTTP/1.1\r\n", "EVERSION"),
    R("HTTP/0.9 200 OK\r\n", "EMAJOR"),
    R("HTTP/2 200 OK\r\n", "EMAJOR"),
    R("HTTP/2.0 200 OK\r\n", "EMAJOR"),
    R("HTTP/1.1  200 OK\r\n", "ESTATUS"),
    R("HTTP/1.1 OK\r\n", "ESTATUS"),
    R("HTTP/1.1 20\r\n", "ESTATUS"),
    R("HTTP/1.1 20 OK\r\n", "ESTATUS"),
    R("HTTP/1.1 2000 OK\r\n", "ESTATUS"),
    R("HTTP/1.1 099 OK\r\n", "ESTATUS"),
    R("HTTP/1.1 -20 OK\r\n", "ESTATUS"),
    R("HTTP/1.1 +20 OK\r\n", "ESTATUS"),
    R("HTTP/1.1 2x0 OK\r\n", "ESTATUS"),
    R("HTTP/1.1 200OK\r\n", "ESTATUS"),
    R("HTTP/1.1 200\tOK\r\n", "ESTATUS"),
    R("HTTP/1.1 200 O\0K\r\n", "EREASON"),
    R("HTTP/1.1 200 O\x01K\r\n", "EREASON"),
    R("HTTP/1.1 200 O\x7fK\r\n", "EREASON"),
    R("HTTP/1.1 200 O\rK\r\n", "ECR"),
    R("HTTP/1.1 200\rK\r\n", "ECR"),
    R("HTTP/1.1 200 OK\n\n", "ELF"),
    R("HTTP/1.1 200\n\n", "ELF"),
    R("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "EFOLD"),
    R("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "EFOLD"),
    R("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "ECOLON"),
    R("HTTP/1.1 200 OK\r\nA\r\n\r\n", "ENAME"),
    R("HTTP/1.1 200 OK\r\nA: b\n\r\n", "ELF"),
};

#define OK "200 OK 1.1 "

static const row framing[] = {
    H("Content-Length: 5\r\n", OK "length=5 KL | content-length: 5"),
    H("Content-Length: 0\r\n", OK "none KL | content-length: 0"),
    H("Transfer-Encoding: chunked\r\n", OK "chunked K | transfer-encoding: chunked"),
    H("Content-Length: 5\r\nConnection: close\r\n",
      OK "length=5 L | content-length: 5 | connection: close"),
    H("Connection: keep-alive\r\n", OK "close  | connection: keep-alive"),
    R("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 OK 1.0 length=5 L | content-length: 5"),
    R("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
      "200 OK 1.0 length=5 KL | content-length: 5 | connection: keep-alive"),
    /* Lengths that lie, in requests' spellings. */
    H("Content-Length: 5\r\nContent-Length: 6\r\n", "ELENGTHS"),
    H("Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\nContent-Length: 6\r\n", "ELENGTHS"),
    H("Content-Length: 5, 6\r\n", "ELENGTHS"),
    H("Content-Length: 5, 5\r\nContent-Length: 6\r\n", "ELENGTHS"),
    H("Content-Length: 6\r\nContent-Length: 5, 5\r\n", "ELENGTHS"),
    H("Content-Length: 5\r\nContent-Length: x\r\n", "ELENGTH"),
    H("Content-Length: 5\r\nContent-Length:\r\n", "ELENGTH"),
    H("Content-Length: 5,\r\n", "ELENGTH"),
    H("Content-Length: , 5\r\n", "ELENGTH"),
    H("Content-Length: 5 5\r\n", "ELENGTH"),
    H("Content-Length: 5,, 5\r\n", "ELENGTH"),
    H("Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "ELENGTHTE"),
    /* The same one several times is one. */
    H("Content-Length: 5\r\nContent-Length: 5\r\n",
      OK "length=5 KL | content-length: 5 | content-length: 5"),
    H("Content-Length: 5\r\nX: y\r\nContent-Length: 05\r\n",
      OK "length=5 KL | content-length: 5 | X: y | content-length: 05"),
    H("Content-Length: 5 , 5,\t5\r\n", OK "length=5 KL | content-length: 5"),
    H("Content-Length: 5, 5\r\nContent-Length: 5\r\n",
      OK "length=5 KL | content-length: 5 | content-length: 5"),
    H("Content-Length: 0, 0\r\n", OK "none KL | content-length: 0"),
    H("Content-Length: -5\r\n", "ELENGTH"),
    H("Content-Length: +5\r\n", "ELENGTH"),
    H("Content-Length: 0x5\r\n", "ELENGTH"),
    H("Content-Length: five\r\n", "ELENGTH"),
    H("Content-Length:\r\n", "ELENGTH"),
    H("Content-Length: 9223372036854775808\r\n", "ELENGTH"),
    H("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "ELENGTHTE"),
    H("Transfer-Encoding: identity\r\n", "ETE"),
    H("Transfer-Encoding: gzip\r\n", "ETE"),
    H("Transfer-Encoding: gzip, chunked\r\n", "ETECODING"),
    H("Transfer-Encoding: chunked, gzip\r\n", "ETE"),
    H("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "ETE"),
    R("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "ETEVERSION"),
    /* No body, whatever the fields say. */
    M(HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", OK "none KL | content-length: 5"),
    M(HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      OK "none K | transfer-encoding: chunked"),
    M(HEAD, "HTTP/1.1 200 OK\r\n\r\n", OK "none K"),
    M(HEAD, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "ELENGTH"),
    R("HTTP/1.1 204 x\r\n\r\n", "204 x 1.1 none K"),
    R("HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", "204 x 1.1 none KL | content-length: 0"),
    R("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", "204 x 1.1 none L | content-length: 5"),
    R("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n",
      "204 x 1.1 none  | transfer-encoding: chunked"),
    R("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", "304 x 1.1 none KL | content-length: 5"),
    R("HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n",
      "304 x 1.1 none K | transfer-encoding: chunked"),
    R("HTTP/1.1 304 x\r\n\r\n", "304 x 1.1 none K"),
    R("HTTP/1.1 205 x\r\n\r\n", "205 x 1.1 close "),
    R("HTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "103 x 1.1 none K | link: a +19"),
    R("HTTP/1.1 100 x\r\nContent-Length: 5\r\n\r\n", "100 x 1.1 none L | content-length: 5"),
    /* Tunnels. */
    R("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81",
      "101 x 1.1 tunnel U | connection: upgrade | upgrade: websocket +1"),
    M(CONNECT, "HTTP/1.1 200 OK\r\n\r\nx", OK "tunnel  +1"),
    M(CONNECT, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", OK "tunnel L | content-length: 5"),
    M(CONNECT, "HTTP/1.1 299 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "299 OK 1.1 tunnel  | transfer-encoding: chunked"),
    M(CONNECT, "HTTP/1.1 407 x\r\nContent-Length: 5\r\n\r\n",
      "407 x 1.1 length=5 KL | content-length: 5"),
    /* Expect and Host mean nothing here. */
    H("Expect: x\r\nHost: a b\r\nHost: c\r\nContent-Length: 1\r\n",
      OK "length=1 KL | expect: x | host: a b | host: c | content-length: 1"),
};

static void run_table(const row *rows, size_t n) {
  for (size_t i = 0; i < n; i++) {
    drive d = {.in = rows[i].in, .n = rows[i].n, .response = true, .answers = rows[i].answers};
    text name;
    text_clear(&name);
    text_put_visible(&name, rows[i].in, rows[i].n);
    check_text(drive_head(&d), rows[i].expected, name.p);
  }
}

static void test_limits(void) {
  static const bide_h1_limits limits = {20, 10, 40};
  drive d = {.response = true, .limits = &limits};
  static const struct {
    const char *in, *expected;
  } rows[] = {
      {"HTTP/1.1 200 1234567\r\n\r\n", "200 1234567 1.1 close "},
      {"HTTP/1.1 200 12345678\r\n\r\n", "ELINESIZE"},
      {"HTTP/1.1 200 1\r\na: 4567890\r\n\r\n", "200 1 1.1 close  | a: 4567890"},
      {"HTTP/1.1 200 1\r\na: 45678901\r\n\r\n", "EFIELDSIZE"},
      {"HTTP/1.1 200 1\r\na: 45678901", "MORE"},
      {"HTTP/1.1 200 1\r\na: 456789012", "EFIELDSIZE"},
      {"HTTP/1.1 200 1\r\na: 4567890\r\na: 4567890\r\n\r\n", "EHEADSIZE"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    d.in = rows[i].in;
    d.n = strlen(d.in);
    check_text(drive_head(&d), rows[i].expected, d.in);
  }
}

/* A chunked body whose trailers are kept, parsed as a head is. */
static void test_trailers(void) {
  static const struct {
    const char *in;
    int expected; /* size or error */
  } rows[] = {
      {"\r\n", 2},
      {"a: b\r\n\r\n", 8},
      {"a: b\r\nContent-Length: 5, 5\r\n\r\n", 30},
      {"a: b\r\n", BIDE_H1_MORE},
      {"a : b\r\n\r\n", BIDE_H1_ECOLON},
  };
  bide_h1_field fields[4];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    bide_h1_head h;
    bide__h1_init_response(&h, fields, 4, NULL, BIDE_M_GET);
    size_t n = strlen(rows[i].in);
    int r = bide__h1_parse_trailers(&h, check_guarded(rows[i].in, n), n);
    check(r == rows[i].expected, "trailers %zu: %d", i, r);
    if (r > 2) check(h.count != 0 && h.flags == 0, "trailers %zu frame nothing", i);
  }
}

#define TABLE(t) run_table(t, sizeof(t) / sizeof *(t))

int main(int argc, char **argv) {
  check_begin(argc, argv);
  TABLE(status_lines);
  TABLE(framing);
  test_limits();
  test_trailers();
  return check_end();
}
