/* SPDX-License-Identifier: MIT */
/* http_client.c: `bide.http.get` and its kin, sessions.
 *
 * A call is a loop of attempts, one per redirect; an attempt is one exchange (host/http/client.h)
 * and one wait, more only when a function feeds the body. The frame of a call on the Lua stack has
 * fixed places, named below. What is rare (query, json, redirects, cookies) is rewritten in
 * lua/bide/http.lua, which is called as plain functions and waits for nothing. */
#include "http_call.h"
#include "secure.h"
#include "core/error.h"

#include <math.h>
#include <string.h>

static int attempt(lua_State *L, int url_arg, int arg);

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

void bide__http_end_stream(bide_hstream *st) {
  bide_hx *hx = st->hx;
  st->hx = NULL;
  if (!hx) return;
  bide__hx_abandon(hx);
  bide__hx_unref(hx);
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Does not return. */
static void raise_with_url(lua_State *L, const char *code, const char *message) {
  bide__error_push(L, bide__host(L), code, lua_tostring(L, METHOD), "%s: %s", lua_tostring(L, URL),
                   message);
  bide__failure_set_url(L, lua_tostring(L, URL));
  lua_error(L);
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
  if (lua_isboolean(L, res + 1))
    raise_with_url(L, lua_tostring(L, res + 2), lua_tostring(L, res + 3));
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
    if (st) bide__http_end_stream(st);
    else done_making(lib);
  }
  if (!lua_isnil(L, SESSION) && push_helper(L, lib, BIDE_HF_RECEIVED)) {
    push_config(L);
    lua_pushvalue(L, URL);
    lua_pushvalue(L, -4);
    lua_call(L, 3, 0);
  }
  if (BIDE_LIKELY(!is_redirect(status)) || limit == 0 || !follow(L, lib, limit)) return 1;
  if (streamed) bide__http_end_stream(st);
  return attempt(L, 1, 1);
}

int bide__http_k_response(lua_State *L, bide_host *h, bide_wait *w) {
  bide_httplib *lib = bide__httplib(L);
  bide_hx *hx = bide_container(w, bide_hx, wait);
  bide_hstream *st = lua_touserdata(L, STREAM);
  if (!st) begin_making(lib, hx);
  if (BIDE_LIKELY(!hx->failed)) return respond(L, lib, hx, st);
  if (w->status < 0) {
    int status = w->status;
    if (!st) done_making(lib);
    else bide__http_end_stream(st);
    return bide__raise_status(L, h, status, lua_tostring(L, METHOD));
  }
  bide__failure_push_http(L, h, hx, lua_tostring(L, METHOD), lua_tostring(L, URL));
  if (!st) done_making(lib);
  else bide__http_end_stream(st);
  return lua_error(L);
}

/* ---- an attempt ---- */

/* Has url and options rewritten; raises what Lua finds wrong. */
static void prepare(lua_State *L, bide_httplib *lib, int url_arg, int arg) {
  int top = lua_gettop(L);
  bide__http_load(L, lib);
  (void)push_helper(L, lib, BIDE_HF_PREPARE);
  push_config(L);
  lua_pushvalue(L, METHOD);
  lua_pushvalue(L, URL);
  lua_pushvalue(L, OPTS);
  lua_call(L, 4, 3);
  if (lua_isnil(L, -3)) luaL_argerror(L, lua_toboolean(L, -1) ? url_arg : arg, lua_tostring(L, -2));
  lua_pop(L, 1);
  lua_replace(L, OPTS);
  lua_replace(L, URL);
  lua_settop(L, top);
}

/* Perhaps with credentials in it. */
static bool has_at(lua_State *L) {
  size_t n;
  const char *p = lua_tolstring(L, URL, &n);
  return memchr(p, '@', n) != NULL;
}

