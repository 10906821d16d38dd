/* SPDX-License-Identifier: MIT */
/* socket.c: the field `socket` of bide.core: sockets as the system has them, for bide.socket
 * (lua/bide/socket.lua), which makes LuaSocket's rules of them.
 *
 * Nothing here waits but `select`; what fails returns nil, the code and the system's text. A socket
 * is a userdata that owns a bide_socket. */
#include "bindings.h"
#include "io.h"
#include "socket.h"
#include "core/error.h"
#include "net/plain.h"
#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

typedef struct socket_ud {
  void *socket; /* bide_socket, owned; NULL once closed */
} socket_ud;

static const char socket_key = 0;

static int fail_with(lua_State *L, int status) {
  lua_pushnil(L);
  lua_pushstring(L, bide__code_name(status));
  lua_pushstring(L, status < 0 && status > -4000 ? strerror(-status) : bide__code_text(status));
  return 3;
}

int bide__socket_failed(lua_State *L) {
  return fail_with(L, uv_translate_sys_error(errno));
}

static socket_ud *test_socket(lua_State *L, int idx) {
  void *p = lua_touserdata(L, idx);
  if (!p || lua_islightuserdata(L, idx) || !lua_getmetatable(L, idx)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &socket_key);
  int same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? p : NULL;
}

static bide_socket *check_socket(lua_State *L) {
  socket_ud *s = test_socket(L, 1);
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
  if (fd < 0) return fail_with(L, fd);
  int status = bide__socket_open(h, fd, &s);
  if (status) return fail_with(L, status);
  socket_ud *u = lua_touserdata(L, -1);
  u->socket = s;
  s->owner = &u->socket;
  return 1;
}

/* The userdata comes first, closed. */
static void new_socket(lua_State *L) {
  socket_ud *u = lua_newuserdatauv(L, sizeof *u, 0);
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
  if (fd < 0 || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0) return fail_with(L, UV_EBADF);
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
  return len ? done(L, bind(fd, &a.sa, len)) : fail_with(L, UV_EINVAL);
}

static int l_connect(lua_State *L) {
  address a;
  int r, fd = bide__check_fd(L);
  socklen_t len = check_address(L, 2, &a);
  if (!len) return fail_with(L, UV_EINVAL);
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
  do new_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
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
  if (!size) return fail_with(L, UV_EINVAL);
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
  if (!buf) return fail_with(L, UV_ENOMEM);
  do n = recv(fd, buf, max, 0);
  while (n < 0 && errno == EINTR);
  if (n < 0) return spent(L, UV_READABLE);
  if (!n && max && !lua_toboolean(L, 3)) return fail_with(L, UV_EOF);
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
  if (!buf) return fail_with(L, UV_ENOMEM);
  memset(&a, 0, sizeof a);
  do n = recvfrom(fd, buf, max, 0, &a.sa, &len);
  while (n < 0 && errno == EINTR);
  if (n < 0) return spent(L, UV_READABLE);
  lua_pushlstring(L, buf, (size_t)n);
  return 1 + push_address(L, &a, len);
}

/* --- waiting --- */

typedef struct place {
  bide_watch watch;
  struct selection *op;
  bide_socket *socket; /* also when it was closed meanwhile: watch.socket tells */
  bide_socket *own;    /* owned: made for a foreign descriptor */
} place;

typedef struct selection {
  bide_wait wait;
  bide_host *host;
  bide_alarm timeout;
  uint32_t n;
  place at[];
} selection;

static void stop(selection *op) {
  bide__alarm_stop(op->host, &op->timeout);
  for (uint32_t i = 0; i < op->n; i++) {
    bide__socket_unwatch(&op->at[i].watch);
    if (op->at[i].own) bide__socket_close(op->at[i].own);
    op->at[i].own = NULL;
  }
}

static void free_selection(selection *op) {
  bide__free(op->host, op, sizeof *op + op->n * sizeof *op->at);
}

static void wake_selection(selection *op, int status) {
  if (op->wait.set) return;
  stop(op);
  bide__wake(&op->wait, status);
}

static void on_ready(bide_watch *w, int events) {
  (void)events;
  wake_selection(bide_container(w, place, watch)->op, 0);
}

static void on_timeout(bide_alarm *a) {
  wake_selection(bide_container(a, selection, timeout), 0);
}

static void abort_selection(bide_wait *w, int status) {
  wake_selection(bide_container(w, selection, wait), status);
}

static void drop_selection(bide_wait *w) {
  selection *op = bide_container(w, selection, wait);
  stop(op);
  free_selection(op);
}

