/* SPDX-License-Identifier: MIT */
/* gsub.c: string.gsub whose replacement, a function or a table's __index function, may wait.
 *
 * Matching is pattern.c's. What is known between two matches stands in a `gsub`: in C while nothing
 * can suspend, in a userdata from the first call of Lua code on. A call that suspended comes back
 * to a new matcher: the items are read again, the captures are no longer needed by then.
 *
 * Text that is kept as it stands is copied only when something replaced follows, so a subject in
 * which nothing changes is never copied. Owns the output: the first bytes in the struct, then a
 * userdata. Stack: subject, pattern, replacement, then the slots below.
 *
 * In a sandbox the output is limited, what replaces takes steps as matching does, and after each
 * value a stop is heeded: functions in C have no instruction at which it could come true. */
#include "guarded.h"
#include "pattern.h"
#include "stock.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SUBJECT = 1, PATTERN, REPLACEMENT, STATE, OUTPUT, LONG_PATTERN, TOP = LONG_PATTERN };
enum { INLINE = 256, INDEX_CHAIN = 100 };
#define NOWHERE ((size_t)-1)

typedef struct gsub {
  lua_Integer n, max; /* replacements, and how many there may be */
  size_t at;          /* where the next match may begin */
  size_t last;        /* where the last one ended, or NOWHERE */
  size_t from, to;    /* the match in hand */
  size_t copied;      /* the subject up to here is in the output, or replaced there */
  size_t len, cap;    /* of the output */
  const char *subject;
  char *box;        /* the output once it is too long for `first`; in the slot OUTPUT */
  bide_host *guard; /* in a sandbox its host */
  int type;         /* of the replacement */
  char anchored, changed, kept;
  char first[INLINE];
} gsub;

/* ---- the output ---- */

static inline char *output(gsub *g) {
  return g->box ? g->box : g->first;
}

static void grow(lua_State *L, gsub *g, size_t more) {
  size_t cap = g->cap;
  char *p;
  size_t max = g->guard ? BIDE_GUARD_BYTES : SIZE_MAX / 4;
  if (g->len > max || more > max - g->len) luaL_error(L, "resulting string too large");
  while (cap < g->len + more) cap *= 2;
  p = lua_newuserdatauv(L, cap, 0);
  memcpy(p, output(g), g->len);
  lua_replace(L, OUTPUT);
  g->box = p;
  g->cap = cap;
}

static inline void append(lua_State *L, gsub *g, const char *s, size_t len) {
  if (len > g->cap - g->len) grow(L, g, len);
  memcpy(output(g) + g->len, s, len);
  g->len += len;
}

/* The text between the last replacement and this one. */
static void append_kept(lua_State *L, gsub *g) {
  append(L, g, g->subject + g->copied, g->from - g->copied);
  g->copied = g->to;
  g->changed = 1;
}

/* ---- replacing ---- */

static void append_capture(lua_State *L, gsub *g, bide_matcher *m, int i) {
  size_t len;
  const char *s;
  if (i < 0 || (i == 0 && m->captures == 0)) {
    append(L, g, m->start + g->from, g->to - g->from);
    return;
  }
  if (i < m->captures && m->capture[i].len >= 0) {
    append(L, g, m->capture[i].at, (size_t)m->capture[i].len);
    return;
  }
  bide__push_capture(m, i, NULL, NULL);
  s = lua_tolstring(L, -1, &len);
  append(L, g, s, len);
  lua_pop(L, 1);
}

/* The replacement is a string: %0 to %9 stand for captures, %% for a percent sign. */
static void use_string(lua_State *L, gsub *g, bide_matcher *m) {
  size_t len;
  const char *r = lua_tolstring(L, REPLACEMENT, &len), *end = r + len;
  append_kept(L, g);
  for (;;) {
    const char *p = memchr(r, '%', (size_t)(end - r));
    append(L, g, r, (size_t)((p ? p : end) - r));
    if (!p) return;
    bide__match_spend(m, 1);
    if (p[1] == '%') append(L, g, "%", 1);
    else if (p[1] >= '0' && p[1] <= '9') append_capture(L, g, m, p[1] - '1');
    else luaL_error(L, "invalid use of '%%' in replacement string");
    r = p + 2;
  }
}

/* Takes the value on top as the replacement of the match in hand. */
static void use_value(lua_State *L, gsub *g) {
  if (lua_toboolean(L, -1)) {
    size_t len;
    const char *s = lua_tolstring(L, -1, &len);
    if (!s) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    append_kept(L, g);
    append(L, g, s, len);
  }
  lua_pop(L, 1);
}

/* From now on the state must outlive the C stack. */
static gsub *keep(lua_State *L, gsub *g) {
  gsub *kept;
  if (g->kept) return g;
  kept = lua_newuserdatauv(L, sizeof *kept, 0);
  memcpy(kept, g, offsetof(gsub, first) + (g->box ? 0 : g->len));
  kept->kept = 1;
  lua_replace(L, STATE);
  return kept;
}

