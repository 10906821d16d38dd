/* SPDX-License-Identifier: MIT */
/*
 * The head parser: first line and header fields of a message, over a growing contiguous buffer.
 * Owns nothing.
 *
 * It is a state machine whose states are whole runs of bytes (method, target, name, value): each
 * run is skipped at full speed, and only where the buffer ends inside one is the state written
 * down, to go on from that byte. Two rules give "the cut never matters":
 *   - a verdict depends on the bytes up to and including the one that forces it, never on later
 * ones;
 *   - limits are not compared but cut off: the scan's end is moved to where the limit falls, and
 *     running into that end is the error.
 */
#include "h1_internal.h"
#include "h1_scan.h"

enum { /* phases; those before FIELD belong to the first line */
       EMPTY_LINE,
       METHOD,
       TARGET,
       VERSION,
       STATUS,
       REASON,
       FIELD,
       NAME,
       SPACE,
       VALUE
};

enum {
  OUT = 1, /* ran into the end of the buffer, or of a limit */
  MAX_METHOD = 32,
  MAX_NAME = UINT16_MAX
};

/* The scan: `p` moves; `end` is the nearest of the buffer's end and the limits. */
typedef struct scan {
  const char *p;
  const char *end;
  const char *head_end; /* the same without the limit on the line */
} scan;

const bide_h1_limits bide__h1_default_limits = {8 * 1024, 16 * 1024, 64 * 1024};

/* Field by field: compilers clear a structure of this size by `rep stos`, which takes longer than
 * parsing the first line. `text` and what follows from a complete parse is set by it. */
static void init(bide_h1_head *h, bide_h1_field *fields, uint16_t cap,
                 const bide_h1_limits *limits) {
  h->base = NULL;
  h->fields = fields;
  h->cap = cap;
  h->count = 0;
  h->minor = h->method = h->form = h->kind = 0;
  h->status = h->flags = 0;
  h->method_n = h->text = h->text_n = h->size = 0;
  h->seen = h->length = 0;
  h->limits = limits != NULL ? limits : &bide__h1_default_limits;
  h->first = h->line = h->mark = h->pos = 0;
  h->phase = h->response = 0;
}

void bide__h1_init_request(bide_h1_head *h, bide_h1_field *fields, uint16_t cap,
                           const bide_h1_limits *limits) {
  init(h, fields, cap, limits);
  h->phase = EMPTY_LINE;
}

void bide__h1_init_response(bide_h1_head *h, bide_h1_field *fields, uint16_t cap,
                            const bide_h1_limits *limits, bide_h1_method answers) {
  init(h, fields, cap, limits);
  h->phase = VERSION;
  h->response = true;
  h->method = (uint8_t)answers;
}

static inline uint32_t offset(const bide_h1_head *h, const char *p) {
  return (uint32_t)(p - h->base);
}

static uint32_t max_head(const bide_h1_head *h) {
  return h->limits->max_head < BIDE_H1_MAX_HEAD ? h->limits->max_head : BIDE_H1_MAX_HEAD;
}

/* Where the scan of the line at h->line must end: two bytes past the limit, for the CRLF. */
static inline void bound_line(const bide_h1_head *h, scan *s, uint32_t max_line) {
  const char *line = h->base + h->line;
  uint64_t most = (uint64_t)max_line + 2;
  s->end = (uint64_t)(s->head_end - line) > most ? line + most : s->head_end;
}

/* The scan ran into s->end: which of the three ends was it? */
static int ran_out(const bide_h1_head *h, const scan *s) {
  bool first = h->phase < FIELD;
  uint64_t most = (first ? h->limits->max_first : h->limits->max_field) + UINT64_C(2);
  size_t at = (size_t)(s->end - h->base);
  if (at >= max_head(h)) return BIDE_H1_EHEADSIZE;
  if (at - h->line >= most) return first ? BIDE_H1_ELINESIZE : BIDE_H1_EFIELDSIZE;
  return BIDE_H1_MORE;
}

/* s->p is where a line should end: steps over CRLF, or says what is wrong there. */
static inline int line_end(scan *s, int otherwise) {
  if (s->p == s->end) return OUT;
  if (*s->p != '\r') return *s->p == '\n' ? BIDE_H1_ELF : otherwise;
  if (s->end - s->p < 2) return OUT;
  if (s->p[1] != '\n') return BIDE_H1_ECR;
  s->p += 2;
  return 0;
}

/* RFC 9112 section 2.2: one empty line before a request is forgiven. */
static int parse_empty_line(bide_h1_head *h, scan *s) {
  if (s->p == s->end) return OUT;
  if (*s->p == '\r' || *s->p == '\n') {
    int r = line_end(s, 0);
    if (r != 0) return r;
  }
  h->line = h->first = offset(h, s->p);
  bound_line(h, s, h->limits->max_first);
  h->phase = METHOD;
  return 0;
}

