/* SPDX-License-Identifier: MIT */
/* socket_wait.c: waiting for sockets as the system has them (see socket.c): select, ready, breathe.
 *
 * A selection watches each of its sockets; it is freed by its continuation, or when its stack is
 * dropped. For a descriptor of somebody else's it owns a copy. */
#include "io.h"
#include "socket.h"
#include "core/error.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

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
  bide_socket_ud *u = bide__test_socket(L, -2);
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
int bide__socket_select(lua_State *L) {
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
    return bide__socket_fail(L, status);
  }
  return bide__suspend(L, h, &op->wait, &selection_ops, k_select);
}

/* ready({socket, events, …}): what is so now, by the system's own word: a list of events. A closed
 * socket is ready for anything. What is not ready will be told by an edge. */
int bide__socket_ready(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = (lua_Integer)(lua_rawlen(L, 1) / 2);
  lua_settop(L, 1);
  lua_createtable(L, (int)n, 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_rawgeti(L, 1, i * 2 + 1);
    lua_rawgeti(L, 1, i * 2 + 2);
    bide_socket_ud *u = bide__test_socket(L, -2);
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

int bide__socket_breathe(lua_State *L) {
  bide_host *h = bide__host(L);
  if (bide__checkpoint(L, h, "socket")) return bide__refuse(L, h);
  lua_settop(L, 0);
  return bide__complete(L, h, &h->current->own, 0, k_breathe);
}
