/* SPDX-License-Identifier: MIT */
/* http_stream.c: a response whose body is read as it comes.
 *
 * The object owns the exchange. Bytes come raw from the connection, at most 64 KiB ahead of the
 * reader, and are decoded when asked for; what a line or an event leaves of a piece waits in
 * `rest`. */
#include "http_client.h"
#include "core/error.h"
#include "http/sse.h"

#include <string.h>

enum { MAX_LINE = 1024 * 1024, MAX_EVENT = 1024 * 1024 };

bide_hstream *bide__hstream_push(lua_State *L, bide_httplib *lib) {
  bide_hstream *st = lua_newuserdatauv(L, sizeof *st, BIDE_STREAM_UV_COUNT);
  memset(st, 0, sizeof *st);
  st->host = lib->http.host;
  bide__http_setmt(L, lib, BIDE_HT_STREAM);
  return st;
}

static bide_hstream *check(lua_State *L) {
  return bide__http_check(L, bide__httplib(L), 1, BIDE_HT_STREAM);
}

/* ---- closing ---- */

static void free_sse(bide_hstream *st) {
  bide_sse *e = st->sse;
  st->sse = NULL;
  if (!e) return;
  if (e->data.p) bide__free(st->host, e->data.p, e->data.cap);
  if (e->type.p) bide__free(st->host, e->type.p, e->type.cap);
  if (e->last_id.p) bide__free(st->host, e->last_id.p, e->last_id.cap);
  if (e->id.p) bide__free(st->host, e->id.p, e->id.cap);
  bide__free(st->host, e, sizeof *e);
}

static int l_close(lua_State *L) {
  bide_hstream *st = check(L);
  bide_hx *hx = st->hx;
  st->ended = st->closed = true;
  bide__hbuf_free(st->host, &st->rest);
  free_sse(st);
  if (!hx) return 0;
  bide__hx_abandon(hx);
  return 0;
}

static int l_gc(lua_State *L) {
  bide_hstream *st = check(L);
  bide_hx *hx = st->hx;
  st->hx = NULL;
  bide__hbuf_free(st->host, &st->rest);
  free_sse(st);
  if (!hx) return 0;
  bide__hx_abandon(hx);
  bide__hx_unref(hx);
  return 0;
}

/* ---- waiting for a piece ----
 *
 * read, lines and events differ in what they make of the bytes: each is a function `take` that
 * pushes a result (and says how many values), or asks for more (0), or raises. A piece is given to
 * it as it comes; at the end it is called with NULL. */

typedef int take_fn(lua_State *L, bide_hstream *st, const bide_slice *piece);

static int raise_failure(lua_State *L, bide_hstream *st) {
  lua_getiuservalue(L, 1, BIDE_STREAM_UV_URL);
  bide__failure_push_http(L, st->host, st->hx, "read", lua_tostring(L, -1));
  return lua_error(L);
}

/* Raises what has nothing to do with the connection. */
static int raise_at_url(lua_State *L, bide_hstream *st, const char *code, const char *op,
                        const char *message, lua_Integer limit) {
  lua_getiuservalue(L, 1, BIDE_STREAM_UV_URL);
  lua_pushfstring(L, message, (LUAI_UACINT)limit);
  bide__error_push(L, st->host, code, op, "%s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
  bide__failure_set_url(L, lua_tostring(L, -3));
  return lua_error(L);
}

static int pump(lua_State *L, bide_hstream *st, take_fn *take, bide_kwait k) {
  bide_hx *hx = st->hx;
  for (;;) {
    bide_slice piece;
    int r = bide__hx_piece(hx, &piece), n;
    if (r == BIDE_H1_DATA) {
      n = take(L, st, &piece);
      if (n > 0) return n;
      continue;
    }
    if (r == BIDE_H1_DONE) {
      st->ended = true;
      return take(L, st, NULL);
    }
    if (r < 0) return raise_failure(L, st);
    if (bide__checkpoint(L, st->host, "read")) return bide__refuse(L, st->host);
    bide__hx_wait(hx, BIDE_HX_FOR_INPUT);
    return bide__suspend(L, st->host, &hx->wait, &bide__hx_ops, k);
  }
}

static int resume(lua_State *L, bide_host *h, bide_wait *w, take_fn *take, bide_kwait k) {
  bide_hstream *st = lua_touserdata(L, 1);
  if (w->status < 0) return bide__raise_status(L, h, w->status, "read");
  if (st->closed) return bide__error(L, h, "EBADF", "read", "the response was closed");
  return pump(L, st, take, k);
}

static bide_hstream *begin(lua_State *L) {
  bide_hstream *st = check(L);
  lua_settop(L, 1);
  if (!st->hx || st->closed) bide__error(L, st->host, "EBADF", "read", "the response was closed");
  if (st->hx->waiting)
    bide__error(L, st->host, "EBUSY", "read",
                "another task is reading (let one read, and hand on by a channel)");
  return st;
}

/* The same in an iterator, whose third upvalue is the stream: whatever it is called with. */
static bide_hstream *begin_next(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(3));
  return begin(L);
}