static int parse_method(bide_h1_head *h, scan *s) {
  const char *start = h->base + h->first;
  const char *stop = s->end - start > MAX_METHOD + 1 ? start + MAX_METHOD + 1 : s->end;
  while (s->p < stop && bide__h1_is(*s->p, BIDE_C_TOKEN)) s->p++;
  size_t n = (size_t)(s->p - start);
  if (n > MAX_METHOD) return BIDE_H1_EMETHODSIZE;
  if (s->p == s->end) return OUT;
  if (*s->p == '\n') return BIDE_H1_ELF;
  if (*s->p != ' ' || n == 0) return BIDE_H1_EMETHOD;
  h->method_n = (uint32_t)n;
  h->method = (uint8_t)bide__h1_method_id(start, n);
  s->p++;
  h->text = offset(h, s->p);
  h->phase = TARGET;
  return 0;
}

static int parse_target(bide_h1_head *h, scan *s) {
  s->p = bide__h1_skip_target(s->p, s->end);
  if (s->p == s->end) return OUT;
  h->text_n = offset(h, s->p) - h->text;
  if (*s->p == '\n') return BIDE_H1_ELF;
  if (*s->p == '\r' && h->text_n != 0) return BIDE_H1_EVERSION; /* HTTP/0.9 has none */
  if (*s->p != ' ' || h->text_n == 0) return BIDE_H1_ETARGET;
  s->p++;
  h->phase = VERSION;
  return 0;
}

/* "HTTP/1.x": looks at the whole again after each cut, which is 8 bytes. Does not step over it. */
static int check_version(bide_h1_head *h, const scan *s) {
  static const char expected[] = "HTTP/1.";
  size_t have = (size_t)(s->end - s->p);
  if (have < 8 || memcmp(s->p, expected, 7) != 0) {
    for (size_t i = 0; i < 7; i++) {
      if (i == have) return OUT;
      if (s->p[i] == expected[i]) continue;
      return i == 5 && bide__is_digit(s->p[i]) ? BIDE_H1_EMAJOR : BIDE_H1_EVERSION;
    }
    if (have < 8) return OUT;
  }
  if (!bide__is_digit(s->p[7])) return BIDE_H1_EVERSION;
  h->minor = s->p[7] != '0';
  return 0;
}

static int parse_request_version(bide_h1_head *h, scan *s) {
  int r = check_version(h, s);
  if (r != 0) return r;
  scan after = *s;
  after.p += 8;
  r = line_end(&after, BIDE_H1_EVERSION);
  if (r != 0) return r;
  s->p = after.p;
  h->phase = FIELD;
  return bide__h1_frame_target(h);
}

static int parse_response_version(bide_h1_head *h, scan *s) {
  int r = check_version(h, s);
  if (r != 0) return r;
  if (s->end - s->p < 9) return OUT;
  if (s->p[8] != ' ') return BIDE_H1_EVERSION;
  s->p += 9;
  h->phase = STATUS;
  return 0;
}

/* Three digits, then the space before the reason, or (many servers) the line's end at once. */
static int parse_status(bide_h1_head *h, scan *s) {
  int status = 0;
  for (int i = 0; i < 3; i++) {
    if (s->end - s->p == i) return OUT;
    if (!bide__is_digit(s->p[i]) || (i == 0 && s->p[i] == '0')) return BIDE_H1_ESTATUS;
    status = status * 10 + (s->p[i] - '0');
  }
  if (s->end - s->p == 3) return OUT;
  if (s->p[3] != ' ' && s->p[3] != '\r') return s->p[3] == '\n' ? BIDE_H1_ELF : BIDE_H1_ESTATUS;
  h->status = (uint16_t)status;
  s->p += s->p[3] == ' ' ? 4 : 3;
  h->text = offset(h, s->p);
  h->phase = REASON;
  return 0;
}

static int parse_reason(bide_h1_head *h, scan *s) {
  s->p = bide__h1_skip_value(s->p, s->end);
  h->text_n = offset(h, s->p) - h->text;
  int r = line_end(s, BIDE_H1_EREASON);
  if (r == 0) h->phase = FIELD;
  return r;
}

/* Each step begins in its own phase and ends in the next one's; a cut repeats none before it. */
static int parse_request_line(bide_h1_head *h, scan *s) {
  int r = 0;
  if (h->phase == EMPTY_LINE) r = parse_empty_line(h, s);
  if (h->phase == METHOD && r == 0) r = parse_method(h, s);
  if (h->phase == TARGET && r == 0) r = parse_target(h, s);
  if (h->phase == VERSION && r == 0) r = parse_request_version(h, s);
  return r;
}

