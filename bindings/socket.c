/* SPDX-License-Identifier: MIT */
/* socket.c: the field `socket` of bide.core: sockets as the system has them, for bide.socket
 * (lua/bide/socket.lua), which makes LuaSocket's rules of them.
 *
 * Nothing here waits; what fails returns nil, the code and the system's text. A socket is a
 * userdata that owns a bide_socket. Waiting stands in socket_wait.c, options in socket_options.c.
 */
#include "bindings.h"
#include "io.h"
#include "socket.h"
#include "core/error.h"
#include "net/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static const char socket_key = 0;

int bide__socket_fail(lua_State *L, int status) {
  lua_pushnil(L);
  lua_pushstring(L, bide__code_name(status));
  lua_pushstring(L, status < 0 && status > -4000 ? strerror(-status) : bide__code_text(status));
  return 3;
}

int bide__socket_failed(lua_State *L) {
  return bide__socket_fail(L, uv_translate_sys_error(errno));
}

bide_socket_ud *bide__test_socket(lua_State *L, int idx) {
  void *p = lua_touserdata(L, idx);
  if (!p || lua_islightuserdata(L, idx) || !lua_getmetatable(L, idx)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &socket_key);
  int same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? p : NULL;
}

static bide_socket *check_socket(lua_State *L) {
  bide_socket_ud *s = bide__test_socket(L, 1);
  if (!s) bide__type_error(L, 1, "socket");
  return s->socket;
}

int bide__check_fd(lua_State *L) {
  const bide_socket *s = check_socket(L);
  return s ? s->poll.fd : -1;
}

static int push_socket(lua_State *L, int fd) {
  bide_host *h = bide__host(L);
  bide_socket *s;
  if (fd < 0) return bide__socket_fail(L, fd);
  int status = bide__socket_open(h, fd, &s);
  if (status) return bide__socket_fail(L, status);
  bide_socket_ud *u = lua_touserdata(L, -1);
  u->socket = s;
  s->owner = &u->socket;
  return 1;
}

/* The userdata comes first, closed. */
static void new_socket(lua_State *L) {
  bide_socket_ud *u = lua_newuserdatauv(L, sizeof *u, 0);
  u->socket = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &socket_key);
  lua_setmetatable(L, -2);
}

static int check_family(lua_State *L, int arg) {
  static const char *const names[] = {"inet", "inet6", "unix", NULL};
  static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
  return families[luaL_checkoption(L, arg, NULL, names)];
}

/* open(family, "stream" or "dgram") */
static int l_open(lua_State *L) {
  static const char *const types[] = {"stream", "dgram", NULL};
  int family = check_family(L, 1), on = 1;
  int type = luaL_checkoption(L, 2, NULL, types) ? SOCK_DGRAM : SOCK_STREAM;
  new_socket(L);
  int fd = bide__socket(family, type);
  if (fd >= 0 && family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  return push_socket(L, fd);
}

/* wrap(fd): takes an open descriptor over */
static int l_wrap(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  new_socket(L);
  if (fd < 0 || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0) return bide__socket_fail(L, UV_EBADF);
  return push_socket(L, bide__socket_prepare((int)fd));
}

static int l_close(lua_State *L) {
  bide_socket *s = check_socket(L);
  if (s) bide__socket_close(s);
  return 0;
}

/* release(): the descriptor, which stays open; nothing when it is closed */
static int l_release(lua_State *L) {
  bide_socket *s = check_socket(L);
  if (!s) return 0;
  int fd = bide__socket_release(s);
  if (fd < 0) return 0;
  lua_pushinteger(L, fd);
  return 1;
}

static int l_fd(lua_State *L) {
  lua_pushinteger(L, bide__check_fd(L));
  return 1;
}

/* --- addresses: (IP address, port), or (path) --- */

typedef union address {
  bide_addr ip;
  struct sockaddr_un un;
  struct sockaddr sa;
} address;

/* The length, or 0 when the arguments are no address. */
static socklen_t check_address(lua_State *L, int arg, address *a) {
  size_t len;
  const char *host = luaL_checklstring(L, arg, &len);
  memset(a, 0, sizeof *a);
  if (lua_isnoneornil(L, arg + 1)) {
    if (!len || len >= sizeof a->un.sun_path) return 0;
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, host, len);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (host[0] != 0));
  }
  lua_Integer port = luaL_checkinteger(L, arg + 1);
  if (port < 0 || port > 65535 || bide__addr_literal(host, (int)port, &a->ip)) return 0;
  return bide__addr_len(&a->ip);
}