static const bide_waitops selection_ops = {"socket", abort_selection, NULL, drop_selection, 0};

static int k_select(lua_State *L, bide_host *h, bide_wait *w) {
  int status = w->status;
  free_selection(bide_container(w, selection, wait));
  return status ? bide__raise_status(L, h, status, "select") : 0;
}

/* The socket at `i` of the list at 1: a userdata, or the descriptor of somebody else's. */
static int watch_item(lua_State *L, selection *op, uint32_t i) {
  place *p = &op->at[i];
  lua_rawgeti(L, 1, (lua_Integer)i * 2 + 1);
  lua_rawgeti(L, 1, (lua_Integer)i * 2 + 2);
  socket_ud *u = test_socket(L, -2);
  int fd = u ? -1 : (int)lua_tointeger(L, -2), events = (int)lua_tointeger(L, -1) & 3, status = 0;
  lua_pop(L, 2);
  p->op = op;
  p->watch = (bide_watch){.events = (events & 1 ? UV_READABLE : 0) | (events & 2 ? UV_WRITABLE : 0),
                          .fire = on_ready};
  bide_socket *s = u ? u->socket : NULL;
  if (!u) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return UV_EBADF;
    if ((status = bide__socket_open(op->host, copy, &p->own))) return status;
    s = p->own;
  }
  return s ? bide__socket_watch(s, &p->watch) : UV_EBADF;
}

/* select({socket, events, …}, timeout): waits until one of them may be ready (1: to read, 2: to
 * write, 3), or was closed, or the time is over */
static int l_select(lua_State *L) {
  bide_host *h = bide__host(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  double timeout = luaL_checknumber(L, 2);
  uint32_t n = (uint32_t)(lua_rawlen(L, 1) / 2);
  if (bide__checkpoint(L, h, "select")) return bide__refuse(L, h);
  selection *op = bide__alloc(h, sizeof *op + n * sizeof *op->at);
  if (!op) return luaL_error(L, "not enough memory");
  memset(op, 0, sizeof *op + n * sizeof *op->at);
  op->host = h;
  op->n = n;
  bide__wait_init(h, &op->wait, &selection_ops);
  int status = timeout < 0 ? 0 : bide__alarm_start(h, &op->timeout, timeout, on_timeout);
  for (uint32_t i = 0; i < n && !status; i++) status = watch_item(L, op, i);
  if (status) {
    stop(op);
    free_selection(op);
    return fail_with(L, status);
  }
  return bide__suspend(L, h, &op->wait, &selection_ops, k_select);
}

/* ready({socket, events, …}): what is so now, by the system's own word: a list of events. A closed
 * socket is ready for anything. What is not ready will be told by an edge. */
static int l_ready(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = (lua_Integer)(lua_rawlen(L, 1) / 2);
  lua_settop(L, 1);
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_rawgeti(L, 1, i * 2 + 1);
    lua_rawgeti(L, 1, i * 2 + 2);
    socket_ud *u = test_socket(L, -2);
    bide_socket *s = u ? u->socket : NULL;
    int events = (int)lua_tointeger(L, -1), got = 0;
    struct pollfd p = {.fd = s ? s->poll.fd : u ? -1 : (int)lua_tointeger(L, -2)};
    p.events = (short)((events & 1 ? POLLIN : 0) | (events & 2 ? POLLOUT : 0));
    if (poll(&p, 1, 0) > 0)
      got = (p.revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL) ? 1 : 0) |
            (p.revents & (POLLOUT | POLLHUP | POLLERR | POLLNVAL) ? 2 : 0);
    got = u && !s ? events : got & events;
    if (s)
      bide__socket_spent(s, (events & ~got & 1 ? UV_READABLE : 0) |
                                (events & ~got & 2 ? UV_WRITABLE : 0));
    lua_pop(L, 2);
    lua_pushinteger(L, got);
    lua_rawseti(L, 2, i + 1);
  }
  return 1;
}

/* breathe(): a wait that is over already: a point of cancellation, at which others get their turn
 * after enough of them in a row. */
static int k_breathe(lua_State *L, bide_host *h, bide_wait *w) {
  return w->status ? bide__raise_status(L, h, w->status, "socket") : 0;
}

static int l_breathe(lua_State *L) {
  bide_host *h = bide__host(L);
  if (bide__checkpoint(L, h, "socket")) return bide__refuse(L, h);
  lua_settop(L, 0);
  return bide__complete(L, h, &h->current->own, 0, k_breathe);
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
                                       {"select", l_select},
                                       {"ready", l_ready},
                                       {"breathe", l_breathe},
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
