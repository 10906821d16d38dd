/* SPDX-License-Identifier: MIT */
/* server.h: a listener whose every connection is a task with a stream: tcp, unix, tls. */
#ifndef BIDE_SERVER_H
#define BIDE_SERVER_H

#include "options.h"
#include "net/listener.h"
#include "stream.h"

typedef struct bide_server bide_server;

/* The names of the options that all servers take, for bide__check_options. */
#define BIDE_SERVER_OPTIONS "max_connections", "backlog", "daemon"

/* What a kind of server differs by. */
typedef struct bide_server_kind {
  const char *op; /* "listen" */
  /* Opens the listener; 0 or a negative code. */
  int (*open)(bide_host *h, const void *where, const bide_listen_options *o,
              void (*on_conn)(bide_listener *l, bide_conn *c), void *user, bide_listener **out);
} bide_server_kind;

/* Reads the common options from the table at idx. */
void bide__server_options(lua_State *L, int idx, bide_listen_options *o, int *is_daemon);
/* Starts a server whose handler (a function) is at index `handler` and pushes its handle. On
 * failure pushes nothing and returns the negative code; may raise (memory, no run). */
int bide__server_start(lua_State *L, bide_host *h, const bide_server_kind *kind, const void *where,
                       const bide_listen_options *o, int is_daemon, int handler);
/* listen(host, port, handler, opts) of bide.tcp, and of bide.tls when `secure`. */
int bide__listen_tcp(lua_State *L, int secure);
void bide__open_servers(lua_State *L, int host);

#endif
