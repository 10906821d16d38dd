/* SPDX-License-Identifier: MIT */
/*
 * CPU time to parse a head, framing included: what a common client sends, what a browser sends,
 * what a common server answers; whole, and byte by byte. Owns nothing.
 *
 * Prints the best of seven rounds each: the machine's noise only ever adds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "http/h1.h"

static const char load_generator[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

static const char command_line[] = "GET /path/to/thing?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
                                   "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";

static const char browser[] =
    "GET /assets/2024/03/a-picture-of-something.jpg HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://www.example.com/articles/2024/03/something.html\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=2024-03-01.1\r\n"
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "If-None-Match: \"5f3c-61a2b3c4d5e6f\"\r\n"
    "Priority: u=5, i\r\n\r\n";

static const char response[] =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n";

enum { FIELDS = 64, ROUNDS = 7, REPEATS = 200000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void parse(const char *text, size_t n, bool is_response, size_t step) {
  bide_h1_field fields[FIELDS];
  bide_h1_head h;
  int r = BIDE_H1_MORE;
  if (is_response) bide__h1_init_response(&h, fields, FIELDS, NULL, BIDE_M_GET);
  else bide__h1_init_request(&h, fields, FIELDS, NULL);
  for (size_t have = step; r == BIDE_H1_MORE && have <= n; have += step)
    r = bide__h1_parse(&h, text, have);
  if (r != (int)n) {
    fprintf(stderr, "h1_parse: %s\n", bide__h1_error_name(r));
    exit(1);
  }
  __asm__ volatile("" : : "r"(fields) : "memory");
}

static double measure(const char *text, size_t n, bool is_response, size_t step) {
  double best = 1e18;
  int repeats = step == n ? REPEATS : REPEATS / 50;
  for (int round = 0; round < ROUNDS; round++) {
    double start = now();
    for (int i = 0; i < repeats; i++) parse(text, n, is_response, step);
    double each = (now() - start) / repeats;
    if (each < best) best = each;
  }
  return best;
}

static void report(const char *name, const char *text, size_t n, bool is_response) {
  double whole = measure(text, n, is_response, n), bytes = measure(text, n, is_response, 1);
  printf("%-16s %4zu bytes %7.1f ns  %5.2f GB/s  by byte %7.1f ns\n", name, n, whole,
         (double)n / whole, bytes);
}

int main(void) {
  report("load generator", load_generator, sizeof load_generator - 1, false);
  report("command line", command_line, sizeof command_line - 1, false);
  report("browser", browser, sizeof browser - 1, false);
  report("response", response, sizeof response - 1, true);
  return 0;
}
