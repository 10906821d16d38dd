/* SPDX-License-Identifier: MIT */
/* udp.c: bide.udp: datagram sockets.
 *
 * A socket is a userdata that owns a bide_udp. One task at a time may wait in recv; any number in
 * send. Whoever waits does so with its task's own wait (io.h); closing wakes them all. */
#include "dial.h"
#include "io.h"
#include "lookup.h"
#include "tracked.h"
#include "core/error.h"
#include "net/udp.h"

#include <string.h>

typedef struct socket_ud {
  bide_udp *udp;      /* owned; NULL once closed */
  bide_wait *reader;  /* of the task in recv, or NULL */
  bide_task *writers; /* in order */
} socket_ud;

static const char socket_key = 0;

static socket_ud *check_socket(lua_State *L) {
  if (lua_type(L, 1) == LUA_TUSERDATA && lua_getmetatable(L, 1)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &socket_key);
    int same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (same) return lua_touserdata(L, 1);
  }
  bide__type_error(L, 1, "udp socket");
  return NULL;
}

static int closed(lua_State *L, bide_host *h, const char *op) {
  return bide__error(L, h, "EBADF", op, "the socket is closed");
}

static socket_ud *check_open(lua_State *L, const char *op) {
  socket_ud *s = check_socket(L);
  if (!s->udp) closed(L, bide__host(L), op);
  return s;
}

/* Raises what has gone wrong with `a`, which may be NULL. */
static int fail(lua_State *L, bide_host *h, int status, const char *op, const bide_addr *a) {
  char host[BIDE_ADDR_TEXT], where[BIDE_ADDR_TEXT + 16];
  if (status == UV_ECANCELED || status == BIDE_EDEADLK) return bide__raise_status(L, h, status, op);
  if (status == UV_EBADF) return closed(L, h, op);
  if (!a || !a->sa.sa_family) {
    bide__error_push_status(L, h, status, op, NULL);
    return lua_error(L);
  }
  bide__addr_text(a, host, sizeof host);
  bide__error_push_status(L, h, status, op,
                          bide__host_port_text(host, bide__addr_port(a), where, sizeof where));
  lua_pushstring(L, host);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, bide__addr_port(a));
  lua_setfield(L, -2, "port");
  return lua_error(L);
}

/* ---- events ---- */

static void wake_writers(socket_ud *s, int status) {
  bide_task *t = s->writers;
  s->writers = NULL;
  while (t) {
    bide_task *next = bide__io(t)->next;
    bide__io(t)->data = NULL;
    if (!t->own.set) bide__wake(&t->own, status);
    t = next;
  }
}

static void on_readable(bide_udp *u) {
  socket_ud *s = bide__udp_user(u);
  if (s->reader && !s->reader->set) bide__wake(s->reader, 0);
}

static void on_writable(bide_udp *u) {
  wake_writers(bide__udp_user(u), 0);
}

static void on_closed(bide_udp *u) {
  socket_ud *s = bide__udp_user(u);
  *s = (socket_ud){0};
}

static const bide_udp_cbs cbs = {on_readable, on_writable, on_closed};

static void close_socket(socket_ud *s) {
  bide_udp *u = s->udp;
  bide_wait *w = s->reader;
  if (!u) return;
  s->udp = NULL;
  s->reader = NULL;
  if (w) {
    bide__io(bide__wait_owner(w))->data = NULL;
    if (!w->set) bide__wake(w, UV_EBADF);
  }
  wake_writers(s, UV_EBADF);
  bide__udp_close(u);
}

static int l_close(lua_State *L) {
  close_socket(check_socket(L));
  return 0;
}

static int l_gc(lua_State *L) {
  close_socket(check_socket(L));
  return 0;
}

/* ---- recv ---- */

static void drop_recv(bide_wait *w) {
  socket_ud *s = bide__io(bide__wait_owner(w))->data;
  if (!s || s->reader != w) return;
  s->reader = NULL;
  if (s->udp) bide__udp_unwant(s->udp, UV_READABLE);
}

static void abort_recv(bide_wait *w, int status) {
  socket_ud *s = bide__io(w->task)->data;
  bide__udp_unwant(s->udp, UV_READABLE);
  bide__wake(w, status);
}

static const bide_waitops recv_ops = {"udp recv", abort_recv, NULL, drop_recv, 0};