static int finish(lua_State *L) {
  lua_pushnil(L);
  return 1;
}

/* ---- read ---- */

static int take_piece(lua_State *L, bide_hstream *st, const bide_slice *piece) {
  (void)st;
  if (!piece) return finish(L);
  bide__push_slice(L, *piece);
  return 1;
}

static int k_read(lua_State *L, bide_host *h, bide_wait *w) {
  return resume(L, h, w, take_piece, k_read);
}

static int read_next(lua_State *L, bide_hstream *st) {
  if (bide__checkpoint(L, st->host, "read")) return bide__refuse(L, st->host);
  if (st->rest.n > 0) {
    lua_pushlstring(L, bide__hbuf_at(&st->rest), st->rest.n);
    bide__hbuf_take(&st->rest, st->rest.n);
    return 1;
  }
  return st->ended ? finish(L) : pump(L, st, take_piece, k_read);
}

/* res:read(): the next bytes, nil at the end. */
static int l_read(lua_State *L) {
  return read_next(L, begin(L));
}

static int l_next_piece(lua_State *L) {
  return read_next(L, begin_next(L));
}

/* ---- what is kept ---- */

static void keep(lua_State *L, bide_hstream *st, const char *p, size_t n) {
  if (bide__hbuf_put(st->host, &st->rest, p, n) != 0) luaL_error(L, "not enough memory");
}

/* ---- read_all ---- */

static int take_all(lua_State *L, bide_hstream *st, const bide_slice *piece) {
  uint64_t limit = st->hx->max_body;
  if (piece) {
    keep(L, st, piece->p, piece->n);
    if (st->rest.n <= limit) return 0;
    (void)l_close(L);
    return raise_at_url(L, st, "ETOOBIG", "read",
                        "response body larger than %I bytes (option max_body)", (lua_Integer)limit);
  }
  lua_pushlstring(L, st->rest.n ? bide__hbuf_at(&st->rest) : "", st->rest.n);
  bide__hbuf_take(&st->rest, st->rest.n);
  return 1;
}

static int k_all(lua_State *L, bide_host *h, bide_wait *w) {
  return resume(L, h, w, take_all, k_all);
}

/* res:read_all(): what is left as one string, at most max_body. */
static int l_read_all(lua_State *L) {
  bide_hstream *st = begin(L);
  if (bide__checkpoint(L, st->host, "read")) return bide__refuse(L, st->host);
  return st->ended ? take_all(L, st, NULL) : pump(L, st, take_all, k_all);
}

/* ---- lines ---- */

/* A line that is in `rest` from byte `from` on, without its end (LF or CRLF). */
static int push_line(lua_State *L, bide_hstream *st, size_t from) {
  char *p = bide__hbuf_at(&st->rest);
  char *lf = st->rest.n > from ? memchr(p + from, '\n', st->rest.n - from) : NULL;
  size_t n;
  if (!lf) {
    if (st->rest.n > MAX_LINE)
      return raise_at_url(L, st, "ETOOBIG", "lines", "line longer than %I bytes", MAX_LINE);
    return 0;
  }
  n = (size_t)(lf - p);
  lua_pushlstring(L, p, n > 0 && p[n - 1] == '\r' ? n - 1 : n);
  bide__hbuf_take(&st->rest, n + 1);
  return 1;
}

static int take_line(lua_State *L, bide_hstream *st, const bide_slice *piece) {
  size_t had = st->rest.n;
  if (piece) {
    keep(L, st, piece->p, piece->n);
    return push_line(L, st, had);
  }
  if (had == 0) return finish(L);
  lua_pushlstring(L, bide__hbuf_at(&st->rest), had); /* the last one, without an end */
  bide__hbuf_take(&st->rest, had);
  return 1;
}

static int k_line(lua_State *L, bide_host *h, bide_wait *w) {
  return resume(L, h, w, take_line, k_line);
}

static int l_next_line(lua_State *L) {
  bide_hstream *st = begin_next(L);
  if (bide__checkpoint(L, st->host, "lines")) return bide__refuse(L, st->host);
  if (st->rest.n > 0 && push_line(L, st, 0)) return 1;
  return st->ended ? take_line(L, st, NULL) : pump(L, st, take_line, k_line);
}

/* ---- events ---- */

static bool grow(void *arg, bide_out *b, size_t want) {
  bide_host *h = arg;
  size_t cap = b->cap ? b->cap : 64;
  char *p;
  while (cap < want) cap *= 2;
  p = bide__realloc(h, b->p, b->cap, cap);
  if (!p) return false;
  b->p = p;
  b->cap = cap;
  return true;
}

static void set_slice(lua_State *L, const char *name, const bide_out *o) {
  lua_pushlstring(L, o->p ? o->p : "", o->n);
  lua_setfield(L, -2, name);
}