static void read_spec(lua_State *L, bide_httplib *lib, int url_arg, int arg, bide_hspec *spec) {
  const bide_session *s = lua_touserdata(L, SESSION);
  lua_settop(L, FRAME);
  bide__options_read(L, OPTS, arg, spec);
  if (lua_tointeger(L, HOPS) > 0 || (!spec->complex && (!s || s->plain) && !has_at(L))) return;
  prepare(L, lib, url_arg, arg);
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
        lua_pushfstring(L, "option 'proxy': http URL expected: %s", bide__url_error_text(rc)));
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
  bide_session *s = lua_touserdata(L, SESSION);
  if (s) {
    if (!s->pool) raise_with_url(L, "EBADF", "the session is closed");
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

enum { SHORT_BODY = 4096, PROXY_AUTH_MAX = 4096 };

/* What a proxy is asked, for a tunnel to where the key "https://host:port" leads (RFC 9110 section
 * 9.3.6). */
static bide_slice put_connect(bide_http *http, bide_slice key, bide_slice auth) {
  bide_out o = bide__out(http->scratch, sizeof http->scratch);
  const char *at = memchr(key.p, '/', key.n);
  bide_slice place = {at + 2, key.n - (size_t)(at + 2 - key.p)};
  bide__out_slice_put(&o, BIDE_SLICE("CONNECT "));
  bide__out_slice_put(&o, place);
  bide__out_slice_put(&o, BIDE_SLICE(" HTTP/1.1\r\nhost: "));
  bide__out_slice_put(&o, place);
  bide__out_slice_put(&o, BIDE_SLICE("\r\nuser-agent: bide\r\n"));
  if (auth.n) (void)bide__h1_put_field(&o, BIDE_SLICE("proxy-authorization"), auth);
  bide__h1_put_end(&o);
  return bide__out_ok(&o) ? bide__out_slice(&o) : (bide_slice){NULL, 0};
}

/* Finds the origin that the connection is for; NULL without memory. Uses the floor's scratch. */
static bide_horigin *find_origin(bide_hx *hx, const bide_url *url, const bide_url *proxy,
                                 const bide_hspec *spec, bide_tls_context *context) {
  char text[BIDE_ADDR_TEXT + BIDE_HOST_MAX + 64];
  bide_out key = bide__out(text, sizeof text);
  const bide_url *peer = spec->proxy.p && !spec->tunnel ? proxy : url;
  bide_horigin *o;
  bide_hvia via;
  if (peer == proxy) bide__out_slice_put(&key, BIDE_SLICE("proxy "));
  bide__url_put_origin(&key, peer);
  if (!bide__out_ok(&key)) return NULL;
  if (!spec->tunnel) {
    o = bide__hpool_origin(hx->pool, bide__out_slice(&key), peer->host, peer->port, context, NULL);
    if (o) o->is_proxy = peer == proxy;
    return o;
  }
  via = (bide_hvia){.host = proxy->host, .port = proxy->port};
  via.connect = put_connect(hx->http, bide__out_slice(&key), bide__out_slice(&spec->proxy_auth));
  if (!via.connect.n) return NULL;
  return bide__hpool_origin(hx->pool, bide__out_slice(&key), url->host, url->port, context, &via);
}

/* Fills a new exchange; 0 or UV_ENOMEM. Raises nothing. */
static int fill(bide_hx *hx, lua_State *L, const bide_url *url, const bide_url *proxy,
                const bide_hspec *spec, bide_tls_context *context, bide_slice head,
                bide_slice body) {
  bide_host *h = hx->http->host;
  bide_slice method = {NULL, 0};
  method.p = lua_tolstring(L, METHOD, &method.n);
  hx->method = (uint8_t)bide__h1_method_id(method.p, method.n);
  hx->idempotent = hx->method != BIDE_M_POST && hx->method != BIDE_M_PATCH &&
                   hx->method != BIDE_M_OTHER && hx->method != BIDE_M_CONNECT &&
                   !spec->feeding; /* a function's body can't be sent again */
  memcpy(hx->timeout, spec->timeout, sizeof hx->timeout);
  hx->max_body = spec->max_body;
  hx->bounded = spec->bounded || !spec->stream;
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
  hx->origin = find_origin(hx, url, proxy, spec, context);
  return hx->origin ? 0 : UV_ENOMEM;
}

static int attempt(lua_State *L, int url_arg, int arg) {
  bide_host *h = bide__host(L);
  bide_httplib *lib = bide__httplib(L);
  bide_hspec spec;
  bide_url url, proxy;
  bide_slice method = {NULL, 0}, head, body = {NULL, 0};
  bide_hpool *pool;
  bide_hstream *st = NULL;
  bide_hx *hx;
  bide_tls_context *context = NULL;
  char auth[PROXY_AUTH_MAX];
  int ref = LUA_NOREF;
  if (bide__checkpoint(L, h, lua_tostring(L, METHOD))) return bide__refuse(L, h);
  read_spec(L, lib, url_arg, arg, &spec);
  parse_url(L, url_arg, &url);
  if (spec.proxy.p) parse_proxy(L, arg, spec.proxy, &proxy);
  spec.tunnel = spec.proxy.p && bide__url_is_secure(&url);
  spec.proxy_auth = bide__out(auth, sizeof auth);
  pool = find_pool(L, lib);
  if (spec.stream || spec.feeding) st = bide__hstream_push(L, lib);
  else lua_pushnil(L);
  if (spec.body && !spec.feeding) body.p = lua_tolstring(L, BODY, &body.n);
  method.p = lua_tolstring(L, METHOD, &method.n);
  head = bide__compose(L, lib, method, &url, &spec, spec.proxy.p && !spec.tunnel);
  if (!bide__out_ok(&spec.proxy_auth))
    return luaL_error(L, "header 'proxy-authorization' is too long");
  if (bide__url_is_secure(&url)) context = bide__tls_client_find(L, h, arg, &spec.tls);
  if (body.n > SHORT_BODY) { /* what can raise comes before the anchor, what is borrowed behind */
    lua_pushvalue(L, BODY);
    ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (context) context = bide__tls_client_find(L, h, arg, &spec.tls);
  }
  hx = bide__hx_new(&lib->http, pool);
  if (!hx || fill(hx, L, &url, &proxy, &spec, context, head, body) != 0) {
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
  return bide__suspend(L, h, &hx->wait, &bide__hx_ops,
                       spec.feeding ? bide__http_k_fed : bide__http_k_response);
}

int bide__http_call(lua_State *L, int url_arg, int arg) {
  lua_pushinteger(L, 0);
  lua_pushinteger(L, (lua_Integer)bide__now_ns(bide__host(L)));
  return attempt(L, url_arg, arg);
}
