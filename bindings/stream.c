/* SPDX-License-Identifier: MIT */
/* stream.c: streams but for reading and writing: identity, closing, addresses, options.
 *
 * Invariant: s->conn is open, or NULL and nobody waits. Whoever waits does so with the wait of its
 * own task (task->own), whose data (io.h) is the stream; closing clears both ends. */
#include "secure.h"
#include "tracked.h"
#include "core/error.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const char stream_key = 0; /* its address: the metatable's place in the registry */

bide_stream *bide__tostream(lua_State *L, int idx) {
  bide_stream *s = lua_touserdata(L, idx);
  if (!s || lua_islightuserdata(L, idx) || !lua_getmetatable(L, idx)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &stream_key);
  int same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? s : NULL;
}

bide_stream *bide__check_stream(lua_State *L) {
  if (lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1)) {
    int same = lua_rawequal(L, -1, lua_upvalueindex(2));
    lua_pop(L, 1);
    if (same) return lua_touserdata(L, 1);
  }
  bide__type_error(L, 1, "stream");
  return NULL;
}

bide_stream *bide__stream_push(lua_State *L) {
  bide_stream *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &stream_key);
  lua_setmetatable(L, -2);
  return s;
}

/* ---- events ---- */

static void on_readable(bide_conn *c) {
  bide_stream *s = c->user;
  if (s->reader && !s->reader->set) bide__wake(s->reader, 0);
}

/* The host closes it under us, in its teardown. */
static void on_closed(bide_conn *c) {
  bide_stream *s = c->user;
  if (!s) return;
  bide__inbuf_free(c->host, s);
  s->conn = NULL;
  s->reader = NULL;
  s->writers = NULL;
}

static const bide_conn_cbs stream_cbs = {
    .on_readable = on_readable, .on_drain = bide__stream_on_drain, .on_closed = on_closed};

void bide__stream_adopt(bide_stream *s, bide_conn *c) {
  s->conn = c;
  bide__conn_use(c, &stream_cbs, s);
}

static int is_open(const void *object) {
  return ((const bide_stream *)object)->conn != NULL;
}
const bide_tracked bide__stream_tracked = {"stream", is_open};

/* ---- failing ---- */

/* NULL: not known, or a unix socket. */
static const bide_addr *peer_of(const bide_stream *s) {
  if (s->conn) return bide__conn_peer(s->conn);
  return s->last.sa.sa_family ? &s->last : NULL;
}

const char *bide__stream_text(const bide_stream *s, char *buf, size_t size) {
  char host[BIDE_ADDR_TEXT];
  const bide_addr *peer = peer_of(s);
  if (!peer) snprintf(buf, size, "unix socket");
  else
    bide__host_port_text(bide__addr_text(peer, host, sizeof host), bide__addr_port(peer), buf,
                         size);
  return buf;
}

void bide__stream_set_peer(lua_State *L, const bide_stream *s) {
  char text[BIDE_ADDR_TEXT];
  const bide_addr *peer = peer_of(s);
  if (!peer) return;
  lua_pushstring(L, bide__addr_text(peer, text, sizeof text));
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, bide__addr_port(peer));
  lua_setfield(L, -2, "port");
}

int bide__stream_fail(lua_State *L, bide_host *h, const bide_stream *s, int status,
                      const char *op) {
  char text[BIDE_ADDR_TEXT + 16];
  if (status == UV_ECANCELED || status == BIDE_EDEADLK) return bide__raise_status(L, h, status, op);
  bide__stream_text(s, text, sizeof text);
  if (!s->conn) bide__error_push(L, h, "EBADF", op, "%s: the stream is closed", text);
  else if (status == BIDE_ETLS && bide__conn_is_tls(s->conn))
    bide__tls_error_push(L, h, s->conn->ops->tls->failure(s->conn), op, text);
  else bide__error_push_status(L, h, status, op, text);
  bide__stream_set_peer(L, s);
  return lua_error(L);
}

bide_stream *bide__stream_begin(lua_State *L, bide_host *h, const char *op) {
  bide_stream *s = bide__check_stream(L);
  if (bide__checkpoint(L, h, op)) return NULL;
  if (!s->conn) bide__stream_fail(L, h, s, UV_EBADF, op);
  return s;
}

