/* SPDX-License-Identifier: MIT */
/* http_request.c: what a handler gets: `req`.
 *
 * The head is a copy in Lua's memory and lasts as long as Lua keeps it. Body and connection belong
 * to the request in flight (host/http/server.h), which is found by its slot; once the handler has
 * ended there is none. A handler may keep things of its own in `req`: unknown fields go into a
 * table. */
#include "http_request.h"
#include "core/error.h"
#include "core/task.h"

#include <string.h>

enum {
  F_METHOD = 1,
  F_PATH,
  F_QUERY,
  F_QUERY_STRING,
  F_TARGET,
  F_HEADERS,
  F_BODY,
  F_PEER,
  F_VERSION
};
static const char *const fields[] = {"method",  "path", "query", "query_string", "target",
                                     "headers", "body", "peer",  "version",      NULL};

enum { UV_BODY = 2, UV_EXTRA = 3, UV_COUNT = 3 };

void bide__request_push(lua_State *L, bide_httplib *lib, const bide_hsreq *r) {
  bide_request *q = (bide_request *)bide__msg_push(L, sizeof *q, UV_COUNT, &r->head);
  q->slot = r->slot;
  q->gen = r->gen;
  bide__http_setmt(L, lib, BIDE_HT_REQUEST);
}

bide_hsreq *bide__request_live(const bide_httplib *lib, const bide_request *q) {
  return lib->http.closed ? NULL : bide__http_slot(&lib->http, q->slot, q->gen);
}

/* ---- fields of the head ---- */

static void push_path(lua_State *L, const bide_h1_head *h) {
  bide_slice path, query;
  bide__h1_split_target(h, &path, &query, NULL);
  if (!memchr(path.p, '%', path.n)) {
    bide__push_slice(L, path);
  } else {
    luaL_Buffer b;
    bide_out o = bide__out(luaL_buffinitsize(L, &b, path.n), path.n);
    if (bide__url_decode(&o, path.p, path.n, false) == 0) luaL_pushresultsize(&b, o.n);
    else {
      luaL_pushresultsize(&b, 0);
      bide__push_slice(L, path);
    }
  }
}

static void push_decoded(lua_State *L, bide_slice s) {
  luaL_Buffer b;
  bide_out o = bide__out(luaL_buffinitsize(L, &b, s.n), s.n);
  int rc = bide__url_decode(&o, s.p, s.n, true);
  luaL_pushresultsize(&b, rc == 0 ? o.n : 0);
  if (rc == 0) return;
  lua_pop(L, 1);
  bide__push_slice(L, s);
}

/* The first value of each name. */
static void push_query(lua_State *L, const bide_h1_head *h) {
  bide_slice path, rest, name, value;
  bide__h1_split_target(h, &path, &rest, NULL);
  lua_newtable(L);
  while (bide__url_next_pair(&rest, &name, &value)) {
    push_decoded(L, name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
      lua_pop(L, 1);
      push_decoded(L, value);
      lua_rawset(L, -3);
    } else {
      lua_pop(L, 2);
    }
  }
}

static void push_peer(lua_State *L, const bide_hsreq *r) {
  const bide_addr *a = r && r->sc ? bide__conn_peer(r->sc->conn) : NULL;
  char host[BIDE_ADDR_TEXT], text[BIDE_ADDR_TEXT + 16];
  if (!a) {
    lua_pushnil(L);
    return;
  }
  bide__addr_text(a, host, sizeof host);
  lua_pushstring(L, bide__host_port_text(host, bide__addr_port(a), text, sizeof text));
}

/* ---- the body ---- */

