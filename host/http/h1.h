/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 messages (RFC 9112, RFC 9110) as a function of bytes: heads, bodies, and what is
 * written. Does no I/O, knows neither the loop nor Lua, allocates nothing. Every result refers to
 * the caller's bytes.
 *
 * Two properties hold for each parser here, and the specs and fuzz targets check them:
 *   - where the input is cut into reads never changes the result, nor which error is given;
 *   - each byte is looked at a bounded number of times, so slow senders cost no more than fast
 * ones.
 *
 * Strictness. What RFC 9112 lets a recipient repair, this refuses, since each repair has once been
 * one half of a request smuggling: bare LF and bare CR, obs-fold, space before the colon, two
 * Content-Length fields (even equal ones) or a list in one, Transfer-Encoding beside Content-Length
 * or in HTTP/1.0, any Transfer-Encoding but one plain `chunked`. Kept: one empty line before a
 * request (section 2.2), a status line without the space before an empty reason, bytes above 0x7f
 * in a request target (clients send raw UTF-8; they can't move a boundary), padding after the chunk
 * size of a response.
 *
 * h1_head.c parses heads, h1_frame.c derives the framing, h1_name.c knows names and errors,
 * h1_body.c decodes bodies, h1_write.c writes, h1_date.c does dates.
 */
#ifndef BIDE_HTTP_H1_H
#define BIDE_HTTP_H1_H

#include "text.h"

/* ---- Codes ---------------------------------------------------------------------------------- */

#define BIDE_H1_MORE 0 /* not complete: call again with more bytes */

/* name, status a server answers with, text. Responses use the same codes; there the status is
 * without meaning. */
#define BIDE_H1_ERRORS(X)                                                                          \
  X(EMETHOD, 400, "invalid character in the method")                                               \
  X(EMETHODSIZE, 501, "method too long")                                                           \
  X(ETARGET, 400, "invalid request target")                                                        \
  X(EVERSION, 400, "malformed HTTP version")                                                       \
  X(EMAJOR, 505, "unsupported HTTP version")                                                       \
  X(ESTATUS, 400, "malformed status code")                                                         \
  X(EREASON, 400, "invalid character in the reason phrase")                                        \
  X(ELINESIZE, 414, "first line too long")                                                         \
  X(ELF, 400, "line feed without carriage return")                                                 \
  X(ECR, 400, "carriage return without line feed")                                                 \
  X(EFOLD, 400, "line begins with whitespace (folded header)")                                     \
  X(ENAME, 400, "invalid character in a header name")                                              \
  X(ECOLON, 400, "whitespace before the colon of a header")                                        \
  X(EVALUE, 400, "invalid character in a header value")                                            \
  X(EFIELDSIZE, 431, "header line too long")                                                       \
  X(EFIELDS, 431, "too many headers")                                                              \
  X(EHEADSIZE, 431, "head too large")                                                              \
  X(ENOHOST, 400, "Host header missing")                                                           \
  X(EHOST, 400, "Host header invalid or repeated")                                                 \
  X(ELENGTH, 400, "Content-Length is not one decimal number")                                      \
  X(ELENGTHS, 400, "more than one Content-Length")                                                 \
  X(ELENGTHTE, 400, "both Content-Length and Transfer-Encoding")                                   \
  X(ETE, 400, "Transfer-Encoding does not end in one chunked")                                     \
  X(ETECODING, 501, "unsupported transfer coding")                                                 \
  X(ETEVERSION, 400, "Transfer-Encoding in HTTP/1.0")                                              \
  X(EEXPECT, 417, "unsupported expectation")                                                       \
  X(ECONNECTBODY, 400, "CONNECT with a body")                                                      \
  X(ECHUNKSIZE, 400, "malformed chunk size")                                                       \
  X(ECHUNKBIG, 413, "chunk size out of range")                                                     \
  X(ECHUNKEXT, 400, "invalid character in a chunk extension")                                      \
  X(ECHUNKEXTSIZE, 413, "chunk extensions too long")                                               \
  X(ECHUNKEND, 400, "chunk data not followed by a line end")                                       \
  X(ETRAILERSIZE, 431, "trailers too large")                                                       \
  X(ETRUNCATED, 400, "message ended early")                                                        \
  X(EINVALID, 500, "not valid in a message to be sent")

enum { /* 0, 1, 2, ... in the order above; the codes are their complements */
#define X(name, status, text) BIDE_H1__INDEX_##name,
       BIDE_H1_ERRORS(X)
#undef X
           BIDE_H1_ERROR_COUNT
};

enum { /* BIDE_H1_EMETHOD = -1, ... */
#define X(name, status, text) BIDE_H1_##name = -1 - BIDE_H1__INDEX_##name,
       BIDE_H1_ERRORS(X)
#undef X
           BIDE_H1__LAST_ERROR = -BIDE_H1_ERROR_COUNT
};

/* Names ("ECHUNKSIZE"), texts and statuses of the codes above; any int is allowed. */
const char *bide__h1_error_name(int code);
const char *bide__h1_error_text(int code);
int bide__h1_error_status(int code);

/* ---- Names ---------------------------------------------------------------------------------- */

/* Ordered by length: the look-up relies on it, and a spec checks it. At most 63. */
#define BIDE_H1_NAMES(X)                                                                           \
  X(TE, "te")                                                                                      \
  X(AGE, "age")                                                                                    \
  X(VIA, "via")                                                                                    \
  X(DATE, "date")                                                                                  \
  X(ETAG, "etag")                                                                                  \
  X(FROM, "from")                                                                                  \
  X(HOST, "host")                                                                                  \
  X(LINK, "link")                                                                                  \
  X(VARY, "vary")                                                                                  \
  X(ALLOW, "allow")                                                                                \
  X(RANGE, "range")                                                                                \
  X(ACCEPT, "accept")                                                                              \
  X(COOKIE, "cookie")                                                                              \
  X(EXPECT, "expect")                                                                              \
  X(ORIGIN, "origin")                                                                              \
  X(PRAGMA, "pragma")                                                                              \
  X(SERVER, "server")                                                                              \
  X(ALT_SVC, "alt-svc")                                                                            \
  X(EXPIRES, "expires")                                                                            \
  X(REFERER, "referer")                                                                            \
  X(TRAILER, "trailer")                                                                            \
  X(UPGRADE, "upgrade")                                                                            \
  X(IF_MATCH, "if-match")                                                                          \
  X(IF_RANGE, "if-range")                                                                          \
  X(LOCATION, "location")                                                                          \
  X(CONNECTION, "connection")                                                                      \
  X(KEEP_ALIVE, "keep-alive")                                                                      \
  X(SET_COOKIE, "set-cookie")                                                                      \
  X(USER_AGENT, "user-agent")                                                                      \
  X(RETRY_AFTER, "retry-after")                                                                    \
  X(CONTENT_TYPE, "content-type")                                                                  \
  X(ACCEPT_RANGES, "accept-ranges")                                                                \
  X(AUTHORIZATION, "authorization")                                                                \
  X(CACHE_CONTROL, "cache-control")                                                                \
  X(CONTENT_RANGE, "content-range")                                                                \
  X(IF_NONE_MATCH, "if-none-match")                                                                \
  X(LAST_MODIFIED, "last-modified")                                                                \
  X(CONTENT_LENGTH, "content-length")                                                              \
  X(ACCEPT_ENCODING, "accept-encoding")                                                            \
  X(ACCEPT_LANGUAGE, "accept-language")                                                            \
  X(X_FORWARDED_FOR, "x-forwarded-for")                                                            \
  X(CONTENT_ENCODING, "content-encoding")                                                          \
  X(CONTENT_LANGUAGE, "content-language")                                                          \
  X(PROXY_CONNECTION, "proxy-connection")                                                          \
  X(WWW_AUTHENTICATE, "www-authenticate")                                                          \
  X(IF_MODIFIED_SINCE, "if-modified-since")                                                        \
  X(SEC_WEBSOCKET_KEY, "sec-websocket-key")                                                        \
  X(TRANSFER_ENCODING, "transfer-encoding")                                                        \
  X(PROXY_AUTHENTICATE, "proxy-authenticate")                                                      \
  X(CONTENT_DISPOSITION, "content-disposition")                                                    \
  X(IF_UNMODIFIED_SINCE, "if-unmodified-since")                                                    \
  X(PROXY_AUTHORIZATION, "proxy-authorization")                                                    \
  X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept")                                                  \
  X(SEC_WEBSOCKET_VERSION, "sec-websocket-version")                                                \
  X(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol")                                              \
  X(SEC_WEBSOCKET_EXTENSIONS, "sec-websocket-extensions")                                          \
  X(STRICT_TRANSPORT_SECURITY, "strict-transport-security")

