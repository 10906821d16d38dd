/* SPDX-License-Identifier: MIT */
/* dial.c: connecting (contract in dial.h).
 *
 * The stream is made first, closed; the operation is C memory that the waiting task points at. */
#include "dial.h"
#include "tracked.h"
#include "core/error.h"

#include <stdio.h>
#include <string.h>

enum { HOST = 1, PORT = 2, EXTRA, NODELAY, KEEPALIVE, STREAM, OP };

/* The operation is held by a userdata on the stack as well, so that an error in between frees it.
 */
typedef struct dialing {
  bide_connect *op; /* owned */
  int (*then)(lua_State *L, bide_host *h, bide_stream *s);
} dialing;

static const char dialing_key = 0;

static void on_done(bide_connect *op) {
  bide_task *t = op->user;
  bide__wake(&t->own, 0);
}

static void let_go(bide_wait *w) {
  bide_task *t = bide__wait_owner(w);
  bide_connect *op = bide__io(t)->data;
  bide__io(t)->data = NULL;
  if (op) bide__connect_free(op);
}

static void abort_dial(bide_wait *w, int status) {
  let_go(w);
  bide__wake(w, status);
}

static void describe_dial(const bide_wait *w, char *buf, size_t size) {
  const bide_connect *op = bide__io(w->task)->data;
  int n = snprintf(buf, size, "connect ");
  if (op && n > 0 && (size_t)n < size) bide__connect_describe(op, buf + n, size - (size_t)n);
}

static const bide_waitops dial_ops = {"connect", abort_dial, describe_dial, let_go, 0};

int bide__opt_family(lua_State *L, int idx) {
  lua_Integer n = bide__opt_integer(L, idx, "family", 0, 4, 6);
  luaL_argcheck(L, n != 5, idx, "option 'family': 4 or 6 expected");
  return n == 4 ? AF_INET : n == 6 ? AF_INET6 : AF_UNSPEC;
}

void bide__dial_options(lua_State *L, int idx, bide_dial *d) {
  memset(d, 0, sizeof *d);
  d->options.timeout = bide__opt_seconds(L, idx, "timeout", BIDE_CONNECT_TIMEOUT);
  d->options.family = bide__opt_family(L, idx);
  d->nodelay = bide__opt_boolean(L, idx, "nodelay", 1);
  d->keepalive = (unsigned)bide__opt_integer(L, idx, "keepalive", 0, 0, 32767);
  const char *local = bide__opt_string(L, idx, "local_address", NULL);
  if (!local) return;
  if (bide__addr_literal(local, 0, &d->local))
    luaL_argerror(L, idx, "option 'local_address': IP address expected");
  if (d->options.family && d->options.family != d->local.sa.sa_family)
    luaL_argerror(L, idx, "option 'local_address': not of the family asked for");
  d->options.family = d->local.sa.sa_family;
  d->options.local = &d->local;
}

static void push_reason(lua_State *L, const bide_connect_error *e) {
  char host[BIDE_ADDR_TEXT];
  lua_createtable(L, 0, 4);
  lua_pushstring(L, bide__addr_text(&e->addr, host, sizeof host));
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, bide__addr_port(&e->addr));
  lua_setfield(L, -2, "port");
  lua_pushstring(L, bide__code_name(e->status));
  lua_setfield(L, -2, "code");
  lua_pushstring(L, bide__code_text(e->status));
  lua_setfield(L, -2, "message");
}