static int push_event(lua_State *L, bide_hstream *st) {
  const bide_sse *e = st->sse;
  lua_createtable(L, 0, 4);
  set_slice(L, "data", &e->data);
  if (e->type.n > 0) set_slice(L, "event", &e->type);
  else {
    lua_pushliteral(L, "message");
    lua_setfield(L, -2, "event");
  }
  if (e->last_id.n > 0) set_slice(L, "id", &e->last_id);
  if (e->retry >= 0) {
    lua_pushinteger(L, (lua_Integer)e->retry);
    lua_setfield(L, -2, "retry");
  }
  return 1;
}

/* Parses what is in `rest` up to the next event. */
static int next_event(lua_State *L, bide_hstream *st) {
  size_t used;
  int r;
  if (st->rest.n == 0) return 0;
  r = bide__sse_next(st->sse, bide__hbuf_at(&st->rest), st->rest.n, &used);
  bide__hbuf_take(&st->rest, used);
  if (r == BIDE_SSE_ENOMEM) return luaL_error(L, "not enough memory");
  if (r == BIDE_SSE_ETOOBIG) {
    (void)l_close(L);
    return raise_at_url(L, st, "ETOOBIG", "events", "event larger than %I bytes", MAX_EVENT);
  }
  return r == BIDE_SSE_EVENT ? push_event(L, st) : 0;
}

static int take_event(lua_State *L, bide_hstream *st, const bide_slice *piece) {
  if (!piece) return finish(L);
  keep(L, st, piece->p, piece->n);
  return next_event(L, st);
}

static int k_event(lua_State *L, bide_host *h, bide_wait *w) {
  return resume(L, h, w, take_event, k_event);
}

static int l_next_event(lua_State *L) {
  bide_hstream *st = begin_next(L);
  if (bide__checkpoint(L, st->host, "events")) return bide__refuse(L, st->host);
  if (!st->sse) return st->ended ? finish(L) : luaL_error(L, "the response was closed");
  if (next_event(L, st)) return 1;
  return st->ended ? finish(L) : pump(L, st, take_event, k_event);
}

/* ---- iterators ---- */

/* A function that needs no arguments: it can be handed on as a body. */
static int iterator(lua_State *L, lua_CFunction next) {
  check(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, next, 3);
  return 1;
}

static int l_chunks(lua_State *L) {
  return iterator(L, l_next_piece);
}
static int l_lines(lua_State *L) {
  return iterator(L, l_next_line);
}

/* res:events(): iterator of {data=, event=, id=, retry=}; last-event-id is the last `id`. */
static int l_events(lua_State *L) {
  bide_hstream *st = check(L);
  if (!st->sse && !st->ended) {
    st->sse = bide__alloc(st->host, sizeof *st->sse);
    if (!st->sse) return luaL_error(L, "not enough memory");
    bide__sse_init(st->sse, MAX_EVENT, grow, st->host);
  }
  return iterator(L, l_next_event);
}

/* ---- the object ---- */

static int l_index(lua_State *L) {
  bide_httplib *lib = bide__httplib(L);
  bide_hstream *st = check(L);
  int field;
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(3)) != LUA_TNUMBER) return 1;
  field = (int)lua_tointeger(L, 3);
  if (field == BIDE_RF_URL) lua_getiuservalue(L, 1, BIDE_STREAM_UV_URL);
  else if (!st->hx || field == BIDE_RF_BODY) lua_pushnil(L);
  else if (field == BIDE_RF_HEADERS) bide__msg_push_headers(L, lib, 1, &st->hx->head);
  else bide__response_field(L, field, &st->hx->head, st->hx->elapsed);
  return 1;
}

static int l_newindex(lua_State *L) {
  return luaL_error(L, "a response cannot be changed");
}

static int l_tostring(lua_State *L) {
  bide_hstream *st = check(L);
  lua_getiuservalue(L, 1, BIDE_STREAM_UV_URL);
  lua_pushfstring(L, "bide.http.response: %d %s (stream)", st->hx ? (int)st->hx->head.status : 0,
                  lua_tostring(L, -1) ? lua_tostring(L, -1) : "");
  return 1;
}

static int l_json(lua_State *L) {
  return bide__http_json(L, BIDE_HT_STREAM, BIDE_HF_STREAM_JSON);
}

void bide__http_open_stream(lua_State *L, bide_httplib *lib) {
  static const luaL_Reg meta[] = {{"__newindex", l_newindex},
                                  {"__tostring", l_tostring},
                                  {"__close", l_close},
                                  {"__gc", l_gc},
                                  {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"read", l_read},     {"read_all", l_read_all}, {"chunks", l_chunks}, {"lines", l_lines},
      {"events", l_events}, {"close", l_close},       {"json", l_json},     {NULL, NULL}};
  bide__http_type(L, lib, BIDE_HT_STREAM, "bide.http.stream", meta, methods, bide__response_fields,
                  l_index);
}