typedef enum bide_h1_id {
  BIDE_H_OTHER = 0,
#define X(name, text) BIDE_H_##name,
  BIDE_H1_NAMES(X)
#undef X
      BIDE_H_COUNT
} bide_h1_id;

#define BIDE_H1_METHODS(X)                                                                         \
  X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(CONNECT) X(OPTIONS) X(TRACE) X(PATCH)

typedef enum bide_h1_method {
  BIDE_M_OTHER = 0, /* a valid token, none of those below */
#define X(name) BIDE_M_##name,
  BIDE_H1_METHODS(X)
#undef X
      BIDE_M_COUNT
} bide_h1_method;

/* The id of a header name in any case, BIDE_H_OTHER if it is none of the list. */
bide_h1_id bide__h1_name_id(const char *p, size_t n);
/* The lower-case name of an id; empty for BIDE_H_OTHER. */
bide_slice bide__h1_name_of(bide_h1_id id);
/* Methods are case-sensitive (RFC 9110 section 9.1). */
bide_h1_method bide__h1_method_id(const char *p, size_t n);
/* "OK" for 200; the empty string for a status that no RFC names. */
const char *bide__h1_reason(int status);

/* ---- Heads ---------------------------------------------------------------------------------- */

/* All in bytes; a line is counted without its CRLF, a head with everything. */
typedef struct bide_h1_limits {
  uint32_t max_first; /* request line or status line */
  uint32_t max_field; /* one header line */
  uint32_t max_head;  /* the whole head; at most BIDE_H1_MAX_HEAD */
} bide_h1_limits;

