/* SPDX-License-Identifier: MIT */
/*
 * What a complete head means for its connection: where the body ends, whether another message may
 * follow, whether the peer waits for something (RFC 9112 sections 3.2, 6 and 9; RFC 9110 sections
 * 7.2, 7.6.1, 10.1.1). Owns nothing.
 *
 * Invariant: a head for which two readers could find different body ends is refused, never
 * repaired.
 */
#include "h1_internal.h"
#include "h1_scan.h"
#include "url.h"

#define BIT(id) (UINT64_C(1) << BIDE_H_##id)

static const uint64_t framing_names =
    BIT(HOST) | BIT(CONNECTION) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(EXPECT);

/* The fields that decide, each at most once (Connection and Expect are lists: any number; of a
 * response Content-Length too). */
typedef struct framing {
  const bide_h1_field *host;
  const bide_h1_field *length;
  const bide_h1_field *encoding;
  bool more_lengths;
  bool upgrade_named;
  bool expect_other;
} framing;

static bool equals(bide_slice value, bide_slice lower) {
  return bide__slice_eq_nocase(value, lower);
}

static bide_slice trim(bide_slice s) {
  while (s.n != 0 && (s.p[0] == ' ' || s.p[0] == '\t')) s.p++, s.n--;
  while (s.n != 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
  return s;
}

/* The end of the element at `s`: its comma or s.n. Commas in quoted strings are part of it. */
static size_t element_end(bide_slice s) {
  bool quoted = false;
  for (size_t i = 0; i < s.n; i++) {
    if (quoted && s.p[i] == '\\') i++;
    else if (s.p[i] == '"') quoted = !quoted;
    else if (s.p[i] == ',' && !quoted) return i;
  }
  return s.n;
}

bool bide__h1_next_element(bide_slice *rest, bide_slice *element) {
  while (rest->n != 0) {
    size_t n = element_end(*rest), step = n < rest->n ? n + 1 : n;
    *element = trim((bide_slice){rest->p, n});
    rest->p += step;
    rest->n -= step;
    if (element->n != 0) return true;
  }
  return false;
}

bool bide__h1_list_has(bide_slice value, bide_slice lower) {
  bide_slice element;
  while (bide__h1_next_element(&value, &element))
    if (equals(element, lower)) return true;
  return false;
}

int32_t bide__h1_keep_alive_timeout(bide_slice value) {
  static const char name[] = "timeout=";
  bide_slice element;
  while (bide__h1_next_element(&value, &element)) {
    if (element.n < sizeof name || !equals(bide__slice(element.p, 8), BIDE_SLICE(name))) continue;
    int64_t n = 0;
    for (size_t i = 8; i < element.n; i++) {
      if (!bide__is_digit(element.p[i])) return -1;
      n = n * 10 + (element.p[i] - '0');
      if (n > INT32_MAX) n = INT32_MAX;
    }
    return (int32_t)n;
  }
  return -1;
}

const bide_h1_field *bide__h1_find(const bide_h1_head *h, bide_h1_id id, unsigned from) {
  if (!bide__h1_has(h, id)) return NULL;
  for (unsigned i = from; i < h->count; i++)
    if (h->fields[i].id == id) return &h->fields[i];
  return NULL;
}

/* ---- Request targets ------------------------------------------------------------------------ */

int bide__h1_frame_target(bide_h1_head *h) {
  bide_slice t = bide__h1_text(h);
  if (h->method == BIDE_M_CONNECT) {
    bide_slice host;
    uint16_t port;
    h->form = BIDE_H1_AUTHORITY;
    int r = bide__url_parse_authority(t.p, t.n, &host, &port, NULL);
    return r == 0 && host.n != 0 && port != 0 ? 0 : BIDE_H1_ETARGET;
  }
  if (t.p[0] == '/') {
    h->form = BIDE_H1_ORIGIN;
    return 0;
  }
  if (t.n == 1 && t.p[0] == '*') {
    h->form = BIDE_H1_ASTERISK;
    return h->method == BIDE_M_OPTIONS ? 0 : BIDE_H1_ETARGET;
  }
  bide_url u;
  h->form = BIDE_H1_ABSOLUTE;
  int r = bide__url_parse(&u, t.p, t.n, BIDE_URL_LAX, NULL);
  bool whole = r == 0 && (u.has & BIDE_URL_HAS_SCHEME) != 0 && u.host.n != 0;
  return whole && (u.has & BIDE_URL_HAS_USER) == 0 ? 0 : BIDE_H1_ETARGET;
}

/* Of an absolute form: what stands behind "scheme://", and how much of it is the authority. */
static bide_slice past_scheme(bide_slice t, size_t *authority) {
  const char *p = (const char *)memchr(t.p, ':', t.n) + 3;
  bide_slice rest = bide__slice(p, (size_t)(t.p + t.n - p));
  size_t n = 0;
  while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') n++;
  *authority = n;
  return rest;
}

/* The authority that the target has; empty when it has none. */
static bide_slice authority_of(const bide_h1_head *h) {
  bide_slice t = bide__h1_text(h);
  size_t n = h->form == BIDE_H1_AUTHORITY ? t.n : 0;
  if (h->form == BIDE_H1_ABSOLUTE) t = past_scheme(t, &n);
  return bide__slice(t.p, n);
}

void bide__h1_split_target(const bide_h1_head *h, bide_slice *path, bide_slice *query,
                           bool *has_query) {
  bide_slice t = bide__h1_text(h), none = {"", 0};
  if (h->form == BIDE_H1_AUTHORITY) t = none;
  if (h->form == BIDE_H1_ABSOLUTE) {
    size_t n;
    t = past_scheme(t, &n);
    t = bide__slice(t.p + n, t.n - n);
  }
  const char *mark = t.n != 0 ? memchr(t.p, '?', t.n) : NULL;
  *path = mark != NULL ? bide__slice(t.p, (size_t)(mark - t.p)) : t;
  *query = mark != NULL ? bide__slice(mark + 1, (size_t)(t.p + t.n - mark - 1)) : none;
  if (path->n == 0 && h->form == BIDE_H1_ABSOLUTE) *path = BIDE_SLICE("/");
  if (has_query != NULL) *has_query = mark != NULL;
}

/* ---- Fields --------------------------------------------------------------------------------- */

static void read_connection(bide_h1_head *h, framing *f, bide_slice value) {
  bide_slice element;
  if (equals(value, BIDE_SLICE("keep-alive"))) { /* nearly always */
    h->flags |= BIDE_H1_CONN_KEEP;
    return;
  }
  while (bide__h1_next_element(&value, &element)) {
    if (equals(element, BIDE_SLICE("keep-alive"))) h->flags |= BIDE_H1_CONN_KEEP;
    else if (equals(element, BIDE_SLICE("close"))) h->flags |= BIDE_H1_CONN_CLOSE;
    else if (equals(element, BIDE_SLICE("upgrade"))) f->upgrade_named = true;
  }
}

static void read_expect(bide_h1_head *h, framing *f, bide_slice value) {
  bide_slice element;
  while (bide__h1_next_element(&value, &element)) {
    if (equals(element, BIDE_SLICE("100-continue"))) h->flags |= BIDE_H1_CONTINUE;
    else f->expect_other = true;
  }
}

static int once(const bide_h1_field **slot, const bide_h1_field *field, int error) {
  if (*slot != NULL) return error;
  *slot = field;
  return 0;
}

/* The first decides; the others of a response are looked at by read_lengths. */
static int note_length(const bide_h1_head *h, framing *f, const bide_h1_field *field) {
  if (f->length == NULL) f->length = field;
  else if (h->response) f->more_lengths = true;
  else return BIDE_H1_ELENGTHS;
  return 0;
}

static int read_field(bide_h1_head *h, framing *f, const bide_h1_field *field) {
  bide_slice value = bide__h1_value(h, field);
  switch (field->id) {
  case BIDE_H_HOST: return h->response ? 0 : once(&f->host, field, BIDE_H1_EHOST);
  case BIDE_H_CONTENT_LENGTH: return note_length(h, f, field);
  case BIDE_H_TRANSFER_ENCODING: return once(&f->encoding, field, BIDE_H1_ETE);
  case BIDE_H_CONNECTION: read_connection(h, f, value); return 0;
  default: read_expect(h, f, value); return 0;
  }
}

/* 1*DIGIT below 2^63 (RFC 9110 section 8.6). */
static int read_length(bide_h1_head *h, bide_slice value) {
  uint64_t n = 0;
  if (value.n == 0) return BIDE_H1_ELENGTH;
  for (size_t i = 0; i < value.n; i++) {
    if (!bide__is_digit(value.p[i])) return BIDE_H1_ELENGTH;
    uint64_t digit = (uint64_t)(value.p[i] - '0');
    if (n > ((uint64_t)INT64_MAX - digit) / 10) return BIDE_H1_ELENGTH;
    n = n * 10 + digit;
  }
  h->length = n;
  h->flags |= BIDE_H1_HAS_LENGTH;
  return 0;
}

/* Each element of the list must be the length that the head has already, if it has one. */
static int read_length_list(bide_h1_head *h, bide_slice list) {
  for (;;) {
    const char *comma = memchr(list.p, ',', list.n);
    size_t n = comma != NULL ? (size_t)(comma - list.p) : list.n;
    bool known = (h->flags & BIDE_H1_HAS_LENGTH) != 0;
    uint64_t before = h->length;
    int r = read_length(h, trim(bide__slice(list.p, n)));
    if (r != 0) return r;
    if (known && h->length != before) return BIDE_H1_ELENGTHS;
    if (comma == NULL) return 0;
    list = bide__slice(comma + 1, list.n - n - 1);
  }
}

/* RFC 9112 section 6.3: a length that is there several times is one, if it is the same each time.
 * Of responses only: what stands before a server may have cut its requests otherwise. A list is
 * shortened to that one, for those who look at the field. */
static int read_lengths(bide_h1_head *h, const framing *f) {
  int r = read_length(h, bide__h1_value(h, f->length));
  if (!h->response || (r == 0 && !f->more_lengths)) return r;
  for (unsigned i = 0; i < h->count; i++) {
    bide_h1_field *field = &h->fields[i];
    bide_slice value = bide__h1_value(h, field);
    if (field->id != BIDE_H_CONTENT_LENGTH) continue;
    if ((r = read_length_list(h, value)) != 0) return r;
    const char *comma = memchr(value.p, ',', value.n);
    if (comma != NULL)
      field->value_n = (uint32_t)trim(bide__slice(value.p, (size_t)(comma - value.p))).n;
  }
  return 0;
}

/* Not the plain `chunked`: a known shape that is not supported, or no boundary at all? */
static int refuse_encoding(bide_slice value) {
  size_t chunked = 0, others = 0;
  while (value.n != 0) {
    size_t n = element_end(value);
    bide_slice element = trim(bide__slice(value.p, n));
    if (chunked != 0) return BIDE_H1_ETE; /* not the last, or twice */
    if (equals(element, BIDE_SLICE("chunked"))) chunked++;
    else if (bide__h1_valid_token(element.p, element.n)) others++;
    else return BIDE_H1_ETE;
    size_t step = n < value.n ? n + 1 : n;
    value.p += step;
    value.n -= step;
    if (value.n == 0 && step > n) return BIDE_H1_ETE; /* a comma at the end */
  }
  return chunked != 0 && others != 0 ? BIDE_H1_ETECODING : BIDE_H1_ETE;
}

static int read_encoding(const bide_h1_head *h, const framing *f) {
  bide_slice value = bide__h1_value(h, f->encoding);
  if (f->length != NULL) return BIDE_H1_ELENGTHTE;
  if (h->minor == 0) return BIDE_H1_ETEVERSION;
  return equals(value, BIDE_SLICE("chunked")) ? 0 : refuse_encoding(value);
}

/* What requests and responses share: one pass over the fields, then length against encoding. */
static int read_fields(bide_h1_head *h, framing *f) {
  int r;
  if ((h->seen & framing_names) == 0) return 0;
  for (unsigned i = 0; i < h->count; i++)
    if ((framing_names >> h->fields[i].id & 1) != 0 && (r = read_field(h, f, &h->fields[i])) != 0)
      return r;
  if (f->encoding != NULL && (r = read_encoding(h, f)) != 0) return r;
  return f->length != NULL ? read_lengths(h, f) : 0;
}

static void read_persistence(bide_h1_head *h, const framing *f) {
  bool keep = h->minor >= 1 || (h->flags & BIDE_H1_CONN_KEEP) != 0;
  if (keep && (h->flags & BIDE_H1_CONN_CLOSE) == 0) h->flags |= BIDE_H1_KEEP_ALIVE;
  if (f->upgrade_named && h->minor >= 1 && bide__h1_has(h, BIDE_H_UPGRADE))
    h->flags |= BIDE_H1_UPGRADE;
}

static void frame_body(bide_h1_head *h, const framing *f, bide_h1_kind otherwise) {
  if (f->encoding != NULL) h->kind = BIDE_H1_CHUNKED;
  else if (f->length == NULL) h->kind = (uint8_t)otherwise;
  else h->kind = h->length != 0 ? BIDE_H1_LENGTH : BIDE_H1_NONE;
}

/* ---- Messages ------------------------------------------------------------------------------- */

/* "name" or "name:port" in the letters that nearly all hosts are made of: true spares the parser of
 * authorities. False only means that it has to look. */
static bool is_plain_host(bide_slice v) {
  size_t i = 0;
  while (i < v.n && (bide__is_alpha(v.p[i]) || bide__is_digit(v.p[i]) || v.p[i] == '.')) i++;
  if (i == 0 || i == v.n) return i != 0;
  if (v.p[i++] != ':' || v.n - i > 4) return false; /* no port of four digits is out of range */
  while (i < v.n && bide__is_digit(v.p[i])) i++;
  return i == v.n;
}

/* RFC 9112 section 3.2: exactly one, well formed; empty where the target has no authority. */
static int check_host(const bide_h1_head *h, const framing *f) {
  if (f->host == NULL) return h->minor >= 1 ? BIDE_H1_ENOHOST : 0;
  bide_slice value = bide__h1_value(h, f->host), host;
  uint16_t port;
  if (value.n == 0 || is_plain_host(value)) return 0;
  int r = bide__url_parse_authority(value.p, value.n, &host, &port, NULL);
  return r == 0 && host.n != 0 ? 0 : BIDE_H1_EHOST;
}

/* RFC 9112 section 3.2.2: the authority of the target counts, whatever Host says. Whoever looks at
 * the field finds that one, and so one host only. */
static void use_authority(bide_h1_head *h, const bide_h1_field *host) {
  bide_slice authority = authority_of(h);
  bide_h1_field *f = &h->fields[host - h->fields];
  if (authority.n == 0) return;
  f->value = (uint32_t)(authority.p - h->base);
  f->value_n = (uint32_t)authority.n;
}

int bide__h1_frame_request(bide_h1_head *h) {
  framing f = {0};
  int r = read_fields(h, &f);
  if (r == 0) r = check_host(h, &f);
  if (r != 0) return r;
  if (f.host != NULL && h->form != BIDE_H1_ORIGIN) use_authority(h, f.host);
  read_persistence(h, &f);
  frame_body(h, &f, BIDE_H1_NONE);
  if (h->method == BIDE_M_CONNECT && h->kind != BIDE_H1_NONE) return BIDE_H1_ECONNECTBODY;
  if (h->minor == 0) { /* RFC 9110 section 10.1.1: 1.0 knows no expectations */
    h->flags &= (uint16_t)~BIDE_H1_CONTINUE;
    return 0;
  }
  if (f.expect_other) return BIDE_H1_EEXPECT;
  if (h->kind == BIDE_H1_NONE) h->flags &= (uint16_t)~BIDE_H1_CONTINUE;
  return 0;
}

int bide__h1_frame_response(bide_h1_head *h) {
  framing f = {0};
  bool connected = h->method == BIDE_M_CONNECT && h->status / 100 == 2;
  bool bodiless = h->status / 100 == 1 || h->status == 204;
  int r = read_fields(h, &f);
  if (r != 0) return r;
  read_persistence(h, &f);
  if (connected || h->status == 101) {
    h->kind = BIDE_H1_TUNNEL;
    h->flags &= (uint16_t)~BIDE_H1_KEEP_ALIVE;
    return 0;
  }
  frame_body(h, &f, BIDE_H1_CLOSE);
  /* A body announced where none can be: the next bytes are anyone's guess. */
  if (bodiless && h->kind != BIDE_H1_NONE && h->kind != BIDE_H1_CLOSE)
    h->flags &= (uint16_t)~BIDE_H1_KEEP_ALIVE;
  if (bodiless || h->status == 304 || h->method == BIDE_M_HEAD) h->kind = BIDE_H1_NONE;
  if (h->kind == BIDE_H1_CLOSE) h->flags &= (uint16_t)~BIDE_H1_KEEP_ALIVE;
  return 0;
}
