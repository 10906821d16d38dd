/* SPDX-License-Identifier: MIT */
/* http.h: what the files behind `bide.http` share.
 *
 * Every function has two upvalues: the host, and the library's userdata (bide_httplib), which lives
 * in the registry until the state ends. Metatables are pushed by reference and told apart by
 * address. */
#ifndef BIDE_BINDINGS_HTTP_H
#define BIDE_BINDINGS_HTTP_H

#include "core/host.h"
#include "core/wait.h"
#include "http/http.h"

enum {
  BIDE_HT_SERVER,
  BIDE_HT_REQUEST,
  BIDE_HT_RESPONSE,
  BIDE_HT_STREAM,
  BIDE_HT_HEADERS,
  BIDE_HT_POOL,
  BIDE_HT_COUNT
};

/* Functions of lua/bide/http.lua that are called from C; they are given by bide.http.setup. */
enum {
  BIDE_HF_PREPARE,
  BIDE_HF_FOLLOW,
  BIDE_HF_RECEIVED,
  BIDE_HF_REQUEST_JSON,
  BIDE_HF_RESPONSE_JSON,
  BIDE_HF_STREAM_JSON,
  BIDE_HF_COUNT
};

typedef struct bide_httplib {
  bide_http http; /* first */
  int mt[BIDE_HT_COUNT];
  int methods[BIDE_HT_COUNT]; /* their tables */
  const void *id[BIDE_HT_COUNT];
  int helpers[BIDE_HF_COUNT];
  int handle_ref, spawn_ref, dispatch_ref, log_ref; /* functions of the server */
} bide_httplib;

static inline bide_httplib *bide__httplib(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(2));
}

/* The userdata of that type at idx, or NULL. */
static inline void *bide__http_test(lua_State *L, const bide_httplib *lib, int idx, int type) {
  const void *id;
  if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx)) return NULL;
  id = lua_topointer(L, -1);
  lua_pop(L, 1);
  return id == lib->id[type] ? lua_touserdata(L, idx) : NULL;
}
/* The same, or an argument error. */
void *bide__http_check(lua_State *L, const bide_httplib *lib, int idx, int type);
static inline void bide__http_setmt(lua_State *L, const bide_httplib *lib, int type) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, lib->mt[type]);
  lua_setmetatable(L, -2);
}
/* Makes the metatable of a type: metamethods from `meta`; `methods` go into a table that is the
 * third upvalue of `index` together with the names in `fields` (as integers, from 1), or into
 * __index itself when `index` is NULL. host and lib are at stack indices 1 and 2. */
void bide__http_type(lua_State *L, bide_httplib *lib, int type, const char *name,
                     const luaL_Reg *meta, const luaL_Reg *methods, const char *const *fields,
                     lua_CFunction index);

/* ---- messages: the head of a request or response in a userdata (http_message.c) ---- */

typedef struct bide_msg {
  bide_h1_head head; /* base and fields lie in the same userdata */
} bide_msg;

enum { BIDE_MSG_UV_HEADERS = 1 };

/* Pushes a userdata of `prefix` bytes that begins with a bide_msg, a copy of `src`, and has `nuv`
 * user values; no metatable yet. The bytes between are not initialised. */
bide_msg *bide__msg_push(lua_State *L, size_t prefix, int nuv, const bide_h1_head *src);
/* Pushes the headers in `head`, which lives as long as the userdata at idx; always the same object,
 * kept in its first user value. */
void bide__msg_push_headers(lua_State *L, bide_httplib *lib, int idx, const bide_h1_head *head);
/* Loads lua/bide/http.lua if that has not been done. */
void bide__http_load(lua_State *L, bide_httplib *lib);
/* obj:json(): calls the helper with the object at 1, which is of that type or an argument error. */
int bide__http_json(lua_State *L, int type, int helper);
/* blame(request, error), for lua/bide/http.lua: the client is at fault if the handler fails so. */
int bide__http_blame(lua_State *L);
void bide__http_open_headers(lua_State *L, bide_httplib *lib);

static inline void bide__push_slice(lua_State *L, bide_slice s) {
  lua_pushlstring(L, s.p, s.n);
}

/* ---- reading options and headers (http_options.c) ---- */

/* Walks headers given by Lua at idx: a map name → value or list of values, a list of pairs {name,
 * value}, or the headers of a message. Calls put for each, which returns what bide__h1_put_field
 * says; raises what is wrong as an error of argument `arg`, or (0) of a response. */
typedef int (*bide_header_put)(void *user, bide_slice name, bide_slice value);
void bide__each_header(lua_State *L, bide_httplib *lib, int idx, int arg, bide_header_put put,
                       void *user);

void bide__http_open_server(lua_State *L, bide_httplib *lib);
void bide__http_add_server(lua_State *L); /* into the table on top; host and lib at 1 and 2 */
void bide__http_open_request(lua_State *L, bide_httplib *lib);
void bide__http_open_client(lua_State *L, bide_httplib *lib);
void bide__http_add_client(lua_State *L); /* into the table on top; host and lib at 1 and 2 */
void bide__http_add_url(lua_State *L);    /* the field `url` into the table on top */
void bide__http_open_response(lua_State *L, bide_httplib *lib);
void bide__http_open_stream(lua_State *L, bide_httplib *lib);

#endif
