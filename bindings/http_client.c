/* SPDX-License-Identifier: MIT */
/* http_client.c: `bide.http.get` and its kin, sessions.
 *
 * A call is a loop of attempts, one per redirect; an attempt is one exchange (host/http/client.h)
 * and one wait, more only when a function feeds the body. The frame of a call on the Lua stack has
 * fixed places, named below. What is rare (query, json, redirects, cookies) is rewritten in
 * lua/bide/http.lua, which is called as plain functions and waits for nothing. */
#include "http_client.h"
#include "core/error.h"

#include <math.h>
#include <string.h>

enum { SESSION = 1, URL, OPTS, METHOD, HOPS, BEGUN, HEADERS, BODY, STREAM, FRAME = BEGUN };

enum { SESSION_UV_CONFIG = 1 };

typedef struct session {
  bide_hpool *pool; /* owned reference; NULL once closed */
  bool plain;       /* nothing to rewrite */
} session;

static int attempt(lua_State *L, int arg);

/* ---- the response ---- */

/* From here until done_making nothing waits; if making the response raises, the exchange is freed
 * by the next to come, or with the host. */
static void begin_making(bide_httplib *lib, bide_hx *hx) {
  bide_hx *left = lib->http.making;
  lib->http.making = hx;
  if (left) bide__hx_unref(left);
}

static void done_making(bide_httplib *lib) {
  bide_hx *hx = lib->http.making;
  lib->http.making = NULL;
  if (hx) bide__hx_unref(hx);
}

