/* SPDX-License-Identifier: MIT */
/*
 * Parsing URLs: the generic syntax of RFC 3986 section 3 and appendix B, then what http demands of
 * a host and a port. Owns nothing.
 *
 * Invariant: a byte is in a part only if the part's class admits it, so what leaves here can be put
 * into a request line, a Host field or a resolver's question without another look.
 */
#include "url_internal.h"

#define U   (BIDE_U_UNRESERVED | BIDE_U_PCHAR | BIDE_U_TAIL)
#define UF  (U | BIDE_U_FORM)
#define N   (UF | BIDE_U_SCHEME)
#define S   (BIDE_U_SUB_DELIM | BIDE_U_PCHAR | BIDE_U_TAIL)
#define SF  (S | BIDE_U_FORM)
#define PL  (S | BIDE_U_SCHEME)
#define P   (BIDE_U_PCHAR | BIDE_U_TAIL)
#define C   (P | BIDE_U_COLON)
#define T   BIDE_U_TAIL
#define X   BIDE_U_EXTRA
#define X16 X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X

const uint8_t bide__url_class[256] = {
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0, /* 00 */
    0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0, /* 10 */
    0,   S,   X,   0,   S,   0,   S,   S,
    S,   S,   SF,  PL,  S,   N,   N,   T, /* sp ! " # $ % & ' ( ) * + , - . / */
    N,   N,   N,   N,   N,   N,   N,   N,
    N,   N,   C,   S,   X,   S,   X,   T, /* 0-9 : ; < = > ? */
    P,   N,   N,   N,   N,   N,   N,   N,
    N,   N,   N,   N,   N,   N,   N,   N, /* @ A-O */
    N,   N,   N,   N,   N,   N,   N,   N,
    N,   N,   N,   X,   0,   X,   X,   UF, /* P-Z [ \ ] ^ _ */
    X,   N,   N,   N,   N,   N,   N,   N,
    N,   N,   N,   N,   N,   N,   N,   N, /* ` a-o */
    N,   N,   N,   N,   N,   N,   N,   N,
    N,   N,   N,   X,   X,   X,   U,   0, /* p-z { | } ~ del */
    X16, X16, X16, X16, X16, X16, X16, X16};

#undef U
#undef UF
#undef N
#undef S
#undef SF
#undef PL
#undef P
#undef C
#undef T
#undef X

static bool is_control(char c) {
  return (unsigned char)c <= ' ' || c == 0x7f;
}

static const char *const error_texts[BIDE_URL_ERROR_COUNT] = {
#define X(name, text) text,
    BIDE_URL_ERRORS(X)
#undef X
};

const char *bide__url_error_text(int code) {
  return code < 0 && code >= -BIDE_URL_ERROR_COUNT ? error_texts[-1 - code] : "no error";
}

/* ---- Parts ---------------------------------------------------------------------------------- */

/* Checks that all of `s` is of the classes or percent triplets. `*at` is where it is not. */
static int check_part(bide_slice s, unsigned classes, bool spaces, const char **at, int error) {
  const char *p = s.p, *end = p + s.n;
  for (; p < end; p++) {
    *at = p;
    if (bide__url_is(*p, classes) || (spaces && *p == ' ')) continue;
    if (*p != '%') return is_control(*p) ? BIDE_URL_ESPACE : error;
    if (end - p < 3 || bide__hex_value(p[1]) < 0 || bide__hex_value(p[2]) < 0)
      return BIDE_URL_EPERCENT;
    p += 2;
  }
  return 0;
}

/* dec-octet: no leading zero, which some would read as octal. */
static const char *skip_octet(const char *p, const char *end) {
  const char *start = p;
  int value = 0;
  while (p < end && p - start < 3 && bide__is_digit(*p)) value = value * 10 + (*p++ - '0');
  bool ok = p != start && value <= 255 && (p - start == 1 || *start != '0');
  return ok ? p : NULL;
}

static bool is_ipv4(const char *p, const char *end) {
  for (int i = 0; i < 4; i++) {
    if (i != 0 && (p == end || *p++ != '.')) return false;
    p = skip_octet(p, end);
    if (p == NULL) return false;
  }
  return p == end;
}