#define BIDE_H1_MAX_HEAD (1u << 30)

/* 8 KiB, 16 KiB, 64 KiB. */
extern const bide_h1_limits bide__h1_default_limits;

/* One header. Positions count from the head's first byte, so that a head survives its buffer being
 * moved: see bide__h1_rebase. The value has no whitespace around it. That of a request's Host is
 * the target's authority where that has one (RFC 9112 section 3.2.2), and lies in the target. */
typedef struct bide_h1_field {
  uint32_t name;
  uint32_t value;
  uint32_t value_n;
  uint16_t name_n;
  uint16_t id; /* bide_h1_id */
} bide_h1_field;

typedef enum bide_h1_form {                    /* RFC 9112 section 3.2 */
                            BIDE_H1_ORIGIN,    /* "/path?query" */
                            BIDE_H1_ABSOLUTE,  /* "http://host/path" */
                            BIDE_H1_AUTHORITY, /* "host:port", CONNECT only */
                            BIDE_H1_ASTERISK   /* "*", OPTIONS only */
} bide_h1_form;

typedef enum bide_h1_kind {
  BIDE_H1_NONE,    /* no body: the next message follows the head */
  BIDE_H1_LENGTH,  /* `length` bytes, at least 1 */
  BIDE_H1_CHUNKED, /* chunks, then trailers */
  BIDE_H1_CLOSE,   /* a response that ends where the connection ends */
  BIDE_H1_TUNNEL   /* no longer HTTP: after 101, or a 2xx to CONNECT */
} bide_h1_kind;

enum {
  BIDE_H1_KEEP_ALIVE = 1 << 0, /* version and Connection allow another message after this one */
  BIDE_H1_HAS_LENGTH = 1 << 1, /* `length` is what Content-Length said, also where kind is NONE
                                  (a response to HEAD, a 304) */
  BIDE_H1_UPGRADE = 1 << 2,    /* Upgrade field, named by Connection, in HTTP/1.1 */
  BIDE_H1_CONTINUE = 1 << 3,   /* request: wants "100 Continue" before it sends its body */
  BIDE_H1_CONN_CLOSE = 1 << 4, /* Connection says close */
  BIDE_H1_CONN_KEEP = 1 << 5   /* Connection says keep-alive */
};

/*
 * A head being parsed, then a parsed head. Plain data: it may be copied and moved, with two
 * pointers of the caller's in it (`base`, `fields`), both replaceable. The results are valid once a
 * parse call has returned > 0; of a failed one only `count` fields.
 */
