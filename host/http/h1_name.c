/* SPDX-License-Identifier: MIT */
/*
 * The tables: classes of bytes, header names, methods, reason phrases, errors. All constant.
 *
 * Invariant: names stand in order of length (h1.h), so that those of one length are neighbours and
 * a look-up compares at most six first words.
 */
#include "h1.h"
#include "h1_scan.h"

#define TVG (BIDE_C_TOKEN | BIDE_C_VALUE | BIDE_C_TARGET)
#define VG  (BIDE_C_VALUE | BIDE_C_TARGET)
#define T8  TVG, TVG, TVG, TVG, TVG, TVG, TVG, TVG
#define O8  VG, VG, VG, VG, VG, VG, VG, VG

const uint8_t bide__h1_class[256] = {
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    BIDE_C_VALUE,
    0,
    0,
    0,
    0,
    0,
    0, /* 00 */
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0, /* 10 */
    /*  sp ! " # */ BIDE_C_VALUE,
    TVG,
    VG,
    BIDE_C_VALUE | BIDE_C_TOKEN,
    /* $ % & ' */ TVG,
    TVG,
    TVG,
    TVG,
    /* ( ) * + */ VG,
    VG,
    TVG,
    TVG,
    /* , - . / */ VG,
    TVG,
    TVG,
    VG,
    T8,
    TVG,
    TVG,
    VG,
    VG,
    VG,
    VG,
    VG,
    VG, /* 0-9 : ; < = > ? */
    VG,
    TVG,
    TVG,
    TVG,
    TVG,
    TVG,
    TVG,
    TVG,
    T8, /* @ A-O */
    T8,
    TVG,
    TVG,
    TVG,
    VG,
    VG,
    VG,
    TVG,
    TVG, /* P-Z [ \ ] ^ _ */
    T8,
    T8, /* ` a-o */
    T8,
    TVG,
    TVG,
    TVG,
    VG,
    TVG,
    VG,
    TVG,
    0, /* p-z { | } ~ del */
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8,
    O8 /* 80-ff */
};

/* ---- Header names --------------------------------------------------------------------------- */

enum { LONGEST = 25 };

/* Padded with zeros to a whole number of words. */
static const char names[BIDE_H_COUNT][32] = {"",
#define X(name, text) text,
                                             BIDE_H1_NAMES(X)
#undef X
};

static const uint8_t lengths[BIDE_H_COUNT] = {0,
#define X(name, text) sizeof(text) - 1,
                                              BIDE_H1_NAMES(X)
#undef X
};

/* The first name of each length; those of length n end where the ones of n + 1 begin. */
static const uint8_t first_of[LONGEST + 2] = {
    [0] = 1,
    [1] = BIDE_H_TE,
    [2] = BIDE_H_TE,
    [3] = BIDE_H_AGE,
    [4] = BIDE_H_DATE,
    [5] = BIDE_H_ALLOW,
    [6] = BIDE_H_ACCEPT,
    [7] = BIDE_H_ALT_SVC,
    [8] = BIDE_H_IF_MATCH,
    [9] = BIDE_H_CONNECTION,
    [10] = BIDE_H_CONNECTION,
    [11] = BIDE_H_RETRY_AFTER,
    [12] = BIDE_H_CONTENT_TYPE,
    [13] = BIDE_H_ACCEPT_RANGES,
    [14] = BIDE_H_CONTENT_LENGTH,
    [15] = BIDE_H_ACCEPT_ENCODING,
    [16] = BIDE_H_CONTENT_ENCODING,
    [17] = BIDE_H_IF_MODIFIED_SINCE,
    [18] = BIDE_H_PROXY_AUTHENTICATE,
    [19] = BIDE_H_CONTENT_DISPOSITION,
    [20] = BIDE_H_SEC_WEBSOCKET_ACCEPT,
    [21] = BIDE_H_SEC_WEBSOCKET_VERSION,
    [22] = BIDE_H_SEC_WEBSOCKET_PROTOCOL,
    [23] = BIDE_H_SEC_WEBSOCKET_EXTENSIONS,
    [24] = BIDE_H_SEC_WEBSOCKET_EXTENSIONS,
    [25] = BIDE_H_STRICT_TRANSPORT_SECURITY,
    [26] = BIDE_H_COUNT,
};

static inline uint32_t load4(const char *p) {
  uint32_t x;
  memcpy(&x, p, sizeof x);
  return x;
}

/* Setting bit 5 maps letters to lower case and no other tchar onto a byte that names are made of
 * ('-' has it set; only CR would become '-', and is no tchar). */
static inline uint32_t lower4(const char *p) {
  return load4(p) | 0x20202020;
}

/* n >= 4: whole words, then the last four bytes, overlapping. */
static inline bool same_name(const char *p, const char *name, size_t n) {
  for (size_t i = 4; i + 4 <= n; i += 4)
    if (lower4(p + i) != load4(name + i)) return false;
  return lower4(p + n - 4) == load4(name + n - 4);
}