/* One to four hexadecimal digits. */
static const char *skip_group(const char *p, const char *end) {
  const char *start = p;
  while (p < end && p - start < 4 && bide__hex_value(*p) >= 0) p++;
  return p != start ? p : NULL;
}

/* RFC 3986 section 3.2.2: eight groups, the last two maybe as IPv4, at most one "::". */
static bool is_ipv6(const char *p, const char *end) {
  int groups = 0;
  bool gap = false;
  if (end - p >= 2 && p[0] == ':' && p[1] == ':') gap = true, p += 2;
  while (p < end) {
    if (is_ipv4(p, end)) {
      groups += 2;
      p = end;
      break;
    }
    p = skip_group(p, end);
    if (p == NULL || ++groups > 8) return false;
    if (p == end) break;
    if (*p++ != ':' || p == end) return false; /* no colon at the very end, but for "::" */
    if (*p != ':') continue;
    if (gap) return false;
    gap = true;
    p++;
  }
  return gap ? groups <= 7 : groups == 8;
}

/* "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) */
static bool is_ip_future(const char *p, const char *end) {
  if (p == end || (*p | 0x20) != 'v') return false;
  const char *digits = ++p;
  while (p < end && bide__hex_value(*p) >= 0) p++;
  if (p == digits || p == end || *p++ != '.' || p == end) return false;
  while (p < end && bide__url_is(*p, BIDE_U_UNRESERVED | BIDE_U_SUB_DELIM | BIDE_U_COLON)) p++;
  return p == end;
}

static int parse_literal(bide_slice host, bide_url_host *kind, const char **at) {
  const char *end = host.p + host.n;
  *at = host.p;
  *kind = is_ipv6(host.p, end) ? BIDE_HOST_IPV6 : BIDE_HOST_FUTURE;
  return *kind == BIDE_HOST_IPV6 || is_ip_future(host.p, end) ? 0 : BIDE_URL_EHOST;
}

static int parse_name(bide_slice host, bide_url_host *kind, const char **at) {
  int r = check_part(host, BIDE_U_UNRESERVED | BIDE_U_SUB_DELIM, false, at, BIDE_URL_EHOST);
  if (r != 0) return r == BIDE_URL_EHOST && (unsigned char)**at >= 0x80 ? BIDE_URL_EIDN : r;
  if (host.n == 0) *kind = BIDE_HOST_NONE;
  else *kind = is_ipv4(host.p, host.p + host.n) ? BIDE_HOST_IPV4 : BIDE_HOST_NAME;
  return 0;
}

/* Digits only, 0 to 65535; empty is allowed and 0. */
static int parse_port(bide_slice s, uint16_t *port, const char **at) {
  uint32_t n = 0;
  for (size_t i = 0; i < s.n; i++) {
    *at = s.p + i;
    if (!bide__is_digit(s.p[i])) return BIDE_URL_EPORT;
    n = n * 10 + (uint32_t)(s.p[i] - '0');
    if (n > UINT16_MAX) return BIDE_URL_EPORT;
  }
  *port = (uint16_t)n;
  return 0;
}

typedef struct host_port {
  bide_slice host, port_text;
  bide_url_host kind;
  uint16_t port;
  bool has_port;
} host_port;

static int parse_host_port(bide_slice s, host_port *out, const char **at) {
  const char *p = s.p, *end = p + s.n, *stop;
  int r;
  *at = p;
  if (s.n != 0 && *p == '[') {
    stop = memchr(p, ']', s.n);
    if (stop == NULL) return BIDE_URL_EHOST;
    out->host = bide__slice(p + 1, (size_t)(stop - p - 1));
    r = parse_literal(out->host, &out->kind, at);
    stop++;
  } else {
    stop = s.n != 0 ? memchr(p, ':', s.n) : NULL;
    if (stop == NULL) stop = end;
    out->host = bide__slice(p, (size_t)(stop - p));
    r = parse_name(out->host, &out->kind, at);
  }
  if (r != 0) return r;
  *at = stop;
  out->port_text = bide__slice(end, 0);
  out->port = 0;
  out->has_port = stop != end;
  if (stop == end) return 0;
  if (*stop != ':') return BIDE_URL_EHOST;
  out->port_text = bide__slice(stop + 1, (size_t)(end - stop - 1));
  return parse_port(out->port_text, &out->port, at);
}

