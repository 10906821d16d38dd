/* SPDX-License-Identifier: MIT */
/* pattern.c: see pattern.h. A backtracking matcher over items; it recurs where it may have to come
 * back: at a capture and behind a repetition. The depth of that is limited as in Lua, so that the
 * same patterns are "too complex". Owns nothing but the items. */
#include "pattern.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

enum { DEPTH_MAX = 200, SET_MAX = 256 /* bytes of a set, where steps are limited */ };
enum { CHUNK = 1024 /* bytes that one item runs over before their price is taken */ };

enum {
  /* match one byte and may be repeated */
  BYTE,
  ANY,
  CLASS,
  SET,
  /* the others */
  OPEN,     /* ( */
  PLACE,    /* () */
  CLOSE,    /* ) */
  BACK,     /* %1 */
  BALANCED, /* %b() */
  FRONTIER, /* %f[set] */
  TAIL,     /* $ at the end */
  BROKEN,   /* malformed from here on */
  END
};

enum { ONCE, OPTIONAL, MOST, MOST_ONE, LEAST }; /* nothing ? * + - */

/* ---- reading a pattern ---- */

static const char *broken(bide_item *it, const char *end, const char *message) {
  it->kind = BROKEN;
  it->from = message;
  return end;
}

/* p stands behind the bracket. Returns what is behind the closing one. */
static const char *read_set(bide_item *it, const char *p, const char *end) {
  size_t more = 0;
  it->d = *p == '^';
  if (it->d) p++;
  it->from = p;
  do { /* a bracket that comes first is one of the set */
    if (p == end) return broken(it, end, "malformed pattern (missing ']')");
    more++;
    if (*p++ == '%' && p < end) p++, more += 8;
  } while (*p != ']');
  it->to = p;
  it->more = more < UINT16_MAX ? (uint16_t)more : UINT16_MAX;
  return p + 1;
}

static const char *read_frontier(bide_item *it, const char *p, const char *end) {
  if (*p != '[') return broken(it, end, "missing '[' after '%f' in pattern");
  it->kind = FRONTIER;
  return read_set(it, p + 1, end);
}

static const char *read_balanced(bide_item *it, const char *p, const char *end) {
  if (end - p < 2) return broken(it, end, "malformed pattern (missing arguments to '%b')");
  it->kind = BALANCED;
  it->c = (unsigned char)p[0];
  it->d = (unsigned char)p[1];
  return p + 2;
}

static const char *read_repeat(bide_item *it, const char *p) {
  switch (*p) {
  case '?': it->repeat = OPTIONAL; return p + 1;
  case '*': it->repeat = MOST; return p + 1;
  case '+': it->repeat = MOST_ONE; return p + 1;
  case '-': it->repeat = LEAST; return p + 1;
  default: return p;
  }
}

/* What stands for one byte, with its repetition. */
static const char *read_single(bide_item *it, const char *p, const char *end) {
  it->kind = BYTE;
  it->c = (unsigned char)*p;
  if (*p == '.') {
    it->kind = ANY;
  } else if (*p == '%') {
    if (++p == end) return broken(it, end, "malformed pattern (ends with '%')");
    it->c = (unsigned char)*p;
    if (it->c && strchr("acdglpsuwxz", tolower(it->c))) {
      it->kind = CLASS;
      it->d = isupper(it->c) != 0;
      it->c = (unsigned char)tolower(it->c);
    }
  } else if (*p == '[') {
    it->kind = SET;
    p = read_set(it, p + 1, end);
    return it->kind == SET ? read_repeat(it, p) : p;
  }
  return read_repeat(it, p + 1);
}

static const char *read_item(bide_item *it, const char *p, const char *end) {
  memset(it, 0, sizeof *it);
  switch (*p) {
  case '(': it->kind = p[1] == ')' ? PLACE : OPEN; return p + (p[1] == ')' ? 2 : 1);
  case ')': it->kind = CLOSE; return p + 1;
  case '$':
    if (p + 1 != end) break;
    it->kind = TAIL;
    return end;
  case '%':
    if (p[1] == 'b') return read_balanced(it, p + 2, end);
    if (p[1] == 'f') return read_frontier(it, p + 2, end);
    if (p[1] < '0' || p[1] > '9') break;
    it->kind = BACK;
    it->c = (unsigned char)p[1];
    return p + 2;
  }
  return read_single(it, p, end);
}