/* → data, host, port, truncated (true when it was longer than max) */
static int k_recv(lua_State *L, bide_host *h, bide_wait *w) {
  socket_ud *s = lua_touserdata(L, 1);
  char text[BIDE_ADDR_TEXT], *buf = bide__read_buffer(h);
  size_t max = (size_t)lua_tointeger(L, 2);
  bide_task *t = h->current;
  bide_addr from;
  int truncated = 0, status;
  if (s->reader == w) s->reader = NULL;
  if (w->status < 0) return fail(L, h, w->status, "recv", NULL);
  if (!s->udp) return closed(L, h, "recv");
  ssize_t n = buf ? bide__udp_recv(s->udp, buf, max, &from, &truncated) : UV_ENOMEM;
  if (n >= 0) {
    lua_pushlstring(L, buf, (size_t)n);
    lua_pushstring(L, bide__addr_text(&from, text, sizeof text));
    lua_pushinteger(L, bide__addr_port(&from));
    lua_pushboolean(L, truncated);
    return 4;
  }
  if (n != UV_EAGAIN) {
    if (bide__udp_peer(s->udp, &from)) from.sa.sa_family = 0;
    return fail(L, h, (int)n, "recv", &from);
  }
  if (s->reader)
    return bide__error(
        L, h, "EBUSY", "recv",
        "another task is in recv of this socket (let one receive, and hand on by a channel)");
  if ((status = bide__udp_want(s->udp, UV_READABLE))) return fail(L, h, status, "recv", NULL);
  bide__wait_init(h, &t->own, &recv_ops);
  bide__io(t)->data = s;
  s->reader = &t->own;
  return bide__suspend(L, h, &t->own, &recv_ops, k_recv);
}

static int l_recv(lua_State *L) {
  bide_host *h = bide__host(L);
  check_socket(L);
  lua_Integer max = luaL_optinteger(L, 2, BIDE_DATAGRAM_MAX);
  luaL_argcheck(L, max > 0, 2, "a number of bytes above 0 expected");
  if (bide__checkpoint(L, h, "recv")) return bide__refuse(L, h);
  socket_ud *s = check_open(L, "recv");
  if (s->reader)
    return bide__error(
        L, h, "EBUSY", "recv",
        "another task is in recv of this socket (let one receive, and hand on by a channel)");
  lua_settop(L, 1);
  lua_pushinteger(L, max < BIDE_DATAGRAM_MAX ? max : BIDE_DATAGRAM_MAX);
  return bide__complete(L, h, &h->current->own, 0, k_recv);
}

/* ---- send ---- */

static void remove_writer(bide_task *t) {
  socket_ud *s = bide__io(t)->data;
  bide_task **at;
  if (!s) return;
  for (at = &s->writers; *at && *at != t; at = &bide__io(*at)->next) continue;
  if (*at) *at = bide__io(t)->next;
  bide__io(t)->data = NULL;
}

static void abort_send(bide_wait *w, int status) {
  remove_writer(w->task);
  bide__wake(w, status);
}

static void drop_send(bide_wait *w) {
  remove_writer(bide__wait_owner(w));
}

static const bide_waitops send_ops = {"udp send", abort_send, NULL, drop_send, 0};

enum { SOCKET = 1, DATA, ADDRESS = 3 };

/* Stack: socket, data, and the address as a string of bytes, or nil for the connected peer. */
static int k_send(lua_State *L, bide_host *h, bide_wait *w) {
  socket_ud *s = lua_touserdata(L, SOCKET);
  bide_task *t = h->current, **at = &s->writers;
  const char *to = lua_tostring(L, ADDRESS);
  bide_addr addr;
  size_t n;
  if (to) memcpy(&addr, to, sizeof addr);
  if (w->status < 0) return fail(L, h, w->status, "send", NULL);
  if (!s->udp) return closed(L, h, "send");
  const char *data = lua_tolstring(L, DATA, &n);
  int status = bide__udp_send(s->udp, data, n, to ? &addr : NULL);
  if (!status) {
    lua_settop(L, SOCKET);
    return 1;
  }
  if (!to && bide__udp_peer(s->udp, &addr)) addr.sa.sa_family = 0;
  if (status == UV_EAGAIN) status = bide__udp_want(s->udp, UV_WRITABLE);
  if (status) return fail(L, h, status, "send", &addr);
  bide__wait_init(h, &t->own, &send_ops);
  *bide__io(t) = (bide_io){s, NULL};
  while (*at) at = &bide__io(*at)->next;
  *at = t;
  return bide__suspend(L, h, &t->own, &send_ops, k_send);
}

