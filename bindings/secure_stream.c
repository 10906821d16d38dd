/* SPDX-License-Identifier: MIT */
/* secure_stream.c: bide.tls, and what streams know of TLS: starttls, tls_info.
 *
 * A handshake is a wait in the place of the stream's reader: nobody else may read meanwhile, and
 * closing the stream ends it. */
#include "dial.h"
#include "secure.h"
#include "server.h"
#include "core/error.h"

#include <math.h>
#include <string.h>

/* ---- the handshake of a stream ---- */

static void on_greeted(bide_conn *c, void *user, int status) {
  bide_stream *s = user;
  bide_wait *w = s->reader;
  (void)c;
  s->error = status;
  if (w && !w->set) bide__wake(w, 0);
}

static void let_go(bide_wait *w) {
  bide_stream *s = bide__io(bide__wait_owner(w))->data;
  if (s && s->reader == w) s->reader = NULL;
}

/* Half a handshake is good for nothing. */
static void abort_starttls(bide_wait *w, int status) {
  bide_stream *s = bide__io(w->task)->data;
  s->reader = NULL;
  bide__stream_close(s, 0);
  bide__wake(w, status);
}

static void describe(const bide_wait *w, char *buf, size_t size) {
  const bide_stream *s = bide__io(w->task)->data;
  memcpy(buf, "tls ", 4);
  if (s) bide__stream_text(s, buf + 4, size - 4);
}

static const bide_waitops starttls_ops = {"starttls", abort_starttls, describe, let_go, 0};

enum { STREAM = 1, HOST, PORT, OP };

/* host and port as they were given, or the peer's. */
static void set_place(lua_State *L, const bide_stream *s) {
  char text[BIDE_ADDR_TEXT];
  const bide_addr *peer = bide__conn_peer(s->conn);
  if (lua_isstring(L, HOST)) lua_pushvalue(L, HOST);
  else if (peer) lua_pushstring(L, bide__addr_text(peer, text, sizeof text));
  else return;
  lua_setfield(L, -2, "host");
  if (lua_isstring(L, HOST)) lua_pushvalue(L, PORT);
  else lua_pushinteger(L, bide__addr_port(peer));
  lua_setfield(L, -2, "port");
}

static int fail(lua_State *L, bide_host *h, bide_stream *s, int status) {
  char where[BIDE_HOST_MAX + 16];
  const char *host = lua_tostring(L, HOST), *op = lua_tostring(L, OP);
  if (host) bide__host_port_text(host, (int)lua_tointeger(L, PORT), where, sizeof where);
  else bide__stream_text(s, where, sizeof where);
  if (status == BIDE_ETLS)
    bide__tls_error_push(L, h, s->conn->ops->tls->failure(s->conn), op, where);
  else if (status == UV_ETIMEDOUT)
    bide__error_push(L, h, "ETIMEDOUT", op, "%s: no TLS session in time", where);
  else bide__error_push_status(L, h, status, op, where);
  set_place(L, s);
  bide__stream_close(s, 0);
  return lua_error(L);
}

static int k_starttls(lua_State *L, bide_host *h, bide_wait *w) {
  bide_stream *s = lua_touserdata(L, STREAM);
  if (s->reader == w) s->reader = NULL;
  if (w->status == UV_EBADF || (!w->status && !s->conn))
    return bide__stream_fail(L, h, s, UV_EBADF, lua_tostring(L, OP));
  if (w->status < 0) {
    bide__stream_close(s, 0);
    return bide__raise_status(L, h, w->status, lua_tostring(L, OP));
  }
  if (s->error) return fail(L, h, s, s->error);
  lua_settop(L, STREAM);
  return 1;
}

/* Stack: stream, host or nil, port, the operation's name; `name` is what the certificate must be
 * for. */
static int secure(lua_State *L, bide_host *h, bide_stream *s, const bide_tls_hold *hold,
                  const char *name, double timeout) {
  bide_task *t = h->current;
  bide_conn *c;
  int port = (int)lua_tointeger(L, PORT);
  bide__stream_wake_writers(s, 0); /* what they wrote goes out first */
  if (hold->module->wrap(hold->context, s->conn, name, port, &c)) {
    bide__stream_close(s, 0);
    return luaL_error(L, "not enough memory");
  }
  bide__stream_adopt(s, c);
  if (hold->module->handshake(c, timeout, on_greeted, s)) {
    bide__stream_close(s, 0);
    return luaL_error(L, "not enough memory");
  }
  bide__wait_init(h, &t->own, &starttls_ops);
  bide__io(t)->data = s;
  s->reader = &t->own;
  return bide__suspend(L, h, &t->own, &starttls_ops, k_starttls);
}

/* ---- stream:starttls(opts) ---- */

static bide_tls_hold *read_options(lua_State *L, bide_host *h, int is_server) {
  static const char *const client[] = {"server", "timeout", BIDE_TLS_CLIENT_OPTIONS, NULL};
  static const char *const server[] = {"server", "timeout", "verify",  "ca",  "cert",
                                       "key",    "alpn",    "version", "sni", NULL};
  bide__check_options(L, 2, is_server ? server : client);
  if (is_server) return bide__tls_server_push(L, h, 2, NULL);
  return bide__tls_client_push(L, h, 2, NULL);
}

/* The name that a client expects; without one, nothing could be verified. */
static const char *read_name(lua_State *L) {
  size_t n;
  const char *name = bide__opt_string(L, 2, "servername", &n);
  if (name && !bide__addr_host_valid(name, n))
    luaL_argerror(L, 2, "option 'servername': host name or address expected");
  if (!name && bide__opt_boolean(L, 2, "verify", 1))
    luaL_argerror(L, 2, "option 'servername': needed, whose certificate is expected");
  return name;
}