static int raise_body(lua_State *L, bide_host *h, bide_hsreq *r) {
  int e = r->body_error;
  const char *text = bide__hbody_error_text(e), *code = "EPROTO";
  r->fault_status = 400;
  if (e == BIDE_BODY_ETOOBIG) {
    r->fault_status = 413;
    code = "ETOOBIG";
  } else if (e == BIDE_BODY_ETIME) {
    r->fault_status = 408;
    code = "ETIMEDOUT";
  } else if (e == BIDE_BODY_ELOST || e == BIDE_H1_ETRUNCATED) {
    code = "ECONNRESET";
  } else if (e == BIDE_BODY_ENOMEM) {
    return luaL_error(L, "not enough memory");
  } else {
    r->fault_status = bide__h1_error_status(e);
  }
  bide__error_push(L, h, code, "read request body", "%s", text);
  r->fault = lua_topointer(L, -1);
  return lua_error(L);
}

/* blame(request, error): the client sent a body that is no JSON. */
int bide__http_blame(lua_State *L) {
  bide_httplib *lib = bide__httplib(L);
  bide_hsreq *r = bide__request_live(lib, bide__http_check(L, lib, 1, BIDE_HT_REQUEST));
  if (!r) return 0;
  r->fault = lua_topointer(L, 2);
  r->fault_status = 400;
  r->fault_text = "the body is not JSON";
  return 0;
}

static int over(lua_State *L, bide_host *h) {
  return bide__error(L, h, "EBADF", "read request body", "the request has been answered");
}

static int busy(lua_State *L, bide_host *h) {
  return bide__error(L, h, "EBUSY", "read request body",
                     "another task is reading the body (let one read, and hand on by a channel)");
}

/* req at 1. Pushes what there is of the body, or waits. */
static int read_piece(lua_State *L, bide_host *h, bide_hsreq *r);

static int k_read(lua_State *L, bide_host *h, bide_wait *w) {
  bide_hsreq *r = bide_container(w, bide_hsreq, rwait);
  int status = w->status;
  bide_request *q = lua_touserdata(L, 1);
  bide__hsreq_unref(r);
  if (status < 0) return bide__raise_status(L, h, status, "read request body");
  r = bide__request_live(bide__httplib(L), q);
  return r ? read_piece(L, h, r) : over(L, h);
}

static int read_piece(lua_State *L, bide_host *h, bide_hsreq *r) {
  bide_slice piece;
  int rc = bide__hsreq_piece(r, &piece);
  if (rc == BIDE_H1_DATA) {
    bide__push_slice(L, piece);
    return 1;
  }
  if (rc == BIDE_H1_DONE) {
    lua_pushnil(L);
    return 1;
  }
  if (rc < 0) return raise_body(L, h, r);
  bide__hsreq_wait_input(r, BIDE_HS_READ_PIECE);
  return bide__suspend(L, h, &r->rwait, &bide__hsreq_read_ops, k_read);
}

static bide_hsreq *begin_read(lua_State *L, bide_host *h, const char *name) {
  bide_request *q = bide__http_check(L, bide__httplib(L), 1, BIDE_HT_REQUEST);
  bide_hsreq *r = bide__request_live(bide__httplib(L), q);
  (void)name;
  if (!r) over(L, h);
  else if (r->reading) busy(L, h);
  return r;
}

/* req:read(): the next piece of the body, nil at its end. */
static int l_read(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_hsreq *r = begin_read(L, h, "read");
  if (bide__checkpoint(L, h, "read")) return bide__refuse(L, h);
  lua_settop(L, 1);
  return read_piece(L, h, r);
}

/* The iterator of chunks: its third upvalue is the request, whatever it is called with. */
static int l_next_piece(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(3));
  return l_read(L);
}

/* req:chunks(): iterator over the pieces; can be handed on as a body. */
static int l_chunks(lua_State *L) {
  bide__http_check(L, bide__httplib(L), 1, BIDE_HT_REQUEST);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, l_next_piece, 3);
  return 1;
}

static int take_body(lua_State *L, bide_host *h, bide_hsreq *r) {
  if (r->body_error) return raise_body(L, h, r);
  lua_pushlstring(L, r->all.n ? bide__hbuf_at(&r->all) : "", r->all.n);
  bide__hbuf_free(h, &r->all);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, UV_BODY);
  return 1;
}