typedef struct bide_h1_head {
  const char *base;      /* borrowed: the buffer of the last parse call */
  bide_h1_field *fields; /* borrowed: `cap` entries, the first `count` filled */
  uint16_t cap;
  uint16_t count;
  uint8_t minor;  /* 0 or 1 (later minors count as 1: RFC 9110 section 2.5) */
  uint8_t method; /* bide_h1_method; of a response, what it answers */
  uint8_t form;   /* bide_h1_form */
  uint8_t kind;   /* bide_h1_kind of the body */
  uint16_t status;
  uint16_t flags;
  uint32_t method_n; /* the method's bytes: base + first */
  uint32_t text;     /* request: the target; response: the reason phrase */
  uint32_t text_n;
  uint32_t size; /* of the whole head */
  uint64_t seen; /* bit `id` is set when a header of that id is present */
  uint64_t length;

  /* Private to the parser. */
  const bide_h1_limits *limits; /* borrowed */
  uint32_t first, line, mark, pos;
  uint8_t phase, response;
} bide_h1_head;

/*
 * Prepares for one head. `fields` has room for `cap` headers, which is also their limit. `limits`
 * must outlive the parse (NULL: the defaults). A client that sees an informational response (1xx
 * other than 101) prepares again, past it.
 */
void bide__h1_init_request(bide_h1_head *h, bide_h1_field *fields, uint16_t cap,
                           const bide_h1_limits *limits);
void bide__h1_init_response(bide_h1_head *h, bide_h1_field *fields, uint16_t cap,
                            const bide_h1_limits *limits, bide_h1_method answers);

/*
 * Parses on. `buf` holds all bytes of the message so far, from its first; it may have moved since
 * the last call, and may hold bytes past the head. Returns the size of the head (everything before
 * the body), BIDE_H1_MORE, or an error as soon as a byte makes it certain, after which the head
 * must not be given to it again. On success the framing is known: `kind`, `length`, `flags`.
 */
int bide__h1_parse(bide_h1_head *h, const char *buf, size_t n);

/* Parses a trailer section (as collected from a body decoder) into a head prepared by either init.
 * Framing fields in it have no effect and must not be merged (RFC 9110 section 6.5.1). */
int bide__h1_parse_trailers(bide_h1_head *h, const char *buf, size_t n);

/* Tells a head that its bytes now stand at `buf`. */
static inline void bide__h1_rebase(bide_h1_head *h, const char *buf) {
  h->base = buf;
}

static inline bide_slice bide__h1_name(const bide_h1_head *h, const bide_h1_field *f) {
  return (bide_slice){h->base + f->name, f->name_n};
}

static inline bide_slice bide__h1_value(const bide_h1_head *h, const bide_h1_field *f) {
  return (bide_slice){h->base + f->value, f->value_n};
}

static inline bide_slice bide__h1_method(const bide_h1_head *h) {
  return (bide_slice){h->base + h->first, h->method_n};
}

/* The target of a request, the reason phrase of a response. */
static inline bide_slice bide__h1_text(const bide_h1_head *h) {
  return (bide_slice){h->base + h->text, h->text_n};
}

static inline bool bide__h1_has(const bide_h1_head *h, bide_h1_id id) {
  return (h->seen >> id & 1) != 0;
}

/* The first header of that id at or after index `from`, or NULL. One bit test when there is none.
 */
const bide_h1_field *bide__h1_find(const bide_h1_head *h, bide_h1_id id, unsigned from);

/* Splits a request's target: path up to '?' ("/" for "http://host", "*" for the asterisk, empty for
 * an authority), query after it. `has_query` may be NULL. */
void bide__h1_split_target(const bide_h1_head *h, bide_slice *path, bide_slice *query,
                           bool *has_query);

/* Steps through a comma-separated list: true and the next element without whitespace around it,
 * false at the end. Empty elements are skipped. `rest` starts as the whole value. */
bool bide__h1_next_element(bide_slice *rest, bide_slice *element);

/* True if the list contains that token, in any case. `lower` is in lower case. */
bool bide__h1_list_has(bide_slice value, bide_slice lower);

/* The number in "timeout=N" of a Keep-Alive value; -1 if there is none. At most INT32_MAX. */
int32_t bide__h1_keep_alive_timeout(bide_slice value);

/* ---- Bodies --------------------------------------------------------------------------------- */

