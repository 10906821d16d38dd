/* SPDX-License-Identifier: MIT */
/* socket_stream.c: from sockets of LuaSocket's kind to streams, for bide.socket.ssl, which makes
 * LuaSec's interface of them: rows of the field `socket` of bide.core. Owns nothing. */
#include "secure.h"
#include "socket.h"
#include "tracked.h"
#include "core/error.h"
#include "core/policy.h"
#include "net/plain.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* The descriptor at 1: of a socket, which gives it up, or a foreign one's number; or an error. */
static int take_fd(lua_State *L) {
  const bide_socket_ud *u = bide__test_socket(L, 1);
  if (u) return u->socket ? bide__socket_release(u->socket) : UV_EBADF;
  lua_Integer fd = lua_tointeger(L, 1);
  if (fd < 0 || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0) return UV_EBADF;
  return bide__socket_prepare((int)fd);
}

/* stream(socket or fd): takes the open, connected descriptor over; or nil, code, text */
int bide__socket_stream(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_addr peer = {0};
  socklen_t len = sizeof peer;
  bide_conn *c;
  if (!bide__test_socket(L, 1)) luaL_checkinteger(L, 1);
  bide_stream *s = bide__stream_push(L); /* first, for it may raise */
  int status = bide__may_open(h), fd = status ? UV_EACCES : take_fd(L);
  if (fd < 0) return bide__socket_fail(L, fd);
  if (getpeername(fd, &peer.sa, &len)) memset(&peer, 0, sizeof peer);
  bide__addr_unmap(&peer);
  int is_ip = peer.sa.sa_family == AF_INET || peer.sa.sa_family == AF_INET6;
  status = bide__plain_open(h, fd, is_ip ? &peer : NULL, UV_READABLE | UV_WRITABLE, &c);
  if (status) return bide__socket_fail(L, status);
  bide__stream_adopt(s, c);
  bide__track(L, h, lua_gettop(L), &bide__stream_tracked);
  return 1;
}

/* stream_fd(stream): its descriptor, -1 when it is closed */
int bide__socket_stream_fd(lua_State *L) {
  const bide_stream *s = bide__tostream(L, 1);
  if (!s) bide__type_error(L, 1, "stream");
  lua_pushinteger(L, s->conn ? s->conn->ops->fd(s->conn) : -1);
  return 1;
}

/* tls_context(opts, server): what stands for these options of starttls from now on */
int bide__socket_tls_context(lua_State *L) {
  bide_host *h = bide__host(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_toboolean(L, 2)) bide__tls_server_push(L, h, 1, NULL);
  else bide__tls_client_push(L, h, 1, NULL);
  return 1;
}

/* secure(stream, context, name or nil, timeout): waits for the handshake; the stream */
int bide__socket_secure(lua_State *L) {
  bide_host *h = bide__host(L);
  size_t n = 0;
  if (!bide__tostream(L, 1)) bide__type_error(L, 1, "stream");
  const bide_tls_hold *hold = bide__test_tls_hold(L, 2);
  if (!hold) bide__type_error(L, 2, "context");
  const char *name = luaL_optlstring(L, 3, NULL, &n);
  luaL_argcheck(L, !name || bide__addr_host_valid(name, n), 3, "host name or address expected");
  double timeout = bide__check_seconds(L, 4);
  if (bide__checkpoint(L, h, "starttls")) return bide__refuse(L, h);
  bide_stream *s = bide__tostream(L, 1);
  if (!s->conn) return bide__stream_fail(L, h, s, UV_EBADF, "starttls");
  return bide__stream_secure(L, h, s, hold, name, timeout);
}