static int parse_status_line(bide_h1_head *h, scan *s) {
  int r = 0;
  if (h->phase == VERSION) r = parse_response_version(h, s);
  if (h->phase == STATUS && r == 0) r = parse_status(h, s);
  if (h->phase == REASON && r == 0) r = parse_reason(h, s);
  return r;
}

/* What stands where a name or its colon should be. */
static int bad_name(char c, bool empty) {
  if (c == '\n') return BIDE_H1_ELF;
  return (c == ' ' || c == '\t') && !empty ? BIDE_H1_ECOLON : BIDE_H1_ENAME;
}

static inline int parse_name(bide_h1_head *h, scan *s) {
  s->p = bide__h1_skip_token(s->p, s->end);
  if (s->p == s->end) return OUT;
  const char *start = h->base + h->line;
  size_t n = (size_t)(s->p - start);
  if (*s->p != ':' || n == 0) return bad_name(*s->p, n == 0);
  if (n > MAX_NAME) return BIDE_H1_EFIELDSIZE;
  bide_h1_field *f = &h->fields[h->count];
  f->name = h->line;
  f->name_n = (uint16_t)n;
  f->id = (uint16_t)bide__h1_name_id(start, n);
  s->p++;
  return 0;
}

static inline int parse_value(bide_h1_head *h, scan *s) {
  s->p = bide__h1_skip_value(s->p, s->end);
  const char *stop = s->p;
  int r = line_end(s, BIDE_H1_EVALUE);
  if (r != 0) return r;
  bide_h1_field *f = &h->fields[h->count++];
  const char *start = h->base + h->mark;
  while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
  f->value = h->mark;
  f->value_n = (uint32_t)(stop - start);
  h->seen |= UINT64_C(1) << f->id;
  return 0;
}

/* At the beginning of a line: 0 for a header, or for the empty line, which sets `*last`. */
static inline int begin_field(const bide_h1_head *h, scan *s, bool *last) {
  if (s->p == s->end) return OUT;
  if (*s->p == '\r' || *s->p == '\n') {
    *last = true;
    return line_end(s, 0);
  }
  if (*s->p == ' ' || *s->p == '\t') return BIDE_H1_EFOLD;
  return h->count == h->cap ? BIDE_H1_EFIELDS : 0;
}

/* All lines up to the empty one. The phase says where the last call left a line. */
static int parse_fields(bide_h1_head *h, scan *s) {
  bool last = false;
  if (h->phase != FIELD) bound_line(h, s, h->limits->max_field);
  for (;;) {
    int r = 0;
    if (h->phase == FIELD) {
      h->line = offset(h, s->p);
      bound_line(h, s, h->limits->max_field);
      r = begin_field(h, s, &last);
      if (r != 0 || last) return r;
      h->phase = NAME;
    }
    if (h->phase == NAME) {
      if ((r = parse_name(h, s)) != 0) return r;
      h->phase = SPACE;
    }
    if (h->phase == SPACE) {
      while (s->p < s->end && (*s->p == ' ' || *s->p == '\t')) s->p++;
      if (s->p == s->end) return OUT;
      h->mark = offset(h, s->p);
      h->phase = VALUE;
    }
    if ((r = parse_value(h, s)) != 0) return r;
    h->phase = FIELD;
  }
}

/* To the end of the head: its size, MORE or an error. The framing is not looked at. */
static int parse_head(bide_h1_head *h, const char *buf, size_t n) {
  size_t most = max_head(h);
  if (buf == NULL) buf = ""; /* no bytes yet; NULL + 0 would be undefined */
  scan s = {buf + h->pos, NULL, buf + (n < most ? n : most)};
  int r = 0;
  h->base = buf;
  if (h->phase < FIELD) {
    bound_line(h, &s, h->limits->max_first);
    r = h->response ? parse_status_line(h, &s) : parse_request_line(h, &s);
  }
  if (r == 0) r = parse_fields(h, &s);
  h->pos = offset(h, s.p);
  if (r == OUT) return ran_out(h, &s);
  if (r != 0) return r;
  h->size = h->pos;
  return (int)h->size;
}

int bide__h1_parse(bide_h1_head *h, const char *buf, size_t n) {
  int size = parse_head(h, buf, n);
  if (size <= 0) return size;
  int r = h->response ? bide__h1_frame_response(h) : bide__h1_frame_request(h);
  return r != 0 ? r : size;
}

int bide__h1_parse_trailers(bide_h1_head *h, const char *buf, size_t n) {
  if (h->phase < FIELD) h->phase = FIELD;
  return parse_head(h, buf, n);
}
