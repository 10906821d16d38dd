/* SPDX-License-Identifier: MIT */
/* sort.c: table.sort whose comparator, a function or the elements' __lt, may wait.
 *
 * Quicksort with the median of three, as a machine that can be left at each comparison: what it
 * knows stands in a `sorter`, and a comparison that suspends comes back at the step that it was
 * called from. Ranges still to be sorted wait in a list; the smaller of two is sorted first, so the
 * list holds at most one per bit of the length.
 *
 * Owns the sorter: in C while nothing can suspend, in a userdata on the function's own stack from
 * the first call of Lua code on. Stack: the table, the comparator or nil, the sorter or nil, then
 * the elements in hand. Elements are read and written as Lua code would (metamethods), but
 * those reads and writes cannot wait. */
#include "guarded.h"
#include "stock.h"

#include <limits.h>
#include <string.h>

#include <lauxlib.h>
#include <uv.h>

enum { TABLE = 1, COMPARATOR = 2, SORTER = 3 };
enum { BEGIN, ENDS, LOWER, UPPER, SCAN_UP, SCAN_DOWN }; /* steps: the comparison that was called */
enum { RANDOM_FROM = 100 };                             /* longer ranges may take a random pivot */

typedef struct range {
  unsigned lo, up;
} range;

typedef struct sorter {
  unsigned lo, up;     /* the range in hand */
  unsigned i, j;       /* how far its partition has come */
  unsigned middle;     /* where the pivot was found */
  unsigned scramble;   /* 0 until a partition came out bad */
  unsigned waiting;    /* ranges in `later` */
  unsigned char calls; /* there is a comparator */
  unsigned char kept;  /* this is in the slot SORTER */
  bide_host *guard;    /* in a sandbox its host: a stop is heeded at each comparison */
  range later[sizeof(unsigned) * CHAR_BIT];
} sorter;

static int run(lua_State *L, sorter *s, int step);

static void init(lua_State *L, sorter *s, unsigned n) {
  s->lo = 1;
  s->up = n;
  s->scramble = s->waiting = 0;
  s->middle = 2; /* of three */
  s->calls = !lua_isnil(L, COMPARATOR);
  s->kept = 0;
  s->guard = bide__guard_of(L);
}

/* A range of up to three is known by its length alone. */
static int k_sort(lua_State *L, int status, lua_KContext step) {
  sorter s, *kept = lua_touserdata(L, SORTER);
  (void)status;
  if (kept) return run(L, kept, (int)step);
  init(L, &s, (unsigned)lua_tointeger(L, SORTER));
  return run(L, &s, (int)step);
}

/* From now on the sorter must outlive the C stack. */
static sorter *keep(lua_State *L, sorter *s) {
  sorter *kept = s;
  if (s->lo == 1 && s->up <= 3 && s->waiting == 0) {
    lua_pushinteger(L, s->up);
  } else {
    kept = lua_newuserdatauv(L, sizeof *kept, 0);
    memcpy(kept, s, sizeof *kept);
  }
  kept->kept = 1;
  lua_replace(L, SORTER);
  return kept;
}

/* ---- comparing ---- */

/* a < b without calling anything: 0 or 1; -1 when a metamethod is to be called. (One of a number or
 * a string is called all the same, and cannot wait.) */
static inline int compare(lua_State *L, int a, int b) {
  int type = lua_type(L, a);
  if (type == LUA_TNUMBER || type == LUA_TSTRING) return lua_compare(L, a, b, LUA_OPLT);
  if (luaL_getmetafield(L, a, "__lt") == LUA_TNIL && luaL_getmetafield(L, b, "__lt") == LUA_TNIL)
    return lua_compare(L, a, b, LUA_OPLT); /* raises */
  lua_pop(L, 1);
  return -1;
}

/* Pushes the call that says whether a < b; both are relative to the top. */
static inline void push_call(lua_State *L, const sorter *s, int a, int b) {
  if (s->calls) lua_pushvalue(L, COMPARATOR);
  else if (luaL_getmetafield(L, a, "__lt") == LUA_TNIL) luaL_getmetafield(L, b, "__lt");
  lua_pushvalue(L, a - 1);
  lua_pushvalue(L, b - 2);
}

static inline int take_answer(lua_State *L) {
  int yes = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return yes;
}

/* Sets `yes` to a < b; when that calls Lua code and this waits, the function goes on at `step`. */
#define COMPARE(step, a, b)                                                                        \
  bide__heed(s->guard, L);                                                                         \
  if (s->calls || (yes = compare(L, a, b)) < 0) {                                                  \
    if (!s->kept) s = keep(L, s);                                                                  \
    push_call(L, s, a, b);                                                                         \
    lua_callk(L, 2, 1, step, k_sort);                                                              \
    __attribute__((fallthrough));                                                                  \
  case step: yes = take_answer(L);                                                                 \
  }

/* ---- sorting ---- */

/* Stores the value on top at i and the one below it at j. */
static void store(lua_State *L, unsigned i, unsigned j) {
  lua_seti(L, TABLE, i);
  lua_seti(L, TABLE, j);
}