/* Puts the address in its place and sends. */
static int send_to(lua_State *L, bide_host *h, const bide_addr *to, int port) {
  bide_addr a = *to;
  bide__addr_set_port(&a, port);
  lua_settop(L, DATA);
  lua_pushlstring(L, (const char *)&a, sizeof a);
  return bide__complete(L, h, &h->current->own, 0, k_send);
}

static int k_send_to(lua_State *L, bide_host *h, bide_wait *w) {
  bide_addrs *addrs;
  int status = bide__lookup_take(h, w, &addrs);
  if (status) return bide__lookup_fail(L, h, status, "send", lua_tostring(L, 3));
  bide_addr a = addrs->at[0];
  bide__addrs_unref(h, addrs);
  return send_to(L, h, &a, (int)lua_tointeger(L, 4));
}

/* The family of the names it can send to: an IPv6 socket sends to IPv4 as well. */
static int socket_family(const socket_ud *s) {
  bide_addr a;
  if (bide__udp_local(s->udp, &a)) return AF_UNSPEC;
  return a.sa.sa_family == AF_INET ? AF_INET : AF_UNSPEC;
}

/* send(data, host, port), or send(data) to the connected peer */
static int l_send(lua_State *L) {
  bide_host *h = bide__host(L);
  check_socket(L);
  luaL_checkstring(L, DATA);
  int to_peer = lua_isnoneornil(L, 3);
  if (!to_peer) {
    bide__check_host(L, 3);
    bide__check_port(L, 4, 1);
  }
  if (bide__checkpoint(L, h, "send")) return bide__refuse(L, h);
  socket_ud *s = check_open(L, "send");
  if (to_peer) {
    lua_settop(L, DATA);
    lua_pushnil(L);
    return bide__complete(L, h, &h->current->own, 0, k_send);
  }
  lua_settop(L, 4);
  const char *host = lua_tostring(L, 3);
  int ignored;
  bide_addrs *known = bide__resolve_now(h, host, socket_family(s), &ignored);
  if (!known) return bide__lookup(L, h, host, socket_family(s), BIDE_LOOKUP_TIMEOUT, k_send_to);
  bide_addr a = known->at[0];
  bide__addrs_unref(h, known);
  return send_to(L, h, &a, (int)lua_tointeger(L, 4));
}

/* ---- options and addresses ---- */

static int push_address(lua_State *L, const bide_addr *a) {
  char text[BIDE_ADDR_TEXT];
  lua_pushstring(L, bide__addr_text(a, text, sizeof text));
  lua_pushinteger(L, bide__addr_port(a));
  return 2;
}

static int l_address(lua_State *L) {
  socket_ud *s = check_open(L, "address");
  bide_addr a;
  int status = bide__udp_local(s->udp, &a);
  return status ? fail(L, bide__host(L), status, "address", NULL) : push_address(L, &a);
}

/* The connected peer; nothing when there is none. */
static int l_peer(lua_State *L) {
  socket_ud *s = check_open(L, "peer");
  bide_addr a;
  return bide__udp_peer(s->udp, &a) ? 0 : push_address(L, &a);
}

static void literal(lua_State *L, int arg, int port, bide_addr *out) {
  if (bide__addr_literal(bide__check_host(L, arg), port, out))
    luaL_argerror(L, arg, "IP address expected");
}

/* connect(host, port): an address, no name; connect() undoes it */
static int l_connect(lua_State *L) {
  bide_addr a;
  check_socket(L);
  int undo = lua_isnoneornil(L, 2);
  if (!undo) literal(L, 2, bide__check_port(L, 3, 1), &a);
  socket_ud *s = check_open(L, "connect");
  int status = bide__udp_connect(s->udp, undo ? NULL : &a);
  if (status) return fail(L, bide__host(L), status, "connect", undo ? NULL : &a);
  lua_settop(L, 1);
  return 1;
}

