/* SPDX-License-Identifier: MIT */
/*
 * URLs. The first byte chooses the mode, the second where the base ends and the reference begins.
 * Checked: parts lie in the input, in order, and give it back; what is written parses again and is
 * then written the same; resolution gives a URL that resolves to itself; decoding undoes encoding.
 */
#include "fuzz.h"
#include "http/h1.h"
#include "http/url.h"

enum { SETUP = 2, ROOM = 256 * 1024 };

static void put_back(bide_out *o, const bide_url *u) {
  bool literal = u->host_kind == BIDE_HOST_IPV6 || u->host_kind == BIDE_HOST_FUTURE;
  bide__out_slice_put(o, u->scheme);
  if (u->has & BIDE_URL_HAS_SCHEME) bide__out_byte(o, ':');
  if (u->has & BIDE_URL_HAS_AUTHORITY) bide__out_put(o, "//", 2);
  bide__out_slice_put(o, u->user);
  if (u->has & BIDE_URL_HAS_USER) bide__out_byte(o, '@');
  if (literal) bide__out_byte(o, '[');
  bide__out_slice_put(o, u->host);
  if (literal) bide__out_byte(o, ']');
  if (u->has & BIDE_URL_HAS_PORT) bide__out_byte(o, ':');
  bide__out_slice_put(o, u->port_text);
  bide__out_slice_put(o, u->path);
  if (u->has & BIDE_URL_HAS_QUERY) bide__out_byte(o, '?');
  bide__out_slice_put(o, u->query);
  if (u->has & BIDE_URL_HAS_FRAGMENT) bide__out_byte(o, '#');
  bide__out_slice_put(o, u->fragment);
}

static void check_parts(const bide_url *u, const char *in, size_t n) {
  static char buf[ROOM];
  const bide_slice *parts[] = {&u->scheme, &u->user,  &u->host,    &u->port_text,
                               &u->path,   &u->query, &u->fragment};
  const char *last = in;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    REQUIRE(fuzz_inside(parts[i]->p, parts[i]->n, in, n));
    if (parts[i]->n == 0) continue;
    REQUIRE(parts[i]->p >= last);
    last = parts[i]->p + parts[i]->n;
  }
  bide_out o = bide__out(buf, sizeof buf);
  put_back(&o, u);
  REQUIRE(bide__slice_eq(bide__out_slice(&o), bide__slice(in, n)));
}

static void check_written(const bide_url *u) {
  static char first[ROOM], second[ROOM], piece[ROOM];
  bide_url again;
  bide_out o = bide__out(first, sizeof first), p = bide__out(second, sizeof second);
  bide__url_put_normal(&o, u, true);
  if (o.n > BIDE_URL_MAX) return; /* encoding has made it longer */
  REQUIRE(bide__url_parse_http(&again, o.p, o.n, BIDE_URL_STRICT, NULL) == 0);
  bide__url_put_normal(&p, &again, true);
  REQUIRE(bide__slice_eq(bide__out_slice(&o), bide__out_slice(&p)));
  REQUIRE(bide__url_same_origin(u, &again) && (again.has & BIDE_URL_HAS_USER) == 0);
  o = bide__out(piece, sizeof piece);
  bide__url_put_target(&o, u);
  REQUIRE(bide__h1_valid_target(o.p, o.n));
  o.n = 0;
  bide__url_put_host(&o, u);
  bide_slice host;
  uint16_t port;
  REQUIRE(bide__h1_valid_value(o.p, o.n));
  REQUIRE(bide__url_parse_authority(o.p, o.n, &host, &port, NULL) == 0);
  REQUIRE(port == 0 || port == u->port);
  o.n = 0;
  bide__url_put_origin(&o, u);
  REQUIRE(bide__url_parse_http(&again, o.p, o.n, BIDE_URL_STRICT, NULL) == 0);
  REQUIRE(bide__url_same_origin(u, &again));
}

static void check_resolved(const bide_url *base, const bide_url *ref, unsigned mode) {
  static char first[ROOM], second[ROOM];
  bide_url u, none;
  bide_out o = bide__out(first, sizeof first), p = bide__out(second, sizeof second);
  int r = bide__url_resolve(base, ref, (mode & 4) != 0, &o);
  bool absolute = ((base->has | ref->has) & BIDE_URL_HAS_SCHEME) != 0;
  REQUIRE(r == (absolute ? 0 : BIDE_URL_ESCHEME));
  if (r != 0 || o.n > BIDE_URL_MAX) return;
  REQUIRE(bide__url_parse(&u, o.p, o.n, mode, NULL) == 0);
  REQUIRE((u.has & BIDE_URL_HAS_SCHEME) != 0);
  const bide_url *from = ref->has & (BIDE_URL_HAS_SCHEME | BIDE_URL_HAS_AUTHORITY) ? ref : base;
  REQUIRE(bide__slice_eq(u.host, from->host) && u.host_kind == from->host_kind);
  /* A target resolved against anything is itself, but for dots it took over from base. */
  bide__url_resolve(base, &u, false, &p);
  size_t n = p.n;
  REQUIRE(bide__url_parse(&none, p.p, p.n, mode, NULL) == 0);
  static char third[ROOM];
  p = bide__out(third, sizeof third);
  bide__url_resolve(base, &none, false, &p);
  REQUIRE(p.n == n && memcmp(second, third, n) == 0);
}

static void check_coding(const char *in, size_t n) {
  static char encoded[ROOM], decoded[ROOM];
  if (n > ROOM / 4) return;
  for (int set = BIDE_URL_UNRESERVED; set <= BIDE_URL_FORM; set++) {
    bide_out o = bide__out(encoded, sizeof encoded), d = bide__out(decoded, sizeof decoded);
    bide__url_encode(&o, in, n, (bide_url_set)set);
    REQUIRE(n == 0 || bide__h1_valid_target(o.p, o.n));
    REQUIRE(bide__url_decode(&d, o.p, o.n, set == BIDE_URL_FORM) == 0);
    REQUIRE(bide__slice_eq(bide__out_slice(&d), bide__slice(in, n)));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < SETUP || size > ROOM / 8) return 0;
  unsigned mode = data[0] & 7;
  size_t n = size - SETUP, cut = data[1] < n ? data[1] : n;
  char *in = fuzz_copy(data + SETUP, cut), *second = fuzz_copy(data + SETUP + cut, n - cut);
  bide_url base, ref;
  size_t where = 0;
  int r = bide__url_parse(&base, in, cut, mode, &where);
  REQUIRE(r == 0 || where <= cut);
  if (r == 0) {
    bool reference = bide__url_parse(&ref, second, n - cut, mode, NULL) == 0;
    check_parts(&base, in, cut);
    if (reference) check_parts(&ref, second, n - cut);
    if (reference) check_resolved(&base, &ref, mode);
    if (cut != 0 && bide__url_check_http(&base) == 0) check_written(&base);
  }
  check_coding(in, cut);
  bide_slice rest = {second, n - cut}, name, value;
  while (bide__url_next_pair(&rest, &name, &value))
    REQUIRE(fuzz_inside(name.p, name.n, second, n - cut) &&
            fuzz_inside(value.p, value.n, second, n - cut));
  free(in);
  free(second);
  return 0;
}
