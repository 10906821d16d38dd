/* SPDX-License-Identifier: MIT */
/* listener.h: accepts connections.
 *
 * Accepted connections are handed to `on_conn` one by one. While `max` of them are open, none is
 * accepted: they wait in the kernel's backlog. When descriptors run out accepting pauses, with one
 * line of report per spell, and goes on by itself. */
#ifndef BIDE_NET_LISTENER_H
#define BIDE_NET_LISTENER_H

#include "conn.h"

typedef struct bide_listener bide_listener;
typedef struct bide_listen_layer bide_listen_layer;

/* What a new connection goes through before on_conn hears of it (TLS). The listener's own: given
 * with its options, freed with it, also when listening fails. None of it runs Lua. */
struct bide_listen_layer {
  /* Ends in bide__listener_deliver, or in closing c and bide__listener_release. */
  void (*accept)(bide_listen_layer *y, bide_listener *l, bide_conn *c);
  /* The listener was closed: what is under way is to be given up. */
  void (*close)(bide_listen_layer *y);
  void (*free)(bide_listen_layer *y);
};

typedef struct bide_listen_options {
  int backlog;              /* 0: 511 */
  uint32_t max;             /* connections open at once; 0: no limit */
  int reuse_port;           /* several listeners on one port, the kernel spreads connections */
  int v6only;               /* an IPv6 listener takes IPv4 as well unless this is set */
  int mode;                 /* unix: permissions of the socket file; 0: as umask says */
  bide_listen_layer *layer; /* taken over; NULL: none */
} bide_listen_options;

/* Listens on `addr` (port 0: any). `on_conn` gets a new connection that it must use and close or
 * close; it runs no Lua. 0 and *out, or a negative code. */
int bide__listen(bide_host *h, const bide_addr *addr, const bide_listen_options *o,
                 void (*on_conn)(bide_listener *l, bide_conn *c), void *user, bide_listener **out);
/* A unix socket. A stale socket file, one that nobody listens on, is replaced; the file is removed
 * at close if it is still the same. */
int bide__listen_unix(bide_host *h, const char *path, size_t len, const bide_listen_options *o,
                      void (*on_conn)(bide_listener *l, bide_conn *c), void *user,
                      bide_listener **out);
void *bide__listener_user(const bide_listener *l);
int bide__listener_address(const bide_listener *l, bide_addr *out);
/* For layers: hands a connection on that is ready. */
void bide__listener_deliver(bide_listener *l, bide_conn *c);
/* One accepted connection is over: to be called once per on_conn, also after the close. */
void bide__listener_release(bide_listener *l);
/* Connections handed out and not yet released. */
uint32_t bide__listener_open(const bide_listener *l);
/* Does the open listener keep the loop alive? It does at first. */
void bide__listener_ref(bide_listener *l, int on);
/* Stops accepting and closes the socket; on_conn is not called any more. Idempotent. */
void bide__listener_close(bide_listener *l);
/* Closes, and gives the listener up: it is freed when the last connection is released. */
void bide__listener_free(bide_listener *l);

#endif