static int push_address(lua_State *L, const address *a, socklen_t len) {
  char text[BIDE_ADDR_TEXT];
  if (a->sa.sa_family == AF_UNIX) {
    size_t n = len > offsetof(struct sockaddr_un, sun_path)
                   ? len - offsetof(struct sockaddr_un, sun_path)
                   : 0;
    if (n && a->un.sun_path[0]) n = strnlen(a->un.sun_path, n);
    lua_pushlstring(L, a->un.sun_path, n);
    return 1;
  }
  lua_pushstring(L, bide__addr_text(&a->ip, text, sizeof text));
  lua_pushinteger(L, bide__addr_port(&a->ip));
  lua_pushstring(L, a->sa.sa_family == AF_INET6 ? "inet6" : "inet");
  return 3;
}

static int done(lua_State *L, int r) {
  if (r < 0) return bide__socket_failed(L);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_bind(lua_State *L) {
  address a;
  int fd = bide__check_fd(L);
  socklen_t len = check_address(L, 2, &a);
  return len ? done(L, bind(fd, &a.sa, len)) : bide__socket_fail(L, UV_EINVAL);
}

static int l_connect(lua_State *L) {
  address a;
  int r, fd = bide__check_fd(L);
  socklen_t len = check_address(L, 2, &a);
  if (!len) return bide__socket_fail(L, UV_EINVAL);
  do r = connect(fd, &a.sa, len);
  while (r < 0 && errno == EINTR);
  if (r < 0 && errno == EINPROGRESS) {
    bide__socket_spent(check_socket(L), UV_WRITABLE);
    lua_pushnil(L);
    lua_pushliteral(L, "EINPROGRESS");
    return 2;
  }
  return done(L, r);
}

/* disconnect(): a datagram socket */
static int l_disconnect(lua_State *L) {
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  return done(L, connect(bide__check_fd(L), &none, sizeof none));
}

static int l_listen(lua_State *L) {
  int fd = bide__check_fd(L);
  lua_Integer backlog = luaL_checkinteger(L, 2);
  return done(L, listen(fd, backlog < 0 ? 0 : backlog > SOMAXCONN ? SOMAXCONN : (int)backlog));
}

/* After EAGAIN an edge will tell. */
static int spent(lua_State *L, int events) {
  bide_socket *s = check_socket(L);
  if (errno == EWOULDBLOCK) errno = EAGAIN;
  if (s && errno == EAGAIN) bide__socket_spent(s, events);
  return bide__socket_failed(L);
}

static int l_accept(lua_State *L) {
  int fd = bide__check_fd(L), new_fd;
  new_socket(L);
  do new_fd = bide__accept(fd, NULL, NULL);
  while (new_fd < 0 && errno == EINTR);
  if (new_fd < 0) return spent(L, UV_READABLE);
  return push_socket(L, new_fd);
}

static int l_shutdown(lua_State *L) {
  static const char *const names[] = {"receive", "send", "both", NULL};
  static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
  return done(L, shutdown(bide__check_fd(L), hows[luaL_checkoption(L, 2, NULL, names)]));
}

static int name(lua_State *L, int (*get)(int, struct sockaddr *, socklen_t *)) {
  address a;
  socklen_t len = sizeof a;
  memset(&a, 0, sizeof a);
  if (get(bide__check_fd(L), &a.sa, &len)) return bide__socket_failed(L);
  return push_address(L, &a, len);
}

static int l_getsockname(lua_State *L) {
  return name(L, getsockname);
}
static int l_getpeername(lua_State *L) {
  return name(L, getpeername);
}

/* --- bytes --- */

/* send(data, i, j): from byte i to byte j; how many were sent */
static int l_send(lua_State *L) {
  int fd = bide__check_fd(L);
  size_t len;
  ssize_t n;
  const char *data = luaL_checklstring(L, 2, &len);
  lua_Integer i = luaL_optinteger(L, 3, 1), j = luaL_optinteger(L, 4, (lua_Integer)len);
  luaL_argcheck(L, i >= 1 && j <= (lua_Integer)len && i <= j + 1, 3, "range within the string");
  do n = send(fd, data + i - 1, (size_t)(j - i + 1), MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n < 0) return spent(L, UV_WRITABLE);
  bide__io_weigh(bide__host(L), (size_t)n);
  lua_pushinteger(L, n);
  return 1;
}

static int l_sendto(lua_State *L) {
  address a;
  int fd = bide__check_fd(L);
  size_t len;
  ssize_t n;
  const char *data = luaL_checklstring(L, 2, &len);
  socklen_t size = check_address(L, 3, &a);
  if (!size) return bide__socket_fail(L, UV_EINVAL);
  do n = sendto(fd, data, len, MSG_NOSIGNAL, &a.sa, size);
  while (n < 0 && errno == EINTR);
  if (n < 0) return spent(L, UV_WRITABLE);
  lua_pushinteger(L, n);
  return 1;
}

/* What recv takes at most, into the loop's shared buffer. */
static size_t check_size(lua_State *L) {
  lua_Integer max = luaL_checkinteger(L, 2);
  return max < 0 ? 0 : max > BIDE_READ_BUFFER ? BIDE_READ_BUFFER : (size_t)max;
}

/* recv(max): a string; of a stream that has ended nil, "EOF" */
static int l_recv(lua_State *L) {
  bide_host *h = bide__host(L);
  int fd = bide__check_fd(L);
  size_t max = check_size(L);
  char *buf = bide__read_buffer(h);
  ssize_t n;
  if (!buf) return bide__socket_fail(L, UV_ENOMEM);
  do n = recv(fd, buf, max, 0);
  while (n < 0 && errno == EINTR);
  if (n < 0) return spent(L, UV_READABLE);
  if (!n && max && !lua_toboolean(L, 3)) return bide__socket_fail(L, UV_EOF);
  bide__io_weigh(h, (size_t)n);
  lua_pushlstring(L, buf, (size_t)n);
  return 1;
}

/* recvfrom(max): a datagram and who sent it */
static int l_recvfrom(lua_State *L) {
  address a;
  socklen_t len = sizeof a;
  int fd = bide__check_fd(L);
  size_t max = check_size(L);
  char *buf = bide__read_buffer(bide__host(L));
  ssize_t n;
  if (!buf) return bide__socket_fail(L, UV_ENOMEM);
  memset(&a, 0, sizeof a);
  do n = recvfrom(fd, buf, max, 0, &a.sa, &len);
  while (n < 0 && errno == EINTR);
  if (n < 0) return spent(L, UV_READABLE);
  lua_pushlstring(L, buf, (size_t)n);
  return 1 + push_address(L, &a, len);
}

/* --- the rest --- */

static int l_gettime(lua_State *L) {
  struct timeval tv;
  gettimeofday(&tv, NULL);
  lua_pushnumber(L, (lua_Number)tv.tv_sec + (lua_Number)tv.tv_usec / 1e6);
  return 1;
}

static int l_gethostname(lua_State *L) {
  char host[256] = "";
  if (gethostname(host, sizeof host - 1)) return bide__socket_failed(L);
  lua_pushstring(L, host);
  return 1;
}

/* literal(host): is it an IP address? */
static int l_literal(lua_State *L) {
  bide_addr a;
  lua_pushboolean(L, !bide__addr_literal(luaL_checkstring(L, 1), 0, &a));
  return 1;
}

void bide__open_socket(lua_State *L, int host) {
  static const luaL_Reg functions[] = {{"open", l_open},
                                       {"wrap", l_wrap},
                                       {"select", bide__socket_select},
                                       {"ready", bide__socket_ready},
                                       {"breathe", bide__socket_breathe},
                                       {"stream", bide__socket_stream},
                                       {"stream_fd", bide__socket_stream_fd},
                                       {"tls_context", bide__socket_tls_context},
                                       {"secure", bide__socket_secure},
                                       {"gettime", l_gettime},
                                       {"gethostname", l_gethostname},
                                       {"literal", l_literal},
                                       {NULL, NULL}};
  static const luaL_Reg methods[] = {{"close", l_close},
                                     {"release", l_release},
                                     {"fd", l_fd},
                                     {"bind", l_bind},
                                     {"connect", l_connect},
                                     {"disconnect", l_disconnect},
                                     {"listen", l_listen},
                                     {"accept", l_accept},
                                     {"shutdown", l_shutdown},
                                     {"getsockname", l_getsockname},
                                     {"getpeername", l_getpeername},
                                     {"send", l_send},
                                     {"sendto", l_sendto},
                                     {"recv", l_recv},
                                     {"recvfrom", l_recvfrom},
                                     {"setoption", bide__socket_setoption},
                                     {"getoption", bide__socket_getoption},
                                     {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__gc", l_close}, {NULL, NULL}};
  bide__new_metatable(L, host, "bide.core.socket", methods, metamethods);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &socket_key);
  bide__new_lib(L, host, functions);
  lua_setfield(L, -2, "socket");
}
