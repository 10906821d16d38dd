/* SPDX-License-Identifier: MIT */
/*
 * Body decoders: by length, until the end of the connection, chunked; what is taken, what is left
 * to the next message, what the end of the connection means.
 */
#include "drive.h"

typedef struct row {
  const char *in;
  size_t n;
  const char *expected;
} row;

#define R(in, expected)                                                                            \
  { in, sizeof(in) - 1, expected }
#define LAST "0\r\n\r\n"

static const row chunked[] = {
    R(LAST, "\"\" DONE"),
    R("5\r\nhello\r\n" LAST, "\"hello\" DONE"),
    R("5\r\nhello\r\n6\r\n world\r\n" LAST, "\"hello world\" DONE"),
    R("5\r\nhello\r\n" LAST "GET", "\"hello\" DONE +3"),
    R("a\r\n0123456789\r\n" LAST, "\"0123456789\" DONE"),
    R("A\r\n0123456789\r\n000\r\n\r\n", "\"0123456789\" DONE"),
    R("0000000000000005\r\nhello\r\n" LAST, "\"hello\" DONE"),
    R("00000000000000005\r\nhello\r\n" LAST, "\"\" ECHUNKBIG"),
    R("2\r\n\r\n\r\n" LAST, "\"\\r\\n\" DONE"),
    R("5;a\r\nhello\r\n" LAST, "\"hello\" DONE"),
    R("5;a=b;c=\"d;\\\" \\\\ =\";e\r\nhello\r\n0;f\r\n\r\n", "\"hello\" DONE"),
    R("5 ; a = b ; c\r\nhello\r\n" LAST, "\"hello\" DONE"),
    R("5\t;a\r\nhello\r\n" LAST, "\"hello\" DONE"),
    R("5;a=\"\xc3\xa9\t\"\r\nhello\r\n" LAST, "\"hello\" DONE"),
    /* Incomplete. */
    R("", "\"\" MORE, then ETRUNCATED"),
    R("5", "\"\" MORE, then ETRUNCATED"),
    R("5\r", "\"\" MORE, then ETRUNCATED"),
    R("5\r\n", "\"\" MORE, then ETRUNCATED"),
    R("5\r\nhel", "\"hel\" MORE, then ETRUNCATED"),
    R("5\r\nhello", "\"hello\" MORE, then ETRUNCATED"),
    R("5\r\nhello\r\n", "\"hello\" MORE, then ETRUNCATED"),
    R("5\r\nhello\r\n0\r\n", "\"hello\" MORE, then ETRUNCATED"),
    R("5\r\nhello\r\n0\r\n\r", "\"hello\" MORE, then ETRUNCATED"),
    R("0\r\na: b\r\n", "\"\" MORE, then ETRUNCATED"),
    R("7fffffffffffffff\r\nx", "\"x\" MORE, then ETRUNCATED"),
    /* Sizes. */
    R("\r\n", "\"\" ECHUNKSIZE"),
    R("\n", "\"\" ECHUNKSIZE"),
    R("z\r\n", "\"\" ECHUNKSIZE"),
    R("-1\r\nhello", "\"\" ECHUNKSIZE"),
    R("+5\r\nhello", "\"\" ECHUNKSIZE"),
    R("0x5\r\nhello", "\"\" ECHUNKSIZE"),
    R("1_0\r\nhello", "\"\" ECHUNKSIZE"),
    R(" 5\r\nhello", "\"\" ECHUNKSIZE"),
    R("\t5\r\nhello", "\"\" ECHUNKSIZE"),
    R("5\0\r\nhello", "\"\" ECHUNKSIZE"),
    R("5,\r\nhello", "\"\" ECHUNKSIZE"),
    R("5.\r\nhello", "\"\" ECHUNKSIZE"),
    R("5g\r\nhello", "\"\" ECHUNKSIZE"),
    R("5 5\r\nhello", "\"\" ECHUNKSIZE"),
    R("5 \r\nhello", "\"\" ECHUNKSIZE"),
    R("5\t\r\nhello", "\"\" ECHUNKSIZE"),
    R("5\x0b\r\nhello", "\"\" ECHUNKSIZE"),
    R("\"5\"\r\nhello", "\"\" ECHUNKSIZE"),
    R("2 erfrferferf\r\naa\r\n", "\"\" ECHUNKSIZE"),
    R("8000000000000000\r\n", "\"\" ECHUNKBIG"),
    R("ffffffffffffffff\r\n", "\"\" ECHUNKBIG"),
    R("10000000000000005\r\nhello", "\"\" ECHUNKBIG"),
    R("6\r\nhello \r\nffffffffffffffff\r\nabcdefg", "\"hello \" ECHUNKBIG"),
    R("5\nhello\r\n", "\"\" ELF"),
    R("5\rhello\r\n", "\"\" ECR"),
    R("5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n", "\"\" ECR"),
    R("5 \nhello", "\"\" ELF"),
    /* Ends of chunks. */
    R("5\r\nhello0\r\n\r\n", "\"hello\" ECHUNKEND"),
    R("5\r\nhello\n0\r\n\r\n", "\"hello\" ECHUNKEND"),
    R("5\r\nhello0\n0\r\n\r\n", "\"hello\" ECHUNKEND"),
    R("5\r\nhello\r0\r\n\r\n", "\"hello\" ECHUNKEND"),
    R("5\r\nhello\r\r\n", "\"hello\" ECHUNKEND"),
    R("5\r\nhello!\r\n", "\"hello\" ECHUNKEND"),
    R("5\r\nhell\r\n0\r\n\r\n", "\"hell\\r\" ECHUNKEND"),
    R("3\r\nfoo\r\n\r\n", "\"foo\" ECHUNKSIZE"),
    R("5\r\nhello\r\n 0\r\n", "\"hello\" ECHUNKSIZE"),
    /* Extensions. */
    R("5;\r\nhello", "\"\" ECHUNKEXT"),
    R("5; \r\nhello", "\"\" ECHUNKEXT"),
    R("5;;a\r\nhello", "\"\" ECHUNKEXT"),
    R("5;=b\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a=\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a=;b\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a==b\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a b\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a \r\nhello", "\"\" ECHUNKEXT"),
    R("5;a=b c\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a=b \r\nhello", "\"\" ECHUNKEXT"),
    R("5;a=\"b\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a=\"b\\\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a=\"b\"c\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a=\"b\"\"c\"\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a,b\r\nhello", "\"\" ECHUNKEXT"),
    R("5;[a]\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a\0\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a=\"\x01\"\r\nhello", "\"\" ECHUNKEXT"),
    R("5;a\nhello", "\"\" ELF"),
    R("5;a=\"\nhello", "\"\" ELF"),
    R("5;\nhello", "\"\" ELF"),
    R("5;a\rhello", "\"\" ECR"),
    R("0;a\n\r\n", "\"\" ELF"),
    /* Trailers, checked as headers are. */
    R("0\r\na: b\r\n\r\n", "\"\" DONE"),
    R("0\r\na:\r\nb: \xff\t\r\n\r\nX", "\"\" DONE +1"),
    R("0\r\nContent-Length: 5\r\nHost: x\r\n\r\n", "\"\" DONE"),
    R("0\r\n: b\r\n\r\n", "\"\" ENAME"),
    R("0\r\na\r\n\r\n", "\"\" ENAME"),
    R("0\r\na : b\r\n\r\n", "\"\" ECOLON"),
    R("0\r\n a: b\r\n\r\n", "\"\" EFOLD"),
    R("0\r\na: b\r\n c\r\n\r\n", "\"\" EFOLD"),
    R("0\r\na: b\0\r\n\r\n", "\"\" EVALUE"),
    R("0\r\na: b\n\r\n", "\"\" ELF"),
    R("0\r\na\n\r\n", "\"\" ELF"),
    R("0\r\n\n", "\"\" ELF"),
    R("0\r\na: b\rc\r\n", "\"\" ECR"),
    R("0\r\n\rX", "\"\" ECR"),
    R("0\r\nGET / HTTP/1.1\r\n", "\"\" ECOLON"),
};

