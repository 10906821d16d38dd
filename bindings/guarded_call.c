/* SPDX-License-Identifier: MIT */
/* guarded_call.c: see guarded.h. What a sandbox has of Lua's libraries as it is, behind a look at
 * its arguments: what they all have in common is that they go through each of their strings once,
 * so the lengths in sum say how long a call may take. Those that do more are weighed by more, and
 * those that call others (__tostring, a reader) do it here, where a stop is heeded in between.
 * Owns nothing. Upvalues beyond those of guarded.h: 3, the original. */
#include "core/stop.h"
#include "guarded.h"
#include "stock.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

enum {
  PIECE = 512,         /* bytes that the parser gets at a time */
  DATE_MAX = 1 << 16,  /* bytes of a format for os.date, of which each two may take a microsecond */
  FLOAT_WEIGHT = 2048, /* a number with all its digits takes what so many bytes do */
  QUOTED_WEIGHT = 16   /* … and a byte that %q escapes */
};

void bide__heed_now(bide_host *h, lua_State *L) {
  if (atomic_load(&h->stop)) bide__stop_all(h);
  if (!bide__is_killing(h) && !bide__is_late(h)) return;
  bide__guard(h, L); /* should a pcall catch it, the next instruction raises again */
  lua_pushliteral(L, "not enough memory");
  lua_error(L);
}

/* ---- any function ---- */

static int call_original(lua_State *L, size_t bytes) {
  bide_host *h = bide__guard_of(L);
  int i;
  for (i = lua_gettop(L); i > 0; i--)
    if (lua_type(L, i) == LUA_TSTRING) bytes += lua_rawlen(L, i);
  if (bytes > BIDE_GUARD_BYTES) return luaL_error(L, "arguments too long");
  bide__heed(h, L);
  return lua_tocfunction(L, lua_upvalueindex(3))(L);
}

/* The original runs in this frame, so its messages name it as ever. Its own upvalue is the first of
 * this function's. */
static int l_guarded(lua_State *L) {
  return call_original(L, 0);
}

/* Makes a string of what may have a metamethod for that. */
static void to_string(lua_State *L, int arg) {
  int type = lua_type(L, arg);
  if (type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TNONE) return;
  luaL_tolstring(L, arg, NULL);
  lua_replace(L, arg);
  bide__heed(bide__guard_of(L), L);
}

static int l_print(lua_State *L) {
  int i, n = lua_gettop(L);
  for (i = 1; i <= n; i++) to_string(L, i);
  return call_original(L, 0);
}

/* ---- formats ---- */

static int l_format(lua_State *L) {
  size_t len, bytes = 0;
  const char *p = luaL_checklstring(L, 1, &len), *end = p + len;
  int arg = 1;
  for (; p < end && (p = memchr(p, '%', (size_t)(end - p))) != NULL; p++) {
    if (*++p == '%') continue;
    p += strspn(p, "-+ #.0123456789");
    bytes += 64;
    switch (arg++, *p) {
    case 's': to_string(L, arg); break;
    case 'q':
      if (lua_type(L, arg) == LUA_TSTRING) bytes += lua_rawlen(L, arg) * QUOTED_WEIGHT;
      break;
    case 'a':
    case 'A':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G': bytes += FLOAT_WEIGHT;
    }
  }
  return call_original(L, bytes);
}

/* Of the letters of a format only `c` has a size without an argument of that size. */
static int l_pack(lua_State *L) {
  size_t bytes = 0, size;
  const char *p = luaL_checkstring(L, 1);
  while ((p = strchr(p, 'c')) != NULL) {
    for (size = 0, p++; *p >= '0' && *p <= '9'; p++)
      if (size <= BIDE_GUARD_BYTES) size = size * 10 + (size_t)(*p - '0');
    if ((bytes += size) > BIDE_GUARD_BYTES) return luaL_error(L, "resulting string too large");
  }
  return call_original(L, bytes);
}

static int l_date(lua_State *L) {
  size_t len;
  luaL_optlstring(L, 1, "", &len);
  luaL_argcheck(L, len <= DATE_MAX, 1, "format too long");
  return call_original(L, 0);
}

/* ---- the base library ---- */

/* What is to be compiled: the text in hand, and whether a function, at 1, has more. */
typedef struct source {
  const char *text; /* borrowed: the string at 1 or at READ */
  size_t len;
  int reads;
} source;