int bide__matcher_init(bide_matcher *m, lua_State *L, const char *pattern, size_t size) {
  const char *end = pattern + size;
  bide_item *items = m->first;
  size_t n = 0;
  m->L = L;
  m->captures = 0;
  m->steps = (size_t)lua_tointeger(L, lua_upvalueindex(1)) - 1; /* none: as good as no limit */
  if (size >= BIDE_ITEMS_INLINE) {
    bide__match_spend(m, size / 2);
    items = lua_newuserdatauv(L, (size + 1) * sizeof *items, 0);
  }
  m->items = items;
  for (; pattern < end; n++) {
    pattern = read_item(&items[n], pattern, end);
    if (m->steps != SIZE_MAX && items[n].to && items[n].to - items[n].from > SET_MAX)
      luaL_error(L, "pattern too complex");
  }
  items[n].kind = END;
  return items != m->first;
}

/* ---- single bytes ---- */

/* -1: that letter is no class */
static inline int in_class(int c, int lower) {
  switch (lower) {
  case 'a': return isalpha(c) != 0;
  case 'c': return iscntrl(c) != 0;
  case 'd': return isdigit(c) != 0;
  case 'g': return isgraph(c) != 0;
  case 'l': return islower(c) != 0;
  case 'p': return ispunct(c) != 0;
  case 's': return isspace(c) != 0;
  case 'u': return isupper(c) != 0;
  case 'w': return isalnum(c) != 0;
  case 'x': return isxdigit(c) != 0;
  case 'z': return c == 0;
  default: return -1;
  }
}

/* %letter inside a set */
static int is_escaped(int c, int letter) {
  int is = in_class(c, tolower(letter));
  if (is < 0) return letter == c;
  return isupper(letter) ? !is : is;
}

static int in_set(int c, const bide_item *it) {
  const unsigned char *p = (const unsigned char *)it->from;
  const unsigned char *to = (const unsigned char *)it->to;
  for (; p < to; p++) {
    if (*p == '%') {
      if (is_escaped(c, *++p)) return !it->d;
    } else if (p[1] == '-' && p + 2 < to) {
      if (p[0] <= c && c <= p[2]) return !it->d;
      p += 2;
    } else if (*p == c) {
      return !it->d;
    }
  }
  return it->d;
}

static inline int is_one(bide_matcher *pays, const bide_item *it, int c) {
  switch (it->kind) {
  case BYTE: return it->c == c;
  case CLASS: return in_class(c, it->c) ^ it->d;
  case SET:
    if (pays) bide__match_spend(pays, it->more / 8);
    return in_set(c, it);
  default: return 1;
  }
}

/* ---- matching ---- */

__attribute__((cold)) void bide__match_spent(bide_matcher *m) {
  luaL_error(m->L, "pattern takes too many steps");
}

/* Items that matched one after another have been paid for by one step; many are not. */
static inline void spend_items(bide_matcher *m, ptrdiff_t n) {
  if (n > 8) bide__match_spend(m, (size_t)n / 4);
}

static inline int test(bide_matcher *m, const bide_item *it, const char *s) {
  return s != m->end && is_one(m, it, (unsigned char)*s);
}

/* Where from s on the first byte is that is one of the item's (`is`), or none: or the end. */
static inline __attribute__((always_inline)) const char *run(bide_matcher *m, const char *s,
                                                             const bide_item *it, int is) {
  for (;;) {
    const char *from = s, *end = m->end - s > CHUNK ? s + CHUNK : m->end;
    while (s < end && is_one(NULL, it, (unsigned char)*s) != is) s++;
    bide__match_spend(m, (size_t)(s - from + 1) * (1 + it->more) / 8);
    if (s < end || end == m->end) return s;
  }
}

static const char *match(bide_matcher *m, const char *s, const bide_item *it, int depth);

/* The byte at s is one. */
static const char *match_most(bide_matcher *m, const char *s, const bide_item *it, int depth) {
  const char *least = it->repeat == MOST_ONE ? s + 1 : s;
  s = run(m, s + 1, it, 0);
  for (; s >= least; s--) {
    const char *e = match(m, s, it + 1, depth);
    if (e) return e;
  }
  return NULL;
}

static const char *match_least(bide_matcher *m, const char *s, const bide_item *it, int depth) {
  for (;; s++) {
    const char *e = match(m, s, it + 1, depth);
    if (e) return e;
    if (!test(m, it, s)) return NULL;
  }
}

static const char *match_open(bide_matcher *m, const char *s, const bide_item *it, int depth) {
  const char *e;
  if (m->captures >= BIDE_CAPTURES_MAX) luaL_error(m->L, "too many captures");
  m->capture[m->captures].at = s;
  m->capture[m->captures].len = it->kind == PLACE ? BIDE_CAPTURE_PLACE : BIDE_CAPTURE_OPEN;
  m->captures++;
  e = match(m, s, it + 1, depth);
  if (!e) m->captures--;
  return e;
}

