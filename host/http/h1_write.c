/* SPDX-License-Identifier: MIT */
/*
 * Writing HTTP/1.1: validators, and lines appended to a bounded buffer. Owns nothing.
 *
 * Invariant: no byte that a caller supplied can end a line, a value or a target early; what would
 * is refused before anything is appended.
 */
#include "h1.h"
#include "h1_scan.h"

/* ---- Validators ----------------------------------------------------------------------------- */

bool bide__h1_valid_token(const char *p, size_t n) {
  return n != 0 && bide__h1_skip_token(p, p + n) == p + n;
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool bide__h1_valid_reason(const char *p, size_t n) {
  return n == 0 || bide__h1_skip_value(p, p + n) == p + n;
}

bool bide__h1_valid_value(const char *p, size_t n) {
  return n == 0 || (!is_blank(p[0]) && !is_blank(p[n - 1]) && bide__h1_valid_reason(p, n));
}

bool bide__h1_valid_target(const char *p, size_t n) {
  if (n == 0 || bide__h1_skip_target(p, p + n) != p + n) return false;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)p[i] > 0x7e) return false;
  return true;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

int bide__h1_put_request(bide_out *o, bide_slice method, bide_slice target) {
  if (!bide__h1_valid_token(method.p, method.n)) return BIDE_H1_EINVALID;
  if (!bide__h1_valid_target(target.p, target.n)) return BIDE_H1_EINVALID;
  bide__out_slice_put(o, method);
  bide__out_byte(o, ' ');
  bide__out_slice_put(o, target);
  bide__out_slice_put(o, BIDE_SLICE(" HTTP/1.1\r\n"));
  return 0;
}

int bide__h1_put_status(bide_out *o, int status, bide_slice reason) {
  if (status < 100 || status > 999) return BIDE_H1_EINVALID;
  if (!bide__h1_valid_reason(reason.p, reason.n)) return BIDE_H1_EINVALID;
  if (reason.n == 0) {
    const char *usual = bide__h1_reason(status);
    reason = bide__slice(usual, strlen(usual));
  }
  char line[] = "HTTP/1.1 000 ";
  line[9] = (char)('0' + status / 100);
  line[10] = (char)('0' + status / 10 % 10);
  line[11] = (char)('0' + status % 10);
  bide__out_put(o, line, sizeof line - 1);
  bide__out_slice_put(o, reason);
  bide__out_put(o, "\r\n", 2);
  return 0;
}

int bide__h1_put_field(bide_out *o, bide_slice name, bide_slice value) {
  if (!bide__h1_valid_token(name.p, name.n)) return BIDE_H1_EINVALID;
  if (!bide__h1_valid_value(value.p, value.n)) return BIDE_H1_EINVALID;
  bide__out_slice_put(o, name);
  bide__out_put(o, ": ", 2);
  bide__out_slice_put(o, value);
  bide__out_put(o, "\r\n", 2);
  return 0;
}

void bide__h1_put_number(bide_out *o, uint64_t n) {
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + n % 10);
    n /= 10;
  } while (n != 0);
  bide__out_put(o, digits + at, sizeof digits - at);
}

void bide__h1_put_length(bide_out *o, uint64_t length) {
  bide__out_slice_put(o, BIDE_SLICE("content-length: "));
  bide__h1_put_number(o, length);
  bide__out_put(o, "\r\n", 2);
}

void bide__h1_put_end(bide_out *o) {
  bide__out_put(o, "\r\n", 2);
}

size_t bide__h1_chunk_head(char out[BIDE_H1_CHUNK_HEAD], uint64_t n) {
  size_t digits = 1;
  for (uint64_t rest = n >> 4; rest != 0; rest >>= 4) digits++;
  for (size_t i = digits; i-- > 0; n >>= 4) out[i] = "0123456789abcdef"[n & 15];
  out[digits] = '\r';
  out[digits + 1] = '\n';
  return digits + 2;
}
