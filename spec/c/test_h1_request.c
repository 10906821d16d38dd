/* SPDX-License-Identifier: MIT */
/*
 * Request heads: what is understood, and above all what is refused. The rows of the second and
 * third table are what parsers of other servers had to learn: request smuggling in all its
 * spellings, folded and padded headers, odd line ends, odd versions, odd targets.
 */
#include "drive.h"

typedef struct row {
  const char *in;
  size_t n;
  const char *expected;
} row;

#define R(in, expected)                                                                            \
  { in, sizeof(in) - 1, expected }
/* A request with these header lines, and one with this target. */
#define H(lines, expected)  R("POST / HTTP/1.1\r\nHost: a\r\n" lines "\r\n", expected)
#define T(target, expected) R("GET " target " HTTP/1.1\r\nHost: a\r\n\r\n", expected)
#define P                   "POST / 1.1 origin "

static const row well_formed[] = {
    R("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 origin none "),
    R("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 origin none K | host: a"),
    R("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", "GET / 1.1 origin none K | host: a +3"),
    R("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 origin none K | host: a"),
    R("GET /hoge?x=1&y HTTP/1.1\r\nHost: example.com:8080\r\nCookie: \r\n\r\n",
      "GET /hoge?x=1&y 1.1 origin none K | host: example.com:8080 | cookie: "),
    R("GET / HTTP/1.9\r\nHost: a\r\n\r\n", "GET / 1.1 origin none K | host: a"),
    R("get / HTTP/1.1\r\nHost: a\r\n\r\n", "get / 1.1 origin none K | host: a"),
    R("M-SEARCH* / HTTP/1.0\r\n\r\n", "M-SEARCH* / 1.0 origin none "),
    R("!#$%&'*+-.^_`|~09AZaz / HTTP/1.0\r\n\r\n", "!#$%&'*+-.^_`|~09AZaz / 1.0 origin none "),
    /* Values: whitespace around them goes, inside it stays; bytes above 0x7f pass. */
    H("X:\t a \t b\t \r\n", P "none K | host: a | X: a \\x09 b"),
    H("X:\r\nY: \t \r\n", P "none K | host: a | X:  | Y: "),
    H("X: \xe3\x81\xb2\xff\x80\r\n", P "none K | host: a | X: \\xe3\\x81\\xb2\\xff\\x80"),
    H("X: :a:\r\n", P "none K | host: a | X: :a:"),
    H("uSeR-aGeNt: 1\r\n", P "none K | host: a | user-agent: 1"),
    H("Content_Length: 5\r\n", P "none K | host: a | Content_Length: 5"),
    H("Transfer\xe2: chunked\r\n", "ENAME"),
    /* Targets. */
    T("*", "ETARGET"),
    R("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * 1.1 asterisk none K | host: a"),
    R("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", "ETARGET"),
    T("http://x/", "GET http://x/ 1.1 absolute none K | host: a"),
    T("http://x", "GET http://x 1.1 absolute none K | host: a"),
    T("http://x?q", "GET http://x?q 1.1 absolute none K | host: a"),
    T("http://[::1]:80/a/b", "GET http://[::1]:80/a/b 1.1 absolute none K | host: a"),
    T("http://u@x/", "ETARGET"),
    T("http:///", "ETARGET"),
    T("http:x", "ETARGET"),
    T("//x/", "GET //x/ 1.1 origin none K | host: a"),
    T("x", "ETARGET"),
    T("x:80", "ETARGET"),
    T("?q", "ETARGET"),
    T("/a#b", "ETARGET"),
    T("/\x7f", "ETARGET"),
    T("/\xc3\xa9", "GET /\\xc3\\xa9 1.1 origin none K | host: a"),
    T("/\"<>\\^`{|}", "GET /\"<>\\^`{|} 1.1 origin none K | host: a"),
    R("CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT x:443 1.1 authority none K | host: x"),
    R("CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n",
      "CONNECT [::1]:443 1.1 authority none K | host: x"),
    R("CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n", "ETARGET"),
    R("CONNECT x: HTTP/1.1\r\nHost: x\r\n\r\n", "ETARGET"),
    R("CONNECT x:0 HTTP/1.1\r\nHost: x\r\n\r\n", "ETARGET"),
    R("CONNECT x:65536 HTTP/1.1\r\nHost: x\r\n\r\n", "ETARGET"),
    R("CONNECT :1 HTTP/1.1\r\nHost: x\r\n\r\n", "ETARGET"),
    R("CONNECT /x HTTP/1.1\r\nHost: x\r\n\r\n", "ETARGET"),
    R("CONNECT u@x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "ETARGET"),
    R("CONNECT x:1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", "ECONNECTBODY"),
    R("CONNECT x:1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "ECONNECTBODY"),
    /* Persistence. */
    H("Connection: close\r\n", P "none  | host: a | connection: close"),
    H("Connection: CLOSE , x\r\n", P "none  | host: a | connection: CLOSE , x"),
    H("Connection: x\r\nConnection: close\r\n",
      P "none  | host: a | connection: x | connection: close"),
    H("Connection: keep-alive, close\r\n", P "none  | host: a | connection: keep-alive, close"),
    H("Connection: closed\r\n", P "none K | host: a | connection: closed"),
    H("Connection: \"a,close\"\r\n", P "none K | host: a | connection: \"a,close\""),
    R("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
      "GET / 1.0 origin none K | connection: Keep-Alive"),
    /* Upgrade. */
    H("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
      P "none KU | host: a | connection: keep-alive, Upgrade | upgrade: websocket"),
    H("Upgrade: websocket\r\n", P "none K | host: a | upgrade: websocket"),
    H("Connection: upgrade\r\n", P "none K | host: a | connection: upgrade"),
    R("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
      "GET / 1.0 origin none  | connection: upgrade | upgrade: x"),
    /* Lengths. */
    H("Content-Length: 5\r\n", P "length=5 KL | host: a | content-length: 5"),
    H("Content-Length:5 \t\r\n", P "length=5 KL | host: a | content-length: 5"),
    H("Content-Length: 0\r\n", P "none KL | host: a | content-length: 0"),
    H("Content-Length: 003\r\n", P "length=3 KL | host: a | content-length: 003"),
    H("Content-Length: 9223372036854775807\r\n",
      P "length=9223372036854775807 KL | host: a | content-length: 9223372036854775807"),
    H("Transfer-Encoding: chunked\r\n", P "chunked K | host: a | transfer-encoding: chunked"),
    H("tRANSFER-eNCODING:\t ChunKed \r\n", P "chunked K | host: a | transfer-encoding: ChunKed"),
    R("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
      "GET / 1.1 origin length=1 KL | host: a | content-length: 1 +1"),
    /* Expectations. */
    H("Expect: 100-Continue\r\nContent-Length: 1\r\n",
      P "length=1 KEL | host: a | expect: 100-Continue | content-length: 1"),
    H("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n",
      P "chunked KE | host: a | expect: 100-continue | transfer-encoding: chunked"),
    H("Expect: 100-continue\r\n", P "none K | host: a | expect: 100-continue"),
    H("Expect:\r\n", P "none K | host: a | expect: "),
    H("Expect: 200-ok\r\n", "EEXPECT"),
    H("Expect: 100-continue, x\r\n", "EEXPECT"),
    R("GET / HTTP/1.0\r\nExpect: x\r\n\r\n", "GET / 1.0 origin none  | expect: x"),
    R("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
      "POST / 1.0 origin length=1 L | expect: 100-continue | content-length: 1"),
    /* Incomplete. */
    R("", "MORE"),
    R("\r", "MORE"),
    R("\r\n", "MORE"),
    R("G", "MORE"),
    R("GET", "MORE"),
    R("GET ", "MORE"),
    R("GET /", "MORE"),
    R("GET / ", "MORE"),
    R("GET / H", "MORE"),
    R("GET / HTTP/1.", "MORE"),
    R("GET / HTTP/1.0", "MORE"),
    R("GET / HTTP/1.0\r", "MORE"),
    R("GET / HTTP/1.0\r\n", "MORE"),
    R("GET / HTTP/1.0\r\na", "MORE"),
    R("GET / HTTP/1.0\r\na:", "MORE"),
    R("GET / HTTP/1.0\r\na: b", "MORE"),
    R("GET / HTTP/1.0\r\na: b\r", "MORE"),
    R("GET / HTTP/1.0\r\na: b\r\n", "MORE"),
    R("GET / HTTP/1.0\r\na: b\r\n\r", "MORE"),
};

static const row first_lines[] = {
    /* Methods. */
    R(" GET / HTTP/1.1\r\n", "EMETHOD"),
    R("\r\n\r\nGET / HTTP/1.1\r\n", "EMETHOD"),
    R("\nGET / HTTP/1.1\r\n", "ELF"),
    R("\r\n\nGET / HTTP/1.1\r\n", "ELF"),
    R("\rGET / HTTP/1.1\r\n", "ECR"),
    R("G\0T / HTTP/1.1\r\n", "EMETHOD"),
    R("G\tT / HTTP/1.1\r\n", "EMETHOD"),
    R("GET\t/ HTTP/1.1\r\n", "EMETHOD"),
    R("GET\r\n", "EMETHOD"),
    R("GET\n", "ELF"),
    R("G,T / HTTP/1.1\r\n", "EMETHOD"),
    R("G\xc3T / HTTP/1.1\r\n", "EMETHOD"),
    R("\x16\x03\x01\x02", "EMETHOD"),
    R("HTTP/1.1 200 OK\r\n", "EMETHOD"),
    R("\x00\x00\x00", "EMETHOD"),
    R("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa / HTTP/1.0\r\n\r\n",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa / 1.0 origin none "),
    R("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "EMETHODSIZE"),
    /* Targets. */
    R("GET  / HTTP/1.1\r\n", "ETARGET"),
    R("GET \t/ HTTP/1.1\r\n", "ETARGET"),
    R("GET /\tx HTTP/1.1\r\n", "ETARGET"),
    R("GET /\0 HTTP/1.1\r\n", "ETARGET"),
    R("GET /\x0b HTTP/1.1\r\n", "ETARGET"),
    R("GET /\rx HTTP/1.1\r\n", "EVERSION"),
    R("GET /\nx HTTP/1.1\r\n", "ELF"),
    R("GET \r\n", "ETARGET"),
    R("GET HTTP/1.1\r\n", "EVERSION"),
    R("GET /a b HTTP/1.1\r\n", "EVERSION"),
    /* Versions. */
    R("GET /\r\n", "EVERSION"),
    R("GET / \r\n", "EVERSION"),
    R("GET /  HTTP/1.1\r\n", "EVERSION"),
    R("GET / HTTP/1.1 \r\n", "EVERSION"),
    R("GET / HTTP/1.1\t\r\n", "EVERSION"),
    R("GET / http/1.1\r\n", "EVERSION"),
    R("GET / HTTP/1\r\n", "EVERSION"),
    R("GET / HTTP/1.\r\n", "EVERSION"),
    R("GET / HTTP/1.x\r\n", "EVERSION"),
    R("GET / HTTP/1.10\r\n", "EVERSION"),
    R("GET / HTTP/01.1\r\n", "EMAJOR"),
    R("GET / HTTP/11.1\r\n", "EVERSION"),
    R("GET / HTTP/1,1\r\n", "EVERSION"),
    R("GET / HTTP /1.1\r\n", "EVERSION"),
    R("GET / HTTP/ 1.1\r\n", "EVERSION"),
    R("GET / HTTP/-1.1\r\n", "EVERSION"),
    R("GET / HTTP/0.9\r\n", "EMAJOR"),
    R("GET / HTTP/2.0\r\n", "EMAJOR"),
    R("GET / HTTP/5.6\r\n", "EMAJOR"),
    R("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "EMAJOR"),
    R("GET / ICE/1.0\r\n", "EVERSION"),
    R("GET / IHTTP/1.0\r\n", "EVERSION"),
    R("PUT / RTSP/1.0\r\n", "EVERSION"),
    /* Line ends. */
    R("GET / HTTP/1.1\n", "ELF"),
    R("GET / HTTP/1.1\r\r\n", "ECR"),
    R("GET / HTTP/1.1\rHost: a\r\n", "ECR"),
    R("GET / HTTP/1.1\r\n\n", "ELF"),
    R("GET / HTTP/1.1\r\nHost: a\r\n\n", "ELF"),
    R("GET / HTTP/1.1\r\nHost: a\r\n\rZGET /evil: HTTP/1.1\r\n", "ECR"),
    R("GET / HTTP/1.1\r\n Host: a\r\n", "EFOLD"),
    R("GET / HTTP/1.1\r\n\tHost: a\r\n", "EFOLD"),
    R("GET / HTTP/1.1\r\n \r\n", "EFOLD"),
};

static const row header_lines[] = {
    /* Names. */
    H(": b\r\n", "ENAME"),
    H("a\r\n", "ENAME"),
    H("a\n", "ELF"),
    H("a b: c\r\n", "ECOLON"),
    H("a : b\r\n", "ECOLON"),
    H("a\t: b\r\n", "ECOLON"),
    H("a\0b: c\r\n", "ENAME"),
    H("a\x0b: c\r\n", "ENAME"),
    H("a@: c\r\n", "ENAME"),
    H("a\\: c\r\n", "ENAME"),
    H("\"a\": c\r\n", "ENAME"),
    H("a\xff: c\r\n", "ENAME"),
    H("a\r: c\r\n", "ENAME"),
    H("a\r\n : c\r\n", "ENAME"),
    H("Content\rLength: 5\r\n", "ENAME"),
    H("[a]: c\r\n", "ENAME"),
    H("a,b: c\r\n", "ENAME"),
    H("\xef\xbb\xbfX: c\r\n", "ENAME"),
    /* Values. */
    H("a: b\0c\r\n", "EVALUE"),
    H("a: b\x01\r\n", "EVALUE"),
    H("a: b\x7f\r\n", "EVALUE"),
    H("a: b\x0b\r\n", "EVALUE"),
    H("a: b\x1b[0m\r\n", "EVALUE"),
    H("a: b\rc\r\n", "ECR"),
    H("a: b\r\rc\r\n", "ECR"),
    H("a: b\r", "ECR"), /* the macro's CRLF follows: CR CR */
    H("a: b\nc: d\r\n", "ELF"),
    H("a:\nc: d\r\n", "ELF"),
    H("a:\rc: d\r\n", "ECR"),
    H("a: b\r\n c\r\n", "EFOLD"),
    H("a: b\r\n\tc\r\n", "EFOLD"),
    H("a: b\r\n \r\n", "EFOLD"),
    /* Host. */
    R("GET / HTTP/1.1\r\n\r\n", "ENOHOST"),
    R("GET / HTTP/1.1\r\nHostt: a\r\n\r\n", "ENOHOST"),
    R("GET http://a/ HTTP/1.1\r\n\r\n", "ENOHOST"),
    R("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / 1.1 origin none K | host: "),
    H("Host: a\r\n", "EHOST"),
    H("host: b\r\n", "EHOST"),
    R("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "EHOST"),
    R("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / 1.1 origin none K | host: [::1]:8080"),
    R("GET / HTTP/1.1\r\nHost: a_b.c:\r\n\r\n", "GET / 1.1 origin none K | host: a_b.c:"),
    R("GET / HTTP/1.1\r\nHost: a\r\nX-Host: b\r\n\r\n",
      "GET / 1.1 origin none K | host: a | X-Host: b"),
};

static const row smuggling[] = {
    /* Content-Length. */
    H("Content-Length:\r\n", "ELENGTH"),
    H("Content-Length: \t\r\n", "ELENGTH"),
    H("Content-Length: +5\r\n", "ELENGTH"),
    H("Content-Length: -1\r\n", "ELENGTH"),
    H("Content-Length: -0\r\n", "ELENGTH"),
    H("Content-Length: 0x5\r\n", "ELENGTH"),
    H("Content-Length: 0b1\r\n", "ELENGTH"),
    H("Content-Length: 0o5\r\n", "ELENGTH"),
    H("Content-Length: 1_0\r\n", "ELENGTH"),
    H("Content-Length: 5.0\r\n", "ELENGTH"),
    H("Content-Length: 1e1\r\n", "ELENGTH"),
    H("Content-Length: 4 2\r\n", "ELENGTH"),
    H("Content-Length: 5,\r\n", "ELENGTH"),
    H("Content-Length: 5, 5\r\n", "ELENGTH"),
    H("Content-Length: 5,5,5\r\n", "ELENGTH"),
    H("Content-Length: 5, 6\r\n", "ELENGTH"),
    H("Content-Length: \"5\"\r\n", "ELENGTH"),
    H("Content-Length: 5;\r\n", "ELENGTH"),
    H("Content-Length: abc\r\n", "ELENGTH"),
    H("Content-Length: \xd9\xa5\r\n", "ELENGTH"),
    H("Content-Length: 9223372036854775808\r\n", "ELENGTH"),
    H("Content-Length: 18446744073709551616\r\n", "ELENGTH"),
    H("Content-Length: 18446744073709551621\r\n", "ELENGTH"),
    H("Content-Length: 100000000000000000000000000\r\n", "ELENGTH"),
    H("Content-Length: 5\r\nContent-Length: 5\r\n", "ELENGTHS"),
    H("Content-Length: 5\r\nContent-Length: 6\r\n", "ELENGTHS"),
    H("Content-Length: 5\r\ncontent-length: 0\r\n", "ELENGTHS"),
    H("Content-Length: x\r\nContent-Length: 5\r\n", "ELENGTHS"),
    H("Content-Length : 5\r\n", "ECOLON"),
    H("Content-Length\t: 5\r\n", "ECOLON"),
    H("Content-Length\x0b: 5\r\n", "ENAME"),
    H("Content Length: 5\r\n", "ECOLON"),
    H("Content-Length: 5\0\r\n", "EVALUE"),
    H("Content-Length: 1\r\n 0\r\n", "EFOLD"),
    H("X: y\r\n Content-Length: 38\r\n", "EFOLD"),
    /* Both. */
    H("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "ELENGTHTE"),
    H("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "ELENGTHTE"),
    H("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "ELENGTHTE"),
    H("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "ELENGTHTE"),
    H("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", "ELENGTHTE"),
    H("Transfer-Encoding:\r\nContent-Length: 5\r\n", "ELENGTHTE"),
    H("Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "ELENGTHS"),
    /* Transfer-Encoding. */
    H("Transfer-Encoding:\r\n", "ETE"),
    H("Transfer-Encoding: identity\r\n", "ETE"),
    H("Transfer-Encoding: gzip\r\n", "ETE"),
    H("Transfer-Encoding: pigeons\r\n", "ETE"),
    H("Transfer-Encoding: xchunked\r\n", "ETE"),
    H("Transfer-Encoding: chunkedx\r\n", "ETE"),
    H("Transfer-Encoding: chunkedchunked\r\n", "ETE"),
    H("Transfer-Encoding: chunke\r\n", "ETE"),
    H("Transfer-Encoding: c hunked\r\n", "ETE"),
    H("Transfer-Encoding: chunked chunked\r\n", "ETE"),
    H("Transfer-Encoding: \"chunked\"\r\n", "ETE"),
    H("Transfer-Encoding: 'chunked'\r\n", "ETE"),
    H("Transfer-Encoding: chunked;q=1\r\n", "ETE"),
    H("Transfer-Encoding: chunked;\r\n", "ETE"),
    H("Transfer-Encoding: [chunked]\r\n", "ETE"),
    H("Transfer-Encoding: chunked, identity\r\n", "ETE"),
    H("Transfer-Encoding: identity, chunked\r\n", "ETECODING"),
    H("Transfer-Encoding: identity, chunked, identity\r\n", "ETE"),
    H("Transfer-Encoding: gzip, chunked\r\n", "ETECODING"),
    H("Transfer-Encoding: gzip,chunked\r\n", "ETECODING"),
    H("Transfer-Encoding: chunked, gzip\r\n", "ETE"),
    H("Transfer-Encoding: chunked, chunked\r\n", "ETE"),
    H("Transfer-Encoding: ,chunked\r\n", "ETE"),
    H("Transfer-Encoding: , chunked\r\n", "ETE"),
    H("Transfer-Encoding: chunked,\r\n", "ETE"),
    H("Transfer-Encoding: chunked, \r\n", "ETE"),
    H("Transfer-Encoding: ,\r\n", "ETE"),
    H("Transfer-Encoding: gzip, chunked,\r\n", "ETE"),
    H("Transfer-Encoding: gzip,, chunked\r\n", "ETE"),
    H("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "ETE"),
    H("Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n", "ETE"),
    H("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", "ETE"),
    H("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", "ETE"),
    H("Transfer-Encoding : chunked\r\n", "ECOLON"),
    H("Transfer-Encoding\t: chunked\r\n", "ECOLON"),
    H("Transfer-Encoding\x0b: chunked\r\n", "ENAME"),
    H("Transfer-Encoding\r\n : chunked\r\n", "ENAME"),
    H(" Transfer-Encoding: chunked\r\n", "EFOLD"),
    H("Transfer-Encoding:\r\n chunked\r\n", "EFOLD"),
    H("Transfer-Encoding: chunked\r\n x\r\n", "EFOLD"),
    H("Transfer-Encoding: \x0b"
      "chunked\r\n",
      "EVALUE"),
    H("Transfer-Encoding: \x0c"
      "chunked\r\n",
      "EVALUE"),
    H("Transfer-Encoding: chunked\0\r\n", "EVALUE"),
    H("Transfer-Encoding: \0chunked\r\n", "EVALUE"),
    H("Transfer-Encoding:\xa0"
      "chunked\r\n",
      "ETE"),
    H("Transfer-Encoding: chun\xffked\r\n", "ETE"),
    H("Transfer-Encoding: \xef\xbc\xa3hunked\r\n", "ETE"),
    H("Foo: bar\nTransfer-Encoding: chunked\r\n", "ELF"),
    H("Foo: bar\rTransfer-Encoding: chunked\r\n", "ECR"),
    H("Foo:\rTransfer-Encoding: chunked\r\n", "ECR"),
    H("x:x\nTransfer-Encoding: chunked\r\n", "ELF"),
    H("Transfer-Encoding: chunked\rX: y\r\n", "ECR"),
    H("Transfer_Encoding: chunked\r\n", P "none K | host: a | Transfer_Encoding: chunked"),
    H("X-Transfer-Encoding: chunked\r\n", P "none K | host: a | X-Transfer-Encoding: chunked"),
    R("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "ETEVERSION"),
    R("POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
      "ETEVERSION"),
    R("POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n", "ETEVERSION"),
};

static void run_table(const row *rows, size_t n) {
  for (size_t i = 0; i < n; i++) {
    drive d = {.in = rows[i].in, .n = rows[i].n};
    text name;
    text_clear(&name);
    text_put_visible(&name, rows[i].in, rows[i].n);
    check_text(drive_head(&d), rows[i].expected, name.p);
  }
}

/* ---- Limits --------------------------------------------------------------------------------- */

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

#define TABLE(t) run_table(t, sizeof(t) / sizeof *(t))

int main(int argc, char **argv) {
  check_begin(argc, argv);
  TABLE(well_formed);
  TABLE(first_lines);
  TABLE(header_lines);
  TABLE(smuggling);
  test_line_limits();
  test_head_limit();
  test_count_limit();
  test_all_bytes();
  test_split_target();
  test_find();
  test_no_buffer();
  return check_end();
}