/* What came in plain text before the handshake is nobody's to trust (as with STARTTLS injection).
 */
static void check_state(lua_State *L, bide_host *h, const bide_stream *s) {
  char text[BIDE_ADDR_TEXT + 16];
  bide__stream_text(s, text, sizeof text);
  if (s->reader)
    bide__error(L, h, "EBUSY", "starttls",
                "%s: another task is reading from this stream (begin TLS between two reads)", text);
  if (s->in)
    bide__error(L, h, "EPROTO", "starttls", "%s: the peer sent bytes before the handshake", text);
  int refusal = bide__conn_refusal(s->conn);
  if (refusal || s->error) bide__stream_fail(L, h, s, refusal ? refusal : s->error, "starttls");
}

int bide__stream_secure(lua_State *L, bide_host *h, bide_stream *s, const bide_tls_hold *hold,
                        const char *name, double timeout) {
  check_state(L, h, s);
  lua_pushnil(L);
  lua_insert(L, HOST);
  lua_pushinteger(L, 0);
  lua_insert(L, PORT);
  lua_pushliteral(L, "starttls");
  lua_insert(L, OP);
  return secure(L, h, s, hold, name, timeout);
}

static int l_starttls(lua_State *L) {
  bide_host *h = bide__host(L);
  bide__check_stream(L);
  lua_settop(L, 2);
  int is_server = lua_istable(L, 2) && bide__opt_boolean(L, 2, "server", 0);
  double timeout = bide__opt_seconds(L, 2, "timeout", BIDE_TLS_TIMEOUT);
  bide_tls_hold *hold = read_options(L, h, is_server);
  const char *name = is_server ? NULL : read_name(L);
  bide_stream *s = bide__stream_begin(L, h, "starttls");
  if (!s) return bide__refuse(L, h);
  return bide__stream_secure(L, h, s, hold, name, timeout); /* the options hold the name */
}

/* stream:tls_info() → table, or nil for a stream that is not encrypted. */
static int l_tls_info(lua_State *L) {
  bide_host *h = bide__host(L);
  const bide_stream *s = bide__check_stream(L);
  if (!s->conn) return bide__stream_fail(L, h, s, UV_EBADF, "tls_info");
  if (bide__conn_is_tls(s->conn)) s->conn->ops->tls->push_info(L, s->conn);
  else lua_pushnil(L);
  return 1;
}

const luaL_Reg bide__stream_security[] = {
    {"starttls", l_starttls}, {"tls_info", l_tls_info}, {NULL, NULL}};

/* ---- bide.tls ---- */

/* What the value at 3 holds while the connection is made: {hold, name, end of the time}. */
enum { X_HOLD = 1, X_NAME, X_END };

static int secure_dialed(lua_State *L, bide_host *h, bide_stream *s) {
  lua_insert(L, STREAM); /* stream, host, port, extra */
  lua_rawgeti(L, 4, X_END);
  uint64_t end = (uint64_t)lua_tointeger(L, -1), now = bide__now_ns(h);
  double left = end == BIDE_NEVER ? (double)INFINITY : end > now ? (double)(end - now) / 1e9 : 0;
  lua_pop(L, 1);
  lua_pushliteral(L, "connect");
  lua_insert(L, OP);
  lua_rawgeti(L, OP + 1, X_HOLD);
  lua_rawgeti(L, OP + 1, X_NAME);
  return secure(L, h, s, lua_touserdata(L, -2), lua_tostring(L, -1), left);
}

/* connect(host, port, opts) → stream. `timeout` is for all of it. */
static int l_connect(lua_State *L) {
  static const char *const names[] = {BIDE_DIAL_OPTIONS, BIDE_TLS_CLIENT_OPTIONS, NULL};
  bide_host *h = bide__host(L);
  bide_dial d;
  size_t n = 0;
  bide__check_host(L, 1);
  bide__check_port(L, 2, 1);
  lua_settop(L, 3);
  bide__check_options(L, 3, names);
  bide__dial_options(L, 3, &d);
  d.then = secure_dialed;
  const char *name = bide__opt_string(L, 3, "servername", &n);
  if (name && !bide__addr_host_valid(name, n))
    luaL_argerror(L, 3, "option 'servername': host name or address expected");
  lua_createtable(L, 3, 0);
  bide__tls_client_push(L, h, 3, NULL);
  lua_rawseti(L, 4, X_HOLD);
  lua_pushstring(L, name ? name : lua_tostring(L, 1));
  lua_rawseti(L, 4, X_NAME);
  lua_pushinteger(L, (lua_Integer)bide__deadline_ns(bide__now_ns(h), d.options.timeout));
  lua_rawseti(L, 4, X_END);
  lua_replace(L, 3);
  if (bide__checkpoint(L, h, "connect")) return bide__refuse(L, h);
  return bide__dial_tcp(L, h, &d);
}

/* listen(host, port, handler, opts) → server */
static int l_listen(lua_State *L) {
  return bide__listen_tcp(L, 1);
}

void bide__open_tls(lua_State *L, int host) {
  static const luaL_Reg functions[] = {{"connect", l_connect}, {"listen", l_listen}, {NULL, NULL}};
  bide__open_streams(L, host);
  bide__open_servers(L, host);
  bide__new_lib(L, host, functions);
}