static const char *match_close(bide_matcher *m, const char *s, const bide_item *it, int depth) {
  int i = m->captures - 1;
  const char *e;
  while (i >= 0 && m->capture[i].len != BIDE_CAPTURE_OPEN) i--;
  if (i < 0) luaL_error(m->L, "invalid pattern capture");
  m->capture[i].len = s - m->capture[i].at;
  e = match(m, s, it + 1, depth);
  if (!e) m->capture[i].len = BIDE_CAPTURE_OPEN;
  return e;
}

/* The three that have a length of their own: return where they end, or NULL. */
static const char *match_back(bide_matcher *m, const char *s, const bide_item *it) {
  int i = it->c - '1';
  const bide_capture *c;
  if (i < 0 || i >= m->captures || m->capture[i].len == BIDE_CAPTURE_OPEN)
    luaL_error(m->L, "invalid capture index %%%d", i + 1);
  c = &m->capture[i];
  if (c->len > 0) bide__match_spend(m, (size_t)c->len / 64);
  if (c->len < 0 || m->end - s < c->len || memcmp(c->at, s, (size_t)c->len) != 0) return NULL;
  return s + c->len;
}

static const char *match_balanced(bide_matcher *m, const char *s, const bide_item *it) {
  size_t open = 1;
  const char *from = s;
  if (s == m->end || (unsigned char)*s != it->c) return NULL;
  while (++s < m->end) {
    if ((unsigned char)*s == it->d) {
      if (--open == 0) break;
    } else if ((unsigned char)*s == it->c) {
      open++;
    }
  }
  bide__match_spend(m, (size_t)(s - from) / 8);
  return s < m->end ? s + 1 : NULL;
}

/* The subject is as if a zero byte stood before and behind it. */
static const char *match_frontier(bide_matcher *m, const char *s, const bide_item *it) {
  int before = s == m->start ? 0 : (unsigned char)s[-1];
  bide__match_spend(m, it->more / 4);
  return !in_set(before, it) && in_set((unsigned char)*s, it) ? s : NULL;
}

static const char *match(bide_matcher *m, const char *s, const bide_item *it, int depth) {
  const bide_item *first = it;
  if (depth-- == 0) luaL_error(m->L, "pattern too complex");
  bide__match_spend(m, 1);
  for (; it->kind != END; it++) {
    if (it->kind <= SET) {
      int is = test(m, it, s);
      if (is && it->repeat == ONCE) {
        s++;
        continue;
      }
      spend_items(m, it - first);
      first = it;
      if (!is) {
        if (it->repeat == ONCE || it->repeat == MOST_ONE) return NULL;
      } else if (it->repeat == OPTIONAL) {
        const char *e = match(m, s + 1, it + 1, depth);
        if (e) return e;
      } else {
        return it->repeat == LEAST ? match_least(m, s, it, depth) : match_most(m, s, it, depth);
      }
      continue;
    }
    spend_items(m, it - first);
    first = it;
    switch (it->kind) {
    case OPEN:
    case PLACE: return match_open(m, s, it, depth);
    case CLOSE: return match_close(m, s, it, depth);
    case BACK: s = match_back(m, s, it); break;
    case BALANCED: s = match_balanced(m, s, it); break;
    case FRONTIER: s = match_frontier(m, s, it); break;
    case TAIL: return s == m->end ? s : NULL;
    default: luaL_error(m->L, "%s", it->from);
    }
    if (!s) return NULL;
  }
  return s;
}

const char *bide__match(bide_matcher *m, const char *s) {
  m->captures = 0;
  return match(m, s, m->items, DEPTH_MAX);
}

const char *bide__match_skip(bide_matcher *m, const char *s) {
  const bide_item *it = m->items;
  if (it->kind == OPEN) it++;
  if (it->kind > SET || (it->repeat != ONCE && it->repeat != MOST_ONE)) return s;
  if (it->kind == BYTE) {
    s = memchr(s, it->c, (size_t)(m->end - s));
    return s ? s : m->end;
  }
  return run(m, s, it, 1);
}

/* ---- captures ---- */

void bide__push_capture(bide_matcher *m, int i, const char *from, const char *to) {
  const bide_capture *c = &m->capture[i];
  if (i >= m->captures) {
    if (i != 0) luaL_error(m->L, "invalid capture index %%%d", i + 1);
    lua_pushlstring(m->L, from, (size_t)(to - from));
  } else if (c->len == BIDE_CAPTURE_PLACE) {
    lua_pushinteger(m->L, c->at - m->start + 1);
  } else {
    if (c->len == BIDE_CAPTURE_OPEN) luaL_error(m->L, "unfinished capture");
    lua_pushlstring(m->L, c->at, (size_t)c->len);
  }
}

int bide__push_captures(bide_matcher *m, const char *from, const char *to) {
  int i, n = m->captures ? m->captures : 1;
  luaL_checkstack(m->L, n, "too many captures");
  for (i = 0; i < n; i++) bide__push_capture(m, i, from, to);
  return n;
}
