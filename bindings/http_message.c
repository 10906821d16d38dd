/* SPDX-License-Identifier: MIT */
/* http_message.c: heads of messages in Lua's memory, and their headers (contract in http.h).
 *
 * A head is one block of bytes with positions in it; a header becomes Lua strings only when it is
 * looked at. The headers object holds the message as its user value, so that the block outlives it.
 */
#include "http.h"
#include "core/error.h"

#include <string.h>

bide_msg *bide__msg_push(lua_State *L, size_t prefix, int nuv, const bide_h1_head *src) {
  size_t fields = src->count * sizeof(bide_h1_field);
  char *p = lua_newuserdatauv(L, prefix + fields + src->size, nuv);
  bide_msg *m = (bide_msg *)(void *)p;
  m->head = *src;
  m->head.fields = memcpy(p + prefix, src->fields, fields);
  m->head.base = memcpy(p + prefix + fields, src->base, src->size);
  m->head.cap = src->count;
  m->head.limits = NULL;
  return m;
}

typedef struct headers {
  const bide_h1_head *head; /* borrowed from the user value */
} headers;

void bide__msg_push_headers(lua_State *L, bide_httplib *lib, int idx, const bide_h1_head *head) {
  headers *hs;
  idx = lua_absindex(L, idx);
  if (lua_getiuservalue(L, idx, BIDE_MSG_UV_HEADERS) == LUA_TUSERDATA) return;
  lua_pop(L, 1);
  hs = lua_newuserdatauv(L, sizeof *hs, 1);
  hs->head = head;
  lua_pushvalue(L, idx);
  lua_setiuservalue(L, -2, 1);
  bide__http_setmt(L, lib, BIDE_HT_HEADERS);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, idx, BIDE_MSG_UV_HEADERS);
}

/* The first header of that name at or after index `from`, or NULL. */
static const bide_h1_field *find(const bide_h1_head *h, const char *name, size_t n, unsigned from) {
  bide_h1_id id = bide__h1_name_id(name, n);
  unsigned i;
  if (id != BIDE_H_OTHER) return bide__h1_find(h, id, from);
  for (i = from; i < h->count; i++) {
    const bide_h1_field *f = &h->fields[i];
    if (f->id == BIDE_H_OTHER && f->name_n == n &&
        bide__slice_eq_nocase(bide__h1_name(h, f), bide__slice(name, n)))
      return f;
  }
  return NULL;
}

static const bide_h1_head *check(lua_State *L) {
  headers *hs = bide__http_check(L, bide__httplib(L), 1, BIDE_HT_HEADERS);
  return hs->head;
}

static int l_index(lua_State *L) {
  const bide_h1_head *h = check(L);
  const bide_h1_field *f;
  size_t n;
  const char *name;
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) == LUA_TFUNCTION) return 1;
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  name = lua_tolstring(L, 2, &n);
  f = find(h, name, n, 0);
  if (!f) return 0;
  bide__push_slice(L, bide__h1_value(h, f));
  return 1;
}

static int l_newindex(lua_State *L) {
  check(L);
  return luaL_error(L, "the headers of a message cannot be changed");
}

/* headers:all(name): a list of the values of every header of that name, in order. */
static int l_all(lua_State *L) {
  const bide_h1_head *h = check(L);
  size_t n;
  const char *name = luaL_checklstring(L, 2, &n);
  const bide_h1_field *f = find(h, name, n, 0);
  lua_Integer i = 0;
  lua_newtable(L);
  while (f) {
    bide__push_slice(L, bide__h1_value(h, f));
    lua_rawseti(L, -2, ++i);
    f = find(h, name, n, (unsigned)(f - h->fields) + 1);
  }
  return 1;
}

static void push_name(lua_State *L, const bide_h1_head *h, const bide_h1_field *f) {
  if (f->id != BIDE_H_OTHER) {
    bide__push_slice(L, bide__h1_name_of((bide_h1_id)f->id));
  } else {
    luaL_Buffer b;
    char *p = luaL_buffinitsize(L, &b, f->name_n);
    bide_slice name = bide__h1_name(h, f);
    size_t i;
    for (i = 0; i < name.n; i++) p[i] = bide__lower(name.p[i]);
    luaL_pushresultsize(&b, name.n);
  }
}

static int l_next(lua_State *L) {
  headers *hs = lua_touserdata(L, lua_upvalueindex(1));
  const bide_h1_head *h = hs->head;
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(2));
  if (i >= h->count) return 0;
  lua_pushinteger(L, i + 1);
  lua_replace(L, lua_upvalueindex(2));
  push_name(L, h, &h->fields[i]);
  bide__push_slice(L, bide__h1_value(h, &h->fields[i]));
  return 2;
}