static void end_stream(bide_hstream *st) {
  bide_hx *hx = st->hx;
  st->hx = NULL;
  if (!hx) return;
  bide__hx_abandon(hx);
  bide__hx_unref(hx);
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The session's configuration, or nil, on top. */
static void push_config(lua_State *L) {
  if (lua_isnil(L, SESSION)) lua_pushnil(L);
  else lua_getiuservalue(L, SESSION, SESSION_UV_CONFIG);
}

static bool push_helper(lua_State *L, bide_httplib *lib, int helper) {
  if (lua_rawgeti(L, LUA_REGISTRYINDEX, lib->helpers[helper]) == LUA_TFUNCTION) return true;
  lua_pop(L, 1);
  return false;
}

/* Response on top. Asks Lua where it leads: 1 and the frame is that of the next attempt, 0 nowhere.
 */
static int follow(lua_State *L, bide_httplib *lib, int limit) {
  int res = lua_gettop(L);
  bide__http_load(L, lib);
  (void)push_helper(L, lib, BIDE_HF_FOLLOW);
  push_config(L);
  lua_pushvalue(L, res);
  lua_pushvalue(L, METHOD);
  lua_pushvalue(L, URL);
  lua_pushvalue(L, OPTS);
  lua_pushvalue(L, HOPS);
  lua_pushinteger(L, limit);
  lua_call(L, 7, 3);
  if (lua_isnil(L, res + 1)) {
    lua_settop(L, res);
    return 0;
  }
  if (lua_isboolean(L, res + 1)) {
    bide__error_push(L, bide__host(L), lua_tostring(L, res + 2), lua_tostring(L, METHOD), "%s: %s",
                     lua_tostring(L, URL), lua_tostring(L, res + 3));
    lua_pushvalue(L, URL);
    lua_setfield(L, -2, "url");
    return lua_error(L);
  }
  lua_replace(L, OPTS);
  lua_replace(L, URL);
  lua_replace(L, METHOD);
  lua_pushinteger(L, lua_tointeger(L, HOPS) + 1);
  lua_replace(L, HOPS);
  return 1;
}

static int respond(lua_State *L, bide_httplib *lib, bide_hx *hx, bide_hstream *st) {
  int status = hx->head.status, limit = hx->redirects;
  bool streamed = hx->mode != BIDE_HX_COLLECT;
  if (streamed) {
    lua_pushvalue(L, URL);
    lua_setiuservalue(L, STREAM, BIDE_STREAM_UV_URL);
    lua_pushvalue(L, STREAM);
  } else {
    bide__response_push(L, lib, hx, URL);
    if (st) end_stream(st);
    else done_making(lib);
  }
  if (!lua_isnil(L, SESSION) && push_helper(L, lib, BIDE_HF_RECEIVED)) {
    push_config(L);
    lua_pushvalue(L, URL);
    lua_pushvalue(L, -4);
    lua_call(L, 3, 0);
  }
  if (BIDE_LIKELY(!is_redirect(status)) || limit == 0 || !follow(L, lib, limit)) return 1;
  if (streamed) end_stream(st);
  return attempt(L, 1);
}

static int k_response(lua_State *L, bide_host *h, bide_wait *w) {
  bide_httplib *lib = bide__httplib(L);
  bide_hx *hx = bide_container(w, bide_hx, wait);
  bide_hstream *st = lua_touserdata(L, STREAM);
  if (!st) begin_making(lib, hx);
  if (BIDE_LIKELY(!hx->failed)) return respond(L, lib, hx, st);
  if (w->status < 0) {
    int status = w->status;
    if (!st) done_making(lib);
    else end_stream(st);
    return bide__raise_status(L, h, status, lua_tostring(L, METHOD));
  }
  bide__failure_push_http(L, h, hx, lua_tostring(L, METHOD), lua_tostring(L, URL));
  if (!st) done_making(lib);
  else end_stream(st);
  return lua_error(L);
}

/* ---- a body fed by a function ---- */

static int feed(lua_State *L, bide_hx *hx);

static int await_response(lua_State *L, bide_hx *hx) {
  hx->feeding = false;
  bide__hx_wait(hx, BIDE_HX_FOR_RESPONSE);
  return bide__suspend(L, bide__host(L), &hx->wait, &bide__hx_ops, k_response);
}

static int fail_feed(lua_State *L, const char *message) {
  bide_hstream *st = lua_touserdata(L, STREAM);
  bide__hx_stop(st->hx);
  end_stream(st);
  return luaL_error(L, "request body: %s", message);
}

static int k_fed(lua_State *L, bide_host *h, bide_wait *w) {
  bide_hx *hx = bide_container(w, bide_hx, wait);
  if (w->status < 0 || hx->failed || hx->has_head || hx->done) {
    if (w->status < 0) return k_response(L, h, w);
    return await_response(L, hx);
  }
  lua_settop(L, STREAM);
  return hx->feeding ? feed(L, hx) : await_response(L, hx);
}

static int await_write(lua_State *L, bide_hx *hx, int rc) {
  if (rc == 1) return 0;
  if (rc < 0) return await_response(L, hx);
  bide__hx_wait(hx, BIDE_HX_FOR_WRITE);
  return bide__suspend(L, bide__host(L), &hx->wait, &bide__hx_ops, k_fed);
}

/* Piece at STREAM + 1. 1: call again for the next; else the caller returns *result. */
static int send_piece(lua_State *L, bide_hx *hx, int *result) {
  size_t n;
  const char *p;
  bide_slice pieces[3];
  int type = lua_type(L, STREAM + 1), rc;
  if (type == LUA_TNIL) {
    if (hx->announced != BIDE_HX_CHUNKED && hx->announced > 0)
      return *result = fail_feed(L, "shorter than its content-length"), 0;
    hx->feeding = false;
    pieces[0] = BIDE_SLICE(BIDE_H1_LAST_CHUNK);
    rc = hx->announced == BIDE_HX_CHUNKED ? bide__hx_feed(hx, pieces, 1) : 1;
    *result = rc == 1 ? await_response(L, hx) : await_write(L, hx, rc);
    return 0;
  }
  if (type != LUA_TSTRING && type != LUA_TNUMBER)
    return *result = fail_feed(L, "its function must return strings, and nil at the end"), 0;
  p = lua_tolstring(L, STREAM + 1, &n);
  if (n == 0) return 1;
  if (hx->announced == BIDE_HX_CHUNKED) {
    /* The head of a chunk lies where the request's head was, which has left. */
    pieces[0] = bide__slice(hx->out.p, bide__h1_chunk_head(hx->out.p, n));
    pieces[1] = bide__slice(p, n);
    pieces[2] = BIDE_SLICE("\r\n");
    rc = bide__hx_feed(hx, pieces, 3);
  } else {
    if (n > hx->announced) return *result = fail_feed(L, "longer than its content-length"), 0;
    hx->announced -= n;
    pieces[0] = bide__slice(p, n);
    rc = bide__hx_feed(hx, pieces, 1);
  }
  if (rc == 1) return 1;
  *result = await_write(L, hx, rc);
  return 0;
}

static int k_piece(lua_State *L, int status, lua_KContext ctx) {
  bide_hstream *st = lua_touserdata(L, STREAM);
  int result;
  (void)ctx;
  if (status != LUA_OK && status != LUA_YIELD) { /* the function failed: so does the request */
    bide__hx_stop(st->hx);
    end_stream(st);
    return lua_error(L);
  }
  if (!send_piece(L, st->hx, &result)) return result;
  return feed(L, st->hx);
}

static int feed(lua_State *L, bide_hx *hx) {
  int result, status;
  do {
    if (bide__checkpoint(L, bide__host(L), "request")) {
      bide__hx_stop(hx);
      end_stream(lua_touserdata(L, STREAM));
      return bide__refuse(L, bide__host(L));
    }
    lua_settop(L, STREAM);
    lua_pushvalue(L, BODY);
    status = lua_pcallk(L, 0, 1, 0, 0, k_piece);
    if (status != LUA_OK) return k_piece(L, status, 0);
  } while (send_piece(L, hx, &result));
  return result;
}

/* ---- an attempt ---- */

/* Has url and options rewritten; raises what Lua finds wrong. */
static void prepare(lua_State *L, bide_httplib *lib, int arg) {
  int top = lua_gettop(L);
  bide__http_load(L, lib);
  (void)push_helper(L, lib, BIDE_HF_PREPARE);
  push_config(L);
  lua_pushvalue(L, METHOD);
  lua_pushvalue(L, URL);
  lua_pushvalue(L, OPTS);
  lua_call(L, 4, 2);
  if (lua_isnil(L, -2)) luaL_argerror(L, arg, lua_tostring(L, -1));
  lua_replace(L, OPTS);
  lua_replace(L, URL);
  lua_settop(L, top);
}

static void read_spec(lua_State *L, bide_httplib *lib, int arg, bide_hspec *spec) {
  const session *s = lua_touserdata(L, SESSION);
  lua_settop(L, FRAME);
  bide__options_read(L, OPTS, arg, spec);
  if (lua_tointeger(L, HOPS) > 0 || (!spec->complex && (!s || s->plain))) return;
  prepare(L, lib, arg);
  lua_settop(L, FRAME);
  bide__options_read(L, OPTS, arg, spec);
}

/* The proxy's URL: where to connect to. */
static void parse_proxy(lua_State *L, int arg, bide_slice text, bide_url *url) {
  int rc = bide__url_parse_http(url, text.p, text.n, BIDE_URL_STRICT, NULL);
  if (rc == 0 && bide__url_is_secure(url)) rc = BIDE_URL_EPROTOCOL;
  if (rc < 0)
    luaL_argerror(
        L, arg,
        lua_pushfstring(L, "option 'proxy' must be an http URL: %s", bide__url_error_text(rc)));
}

static void parse_url(lua_State *L, int arg, bide_url *url) {
  size_t n, where = 0;
  const char *p = lua_tolstring(L, URL, &n);
  int rc = bide__url_parse_http(url, p, n, BIDE_URL_LAX, &where);
  if (rc < 0)
    luaL_argerror(L, arg,
                  lua_pushfstring(L, "invalid URL '%s': %s (at byte %d)", p,
                                  bide__url_error_text(rc), (int)where + 1));
}

static bide_hpool *find_pool(lua_State *L, bide_httplib *lib) {
  static const bide_hpool_limits limits = {1000, 100, 15};
  session *s = lua_touserdata(L, SESSION);
  if (s) {
    if (!s->pool)
      bide__error(L, bide__host(L), "EBADF", lua_tostring(L, METHOD), "the session is closed");
    return s->pool;
  }
  if (!lib->http.pool) lib->http.pool = bide__hpool_new(&lib->http, &limits);
  if (!lib->http.pool) luaL_error(L, "not enough memory");
  return lib->http.pool;
}

static const bide_horigin *no_memory(lua_State *L) {
  luaL_error(L, "not enough memory");
  return NULL;
}

enum { SHORT_BODY = 4096 };

/* Fills a new exchange; 0 or UV_ENOMEM. Raises nothing. */
static int fill(bide_hx *hx, lua_State *L, const bide_url *peer, const bide_hspec *spec,
                bide_slice head, bide_slice body) {
  bide_host *h = hx->http->host;
  char text[BIDE_ADDR_TEXT + BIDE_HOST_MAX + 64];
  bide_out key = bide__out(text, sizeof text);
  bide_slice method = {NULL, 0};
  method.p = lua_tolstring(L, METHOD, &method.n);
  if (spec->proxy.p) bide__out_slice_put(&key, BIDE_SLICE("proxy "));
  bide__url_put_origin(&key, peer);
  hx->method = (uint8_t)bide__h1_method_id(method.p, method.n);
  hx->idempotent = hx->method != BIDE_M_POST && hx->method != BIDE_M_PATCH &&
                   hx->method != BIDE_M_OTHER && hx->method != BIDE_M_CONNECT;
  memcpy(hx->timeout, spec->timeout, sizeof hx->timeout);
  hx->max_body = spec->max_body;
  hx->decompress = spec->decompress;
  hx->feeding = spec->feeding;
  hx->mode = spec->stream ? BIDE_HX_STREAM : BIDE_HX_COLLECT;
  hx->redirects = spec->redirects;
  hx->announced = spec->has_length ? spec->length : BIDE_HX_CHUNKED;
  hx->begun = (uint64_t)lua_tointeger(L, BEGUN);
  hx->total_at = bide__deadline_ns(hx->begun, spec->timeout[BIDE_HP_TOTAL]);
  hx->out.start = hx->out.n = 0;
  if (bide__hbuf_put(h, &hx->out, head.p, head.n) != 0) return UV_ENOMEM;
  if (body.n > SHORT_BODY) hx->long_body = body;
  else if (bide__hbuf_put(h, &hx->out, body.p, body.n) != 0) return UV_ENOMEM;
  if (!bide__out_ok(&key)) return UV_ENOMEM;
  hx->origin = bide__hpool_origin(hx->pool, bide__out_slice(&key), peer->host, peer->port,
                                  bide__url_is_secure(peer));
  return hx->origin ? 0 : UV_ENOMEM;
}

static int attempt(lua_State *L, int arg) {
  bide_host *h = bide__host(L);
  bide_httplib *lib = bide__httplib(L);
  bide_hspec spec;
  bide_url url, proxy;
  bide_slice method = {NULL, 0}, head, body = {NULL, 0};
  bide_hpool *pool;
  bide_hstream *st = NULL;
  bide_hx *hx;
  int ref = LUA_NOREF;
  if (bide__checkpoint(L, h, lua_tostring(L, METHOD))) return bide__refuse(L, h);
  read_spec(L, lib, arg, &spec);
  parse_url(L, 1, &url);
  if (bide__url_is_secure(&url))
    return bide__error(L, h, "ENOTSUP", lua_tostring(L, METHOD), "%s: https is not built in",
                       lua_tostring(L, URL));
  if (spec.proxy.p) parse_proxy(L, arg, spec.proxy, &proxy);
  pool = find_pool(L, lib);
  if (spec.stream || spec.feeding) st = bide__hstream_push(L, lib);
  else lua_pushnil(L);
  if (spec.body && !spec.feeding) {
    body.p = lua_tolstring(L, BODY, &body.n);
    if (body.n > SHORT_BODY) {
      lua_pushvalue(L, BODY);
      ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
  }
  method.p = lua_tolstring(L, METHOD, &method.n);
  head = bide__compose(L, lib, method, &url, &spec, spec.proxy.p != NULL);
  hx = bide__hx_new(&lib->http, pool);
  if (!hx || fill(hx, L, spec.proxy.p ? &proxy : &url, &spec, head, body) != 0) {
    if (hx) bide__hx_unref(hx);
    luaL_unref(L, LUA_REGISTRYINDEX, ref);
    no_memory(L);
    return 0;
  }
  hx->body_ref = ref;
  lua_settop(L, STREAM);
  if (st) st->hx = hx;
  else hx->owned_by_wait = true;
  bide__hx_wait(hx, spec.feeding ? BIDE_HX_FOR_CONN : BIDE_HX_FOR_RESPONSE);
  bide__hx_begin(hx);
  return bide__suspend(L, h, &hx->wait, &bide__hx_ops, spec.feeding ? k_fed : k_response);
}

/* ---- the functions ---- */

/* session (or nil), url, opts, method stand at 1 to 4. */
static int request(lua_State *L, int arg) {
  lua_pushinteger(L, 0);
  lua_pushinteger(L, (lua_Integer)bide__now_ns(bide__host(L)));
  return attempt(L, arg);
}

static void check_options(lua_State *L, int arg) {
  if (!lua_isnoneornil(L, arg)) luaL_checktype(L, arg, LUA_TTABLE);
}

/* get(url, opts?); the method is the third upvalue. */
static int l_method(lua_State *L) {
  if (lua_type(L, 1) != LUA_TSTRING) bide__type_error(L, 1, "string");
  check_options(L, 2);
  lua_settop(L, 2);
  lua_pushnil(L);
  lua_insert(L, 1);
  lua_pushvalue(L, lua_upvalueindex(3));
  return request(L, 2);
}

/* session:get(url, opts?) */
static int l_session_method(lua_State *L) {
  bide__http_check(L, bide__httplib(L), 1, BIDE_HT_POOL);
  if (lua_type(L, 2) != LUA_TSTRING) bide__type_error(L, 2, "string");
  check_options(L, 3);
  lua_settop(L, 3);
  lua_pushvalue(L, lua_upvalueindex(3));
  return request(L, 3);
}

/* The table of request{url=…, method=…} at idx: pushes url, the table, and the method. */
static void open_table(lua_State *L, int idx) {
  size_t n;
  const char *p;
  luaL_checktype(L, idx, LUA_TTABLE);
  lua_settop(L, idx);
  if (lua_getfield(L, idx, "url") != LUA_TSTRING)
    luaL_argerror(L, idx, "option 'url' must be a string");
  lua_insert(L, idx);
  if (lua_getfield(L, idx + 1, "method") == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushliteral(L, "GET");
  }
  p = lua_tolstring(L, -1, &n);
  if (lua_type(L, -1) != LUA_TSTRING || !bide__h1_valid_token(p, n))
    luaL_argerror(L, idx, "option 'method' is no valid method");
  if (strcmp(p, "CONNECT") == 0) luaL_argerror(L, idx, "method 'CONNECT' cannot be requested");
}

static int l_request(lua_State *L) {
  open_table(L, 1);
  lua_pushnil(L);
  lua_insert(L, 1);
  return request(L, 1);
}

static int l_session_request(lua_State *L) {
  bide__http_check(L, bide__httplib(L), 1, BIDE_HT_POOL);
  open_table(L, 2);
  return request(L, 2);
}

/* ---- sessions ---- */

/* new_session(config, plain, limit, limit_per_host, keepalive): arguments were checked in Lua. */
static int l_new_session(lua_State *L) {
  bide_httplib *lib = bide__httplib(L);
  bide_hpool_limits limits = {(uint32_t)luaL_checkinteger(L, 3), (uint32_t)luaL_checkinteger(L, 4),
                              luaL_checknumber(L, 5)};
  session *s = lua_newuserdatauv(L, sizeof *s, 1);
  s->pool = NULL;
  s->plain = lua_toboolean(L, 2);
  bide__http_setmt(L, lib, BIDE_HT_POOL);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, SESSION_UV_CONFIG);
  if (bide__host(L)->closed)
    return bide__error(L, bide__host(L), "ECANCELED", "session", "the host is closing");
  s->pool = bide__hpool_new(&lib->http, &limits);
  return s->pool ? 1 : luaL_error(L, "not enough memory");
}

static int l_session_close(lua_State *L) {
  session *s = bide__http_check(L, bide__httplib(L), 1, BIDE_HT_POOL);
  bide_hpool *p = s->pool;
  s->pool = NULL;
  if (!p) return 0;
  if (!p->closed) bide__hpool_close(p);
  bide__hpool_unref(p);
  return 0;
}

static int l_session_tostring(lua_State *L) {
  session *s = bide__http_check(L, bide__httplib(L), 1, BIDE_HT_POOL);
  if (!s->pool) lua_pushliteral(L, "bide.http.session: closed");
  else lua_pushfstring(L, "bide.http.session: %d connections", (int)s->pool->nopen);
  return 1;
}

static const struct {
  const char *name, *method;
} method_names[] = {{"get", "GET"},         {"post", "POST"},     {"put", "PUT"},
                    {"patch", "PATCH"},     {"delete", "DELETE"}, {"head", "HEAD"},
                    {"options", "OPTIONS"}, {NULL, NULL}};

/* Adds a function for each method to the table on top. */
static void add_methods(lua_State *L, lua_CFunction f) {
  int i;
  for (i = 0; method_names[i].name; i++) {
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushstring(L, method_names[i].method);
    lua_pushcclosure(L, f, 3);
    lua_setfield(L, -2, method_names[i].name);
  }
}

void bide__http_open_client(lua_State *L, bide_httplib *lib) {
  static const luaL_Reg meta[] = {{"__gc", l_session_close},
                                  {"__close", l_session_close},
                                  {"__tostring", l_session_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"request", l_session_request}, {"close", l_session_close}, {NULL, NULL}};
  bide__http_type(L, lib, BIDE_HT_POOL, "bide.http.session", meta, methods, NULL, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, lib->methods[BIDE_HT_POOL]);
  add_methods(L, l_session_method);
  lua_pop(L, 1);
}

void bide__http_add_client(lua_State *L) {
  static const luaL_Reg funcs[] = {
      {"request", l_request}, {"new_session", l_new_session}, {NULL, NULL}};
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  luaL_setfuncs(L, funcs, 2);
  add_methods(L, l_method);
}