int bide__url_parse_authority(const char *p, size_t n, bide_slice *host, uint16_t *port,
                              bide_url_host *kind) {
  host_port hp;
  const char *at;
  int r = parse_host_port(bide__slice(n != 0 ? p : "", n), &hp, &at);
  if (r != 0) return r;
  *host = hp.host;
  *port = hp.port;
  if (kind != NULL) *kind = hp.kind;
  return 0;
}

static int parse_authority(bide_url *u, bide_slice s, const char **at) {
  const char *sign = s.n != 0 ? memchr(s.p, '@', s.n) : NULL;
  if (sign != NULL) {
    u->user = bide__slice(s.p, (size_t)(sign - s.p));
    u->has |= BIDE_URL_HAS_USER;
    int r = check_part(u->user, BIDE_U_UNRESERVED | BIDE_U_SUB_DELIM | BIDE_U_COLON, false, at,
                       BIDE_URL_EUSER);
    if (r != 0) return r;
    s = bide__slice(sign + 1, (size_t)(s.p + s.n - sign - 1));
  }
  host_port hp;
  int r = parse_host_port(s, &hp, at);
  if (r != 0) return r;
  u->host = hp.host;
  u->host_kind = (uint8_t)hp.kind;
  u->port_text = hp.port_text;
  u->port = hp.port;
  if (hp.has_port) u->has |= BIDE_URL_HAS_PORT;
  return 0;
}

/* ---- Whole references ----------------------------------------------------------------------- */

/* The first of ':', '/', '?', '#' is a colon: what stands before it must be a scheme. */
static int parse_scheme(bide_url *u, bide_slice *rest, const char **at) {
  const char *p = rest->p, *end = p + rest->n;
  while (p < end && *p != ':' && *p != '/' && *p != '?' && *p != '#') p++;
  if (p == end || *p != ':') return 0;
  u->scheme = bide__slice(rest->p, (size_t)(p - rest->p));
  for (size_t i = 0; i < u->scheme.n; i++) {
    *at = rest->p + i;
    if (is_control(**at)) return BIDE_URL_ESPACE;
    if (!bide__url_is(**at, BIDE_U_SCHEME)) return BIDE_URL_ESCHEME;
  }
  *at = rest->p;
  if (u->scheme.n == 0 || !bide__is_alpha(*rest->p)) return BIDE_URL_ESCHEME;
  u->has |= BIDE_URL_HAS_SCHEME;
  *rest = bide__slice(p + 1, (size_t)(end - p - 1));
  return 0;
}

/* Cuts `rest` at the first of three bytes; returns what stands before it. */
static bide_slice cut(bide_slice *rest, char a, char b, char c) {
  size_t n = 0;
  while (n < rest->n && rest->p[n] != a && rest->p[n] != b && rest->p[n] != c) n++;
  bide_slice head = {rest->p, n};
  *rest = bide__slice(rest->p + n, rest->n - n);
  return head;
}

static bool step_over(bide_slice *rest, char c) {
  if (rest->n == 0 || *rest->p != c) return false;
  rest->p++;
  rest->n--;
  return true;
}

static int parse_tail(bide_url *u, bide_slice rest, unsigned mode, const char **at) {
  unsigned classes = mode & BIDE_URL_LAX ? BIDE_U_TAIL | BIDE_U_EXTRA : BIDE_U_TAIL;
  bool spaces = (mode & BIDE_URL_SPACES) != 0;
  u->path = cut(&rest, '?', '#', '#');
  int r = check_part(u->path, classes, spaces, at, BIDE_URL_ECHAR);
  if (r == 0 && step_over(&rest, '?')) {
    u->has |= BIDE_URL_HAS_QUERY;
    u->query = cut(&rest, '#', '#', '#');
    r = check_part(u->query, classes, spaces, at, BIDE_URL_ECHAR);
  }
  if (r == 0 && step_over(&rest, '#')) {
    u->has |= BIDE_URL_HAS_FRAGMENT;
    u->fragment = rest;
    r = check_part(u->fragment, classes, spaces, at, BIDE_URL_ECHAR);
  }
  return r;
}