/* One address: its own failure is the message. Several: the last one's, and all of them. */
void bide__push_connect_error(lua_State *L, bide_host *h, const bide_connect *op, const char *host,
                              int port) {
  char where[BIDE_HOST_MAX + 16], reasons[1024];
  bide__host_port_text(host, port, where, sizeof where);
  if (op->nerrors > 1) {
    bide__connect_reasons(op, reasons, sizeof reasons);
    bide__error_push(L, h, bide__code_name(op->status), "connect", "%s: %s [%s]", where,
                     bide__code_text(op->status), reasons);
  } else {
    bide__error_push_status(L, h, op->status, "connect", where);
  }
  lua_createtable(L, (int)op->nerrors, 0);
  for (uint32_t i = 0; i < op->nerrors; i++) {
    push_reason(L, &op->errors[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "errors");
  lua_pushstring(L, host);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, port);
  lua_setfield(L, -2, "port");
}

static int l_free(lua_State *L) {
  dialing *d = lua_touserdata(L, 1);
  if (d->op) bide__connect_free(d->op);
  d->op = NULL;
  return 0;
}

static int raise_failure(lua_State *L, bide_host *h, dialing *d) {
  const char *host = lua_tostring(L, HOST);
  if (lua_isnil(L, PORT)) {
    bide__error_push_status(L, h, d->op->status, "connect", host);
    lua_pushvalue(L, HOST);
    lua_setfield(L, -2, "path");
  } else {
    bide__push_connect_error(L, h, d->op, host, (int)lua_tointeger(L, PORT));
  }
  bide__connect_free(d->op);
  d->op = NULL;
  return lua_error(L);
}

static int k_dial(lua_State *L, bide_host *h, bide_wait *w) {
  dialing *d = lua_touserdata(L, OP);
  bide_stream *s = lua_touserdata(L, STREAM);
  d->op = bide__io(h->current)->data;
  if (w->status < 0) {
    if (d->op) bide__connect_free(d->op);
    d->op = NULL;
    return bide__raise_status(L, h, w->status, "connect");
  }
  if (d->op->status) return raise_failure(L, h, d);
  bide_conn *c = d->op->conn;
  d->op->conn = NULL;
  bide__connect_free(d->op);
  d->op = NULL;
  bide__stream_adopt(s, c);
  bide__track(L, h, STREAM, &bide__stream_tracked);
  if (!lua_toboolean(L, NODELAY)) bide__conn_nodelay(c, 0);
  if (lua_tointeger(L, KEEPALIVE)) bide__conn_keepalive(c, (unsigned)lua_tointeger(L, KEEPALIVE));
  if (d->then) {
    int (*then)(lua_State *, bide_host *, bide_stream *) = d->then;
    lua_settop(L, STREAM);
    lua_replace(L, EXTRA + 1);
    lua_settop(L, EXTRA + 1);
    return then(L, h, s);
  }
  lua_settop(L, STREAM);
  return 1;
}

/* Of `dialing`; replaces the nil on top. */
static void new_metatable(lua_State *L) {
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_free);
  lua_setfield(L, -2, "__gc");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &dialing_key);
}

/* Lays out the stack and begins; `path` when it is a unix socket. */
static int dial(lua_State *L, bide_host *h, const bide_dial *d, int is_unix) {
  size_t len;
  bide_task *t = h->current;
  lua_settop(L, d->then ? EXTRA : is_unix ? HOST : PORT);
  lua_settop(L, EXTRA);
  lua_pushboolean(L, d->nodelay);
  lua_pushinteger(L, d->keepalive);
  bide__stream_push(L);
  dialing *holder = lua_newuserdatauv(L, sizeof *holder, 0);
  *holder = (dialing){NULL, d->then};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &dialing_key) == LUA_TNIL) new_metatable(L);
  lua_setmetatable(L, -2);
  const char *host = lua_tolstring(L, HOST, &len);
  bide_connect *op = NULL;
  int status =
      is_unix ? bide__connect_unix(h, host, len, &d->options, on_done, t, &op)
              : bide__connect(h, host, (int)lua_tointeger(L, PORT), &d->options, on_done, t, &op);
  if (status) {
    bide_connect failed = {.status = status};
    if (is_unix) bide__error_push_status(L, h, status, "connect", host);
    else bide__push_connect_error(L, h, &failed, host, (int)lua_tointeger(L, PORT));
    return lua_error(L);
  }
  bide__wait_init(h, &t->own, &dial_ops);
  bide__io(t)->data = op;
  return bide__suspend(L, h, &t->own, &dial_ops, k_dial);
}

int bide__dial_tcp(lua_State *L, bide_host *h, const bide_dial *d) {
  return dial(L, h, d, 0);
}
int bide__dial_unix(lua_State *L, bide_host *h, const bide_dial *d) {
  return dial(L, h, d, 1);
}