/* ---- closing ---- */

/* Ends the waits and separates stream and connection, which is returned. */
static bide_conn *take_conn(bide_stream *s) {
  bide_conn *c = s->conn;
  bide_wait *w = s->reader;
  const bide_addr *peer = bide__conn_peer(c);
  if (peer) s->last = *peer;
  s->conn = NULL;
  s->reader = NULL;
  if (w) {
    bide__io(bide__wait_owner(w))->data = NULL;
    if (!w->set) bide__wake(w, UV_EBADF);
  }
  bide__stream_wake_writers(s, UV_EBADF);
  bide__inbuf_free(c->host, s);
  bide__conn_use(c, NULL, NULL);
  if (s->server) bide__handled_closed(s->server, c);
  s->server = NULL;
  return c;
}

void bide__stream_close(bide_stream *s, int gently) {
  if (!s->conn) return;
  bide_conn *c = take_conn(s);
  if (gently) bide__conn_close_gently(c, 0);
  else bide__conn_close(c);
}

/* One who waits in close() until everything has been sent. */
typedef struct closer {
  bide_host *host;
  bide_wait *wait; /* NULL: nobody waits any more */
  bide_conn *conn; /* NULL: closed */
} closer;

static void on_flushed(bide_conn *c) {
  closer *op = c->user;
  op->conn = NULL;
  if (op->wait) bide__wake(op->wait, op->wait->aborted ? UV_ECANCELED : 0);
  else bide__free(op->host, op, sizeof *op);
}

static void abort_close(bide_wait *w, int status) {
  closer *op = bide__io(w->task)->data;
  (void)status;
  bide__conn_close(op->conn);
}

static void drop_close(bide_wait *w) {
  closer *op = bide__io(bide__wait_owner(w))->data;
  op->wait = NULL;
  if (!op->conn) bide__free(op->host, op, sizeof *op);
}

static const bide_waitops close_ops = {"close", abort_close, NULL, drop_close, 0};
static const bide_conn_cbs closer_cbs = {.on_closed = on_flushed};

static int k_close(lua_State *L, bide_host *h, bide_wait *w) {
  closer *op = bide__io(h->current)->data;
  bide__free(h, op, sizeof *op);
  return w->status < 0 ? bide__raise_status(L, h, w->status, "close") : 0;
}

/* A task that closes what is not sent yet waits for it (at most BIDE_LINGER); whoever can't wait
 * lets it be sent in the background, a cancelled task drops it. */
static int l_close(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_stream *s = bide__check_stream(L);
  bide_task *t = h->current;
  if (!s->conn) return 0;
  int may_wait = t && L == h->top && lua_isyieldable(L) && !h->closed;
  int refused = may_wait && bide__task_refused(t);
  if (!bide__conn_queued(s->conn) || !may_wait || refused || s->server) {
    bide__stream_close(s, !refused);
    return 0;
  }
  closer *op = bide__alloc(h, sizeof *op);
  if (!op) {
    bide__stream_close(s, 1);
    return 0;
  }
  *op = (closer){h, &t->own, take_conn(s)};
  bide__wait_init(h, &t->own, &close_ops);
  bide__io(t)->data = op;
  bide__conn_use(op->conn, &closer_cbs, op);
  bide__conn_close_gently(op->conn, 0);
  return bide__suspend(L, h, &t->own, &close_ops, k_close);
}

static int l_gc(lua_State *L) {
  bide__stream_close(bide__check_stream(L), 1);
  return 0;
}

/* ---- the rest ---- */

static int push_address(lua_State *L, const bide_addr *a) {
  char text[BIDE_ADDR_TEXT];
  lua_pushstring(L, bide__addr_text(a, text, sizeof text));
  lua_pushinteger(L, bide__addr_port(a));
  return 2;
}