static int parse(bide_url *u, bide_slice rest, unsigned mode, const char **at) {
  if (rest.n > BIDE_URL_MAX) return BIDE_URL_ETOOLONG;
  int r = parse_scheme(u, &rest, at);
  if (r == 0 && rest.n >= 2 && rest.p[0] == '/' && rest.p[1] == '/') {
    rest.p += 2;
    rest.n -= 2;
    u->has |= BIDE_URL_HAS_AUTHORITY;
    r = parse_authority(u, cut(&rest, '/', '?', '#'), at);
  }
  if (r == 0) r = parse_tail(u, rest, mode, at);
  if (r == 0 && u->port == 0 && u->port_text.n == 0) u->port = bide__url_default_port(u->scheme);
  return r;
}

int bide__url_parse(bide_url *u, const char *p, size_t n, unsigned mode, size_t *where) {
  if (p == NULL) p = "";
  const char *at = p;
  memset(u, 0, sizeof *u);
  int r = parse(u, bide__slice(p, n), mode, &at);
  if (r != 0 && where != NULL) *where = (size_t)(at - p);
  return r;
}

/* ---- http ----------------------------------------------------------------------------------- */

static const struct {
  bide_slice scheme;
  uint16_t port;
  bool secure;
} protocols[] = {
    {{"http", 4}, 80, false},
    {{"https", 5}, 443, true},
    {{"ws", 2}, 80, false},
    {{"wss", 3}, 443, true},
};

enum { PROTOCOLS = sizeof protocols / sizeof *protocols };

static int protocol_of(bide_slice scheme) {
  for (int i = 0; i < PROTOCOLS; i++)
    if (bide__slice_eq_nocase(scheme, protocols[i].scheme)) return i;
  return -1;
}

uint16_t bide__url_default_port(bide_slice scheme) {
  int i = protocol_of(scheme);
  return i >= 0 ? protocols[i].port : 0;
}

bool bide__url_is_secure(const bide_url *u) {
  int i = protocol_of(u->scheme);
  return i >= 0 && protocols[i].secure;
}

/* "1", "0x7f": resolvers read such a last label as part of an address, each in its own way. */
static bool is_number(bide_slice label) {
  bool hex = label.n >= 2 && label.p[0] == '0' && (label.p[1] | 0x20) == 'x';
  for (size_t i = hex ? 2 : 0; i < label.n; i++)
    if (hex ? bide__hex_value(label.p[i]) < 0 : !bide__is_digit(label.p[i])) return false;
  return label.n != 0;
}

/* Labels of 1 to 63 letters, digits, '-' and '_', 253 in all, one final dot allowed. */
static int check_name(bide_slice host) {
  size_t start = 0, n = host.n;
  if (n > 1 && host.p[n - 1] == '.') n--;
  if (n > 253) return BIDE_URL_EHOST;
  for (size_t i = 0; i <= n; i++) {
    if (i < n && host.p[i] != '.') {
      char c = host.p[i];
      if (!bide__is_alpha(c) && !bide__is_digit(c) && c != '-' && c != '_') return BIDE_URL_EHOST;
      continue;
    }
    if (i == start || i - start > 63) return BIDE_URL_EHOST;
    if (i == n && is_number(bide__slice(host.p + start, n - start))) return BIDE_URL_EHOST;
    start = i + 1;
  }
  return 0;
}

int bide__url_check_http(bide_url *u) {
  if ((u->has & BIDE_URL_HAS_SCHEME) == 0) return BIDE_URL_ESCHEME;
  if (protocol_of(u->scheme) < 0) return BIDE_URL_EPROTOCOL;
  if (u->host_kind == BIDE_HOST_NONE) return BIDE_URL_ENOHOST;
  if (u->host_kind == BIDE_HOST_FUTURE) return BIDE_URL_EHOST;
  if (u->port == 0) return BIDE_URL_EPORT;
  return u->host_kind == BIDE_HOST_NAME ? check_name(u->host) : 0;
}

int bide__url_parse_http(bide_url *u, const char *p, size_t n, unsigned mode, size_t *where) {
  if (where != NULL) *where = 0;
  if (n == 0) return BIDE_URL_EEMPTY;
  int r = bide__url_parse(u, p, n, mode, where);
  if (r != 0) return r;
  r = bide__url_check_http(u);
  bool in_host = r == BIDE_URL_EHOST || r == BIDE_URL_EPORT;
  if (where != NULL && in_host) *where = (size_t)(u->host.p - p);
  return r;
}