static bide_h1_id short_name_id(const char *p, size_t n) {
  for (unsigned id = BIDE_H_TE; id < BIDE_H_DATE; id++)
    if (bide__slice_eq_nocase(bide__slice(p, n), bide__h1_name_of((bide_h1_id)id)))
      return (bide_h1_id)id;
  return BIDE_H_OTHER;
}

bide_h1_id bide__h1_name_id(const char *p, size_t n) {
  if (n < 4) return short_name_id(p, n);
  if (n > LONGEST) return BIDE_H_OTHER;
  uint32_t word = lower4(p);
  for (unsigned id = first_of[n]; id < first_of[n + 1]; id++)
    if (load4(names[id]) == word && same_name(p, names[id], n)) return (bide_h1_id)id;
  return BIDE_H_OTHER;
}

bide_slice bide__h1_name_of(bide_h1_id id) {
  unsigned i = (unsigned)id < BIDE_H_COUNT ? (unsigned)id : 0;
  return bide__slice(names[i], lengths[i]);
}

/* ---- Methods, statuses, errors -------------------------------------------------------------- */

bide_h1_method bide__h1_method_id(const char *p, size_t n) {
  static const bide_slice methods[] = {
#define X(name) {#name, sizeof(#name) - 1},
      BIDE_H1_METHODS(X)
#undef X
  };
  for (unsigned i = 0; i < sizeof methods / sizeof *methods; i++)
    if (methods[i].n == n && memcmp(methods[i].p, p, n) == 0) return (bide_h1_method)(i + 1);
  return BIDE_M_OTHER;
}

const char *bide__h1_reason(int status) {
  static const char *const reasons[] = {
      [100] = "Continue",
      [101] = "Switching Protocols",
      [102] = "Processing",
      [103] = "Early Hints",
      [200] = "OK",
      [201] = "Created",
      [202] = "Accepted",
      [203] = "Non-Authoritative Information",
      [204] = "No Content",
      [205] = "Reset Content",
      [206] = "Partial Content",
      [207] = "Multi-Status",
      [208] = "Already Reported",
      [226] = "IM Used",
      [300] = "Multiple Choices",
      [301] = "Moved Permanently",
      [302] = "Found",
      [303] = "See Other",
      [304] = "Not Modified",
      [305] = "Use Proxy",
      [307] = "Temporary Redirect",
      [308] = "Permanent Redirect",
      [400] = "Bad Request",
      [401] = "Unauthorized",
      [402] = "Payment Required",
      [403] = "Forbidden",
      [404] = "Not Found",
      [405] = "Method Not Allowed",
      [406] = "Not Acceptable",
      [407] = "Proxy Authentication Required",
      [408] = "Request Timeout",
      [409] = "Conflict",
      [410] = "Gone",
      [411] = "Length Required",
      [412] = "Precondition Failed",
      [413] = "Content Too Large",
      [414] = "URI Too Long",
      [415] = "Unsupported Media Type",
      [416] = "Range Not Satisfiable",
      [417] = "Expectation Failed",
      [421] = "Misdirected Request",
      [422] = "Unprocessable Content",
      [423] = "Locked",
      [424] = "Failed Dependency",
      [425] = "Too Early",
      [426] = "Upgrade Required",
      [428] = "Precondition Required",
      [429] = "Too Many Requests",
      [431] = "Request Header Fields Too Large",
      [451] = "Unavailable For Legal Reasons",
      [500] = "Internal Server Error",
      [501] = "Not Implemented",
      [502] = "Bad Gateway",
      [503] = "Service Unavailable",
      [504] = "Gateway Timeout",
      [505] = "HTTP Version Not Supported",
      [506] = "Variant Also Negotiates",
      [507] = "Insufficient Storage",
      [508] = "Loop Detected",
      [511] = "Network Authentication Required",
  };
  bool known = status >= 0 && (size_t)status < sizeof reasons / sizeof *reasons;
  return known && reasons[status] != NULL ? reasons[status] : "";
}

static const struct {
  const char *name;
  const char *text;
  int status;
} errors[BIDE_H1_ERROR_COUNT] = {
#define X(name, status, text) {#name, text, status},
    BIDE_H1_ERRORS(X)
#undef X
};

static bool is_error(int code) {
  return code < 0 && code >= -BIDE_H1_ERROR_COUNT;
}

const char *bide__h1_error_name(int code) {
  return is_error(code) ? errors[-1 - code].name : "none";
}

const char *bide__h1_error_text(int code) {
  return is_error(code) ? errors[-1 - code].text : "no error";
}

int bide__h1_error_status(int code) {
  return is_error(code) ? errors[-1 - code].status : 500;
}