enum { READ = 5 };

static void read_more(lua_State *L, source *s) {
  luaL_checkstack(L, 2, "too many nested functions");
  lua_pushvalue(L, 1);
  lua_call(L, 0, 1);
  if (!lua_isnil(L, -1) && !lua_isstring(L, -1))
    luaL_error(L, "reader function must return a string");
  lua_replace(L, READ);
  s->text = lua_tolstring(L, READ, &s->len);
  if (!s->text) s->len = 0;
  s->reads = s->len > 0;
}

/* A piece at a time: the parser looks every name up in all functions around, compares each label
 * with all others, and goes through a chain of jumps to add one. */
static const char *next_piece(lua_State *L, void *ud, size_t *n) {
  source *s = ud;
  const char *piece;
  bide__heed(bide__guard_of(L), L);
  if (s->len == 0 && s->reads) read_more(L, s);
  piece = s->text;
  *n = s->len < PIECE ? s->len : PIECE;
  s->text += *n;
  s->len -= *n;
  return piece;
}

/* Text only: bytecode can do anything. */
static int l_load(lua_State *L) {
  source s = {0};
  int env = !lua_isnone(L, 4), status;
  const char *name;
  s.text = lua_tolstring(L, 1, &s.len);
  name = luaL_optstring(L, 2, s.text ? s.text : "=(load)");
  if (!s.text) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    s.reads = 1;
    s.text = "";
  }
  lua_settop(L, READ);
  status = lua_load(L, next_piece, &s, name, "t");
  bide__heed(bide__guard_of(L), L); /* it caught what was raised in the reader */
  if (status != LUA_OK) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (env) {
    lua_pushvalue(L, 4);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  }
  return 1;
}

/* ---- putting it together ---- */

/* Those that are not simply l_guarded; of the base library, all that are replaced at all. */
static const struct {
  const char *library, *name;
  lua_CFunction function;
} replaced[] = {
    {LUA_STRLIBNAME, "find", bide__l_find},
    {LUA_STRLIBNAME, "match", bide__l_match},
    {LUA_STRLIBNAME, "gmatch", bide__l_gmatch},
    {LUA_STRLIBNAME, "gsub", bide__l_gsub},
    {LUA_STRLIBNAME, "rep", bide__l_rep},
    {LUA_STRLIBNAME, "format", l_format},
    {LUA_STRLIBNAME, "pack", l_pack},
    {LUA_TABLIBNAME, "concat", bide__l_concat},
    {LUA_TABLIBNAME, "insert", bide__l_insert},
    {LUA_TABLIBNAME, "move", bide__l_move},
    {LUA_TABLIBNAME, "remove", bide__l_remove},
    {LUA_TABLIBNAME, "sort", bide__l_guarded_sort},
    {LUA_TABLIBNAME, "unpack", bide__l_unpack},
    {LUA_OSLIBNAME, "date", l_date},
    {LUA_GNAME, "load", l_load},
    {LUA_GNAME, "print", l_print},
    {LUA_GNAME, "tonumber", l_guarded},
    {LUA_GNAME, "tostring", l_guarded},
    {LUA_GNAME, "warn", l_guarded},
};

static lua_CFunction replacement(const char *library, const char *name) {
  size_t i;
  for (i = 0; i < sizeof replaced / sizeof replaced[0]; i++)
    if (strcmp(replaced[i].library, library) == 0 && strcmp(replaced[i].name, name) == 0)
      return replaced[i].function;
  return strcmp(library, LUA_GNAME) == 0 ? NULL : l_guarded;
}

/* In place of the original, which is on top of the stack, a function is pushed. */
static void push_guarded(lua_State *L, bide_host *h, lua_CFunction function) {
  if (function != l_guarded) lua_pushinteger(L, BIDE_GUARD_STEPS);
  else if (!lua_getupvalue(L, -1, 1)) lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, h);
  lua_insert(L, -2);
  lua_pushcclosure(L, function, 3);
}

void bide__guard_library(lua_State *L, bide_host *h, const char *library) {
  int table = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_CFunction function = NULL;
    if (lua_iscfunction(L, -1) && lua_type(L, -2) == LUA_TSTRING)
      function = replacement(library, lua_tostring(L, -2));
    if (function) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2); /* key, key, original */
      push_guarded(L, h, function);
      lua_rawset(L, table);
    } else {
      lua_pop(L, 1);
    }
  }
}
