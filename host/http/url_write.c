/* SPDX-License-Identifier: MIT */
/*
 * Writing URLs: reference resolution (RFC 3986 section 5), request targets, origins, percent
 * encoding. Owns nothing; everything is appended to the caller's out.
 *
 * Invariant: what is written of a parsed URL parses again, to parts that mean the same.
 */
#include "url_internal.h"

/* ---- Percent encoding ----------------------------------------------------------------------- */

static void put_encoded(bide_out *o, char c) {
  static const char digits[] = "0123456789ABCDEF";
  unsigned byte = (unsigned char)c;
  char triplet[3] = {'%', digits[byte >> 4], digits[byte & 15]};
  bide__out_put(o, triplet, 3);
}

void bide__url_encode(bide_out *o, const char *p, size_t n, bide_url_set set) {
  static const uint8_t classes[] = {BIDE_U_UNRESERVED, BIDE_U_PCHAR, BIDE_U_TAIL, BIDE_U_FORM};
  for (size_t i = 0; i < n; i++) {
    if (bide__url_is(p[i], classes[set])) bide__out_byte(o, p[i]);
    else if (set == BIDE_URL_PATH && p[i] == '/') bide__out_byte(o, '/');
    else if (set == BIDE_URL_FORM && p[i] == ' ') bide__out_byte(o, '+');
    else put_encoded(o, p[i]);
  }
}

int bide__url_decode(bide_out *o, const char *p, size_t n, bool plus) {
  for (size_t i = 0; i < n; i++) {
    char c = p[i];
    if (plus && c == '+') c = ' ';
    if (c == '%') {
      int high = n - i > 2 ? bide__hex_value(p[i + 1]) : -1;
      int low = n - i > 2 ? bide__hex_value(p[i + 2]) : -1;
      if (high < 0 || low < 0) return BIDE_URL_EPERCENT;
      c = (char)(high << 4 | low);
      i += 2;
    }
    bide__out_byte(o, c);
  }
  return 0;
}

bool bide__url_next_pair(bide_slice *rest, bide_slice *name, bide_slice *value) {
  while (rest->n != 0) {
    const char *end = rest->p + rest->n, *stop = memchr(rest->p, '&', rest->n);
    if (stop == NULL) stop = end;
    size_t n = (size_t)(stop - rest->p);
    bide_slice pair = {rest->p, n};
    rest->p = stop == end ? end : stop + 1;
    rest->n = (size_t)(end - rest->p);
    if (n == 0) continue;
    const char *sign = memchr(pair.p, '=', n);
    *name = bide__slice(pair.p, sign != NULL ? (size_t)(sign - pair.p) : n);
    *value = sign != NULL ? bide__slice(sign + 1, n - name->n - 1) : bide__slice(stop, 0);
    return true;
  }
  return false;
}

/* ---- Parts of a URL ------------------------------------------------------------------------- */

/* A parsed part: its triplets stay, what only the lax modes let in is encoded. */
static void put_part(bide_out *o, bide_slice s) {
  for (size_t i = 0; i < s.n; i++) {
    size_t run = i;
    while (i < s.n && (s.p[i] == '%' || bide__url_is(s.p[i], BIDE_U_TAIL))) i++;
    bide__out_put(o, s.p + run, i - run);
    if (i < s.n) put_encoded(o, s.p[i]);
  }
}

static void put_lower(bide_out *o, bide_slice s) {
  for (size_t i = 0; i < s.n; i++) bide__out_byte(o, bide__lower(s.p[i]));
}

static void put_bare_host(bide_out *o, const bide_url *u) {
  bool literal = u->host_kind == BIDE_HOST_IPV6 || u->host_kind == BIDE_HOST_FUTURE;
  if (literal) bide__out_byte(o, '[');
  put_lower(o, u->host);
  if (literal) bide__out_byte(o, ']');
}

static void put_port(bide_out *o, uint16_t port) {
  char digits[6];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + port % 10);
    port /= 10;
  } while (port != 0);
  digits[--at] = ':';
  bide__out_put(o, digits + at, sizeof digits - at);
}

void bide__url_put_target(bide_out *o, const bide_url *u) {
  if (u->path.n == 0) bide__out_byte(o, '/');
  put_part(o, u->path);
  if ((u->has & BIDE_URL_HAS_QUERY) == 0) return;
  bide__out_byte(o, '?');
  put_part(o, u->query);
}

void bide__url_put_host(bide_out *o, const bide_url *u) {
  put_bare_host(o, u);
  if (u->port != 0 && u->port != bide__url_default_port(u->scheme)) put_port(o, u->port);
}

void bide__url_put_origin(bide_out *o, const bide_url *u) {
  put_lower(o, u->scheme);
  bide__out_put(o, "://", 3);
  put_bare_host(o, u);
  put_port(o, u->port);
}

void bide__url_put_normal(bide_out *o, const bide_url *u, bool with_fragment) {
  put_lower(o, u->scheme);
  bide__out_put(o, "://", 3);
  bide__url_put_host(o, u);
  bide__url_put_target(o, u);
  if (!with_fragment || (u->has & BIDE_URL_HAS_FRAGMENT) == 0) return;
  bide__out_byte(o, '#');
  put_part(o, u->fragment);
}