/* Looks the key on top up as Lua does, but for the call of an __index function: pushes that and
 * its arguments in place of the key and returns 1; else the value and 0. */
static int look_up(lua_State *L) {
  int chain, key = lua_gettop(L);
  lua_pushvalue(L, REPLACEMENT);
  for (chain = 0; chain < INDEX_CHAIN && lua_istable(L, -1); chain++) { /* key, table */
    lua_pushvalue(L, key);
    if (lua_rawget(L, -2) != LUA_TNIL || luaL_getmetafield(L, -2, "__index") == LUA_TNIL) {
      lua_replace(L, key);
      lua_settop(L, key);
      return 0;
    }
    if (lua_isfunction(L, -1)) {
      lua_replace(L, -2); /* key, table, function */
      lua_insert(L, key);
      lua_insert(L, -2); /* function, table, key */
      return 1;
    }
    lua_copy(L, -1, key + 1);
    lua_settop(L, key + 1);
  }
  lua_pushvalue(L, key);
  lua_gettable(L, -2);
  lua_replace(L, key);
  lua_settop(L, key);
  return 0;
}

/* ---- the loop ---- */

static int next_match(bide_matcher *m, gsub *g) {
  const char *s = m->start + g->at, *e;
  for (;;) {
    if (!g->anchored) s = bide__match_skip(m, s);
    e = bide__match(m, s);
    if (e && (size_t)(e - m->start) != g->last) break;
    if (g->anchored || s == m->end) return 0;
    s++;
  }
  g->from = (size_t)(s - m->start);
  g->to = g->at = g->last = (size_t)(e - m->start);
  return 1;
}

static int finish(lua_State *L, gsub *g) {
  if (!g->changed) {
    lua_pushvalue(L, SUBJECT);
  } else {
    append(L, g, g->subject + g->copied, lua_rawlen(L, SUBJECT) - g->copied);
    lua_pushlstring(L, output(g), g->len);
  }
  lua_pushinteger(L, g->n);
  return 2;
}

static int replace(lua_State *L, gsub *g);

static int k_replaced(lua_State *L, int status, lua_KContext ctx) {
  gsub *g = lua_touserdata(L, STATE);
  (void)status;
  (void)ctx;
  bide__heed(g->guard, L);
  use_value(L, g);
  return g->anchored ? finish(L, g) : replace(L, g);
}

static int replace(lua_State *L, gsub *g) {
  bide_matcher m;
  size_t size;
  const char *pattern = lua_tolstring(L, PATTERN, &size);
  m.start = g->subject;
  m.end = m.start + lua_rawlen(L, SUBJECT);
  if (bide__matcher_init(&m, L, pattern + g->anchored, size - (size_t)g->anchored))
    lua_replace(L, LONG_PATTERN);
  g->guard = m.steps == SIZE_MAX ? NULL : bide__guard_of(L);
  bide__heed(g->guard, L);
  while (g->n < g->max && next_match(&m, g)) {
    int calls = g->type == LUA_TFUNCTION, nargs = 2;
    g->n++;
    if (calls) {
      lua_pushvalue(L, REPLACEMENT);
      nargs = bide__push_captures(&m, m.start + g->from, m.start + g->to);
    } else if (g->type == LUA_TTABLE) {
      bide__push_capture(&m, 0, m.start + g->from, m.start + g->to);
      calls = look_up(L);
    } else {
      use_string(L, g, &m);
      if (g->anchored) break;
      continue;
    }
    if (calls) {
      g = keep(L, g);
      lua_callk(L, nargs, 1, 0, k_replaced);
    }
    bide__heed(g->guard, L);
    use_value(L, g);
    if (g->anchored) break;
  }
  return finish(L, g);
}

int bide__l_gsub(lua_State *L) {
  gsub g;
  size_t len;
  const char *pattern;
  g.subject = luaL_checklstring(L, SUBJECT, &len);
  pattern = luaL_checkstring(L, PATTERN);
  g.type = lua_type(L, REPLACEMENT);
  g.max = luaL_optinteger(L, 4, (lua_Integer)len + 1);
  luaL_argexpected(L,
                   g.type == LUA_TNUMBER || g.type == LUA_TSTRING || g.type == LUA_TFUNCTION ||
                       g.type == LUA_TTABLE,
                   REPLACEMENT, "string/function/table");
  lua_settop(L, REPLACEMENT);
  lua_settop(L, TOP);
  g.n = 0;
  g.at = g.copied = g.len = 0;
  g.last = NOWHERE;
  g.cap = INLINE;
  g.anchored = *pattern == '^';
  g.changed = g.kept = 0;
  g.box = NULL;
  return replace(L, &g);
}