/* Only these differ where a response is decoded. */
static const row padded[] = {
    R("5 \r\nhello\r\n0  \t\r\n\r\n", "\"hello\" DONE"),
    R("5 ;a\r\nhello\r\n" LAST, "\"hello\" DONE"),
    R("5 5\r\nhello", "\"\" ECHUNKSIZE"),
    R(" 5\r\nhello", "\"\" ECHUNKSIZE"),
    R("5;a \r\nhello", "\"\" ECHUNKEXT"),
    R("5 \rhello", "\"\" ECR"),
};

static const row kept[] = {
    R(LAST "X", "\"\" [\\r\\n] DONE +1"),
    R("1\r\nx\r\n0\r\na: b\r\nC:d\r\n\r\nX", "\"x\" [a: b\\r\\nC:d\\r\\n\\r\\n] DONE +1"),
    R("0\r\na: b\r\n", "\"\" [a: b\\r\\n] MORE, then ETRUNCATED"),
    R("0\r\na : b\r\n", "\"\" ECOLON"),
};

static void run_table(const row *rows, size_t n, drive_body d) {
  for (size_t i = 0; i < n; i++) {
    text name;
    text_clear(&name);
    text_put_visible(&name, rows[i].in, rows[i].n);
    d.in = rows[i].in;
    d.n = rows[i].n;
    check_text(drive_decode(&d), rows[i].expected, name.p);
  }
}

static void test_plain(void) {
  static const row five[] = {
      R("hello", "\"hello\" DONE"),
      R("hello\r\n", "\"hello\" DONE +2"),
      R("hell", "\"hell\" MORE, then ETRUNCATED"),
      R("", "\"\" MORE, then ETRUNCATED"),
      R("\0\r\n\xff.", "\"\\x00\\r\\n\\xff.\" DONE"),
  };
  static const row none[] = {R("", "\"\" DONE"), R("hello", "\"\" DONE +5")};
  static const row rest[] = {R("", "\"\" MORE, then DONE"),
                             R("hello", "\"hello\" MORE, then DONE")};
  run_table(five, 5, (drive_body){.kind = BIDE_H1_LENGTH, .length = 5});
  run_table(none, 2, (drive_body){.kind = BIDE_H1_NONE, .length = 5});
  run_table(rest, 2, (drive_body){.kind = BIDE_H1_CLOSE});
  run_table(rest, 2, (drive_body){.kind = BIDE_H1_TUNNEL});
}