/* The path of a unix socket; nil for one without a name. */
static int push_path(lua_State *L, const bide_conn *c, int peer) {
  struct sockaddr_un un = {0};
  socklen_t len = sizeof un;
  int fd = c->ops->fd(c);
  int r = peer ? getpeername(fd, (struct sockaddr *)&un, &len)
               : getsockname(fd, (struct sockaddr *)&un, &len);
  size_t n = r || len <= offsetof(struct sockaddr_un, sun_path)
                 ? 0
                 : len - offsetof(struct sockaddr_un, sun_path);
  if (n && un.sun_path[0]) n = strnlen(un.sun_path, n);
  if (n) lua_pushlstring(L, un.sun_path, n);
  else lua_pushnil(L);
  return 1;
}

static bide_stream *check_open(lua_State *L, const char *op) {
  bide_stream *s = bide__check_stream(L);
  if (!s->conn) bide__stream_fail(L, bide__host(L), s, UV_EBADF, op);
  return s;
}

static int l_peer(lua_State *L) {
  bide_stream *s = check_open(L, "peer");
  const bide_addr *a = bide__conn_peer(s->conn);
  return a ? push_address(L, a) : push_path(L, s->conn, 1);
}

static int l_local_address(lua_State *L) {
  bide_stream *s = check_open(L, "local_address");
  bide_addr a;
  int status = bide__conn_local(s->conn, &a);
  if (status) return bide__stream_fail(L, bide__host(L), s, status, "local_address");
  return a.sa.sa_family == AF_UNIX ? push_path(L, s->conn, 0) : push_address(L, &a);
}

static int l_nodelay(lua_State *L) {
  bide_stream *s = check_open(L, "nodelay");
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TBOOLEAN);
  int status = bide__conn_nodelay(s->conn, lua_isnoneornil(L, 2) || lua_toboolean(L, 2));
  if (status) return bide__stream_fail(L, bide__host(L), s, status, "nodelay");
  lua_settop(L, 1);
  return 1;
}

static int l_keepalive(lua_State *L) {
  bide_stream *s = check_open(L, "keepalive");
  double seconds = bide__check_seconds(L, 2);
  luaL_argcheck(L, seconds <= 32767, 2, "keepalive of at most 32767 seconds expected");
  unsigned n = seconds > 0 && seconds < 1 ? 1 : (unsigned)seconds;
  int status = bide__conn_keepalive(s->conn, n);
  if (status) return bide__stream_fail(L, bide__host(L), s, status, "keepalive");
  lua_settop(L, 1);
  return 1;
}

/* The stream outlives its handler; the server does not count it any more. */
static int l_detach(lua_State *L) {
  bide_stream *s = check_open(L, "detach");
  if (s->server) bide__handled_detach(s->server);
  s->server = NULL;
  lua_settop(L, 1);
  return 1;
}

static int l_tostring(lua_State *L) {
  char text[BIDE_ADDR_TEXT + 16];
  const bide_stream *s = bide__check_stream(L);
  if (s->conn) lua_pushfstring(L, "stream (%s)", bide__stream_text(s, text, sizeof text));
  else lua_pushliteral(L, "stream (closed)");
  return 1;
}

static const luaL_Reg methods[] = {{"close", l_close},
                                   {"peer", l_peer},
                                   {"local_address", l_local_address},
                                   {"nodelay", l_nodelay},
                                   {"keepalive", l_keepalive},
                                   {"detach", l_detach},
                                   {NULL, NULL}};
static const luaL_Reg metamethods[] = {
    {"__close", l_close}, {"__gc", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};

/* Sets functions with host and metatable as upvalues into the table on top; metatable at mt. */
static void set_functions(lua_State *L, int host, int mt, const luaL_Reg *reg) {
  lua_pushvalue(L, host);
  lua_pushvalue(L, mt);
  luaL_setfuncs(L, reg, 2);
}

void bide__open_streams(lua_State *L, int host) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &stream_key) != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 1);
  bide__new_metatable(L, host, "bide.stream", NULL, NULL);
  int mt = lua_gettop(L);
  set_functions(L, host, mt, metamethods);
  lua_newtable(L);
  set_functions(L, host, mt, methods);
  set_functions(L, host, mt, bide__stream_readers);
  set_functions(L, host, mt, bide__stream_writers);
  set_functions(L, host, mt, bide__stream_security);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "bide.stream"); /* where argument errors find the methods' names */
  lua_pop(L, 1);
  lua_setfield(L, mt, "__index");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &stream_key);
}
