/* SPDX-License-Identifier: MIT */
/* http_respond.c: from what a handler returned to bytes on the connection.
 *
 * The head is written into the request's own store, behind that one's first line, which the report
 * of an error needs, and lies there until it has left; a body that is a string lies on the stack of
 * the task meanwhile. When the client is gone the task ends quietly: that is no error of the
 * handler's. */
#include "http_respond.h"
#include "http_request.h"
#include "core/error.h"

#include <string.h>

enum { HANDLER = 1, REQ = 2, STATUS = 3, HEADERS = 4, BODY = 5, PIECE = 6 };

enum { BODY_NONE, BODY_STRING, BODY_STREAM };

typedef struct answer {
  bide_out out;
  bide_hsreq *r;
  lua_State *L;
  int status, kind;
  bool date, type, server_close;
  bool length_given;
  uint64_t length;
} answer;

static bide_hsreq *live(lua_State *L) {
  return bide__request_live(bide__httplib(L), lua_touserdata(L, REQ));
}

/* ---- the head ---- */

static uint64_t parse_length(lua_State *L, bide_slice v) {
  uint64_t n = 0;
  size_t i;
  for (i = 0; i < v.n && i < 18 && bide__is_digit(v.p[i]); i++)
    n = n * 10 + (uint64_t)(v.p[i] - '0');
  if (i != v.n || v.n == 0) luaL_error(L, "response: content-length must be a number");
  return n;
}

/* Headers that the framing depends on are ours to write. */
static int put_header(void *arg, bide_slice name, bide_slice value) {
  answer *a = arg;
  switch (bide__h1_name_id(name.p, name.n)) {
  case BIDE_H_CONTENT_LENGTH:
    a->length_given = true;
    a->length = parse_length(a->L, value);
    return 0;
  case BIDE_H_CONNECTION:
    if (bide__h1_list_has(value, BIDE_SLICE("close"))) a->server_close = true;
    return 0;
  case BIDE_H_TRANSFER_ENCODING:
  case BIDE_H_KEEP_ALIVE: return 0;
  case BIDE_H_DATE: a->date = true; break;
  case BIDE_H_CONTENT_TYPE: a->type = true; break;
  default: break;
  }
  return bide__h1_put_field(&a->out, name, value);
}

static bool bodyless(int status) {
  return status == 204 || status == 304;
}

static void put_framing(answer *a) {
  bide_hsreq *r = a->r;
  if (bodyless(a->status)) {
    if (a->length_given && a->status == 304) bide__h1_put_length(&a->out, a->length);
  } else if (a->kind == BODY_STREAM && !a->length_given) {
    if (r->head.minor == 0) r->close = true;
    else bide__out_slice_put(&a->out, BIDE_SLICE("transfer-encoding: chunked\r\n"));
  } else {
    bide__h1_put_length(&a->out, a->length);
  }
  if (a->server_close || bide__hsreq_must_close(r)) r->close = true;
  if (r->close) bide__out_slice_put(&a->out, BIDE_SLICE("connection: close\r\n"));
  else if (r->head.minor == 0)
    bide__out_slice_put(&a->out, BIDE_SLICE("connection: keep-alive\r\n"));
}

static void put_head(lua_State *L, answer *a) {
  bide_httplib *lib = bide__httplib(L);
  bide__h1_put_status(&a->out, a->status, bide__slice(NULL, 0));
  if (lua_istable(L, HEADERS) || lua_isuserdata(L, HEADERS))
    bide__each_header(L, lib, HEADERS, 0, put_header, a);
  if (!a->date) {
    bide__out_slice_put(&a->out, BIDE_SLICE("date: "));
    bide__out_put(&a->out, bide__http_date(&lib->http), BIDE_H1_DATE);
    bide__out_slice_put(&a->out, BIDE_SLICE("\r\n"));
  }
  if (!a->type && a->kind == BODY_STRING && a->length > 0 && !bodyless(a->status))
    bide__out_slice_put(&a->out, BIDE_SLICE("content-type: text/plain; charset=utf-8\r\n"));
  put_framing(a);
  bide__h1_put_end(&a->out);
}

/* Writes the head, and a short body behind it, into the request's store. */
static void compose(lua_State *L, answer *a, bide_slice body) {
  bide_hsreq *r = a->r;
  size_t want = 0;
  for (;;) {
    if (bide__hsreq_room(r, want) != 0) luaL_error(L, "not enough memory");
    a->out = bide__hsreq_out(r);
    a->date = a->type = a->server_close = a->length_given = false;
    a->length = a->kind == BODY_STRING ? body.n : 0;
    put_head(L, a);
    if (bide__out_ok(&a->out)) break;
    want = a->out.n;
  }
}

static bool is_callable(lua_State *L, int idx) {
  if (lua_isfunction(L, idx)) return true;
  if (luaL_getmetafield(L, idx, "__call") == LUA_TNIL) return false;
  lua_pop(L, 1);
  return true;
}