static int membership(lua_State *L, int join, const char *op) {
  bide_addr group, on;
  check_socket(L);
  literal(L, 2, 0, &group);
  int has_on = !lua_isnoneornil(L, 3);
  if (has_on) literal(L, 3, 0, &on);
  if (has_on && on.sa.sa_family != group.sa.sa_family)
    luaL_argerror(L, 3, "address of the group's family expected");
  socket_ud *s = check_open(L, op);
  int status = bide__udp_membership(s->udp, &group, has_on ? &on : NULL, join);
  if (status) return fail(L, bide__host(L), status, op, &group);
  lua_settop(L, 1);
  return 1;
}

static int l_join(lua_State *L) {
  return membership(L, 1, "join");
}
static int l_leave(lua_State *L) {
  return membership(L, 0, "leave");
}

static int set_option(lua_State *L, int option, const char *op, int value) {
  socket_ud *s = check_open(L, op);
  int status = bide__udp_set(s->udp, option, value);
  if (status) return fail(L, bide__host(L), status, op, NULL);
  lua_settop(L, 1);
  return 1;
}

static int check_flag(lua_State *L) {
  check_socket(L);
  luaL_checktype(L, 2, LUA_TBOOLEAN);
  return lua_toboolean(L, 2);
}

static int check_hops(lua_State *L) {
  check_socket(L);
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 0 && n <= 255, 2, "0 to 255 expected");
  return (int)n;
}

static int l_broadcast(lua_State *L) {
  return set_option(L, BIDE_UDP_BROADCAST, "broadcast", check_flag(L));
}
static int l_ttl(lua_State *L) {
  return set_option(L, BIDE_UDP_TTL, "ttl", check_hops(L));
}
static int l_multicast_ttl(lua_State *L) {
  return set_option(L, BIDE_UDP_MULTICAST_TTL, "multicast_ttl", check_hops(L));
}
static int l_multicast_loop(lua_State *L) {
  return set_option(L, BIDE_UDP_MULTICAST_LOOP, "multicast_loop", check_flag(L));
}

/* ---- bind ---- */

/* bind(host, port, {reuse_address=, reuse_port=, v6only=, broadcast=}): an address or localhost,
 * "*" for every address of both families */
static int is_open(const void *object) {
  return ((const socket_ud *)object)->udp != NULL;
}
static const bide_tracked tracked = {"udp socket", is_open};

static int l_bind(lua_State *L) {
  static const char *const names[] = {"reuse_address", "reuse_port", "v6only", "broadcast", NULL};
  bide_host *h = bide__host(L);
  const char *host = bide__check_host(L, 1);
  int port = bide__check_port(L, 2, 0);
  lua_settop(L, 3);
  bide__check_options(L, 3, names);
  bide_udp_options o = {.reuse_address = bide__opt_boolean(L, 3, "reuse_address", 0),
                        .reuse_port = bide__opt_boolean(L, 3, "reuse_port", 0),
                        .v6only = bide__opt_boolean(L, 3, "v6only", 0),
                        .broadcast = bide__opt_boolean(L, 3, "broadcast", 0)};
  bide_addr a;
  if (!strcmp(host, "*")) host = "::";
  if (bide__addr_is_localhost(host)) host = "127.0.0.1";
  if (bide__addr_literal(host, port, &a))
    luaL_argerror(L, 1, "IP address, localhost or '*' expected");
  socket_ud *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (socket_ud){0};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &socket_key);
  lua_setmetatable(L, -2);
  int status = bide__udp_open(h, &a, &o, &cbs, s, &s->udp);
  if (status) return fail(L, h, status, "bind", &a);
  bide__track(L, h, -1, &tracked);
  return 1;
}

void bide__open_udp(lua_State *L, int host) {
  static const luaL_Reg functions[] = {{"bind", l_bind}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"send", l_send},
                                     {"recv", l_recv},
                                     {"address", l_address},
                                     {"peer", l_peer},
                                     {"connect", l_connect},
                                     {"join", l_join},
                                     {"leave", l_leave},
                                     {"broadcast", l_broadcast},
                                     {"ttl", l_ttl},
                                     {"multicast_ttl", l_multicast_ttl},
                                     {"multicast_loop", l_multicast_loop},
                                     {"close", l_close},
                                     {NULL, NULL}};
  static const luaL_Reg metamethods[] = {{"__close", l_close}, {"__gc", l_gc}, {NULL, NULL}};
  bide__new_metatable(L, host, "bide.udp.socket", methods, metamethods);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &socket_key);
  bide__new_lib(L, host, functions);
}
