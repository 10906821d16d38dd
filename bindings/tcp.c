/* SPDX-License-Identifier: MIT */
/* tcp.c: bide.tcp: connect and listen. */
#include "dial.h"
#include "lookup.h"
#include "net/plain.h"
#include "secure.h"
#include "server.h"
#include "core/error.h"

#include <string.h>
#include <unistd.h>

/* connect(host, port, opts) → stream */
static int l_connect(lua_State *L) {
  static const char *const names[] = {BIDE_DIAL_OPTIONS, NULL};
  bide_host *h = bide__host(L);
  bide_dial d;
  bide__check_host(L, 1);
  bide__check_port(L, 2, 1);
  lua_settop(L, 3);
  bide__check_options(L, 3, names);
  bide__dial_options(L, 3, &d);
  if (bide__checkpoint(L, h, "connect")) return bide__refuse(L, h);
  return bide__dial_tcp(L, h, &d);
}

/* ---- listening ---- */

enum { HOST = 1, PORT, HANDLER, OPTIONS, SECURE };

/* Where to listen; of a TLS server with what. */
typedef struct place {
  bide_addr addr;
  const bide_tls_hold *hold; /* NULL: plain */
  double timeout;
} place;

static int open_tcp(bide_host *h, const void *where, const bide_listen_options *o,
                    void (*on_conn)(bide_listener *l, bide_conn *c), void *user,
                    bide_listener **out) {
  const place *p = where;
  bide_listen_options with = *o;
  if (p->hold) {
    p->hold->module->context_ref(p->hold->context);
    with.layer = bide__tls_layer(h, p->hold->context, p->timeout, NULL);
    if (!with.layer) return UV_ENOMEM;
  }
  return bide__listen(h, &p->addr, &with, on_conn, user, out);
}

static const bide_server_kind tcp_kind = {"listen", open_tcp};

static int listen_failed(lua_State *L, bide_host *h, int status) {
  char where[BIDE_HOST_MAX + 16];
  const char *host = lua_tostring(L, HOST);
  int port = (int)lua_tointeger(L, PORT);
  bide__host_port_text(host, port, where, sizeof where);
  bide__error_push_status(L, h, status, "listen", where);
  lua_pushstring(L, host);
  lua_setfield(L, -2, "host");
  lua_pushinteger(L, port);
  lua_setfield(L, -2, "port");
  return lua_error(L);
}

/* SECURE on the stack: a TLS server's; its context is made here, where listening begins. */
static int listen_at(lua_State *L, bide_host *h, const bide_addr *addr) {
  bide_listen_options o;
  place p = {.addr = *addr};
  int is_daemon;
  if (lua_toboolean(L, SECURE)) {
    p.timeout = bide__opt_seconds(L, OPTIONS, "handshake_timeout", BIDE_TLS_TIMEOUT);
    p.hold = bide__tls_server_push(L, h, OPTIONS, NULL);
  }
  bide__server_options(L, OPTIONS, &o, &is_daemon);
  o.reuse_port = bide__opt_boolean(L, OPTIONS, "reuse_port", 0);
  o.v6only = bide__opt_boolean(L, OPTIONS, "v6only", 0);
  bide__addr_set_port(&p.addr, (int)lua_tointeger(L, PORT));
  int status = bide__server_start(L, h, &tcp_kind, &p, &o, is_daemon, HANDLER);
  return status ? listen_failed(L, h, status) : 1;
}

static int k_listen(lua_State *L, bide_host *h, bide_wait *w) {
  bide_addrs *addrs;
  int status = bide__lookup_take(h, w, &addrs);
  if (status == UV_ECANCELED || status == BIDE_EDEADLK)
    return bide__raise_status(L, h, status, "listen");
  if (status) return listen_failed(L, h, status);
  bide_addr addr = addrs->at[0];
  bide__addrs_unref(h, addrs);
  return listen_at(L, h, &addr);
}

/* "*" is every address of both families, where there is IPv6 at all. */
static int listen_any(lua_State *L, bide_host *h) {
  bide_addr addr;
  int fd = bide__socket(AF_INET6, SOCK_STREAM);
  bide__addr_literal(fd >= 0 ? "::" : "0.0.0.0", 0, &addr);
  if (fd >= 0) close(fd);
  return listen_at(L, h, &addr);
}

int bide__listen_tcp(lua_State *L, int secure) {
  static const char *const plain_names[] = {BIDE_SERVER_OPTIONS, "reuse_port", "v6only", "family",
                                            NULL};
  static const char *const tls_names[] = {
      BIDE_SERVER_OPTIONS, BIDE_TLS_SERVER_OPTIONS, "reuse_port", "v6only", "family", NULL};
  bide_host *h = bide__host(L);
  bide_listen_options checked;
  int ignored;
  const char *host = bide__check_host(L, HOST);
  bide__check_port(L, PORT, 0);
  bide__check_callable(L, HANDLER);
  lua_settop(L, OPTIONS);
  bide__check_options(L, OPTIONS, secure ? tls_names : plain_names);
  if (secure && !lua_istable(L, OPTIONS)) bide__type_error(L, OPTIONS, "table of options");
  int family = bide__opt_family(L, OPTIONS);
  bide__server_options(L, OPTIONS, &checked, &ignored);
  bide__opt_boolean(L, OPTIONS, "reuse_port", 0);
  bide__opt_boolean(L, OPTIONS, "v6only", 0);
  lua_pushboolean(L, secure);
  if (bide__checkpoint(L, h, "listen")) return bide__refuse(L, h);
  if (!strcmp(host, "*")) return listen_any(L, h);
  bide_addrs *known = bide__resolve_now(h, host, family, &ignored);
  if (!known) return bide__lookup(L, h, host, family, BIDE_LOOKUP_TIMEOUT, k_listen);
  bide_addr addr = known->at[0];
  bide__addrs_unref(h, known);
  return listen_at(L, h, &addr);
}

/* listen(host, port, handler, opts) → server */
static int l_listen(lua_State *L) {
  return bide__listen_tcp(L, 0);
}

void bide__open_tcp(lua_State *L, int host) {
  static const luaL_Reg functions[] = {{"connect", l_connect}, {"listen", l_listen}, {NULL, NULL}};
  bide__open_streams(L, host);
  bide__open_servers(L, host);
  bide__new_lib(L, host, functions);
}