/* Sorts what was returned into STATUS, HEADERS, BODY. */
static void sort_results(lua_State *L, answer *a) {
  int isnum, type;
  lua_settop(L, BODY);
  if (lua_type(L, STATUS) != LUA_TNUMBER) { /* the body alone */
    if (!lua_isnil(L, HEADERS) || !lua_isnil(L, BODY))
      luaL_error(L, "handler returned %s as status (integer expected)", luaL_typename(L, STATUS));
    lua_pushvalue(L, STATUS);
    lua_replace(L, BODY);
    lua_pushinteger(L, lua_isnil(L, BODY) ? 204 : 200);
    lua_replace(L, STATUS);
  }
  a->status = (int)lua_tointegerx(L, STATUS, &isnum);
  if (!isnum || a->status < 200 || a->status > 999)
    luaL_error(L, "handler returned a status that is not an integer from 200 to 999");
  type = lua_type(L, HEADERS);
  if (type != LUA_TNIL && type != LUA_TTABLE &&
      !bide__http_test(L, bide__httplib(L), HEADERS, BIDE_HT_HEADERS))
    luaL_error(L, "handler returned %s as headers (table expected)", luaL_typename(L, HEADERS));
  type = lua_type(L, BODY);
  a->kind = BODY_STRING;
  if (type == LUA_TNIL) lua_pushliteral(L, ""), lua_replace(L, BODY);
  else if (type == LUA_TNUMBER) (void)lua_tolstring(L, BODY, NULL);
  else if (type != LUA_TSTRING) {
    if (!is_callable(L, BODY))
      luaL_error(L, "handler returned %s as body (string or function expected)",
                 luaL_typename(L, BODY));
    a->kind = BODY_STREAM;
  }
}

/* ---- sending ---- */

static int k_answered(lua_State *L, bide_host *h, bide_wait *w) {
  bide_hsreq *r = bide_container(w, bide_hsreq, wwait);
  int status = w->status;
  if (status == 0) r->answered = true;
  bide__hsreq_sent(r);
  return status == UV_ECANCELED ? bide__raise_status(L, h, status, "write response") : 0;
}

/* The last of the response. */
static int send_last(lua_State *L, bide_hsreq *r, const bide_slice *pieces, unsigned n) {
  int rc = bide__hsreq_send(r, pieces, n);
  r->head_sent = true;
  if (BIDE_LIKELY(rc == 1)) r->answered = true;
  if (rc == 0)
    return bide__suspend(L, bide__host(L), &r->wwait, &bide__hsreq_write_ops, k_answered);
  return 0;
}

/* The whole response. */
static int send_whole(lua_State *L, bide_hsreq *r, const bide_slice *pieces, unsigned n) {
  if (BIDE_LIKELY(r->sc->in.n == 0) || !bide__hsconn_hold(r->sc, pieces, n))
    return send_last(L, r, pieces, n);
  r->head_sent = r->answered = true;
  return 0;
}

static int send_string(lua_State *L, answer *a, bide_slice body) {
  bide_hsreq *r = a->r;
  bide_slice pieces[2] = {bide__out_slice(&a->out), body};
  if (bodyless(a->status) || r->head.method == BIDE_M_HEAD) return send_whole(L, r, pieces, 1);
  if (a->length_given && a->length != body.n)
    return luaL_error(L, "response: content-length is not the length of the body");
  if (body.n <= a->out.cap - a->out.n) { /* one piece is cheaper to send than two */
    bide__out_slice_put(&a->out, body);
    pieces[0] = bide__out_slice(&a->out);
    return send_whole(L, r, pieces, 1);
  }
  return send_whole(L, r, pieces, 2);
}

/* ---- streaming ---- */

/* What is left of a stream whose length was announced; framing. Kept as the context of its
 * continuations: a chunked one is -1. */
typedef lua_KContext stream_left;
enum { LEFT_CHUNKED = -1, LEFT_CLOSE = -2 };

static int stream(lua_State *L, stream_left left);

static int finish_stream(lua_State *L, bide_hsreq *r, stream_left left) {
  static const bide_slice last = {BIDE_H1_LAST_CHUNK, sizeof BIDE_H1_LAST_CHUNK - 1};
  if (left > 0)
    return luaL_error(L, "response: the body ended %I bytes short of its content-length",
                      (LUAI_UACINT)left);
  if (left == LEFT_CHUNKED) return send_last(L, r, &last, 1);
  r->answered = true;
  return 0;
}