/* Names may repeat, so the place is kept in the iterator and not in the name. */
static int l_pairs(lua_State *L) {
  check(L);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, l_next, 2);
  return 1;
}

static int l_len(lua_State *L) {
  lua_pushinteger(L, check(L)->count);
  return 1;
}

static int l_tostring(lua_State *L) {
  lua_pushfstring(L, "bide.http.headers: %d", (int)check(L)->count);
  return 1;
}

void bide__http_open_headers(lua_State *L, bide_httplib *lib) {
  static const luaL_Reg meta[] = {{"__newindex", l_newindex},
                                  {"__pairs", l_pairs},
                                  {"__len", l_len},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg methods[] = {{"all", l_all}, {NULL, NULL}};
  bide__http_type(L, lib, BIDE_HT_HEADERS, "bide.http.headers", meta, methods, NULL, l_index);
}

/* ---- headers from Lua ---- */

/* What is wrong in headers that Lua gave: in those of argument `arg`, or of a response (0). */
static void wrong(lua_State *L, int arg, const char *message) {
  if (arg) luaL_argerror(L, arg, message);
  luaL_error(L, "response: %s", message);
}

static void put_value(lua_State *L, int arg, const char *name, size_t name_n, int idx,
                      bide_header_put put, void *user) {
  size_t n;
  const char *value;
  int type = lua_type(L, idx);
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    wrong(L, arg,
          lua_pushfstring(L, "value of header '%s' must be a string (got %s)", name,
                          luaL_typename(L, idx)));
  if (type == LUA_TNUMBER) { /* a copy: converting in place would confuse lua_next */
    lua_pushvalue(L, idx);
    lua_tostring(L, -1);
    lua_replace(L, idx);
  }
  value = lua_tolstring(L, idx, &n);
  if (put(user, bide__slice(name, name_n), bide__slice(value, n)) == 0) return;
  if (!bide__h1_valid_token(name, name_n))
    wrong(L, arg, lua_pushfstring(L, "invalid header name '%s'", name));
  wrong(L, arg, lua_pushfstring(L, "invalid character in the value of header '%s'", name));
}

/* Name and value (or a list of values) at the top two places; value popped. */
static void put_entry(lua_State *L, int arg, bide_header_put put, void *user) {
  size_t n;
  const char *name = lua_tolstring(L, -2, &n);
  int value = lua_gettop(L);
  if (lua_type(L, value) == LUA_TTABLE) {
    lua_Integer i, count = (lua_Integer)lua_rawlen(L, value);
    for (i = 1; i <= count; i++) {
      lua_rawgeti(L, value, i);
      put_value(L, arg, name, n, value + 1, put, user);
      lua_pop(L, 1);
    }
  } else {
    put_value(L, arg, name, n, value, put, user);
  }
  lua_pop(L, 1);
}

static void put_pair(lua_State *L, int arg, bide_header_put put, void *user) {
  int pair = lua_gettop(L);
  if (lua_type(L, pair) != LUA_TTABLE)
    wrong(L, arg,
          lua_pushfstring(L, "a header in a list must be a pair {name, value} (got %s)",
                          luaL_typename(L, pair)));
  lua_rawgeti(L, pair, 1);
  lua_rawgeti(L, pair, 2);
  if (lua_type(L, -2) != LUA_TSTRING)
    wrong(L, arg,
          lua_pushfstring(L, "a header's name must be a string (got %s)", luaL_typename(L, -2)));
  put_entry(L, arg, put, user);
  lua_pop(L, 1);
}

static void each_of_message(const bide_h1_head *h, bide_header_put put, void *arg) {
  unsigned i;
  for (i = 0; i < h->count; i++)
    (void)put(arg, bide__h1_name(h, &h->fields[i]), bide__h1_value(h, &h->fields[i]));
}

void bide__each_header(lua_State *L, bide_httplib *lib, int idx, int arg, bide_header_put put,
                       void *user) {
  headers *hs = bide__http_test(L, lib, idx, BIDE_HT_HEADERS);
  if (hs) {
    each_of_message(hs->head, put, user);
    return;
  }
  idx = lua_absindex(L, idx);
  lua_pushnil(L);
  while (lua_next(L, idx)) {
    int key = lua_type(L, -2);
    if (key == LUA_TSTRING) put_entry(L, arg, put, user);
    else if (key == LUA_TNUMBER) { /* lists: in order, below */ lua_pop(L, 1);
    } else {
      wrong(L, arg,
            lua_pushfstring(L, "a header's name must be a string (got %s)", luaL_typename(L, -2)));
    }
  }
  for (lua_Integer i = 1; lua_rawgeti(L, idx, i) != LUA_TNIL; i++) {
    put_pair(L, arg, put, user);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}