/* ---- Limits --------------------------------------------------------------------------------- */

static void begin(bide_h1_body *b) {
  bide_h1_head h = {.kind = BIDE_H1_CHUNKED};
  bide__h1_body_init(b, &h);
}

/* Decodes all of it, in one go as far as that goes. */
static int feed(bide_h1_body *b, const char *in, size_t n) {
  int r = BIDE_H1_MORE;
  while (n != 0) {
    size_t used;
    bide_slice piece;
    r = bide__h1_decode(b, in, n, &used, &piece);
    if (r < 0 || r == BIDE_H1_DONE || used == 0) return r;
    in += used;
    n -= used;
  }
  return r;
}

static int feed_many(bide_h1_body *b, char c, size_t n) {
  int r = BIDE_H1_MORE;
  for (size_t i = 0; i < n && r == BIDE_H1_MORE; i++) r = feed(b, &c, 1);
  return r;
}

static void test_extension_limit(void) {
  bide_h1_body b;
  begin(&b);
  feed(&b, "1;a=", 4);
  check(feed_many(&b, 'x', BIDE_H1_MAX_CHUNK_EXT - 3) == BIDE_H1_MORE, "an extension of the limit");
  check(feed(&b, "\r\nx\r\n", 5) == BIDE_H1_MORE, "with its line end");
  check(feed(&b, "1;", 2) == BIDE_H1_ECHUNKEXTSIZE, "then none is left for the next chunk");
  begin(&b);
  feed(&b, "1;a=", 4);
  check(feed_many(&b, 'x', BIDE_H1_MAX_CHUNK_EXT - 2) == BIDE_H1_ECHUNKEXTSIZE, "one byte more");
  begin(&b);
  feed(&b, "1", 1);
  check(feed_many(&b, ' ', BIDE_H1_MAX_CHUNK_EXT + 1) == BIDE_H1_ECHUNKEXTSIZE, "padding counts");
}

/* Tiny chunks with extensions are refused in the end; large ones may carry a signature each, for
 * ever. */
static void test_extension_share(void) {
  static char data[4096];
  bide_h1_body b;
  int r = BIDE_H1_MORE;
  begin(&b);
  for (int i = 0; i < 100000 && r >= 0; i++) r = feed(&b, "1;ab\r\nx\r\n", 9);
  check(r == BIDE_H1_ECHUNKEXTSIZE, "extensions on every byte");
  begin(&b);
  r = BIDE_H1_MORE;
  for (int i = 0; i < 5000 && r >= 0; i++) {
    r = feed(&b, "1000;chunk-signature=0123456789012345678901234567890123456789\r\n", 63);
    if (r >= 0) r = feed(&b, data, sizeof data);
    if (r >= 0) r = feed(&b, "\r\n", 2);
  }
  check(r == BIDE_H1_MORE && b.received == UINT64_C(5000) * 4096, "a signature on each 4 KiB");
}

static void test_trailer_limit(void) {
  bide_h1_body b;
  begin(&b);
  feed(&b, "0\r\na:", 5);
  check(feed_many(&b, 'x', BIDE_H1_MAX_TRAILER - 6) == BIDE_H1_MORE, "trailers up to the limit");
  check(feed(&b, "\r\n\r\n", 4) == BIDE_H1_DONE, "with their line ends");
  begin(&b);
  feed(&b, "0\r\na:", 5);
  check(feed_many(&b, 'x', BIDE_H1_MAX_TRAILER) == BIDE_H1_ETRAILERSIZE, "endless trailers");
  begin(&b);
  b.max_trailer = 3;
  check(feed(&b, "0\r\n\r\n", 5) == BIDE_H1_DONE, "no trailers under a small limit");
  begin(&b);
  b.max_trailer = 3;
  check(feed(&b, "0\r\na:b\r\n", 8) == BIDE_H1_ETRAILERSIZE, "trailers over a small limit");
}

/* A finished body stays finished and takes nothing. */
static void test_after_end(void) {
  bide_h1_body b;
  size_t used = 1;
  bide_slice piece;
  begin(&b);
  check(feed(&b, LAST, 5) == BIDE_H1_DONE, "ends");
  check(bide__h1_decode(&b, "x", 1, &used, &piece) == BIDE_H1_DONE && used == 0, "stays ended");
}

#define TABLE(t, ...) run_table(t, sizeof(t) / sizeof *(t), (drive_body){__VA_ARGS__})

int main(int argc, char **argv) {
  check_begin(argc, argv);
  TABLE(chunked, .kind = BIDE_H1_CHUNKED);
  TABLE(padded, .kind = BIDE_H1_CHUNKED, .response = true);
  TABLE(kept, .kind = BIDE_H1_CHUNKED, .trailers = true);
  test_plain();
  test_extension_limit();
  test_extension_share();
  test_trailer_limit();
  test_after_end();
  return check_end();
}
