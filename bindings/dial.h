/* SPDX-License-Identifier: MIT */
/* dial.h: a task that connects: what tcp.connect, unix.connect and tls.connect share. */
#ifndef BIDE_DIAL_H
#define BIDE_DIAL_H

#include "net/connect.h"
#include "options.h"
#include "stream.h"

typedef struct bide_dial {
  bide_connect_options options;
  bide_addr local;
  int nodelay;        /* 1 unless switched off */
  unsigned keepalive; /* seconds, 0: off */
  /* What comes after connecting, instead of returning the stream: with host, port, the value that
   * was at 3 when dialing began, and the stream, at 1 to 4. NULL: nothing. */
  int (*then)(lua_State *L, bide_host *h, bide_stream *s);
} bide_dial;

#define BIDE_DIAL_OPTIONS "timeout", "family", "local_address", "nodelay", "keepalive"

/* Reads the options in the table at idx. `d` is what they point into. */
void bide__dial_options(lua_State *L, int idx, bide_dial *d);
int bide__opt_family(lua_State *L, int idx);
/* Connects and returns a stream. Stack: 1 host, 2 port (tcp), or 1 the path (unix); `d` is copied.
 */
int bide__dial_tcp(lua_State *L, bide_host *h, const bide_dial *d);
int bide__dial_unix(lua_State *L, bide_host *h, const bide_dial *d);
/* Pushes the error of a failed connect: code, op, host, port, errors; `what` is "host:port". */
void bide__push_connect_error(lua_State *L, bide_host *h, const bide_connect *op, const char *host,
                              int port);

#endif