static int k_body(lua_State *L, bide_host *h, bide_wait *w) {
  bide_hsreq *r = bide_container(w, bide_hsreq, rwait);
  int status = w->status;
  bide_request *q = lua_touserdata(L, 1);
  bide__hsreq_unref(r);
  if (status < 0) return bide__raise_status(L, h, status, "read request body");
  r = bide__request_live(bide__httplib(L), q);
  return r ? take_body(L, h, r) : over(L, h);
}

/* req.body: the whole body, or what of it `read` has left. */
static int push_body(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_request *q = lua_touserdata(L, 1);
  bide_hsreq *r;
  if (lua_getiuservalue(L, 1, UV_BODY) == LUA_TSTRING) return 1;
  if (q->msg.head.kind == BIDE_H1_NONE) {
    lua_pushliteral(L, "");
    return 1;
  }
  r = begin_read(L, h, "body");
  if (bide__checkpoint(L, h, "body")) return bide__refuse(L, h);
  lua_settop(L, 1);
  bide__hsreq_wait_input(r, BIDE_HS_READ_ALL);
  return bide__suspend(L, h, &r->rwait, &bide__hsreq_read_ops, k_body);
}

/* ---- the object ---- */

static int push_extra(lua_State *L) {
  if (lua_getiuservalue(L, 1, UV_EXTRA) != LUA_TTABLE) return 0;
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static int l_index(lua_State *L) {
  bide_httplib *lib = bide__httplib(L);
  bide_request *q = bide__http_check(L, lib, 1, BIDE_HT_REQUEST);
  const bide_h1_head *h = &q->msg.head;
  bide_slice path, query;
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  switch (lua_rawget(L, lua_upvalueindex(3))) {
  case LUA_TFUNCTION: return 1;
  case LUA_TNUMBER: break;
  default: return push_extra(L);
  }
  switch (lua_tointeger(L, 3)) {
  case F_METHOD: bide__push_slice(L, bide__h1_method(h)); break;
  case F_PATH: push_path(L, h); break;
  case F_QUERY: push_query(L, h); break;
  case F_QUERY_STRING:
    bide__h1_split_target(h, &path, &query, NULL);
    bide__push_slice(L, query);
    break;
  case F_TARGET: bide__push_slice(L, bide__h1_text(h)); break;
  case F_HEADERS: bide__msg_push_headers(L, lib, 1, h); break;
  case F_BODY: return push_body(L);
  case F_PEER: push_peer(L, bide__request_live(lib, q)); break;
  default: lua_pushstring(L, h->minor ? "1.1" : "1.0"); break;
  }
  return 1;
}

static int l_newindex(lua_State *L) {
  bide__http_check(L, bide__httplib(L), 1, BIDE_HT_REQUEST);
  lua_settop(L, 3);
  if (lua_getiuservalue(L, 1, UV_EXTRA) != LUA_TTABLE) {
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, UV_EXTRA);
    lua_replace(L, 4);
  }
  lua_insert(L, 2);
  lua_rawset(L, 2);
  return 0;
}

static int l_tostring(lua_State *L) {
  bide_request *q = bide__http_check(L, bide__httplib(L), 1, BIDE_HT_REQUEST);
  lua_pushliteral(L, "bide.http.request: ");
  bide__push_slice(L, bide__h1_method(&q->msg.head));
  lua_pushliteral(L, " ");
  bide__push_slice(L, bide__h1_text(&q->msg.head));
  lua_concat(L, 4);
  return 1;
}

static int l_json(lua_State *L) {
  return bide__http_json(L, BIDE_HT_REQUEST, BIDE_HF_REQUEST_JSON);
}

void bide__http_open_request(lua_State *L, bide_httplib *lib) {
  static const luaL_Reg meta[] = {
      {"__newindex", l_newindex}, {"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"read", l_read}, {"chunks", l_chunks}, {"json", l_json}, {NULL, NULL}};
  bide__http_type(L, lib, BIDE_HT_REQUEST, "bide.http.request", meta, methods, fields, l_index);
}
