/* SPDX-License-Identifier: MIT */
/* pattern.h: Lua patterns, matched at one place of a subject.
 *
 * A pattern is read once into items; what is malformed in it becomes an item too, whose error is
 * raised when a match comes to it, as Lua does. Subject and pattern are borrowed: Lua strings,
 * which end in a zero byte, that outlive the matcher. */
#ifndef BIDE_PATTERN_H
#define BIDE_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>
#include <lauxlib.h>

enum { BIDE_ITEMS_INLINE = 32, BIDE_CAPTURES_MAX = 32 };

typedef struct bide_item {
  unsigned char kind, repeat;
  unsigned char c, d; /* the byte, class letter or digit; d: negated; %b: both its bytes */
  uint16_t more;      /* what testing one byte takes beyond an eighth of a step, in eighths */
  const char *from;   /* a set's first byte, or a message */
  const char *to;     /* its closing bracket */
} bide_item;

typedef struct bide_capture {
  const char *at;
  ptrdiff_t len; /* or one of the two below */
} bide_capture;

enum { BIDE_CAPTURE_OPEN = -1, BIDE_CAPTURE_PLACE = -2 };

typedef struct bide_matcher {
  lua_State *L;
  const char *start, *end; /* the subject */
  const bide_item *items;
  int captures;
  size_t steps; /* left: see bide__matcher_init */
  bide_capture capture[BIDE_CAPTURES_MAX];
  bide_item first[BIDE_ITEMS_INLINE];
} bide_matcher;

/* Reads the pattern (without its anchor). A long one leaves its items on the stack of L, one value,
 * which must stay there: returns how many values it pushed. The first upvalue of the running C
 * function, if it has one, is how many steps all matches together may take; past it they raise. */
int bide__matcher_init(bide_matcher *m, lua_State *L, const char *pattern, size_t size);
/* The end of the match that begins at s, or NULL. Raises what is wrong with the pattern. */
const char *bide__match(bide_matcher *m, const char *s);
/* The first place at or after s where the pattern might match (a guess that errs early). */
const char *bide__match_skip(bide_matcher *m, const char *s);
/* Takes steps for what the caller does with a match; raises when they are used up. */
void bide__match_spent(bide_matcher *m);
static inline void bide__match_spend(bide_matcher *m, size_t steps) {
  if (m->steps <= steps) bide__match_spent(m);
  m->steps -= steps;
}
/* Pushes capture i (from 0); without captures, 0 is the whole match from..to. */
void bide__push_capture(bide_matcher *m, int i, const char *from, const char *to);
/* Pushes all of them; returns how many. */
int bide__push_captures(bide_matcher *m, const char *from, const char *to);

#endif
