/* SPDX-License-Identifier: MIT */
/*
 * URLs (RFC 3986) and the rules that http adds (RFC 9110 section 4.2). Pure functions of bytes: no
 * I/O, no allocation; results are slices of the input, or written into the caller's buffer.
 *
 * Invariants: a parsed URL's parts lie in the input, in order, without overlap; written in order
 * with their delimiters they give the input back. What is written by `put` functions parses again
 * to the same parts. Controls, NUL, backslash and broken percent triplets are refused everywhere.
 */
#ifndef BIDE_HTTP_URL_H
#define BIDE_HTTP_URL_H

#include "text.h"

#define BIDE_URL_ERRORS(X)                                                                         \
  X(EEMPTY, "empty URL")                                                                           \
  X(ETOOLONG, "URL too long")                                                                      \
  X(ECHAR, "invalid character")                                                                    \
  X(ESPACE, "contains a space or a control character")                                             \
  X(EPERCENT, "% not followed by two hexadecimal digits")                                          \
  X(ESCHEME, "scheme missing or malformed")                                                        \
  X(EPROTOCOL, "unsupported scheme")                                                               \
  X(EUSER, "invalid character in the user part")                                                   \
  X(EHOST, "invalid host")                                                                         \
  X(ENOHOST, "host missing")                                                                       \
  X(EIDN, "host is not ASCII (use its xn-- form)")                                                 \
  X(EPORT, "invalid port")                                                                         \
  X(EPATH, "path not allowed here")                                                                \
  X(ESIZE, "result does not fit")

enum {
#define X(name, text) BIDE_URL__INDEX_##name,
  BIDE_URL_ERRORS(X)
#undef X
      BIDE_URL_ERROR_COUNT
};

enum { /* BIDE_URL_EEMPTY = -1, ... */
#define X(name, text) BIDE_URL_##name = -1 - BIDE_URL__INDEX_##name,
       BIDE_URL_ERRORS(X)
#undef X
           BIDE_URL__LAST_ERROR = -BIDE_URL_ERROR_COUNT
};

const char *bide__url_error_text(int code);

#define BIDE_URL_MAX (64u * 1024)

enum { /* how strictly characters are looked at */
       BIDE_URL_STRICT = 0,
       /* Also bytes above 0x7f and  " < > ^ ` { | }  in path, query and fragment, as people type
        * them; bide__url_put_target percent-encodes them. */
       BIDE_URL_LAX = 1 << 0,
       /* Also spaces there, as redirects in the wild have them. */
       BIDE_URL_SPACES = 1 << 1
};

enum { /* bide_url.has: which parts are there, be they empty */
       BIDE_URL_HAS_SCHEME = 1 << 0,
       BIDE_URL_HAS_AUTHORITY = 1 << 1,
       BIDE_URL_HAS_USER = 1 << 2,
       BIDE_URL_HAS_PORT = 1 << 3, /* a colon; the digits may be missing */
       BIDE_URL_HAS_QUERY = 1 << 4,
       BIDE_URL_HAS_FRAGMENT = 1 << 5
};

typedef enum bide_url_host {
  BIDE_HOST_NONE,
  BIDE_HOST_NAME,
  BIDE_HOST_IPV4,
  BIDE_HOST_IPV6,
  BIDE_HOST_FUTURE
} bide_url_host;

typedef struct bide_url { /* all slices borrowed from the input */
  bide_slice scheme;
  bide_slice user;      /* before the '@', password included */
  bide_slice host;      /* IPv6 without its brackets */
  bide_slice port_text; /* digits as written */
  bide_slice path;
  bide_slice query;    /* without the '?' */
  bide_slice fragment; /* without the '#' */
  uint16_t port;       /* as written, else the scheme's default, else 0 */
  uint8_t has;
  uint8_t host_kind; /* bide_url_host */
} bide_url;

/* Any URI reference, relative ones too. 0 or an error; `*where`, if not NULL, is then the offset.
 */
int bide__url_parse(bide_url *u, const char *p, size_t n, unsigned mode, size_t *where);

/* An absolute http, https, ws or wss URL: with a host that a resolver can be asked for (no percent
 * triplets, no sub-delimiters; what ends in a number is a dotted IPv4 address or refused) and a
 * port from 1 to 65535. */
int bide__url_parse_http(bide_url *u, const char *p, size_t n, unsigned mode, size_t *where);

/* Applies those rules to a URL that was parsed, or resolved and parsed, in any mode. */
int bide__url_check_http(bide_url *u);

/* "host[:port]" without user part, whole input: for Host and CONNECT. `port` is 0 if absent or
 * empty. */
int bide__url_parse_authority(const char *p, size_t n, bide_slice *host, uint16_t *port,
                              bide_url_host *kind);

/* 80, 443 or 0. Any case. */
uint16_t bide__url_default_port(bide_slice scheme);
bool bide__url_is_secure(const bide_url *u); /* https, wss */

/*
 * The target of `ref` against the absolute `base` (RFC 3986 section 5.2.2, strict), appended to `o`
 * with dot segments removed. Returns 0, BIDE_URL_ESCHEME if base is not absolute, BIDE_URL_ESIZE if
 * it did not fit. `keep_fragment`: an http redirect inherits base's fragment if ref has none
 * (RFC 9110 section 10.2.2). `o` must not overlap either.
 */
int bide__url_resolve(const bide_url *base, const bide_url *ref, bool keep_fragment, bide_out *o);

/* Removes dot segments (section 5.2.4) in place; returns the new size. */
size_t bide__url_remove_dots(char *path, size_t n);

/* "/path?query" for a request line: "/" for an empty path; encodes what the lax modes let in. */
void bide__url_put_target(bide_out *o, const bide_url *u);
/* "host" or "host:port" for a Host field: lower case, brackets, default port left out. */
void bide__url_put_host(bide_out *o, const bide_url *u);
/* "https://host:port", always with the port: equal for equal origins, different for others. */
void bide__url_put_origin(bide_out *o, const bide_url *u);
/* The whole URL again: scheme and host in lower case, default port and user part left out, encoded.
 */
void bide__url_put_normal(bide_out *o, const bide_url *u, bool with_fragment);
bool bide__url_same_origin(const bide_url *a, const bide_url *b);

typedef enum bide_url_set { /* what stays as it is; everything else becomes %XX */
                            BIDE_URL_UNRESERVED, /* ALPHA DIGIT - . _ ~ : one component, as
                                                    encodeURIComponent but stricter */
                            BIDE_URL_PATH,       /* also sub-delims : @ and / */
                            BIDE_URL_QUERY,      /* also sub-delims : @ / and ? */
                            BIDE_URL_FORM /* application/x-www-form-urlencoded: ALPHA DIGIT * - . _
                                             , space is + */
} bide_url_set;

void bide__url_encode(bide_out *o, const char *p, size_t n, bide_url_set set);
/* Appends the decoded bytes. With `plus`, '+' is a space. BIDE_URL_EPERCENT on a broken triplet.
 * The result may hold any byte, NUL too. `o->p` may be `p` itself. */
int bide__url_decode(bide_out *o, const char *p, size_t n, bool plus);

/* Steps through "a=1&b=2": false at the end. Name and value as written (still encoded); a pair
 * without '=' has an empty value. Empty pairs are skipped. */
bool bide__url_next_pair(bide_slice *rest, bide_slice *name, bide_slice *value);

#endif