/* left, carried over a wait in the stack slot PIECE. */
static int k_piece_sent(lua_State *L, bide_host *h, bide_wait *w) {
  bide_hsreq *r = bide_container(w, bide_hsreq, wwait);
  int status = w->status;
  stream_left left = (stream_left)lua_tointeger(L, PIECE);
  bide__hsreq_sent(r);
  if (status == UV_ECANCELED) return bide__raise_status(L, h, status, "write response");
  return status < 0 ? 0 : stream(L, left);
}

static void abort_done(bide_wait *w, int status) {
  (void)w;
  (void)status;
}
static const bide_waitops done_ops = {.op = "write response", .abort = abort_done};

static int sent_piece(lua_State *L, bide_hsreq *r, int rc, stream_left left) {
  bide_host *h = bide__host(L);
  if (rc < 0) return 0; /* the client is gone */
  lua_pushinteger(L, (lua_Integer)left);
  /* Under the number the piece must stay until it has left. */
  lua_insert(L, PIECE);
  if (rc == 0) return bide__suspend(L, h, &r->wwait, &bide__hsreq_write_ops, k_piece_sent);
  bide__wait_init(h, &r->wwait, &done_ops);
  return bide__complete(L, h, &r->wwait, 0, k_piece_sent);
}

static int send_piece(lua_State *L, bide_hsreq *r, stream_left left) {
  size_t n;
  const char *p = lua_tolstring(L, PIECE, &n);
  char *size = r->store + r->kept; /* where the head was, which has left */
  bide_slice pieces[3] = {{size, 0}, {p, n}, BIDE_SLICE("\r\n")};
  if (left == LEFT_CLOSE) return sent_piece(L, r, bide__hsreq_send(r, pieces + 1, 1), left);
  if (left >= 0) {
    if ((uint64_t)left < n)
      return luaL_error(L, "response: the body is longer than its content-length");
    return sent_piece(L, r, bide__hsreq_send(r, pieces + 1, 1), left - (stream_left)n);
  }
  pieces[0].n = bide__h1_chunk_head(size, n);
  return sent_piece(L, r, bide__hsreq_send(r, pieces, 3), left);
}

/* One result of the body's function is on top; 1 if there is something to send, 0 if to call again,
 * -1 at the end. */
static int look_at_piece(lua_State *L) {
  int type = lua_type(L, PIECE);
  if (type == LUA_TNIL) return -1;
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    luaL_error(L, "response: the body's function returned %s (string or nil expected)",
               luaL_typename(L, PIECE));
  return lua_rawlen(L, PIECE) > 0 || type == LUA_TNUMBER;
}

static int k_piece(lua_State *L, int status, lua_KContext ctx) {
  bide_hsreq *r = live(L);
  (void)status;
  switch (look_at_piece(L)) {
  case -1: return finish_stream(L, r, ctx);
  case 1: return send_piece(L, r, ctx);
  default: return stream(L, ctx);
  }
}

static int stream(lua_State *L, stream_left left) {
  int found;
  do {
    if (bide__checkpoint(L, bide__host(L), "write response")) return bide__refuse(L, bide__host(L));
    if (!live(L)->sc) return 0;
    lua_settop(L, BODY);
    lua_pushvalue(L, BODY);
    lua_callk(L, 0, 1, left, k_piece);
    found = look_at_piece(L);
  } while (found == 0);
  return found < 0 ? finish_stream(L, live(L), left) : send_piece(L, live(L), left);
}

static int send_stream(lua_State *L, answer *a) {
  bide_hsreq *r = a->r;
  bide_slice head = bide__out_slice(&a->out);
  stream_left left = a->length_given      ? (stream_left)a->length
                     : r->head.minor == 0 ? LEFT_CLOSE
                                          : LEFT_CHUNKED;
  if (luaL_getmetafield(L, BODY, "__close") != LUA_TNIL) {
    lua_pop(L, 1);
    lua_toclose(L, BODY);
  }
  if (bodyless(a->status) || r->head.method == BIDE_M_HEAD) return send_last(L, r, &head, 1);
  r->head_sent = true;
  return sent_piece(L, r, bide__hsreq_send(r, &head, 1), left);
}

/* ---- the task ---- */

static int k_handled(lua_State *L, int status, lua_KContext ctx) {
  answer a;
  bide_slice body = {"", 0};
  (void)status;
  (void)ctx;
  memset(&a, 0, sizeof a);
  a.L = L;
  a.r = live(L);
  sort_results(L, &a);
  if (!a.r->sc) return 0; /* nobody is there to read it */
  if (a.kind == BODY_STRING) body.p = lua_tolstring(L, BODY, &body.n);
  compose(L, &a, body);
  return a.kind == BODY_STRING ? send_string(L, &a, body) : send_stream(L, &a);
}

int bide__http_handle(lua_State *L) {
  lua_settop(L, REQ);
  lua_pushvalue(L, HANDLER);
  lua_pushvalue(L, REQ);
  lua_callk(L, 1, 3, 0, k_handled);
  return k_handled(L, LUA_OK, 0);
}