enum {                   /* bide__h1_decode: BIDE_H1_MORE, an error, or one of these */
       BIDE_H1_DATA = 1, /* a piece of the body */
       BIDE_H1_TRAILER,  /* a piece of the trailer section, byte for byte, its last CRLF included */
       BIDE_H1_DONE      /* the message has ended; `used` does not include what follows it */
};

/* A body being decoded. Plain data, owns nothing. */
typedef struct bide_h1_body {
  uint64_t left;        /* LENGTH: of the body; CHUNKED: of the chunk */
  uint64_t received;    /* bytes of data handed out */
  uint32_t ext_left;    /* extension bytes still accepted; data earns 1/16 of its size back */
  uint32_t line_n;      /* bytes in the line at hand */
  uint32_t trailer_n;   /* bytes of trailers so far */
  uint32_t max_trailer; /* limit on them */
  uint8_t kind;
  uint8_t phase;
  bool padded;        /* accept spaces after a chunk size (responses) */
  bool keep_trailers; /* hand trailers out instead of checking and dropping them */
} bide_h1_body;

#define BIDE_H1_MAX_CHUNK_EXT   (16u * 1024)
#define BIDE_H1_MAX_TRAILER     (16u * 1024)
#define BIDE_H1_MAX_CHUNK_DIGIT 16

/* For the body that follows a parsed head. `keep_trailers` and `max_trailer` may be set after it.
 */
void bide__h1_body_init(bide_h1_body *b, const bide_h1_head *h);

/*
 * Decodes from `in`. Sets `*used` to the bytes taken, and for DATA and TRAILER `*piece` to a slice
 * of them. Call until MORE (all taken) or DONE. A body of length 0 is DONE at once, without input;
 * a finished one stays DONE. After an error it stays at that error's place and must not be used.
 *   for (;;) { r = decode(b, p, n, &used, &piece); p += used; n -= used; ... }
 */
int bide__h1_decode(bide_h1_body *b, const char *in, size_t n, size_t *used, bide_slice *piece);

/* What the end of the connection means: DONE, or BIDE_H1_ETRUNCATED. */
int bide__h1_body_eof(const bide_h1_body *b);

/* ---- Writing -------------------------------------------------------------------------------- */

bool bide__h1_valid_token(const char *p, size_t n);
/* No control but HTAB, no whitespace at either end. May be empty. */
bool bide__h1_valid_value(const char *p, size_t n);
/* Visible ASCII, no '#', not empty: what may stand in a request line. */
bool bide__h1_valid_target(const char *p, size_t n);
/* A reason phrase: as a value, but may be padded. */
bool bide__h1_valid_reason(const char *p, size_t n);

/* Each appends one line with its CRLF and returns 0, or returns BIDE_H1_EINVALID and appends
 * nothing. Running out of room shows in the out, not here. */
int bide__h1_put_request(bide_out *o, bide_slice method, bide_slice target);
/* A reason with n == 0 stands for the usual one. 100 to 999. */
int bide__h1_put_status(bide_out *o, int status, bide_slice reason);
int bide__h1_put_field(bide_out *o, bide_slice name, bide_slice value);
/* "content-length: N". */
void bide__h1_put_length(bide_out *o, uint64_t length);
/* The empty line that ends a head. */
void bide__h1_put_end(bide_out *o);
/* A number in decimal, without anything around it. */
void bide__h1_put_number(bide_out *o, uint64_t n);

#define BIDE_H1_CHUNK_HEAD 18
/* The line before a chunk of n > 0 bytes; returns its size. After the data comes CRLF. */
size_t bide__h1_chunk_head(char out[BIDE_H1_CHUNK_HEAD], uint64_t n);
/* CRLF, then the last chunk without trailers; the second is for a body without any chunk. */
#define BIDE_H1_CHUNK_END  "\r\n"
#define BIDE_H1_LAST_CHUNK "0\r\n\r\n"

#define BIDE_H1_DATE 29
/* "Sun, 06 Nov 1994 08:49:37 GMT", without a NUL. Years 0 to 9999; others are clamped to them. */
void bide__h1_format_date(char out[BIDE_H1_DATE], int64_t unix_seconds);
/* All three formats of RFC 9110 section 5.6.7. `now` resolves two-digit years. False if malformed.
 */
bool bide__h1_parse_date(bide_slice text, int64_t now, int64_t *unix_seconds);

#endif