static void load(lua_State *L, unsigned i, unsigned j) {
  lua_geti(L, TABLE, i);
  lua_geti(L, TABLE, j);
}

/* The middle, or, once a partition came out bad, somewhere in the middle half. */
static unsigned pivot_of(const sorter *s) {
  unsigned quarter = (s->up - s->lo) / 4;
  if (s->scramble == 0 || s->up - s->lo < RANDOM_FROM) return (s->lo + s->up) / 2;
  return s->lo + quarter + s->scramble % (2 * quarter);
}

/* The range is partitioned about i: the larger part waits, the smaller is next. */
static void split(sorter *s) {
  range low = {s->lo, s->i - 1}, high = {s->i + 1, s->up}, larger, smaller;
  int low_is_smaller = s->i - s->lo < s->up - s->i;
  smaller = low_is_smaller ? low : high;
  larger = low_is_smaller ? high : low;
  if ((larger.up - larger.lo) / 128 > smaller.up + 1 - smaller.lo)
    s->scramble = (unsigned)(uv_hrtime() >> 4) | 1;
  s->later[s->waiting++] = larger;
  s->lo = smaller.lo;
  s->up = smaller.up;
}

static int next_range(sorter *s) {
  while (s->lo >= s->up) {
    if (s->waiting == 0) return 0;
    s->waiting--;
    s->lo = s->later[s->waiting].lo;
    s->up = s->later[s->waiting].up;
  }
  return 1;
}

static int bad_order(lua_State *L) {
  return luaL_error(L, "invalid order function for sorting");
}

/* Long, for the steps are labels in one function: it can be entered at each of them. */
static int run(lua_State *L, sorter *s, int step) {
  int yes;
  switch (step) {
  case BEGIN:
    while (next_range(s)) {
      /* Put the first, the last and the middle in order: the middle one is the pivot. */
      load(L, s->lo, s->up);
      COMPARE(ENDS, -1, -2)
      if (yes) store(L, s->lo, s->up);
      else lua_pop(L, 2);
      s->middle = pivot_of(s);
      if (s->up - s->lo > 1) {
        load(L, s->middle, s->lo);
        COMPARE(LOWER, -2, -1)
        if (yes) {
          store(L, s->middle, s->lo);
        } else {
          lua_pop(L, 1);
          lua_geti(L, TABLE, s->up);
          COMPARE(UPPER, -1, -2)
          if (yes) store(L, s->middle, s->up);
          else lua_pop(L, 2);
        }
      }
      if (s->up - s->lo < 3) {
        s->lo = s->up;
        continue;
      }
      /* The pivot stays on the stack; it is put aside at up - 1. */
      lua_geti(L, TABLE, s->middle);
      lua_pushvalue(L, -1);
      lua_geti(L, TABLE, s->up - 1);
      store(L, s->middle, s->up - 1);
      s->i = s->lo;
      s->j = s->up - 1;
      for (;;) {
        /* a[lo..i] <= pivot <= a[j..up]: the scans stop there at the latest, if the order is one */
        for (;;) {
          lua_geti(L, TABLE, ++s->i);
          COMPARE(SCAN_UP, -1, -2)
          if (!yes) break;
          if (s->i == s->up - 1) return bad_order(L);
          lua_pop(L, 1);
        }
        for (;;) {
          lua_geti(L, TABLE, --s->j);
          COMPARE(SCAN_DOWN, -3, -1)
          if (!yes) break;
          if (s->j < s->i) return bad_order(L);
          lua_pop(L, 1);
        }
        if (s->j < s->i) break;
        store(L, s->i, s->j);
      }
      lua_pop(L, 1);
      store(L, s->up - 1, s->i); /* the pivot takes its place */
      split(s);
    }
  }
  return 0;
}

/* ---- arguments ---- */

static int has_field(lua_State *L, const char *name) {
  int has;
  lua_pushstring(L, name);
  has = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 1);
  return has;
}

/* A table, or what reads, writes and measures like one. */
static void check_table(lua_State *L) {
  if (lua_istable(L, TABLE)) return;
  if (lua_getmetatable(L, TABLE)) {
    if (has_field(L, "__index") && has_field(L, "__newindex") && has_field(L, "__len")) {
      lua_pop(L, 1);
      return;
    }
  }
  luaL_checktype(L, TABLE, LUA_TTABLE);
}

int bide__l_sort(lua_State *L) {
  sorter s;
  lua_Integer n;
  check_table(L);
  n = luaL_len(L, TABLE);
  if (n < 2) return 0;
  luaL_argcheck(L, n < INT_MAX, TABLE, "array too big");
  if (!lua_isnoneornil(L, COMPARATOR)) luaL_checktype(L, COMPARATOR, LUA_TFUNCTION);
  lua_settop(L, SORTER);
  lua_pushnil(L);
  lua_replace(L, SORTER);
  init(L, &s, (unsigned)n);
  return run(L, &s, BEGIN);
}