bool bide__url_same_origin(const bide_url *a, const bide_url *b) {
  return a->port == b->port && a->host_kind == b->host_kind &&
         bide__slice_eq_nocase(a->scheme, b->scheme) && bide__slice_eq_nocase(a->host, b->host);
}

/* ---- Resolution ----------------------------------------------------------------------------- */

static bool starts(const char *p, size_t n, const char *prefix) {
  size_t size = strlen(prefix);
  return n >= size && memcmp(p, prefix, size) == 0;
}

/* Takes the last segment and its slash off the output. */
static size_t pop_segment(const char *path, size_t n) {
  while (n > 0 && path[n - 1] != '/') n--;
  return n > 0 ? n - 1 : 0;
}

size_t bide__url_remove_dots(char *path, size_t n) {
  size_t in = 0, out = 0;
  while (in < n) {
    char *p = path + in;
    size_t rest = n - in;
    bool up = starts(p, rest, "/../") || (rest == 3 && starts(p, rest, "/.."));
    bool here = starts(p, rest, "/./") || (rest == 2 && starts(p, rest, "/."));
    if (up || here) {
      in += up ? 3 : 2;
      if (up) out = pop_segment(path, out);
      if (in == n) path[--in] = '/'; /* "/." and "/.." leave their slash */
    } else if (starts(p, rest, "../")) {
      in += 3;
    } else if (starts(p, rest, "./")) {
      in += 2;
    } else if ((rest == 1 && *p == '.') || (rest == 2 && starts(p, rest, ".."))) {
      in = n;
    } else {
      do path[out++] = path[in++];
      while (in < n && path[in] != '/');
    }
  }
  return out;
}

static void put_authority(bide_out *o, const bide_url *u) {
  bool literal = u->host_kind == BIDE_HOST_IPV6 || u->host_kind == BIDE_HOST_FUTURE;
  bide__out_put(o, "//", 2);
  if ((u->has & BIDE_URL_HAS_USER) != 0) {
    bide__out_slice_put(o, u->user);
    bide__out_byte(o, '@');
  }
  if (literal) bide__out_byte(o, '[');
  bide__out_slice_put(o, u->host);
  if (literal) bide__out_byte(o, ']');
  if ((u->has & BIDE_URL_HAS_PORT) == 0) return;
  bide__out_byte(o, ':');
  bide__out_slice_put(o, u->port_text);
}

/* Base's path up to its last slash (section 5.2.3). */
static bide_slice directory(const bide_url *base) {
  if ((base->has & BIDE_URL_HAS_AUTHORITY) != 0 && base->path.n == 0) return BIDE_SLICE("/");
  size_t n = base->path.n;
  while (n > 0 && base->path.p[n - 1] != '/') n--;
  return bide__slice(base->path.p, n);
}

/* Appends `first` + `second` without their dot segments. */
static void put_path(bide_out *o, bide_slice first, bide_slice second, bool authority) {
  size_t start = o->n;
  bide__out_slice_put(o, first);
  bide__out_slice_put(o, second);
  if (!bide__out_ok(o)) return;
  o->n = start + bide__url_remove_dots(o->p + start, o->n - start);
  if (authority || o->n - start < 2 || !starts(o->p + start, 2, "//")) return;
  /* Without an authority before it, "//" would read as one: RFC 3986 section 4.2's way out. */
  size_t n = o->n - start;
  bide__out_put(o, "/.", 2);
  if (!bide__out_ok(o)) return;
  memmove(o->p + start + 2, o->p + start, n);
  memcpy(o->p + start, "/.", 2);
}

static void put_query(bide_out *o, const bide_url *u) {
  if ((u->has & BIDE_URL_HAS_QUERY) == 0) return;
  bide__out_byte(o, '?');
  bide__out_slice_put(o, u->query);
}

int bide__url_resolve(const bide_url *base, const bide_url *ref, bool keep_fragment, bide_out *o) {
  bool own_scheme = (ref->has & BIDE_URL_HAS_SCHEME) != 0;
  bool own_authority = own_scheme || (ref->has & BIDE_URL_HAS_AUTHORITY) != 0;
  bool own_path = own_authority || ref->path.n != 0;
  bool own_query = own_path || (ref->has & BIDE_URL_HAS_QUERY) != 0;
  bool own_root = own_authority || (ref->path.n != 0 && ref->path.p[0] == '/');
  const bide_url *from = own_authority ? ref : base;
  if (!own_scheme && (base->has & BIDE_URL_HAS_SCHEME) == 0) return BIDE_URL_ESCHEME;
  bide__out_slice_put(o, own_scheme ? ref->scheme : base->scheme);
  bide__out_byte(o, ':');
  bool authority = (from->has & BIDE_URL_HAS_AUTHORITY) != 0;
  if (authority) put_authority(o, from);
  bide_slice none = {NULL, 0};
  if (!own_path) bide__out_slice_put(o, base->path);
  else put_path(o, own_root ? none : directory(base), ref->path, authority);
  put_query(o, own_query ? ref : base);
  bool own_fragment = (ref->has & BIDE_URL_HAS_FRAGMENT) != 0;
  const bide_url *last = own_fragment ? ref : base;
  if ((own_fragment || keep_fragment) && (last->has & BIDE_URL_HAS_FRAGMENT) != 0) {
    bide__out_byte(o, '#');
    bide__out_slice_put(o, last->fragment);
  }
  return bide__out_ok(o) ? 0 : BIDE_URL_ESIZE;
}
