/* SPDX-License-Identifier: MIT */
/* connect.h: from a host and a port to a connection (RFC 8305, Happy Eyeballs).
 *
 * All addresses of the name are tried, families in turn, the next when one has failed or 250 ms
 * after the last was begun. The first connection wins, the others are closed. */
#ifndef BIDE_NET_CONNECT_H
#define BIDE_NET_CONNECT_H

#include "conn.h"
#include "resolver.h"

#define BIDE_CONNECT_TIMEOUT 10.0 /* seconds, look-up included */
#define BIDE_CONNECT_STAGGER 0.25

typedef struct bide_connect bide_connect;

typedef struct bide_connect_error {
  bide_addr addr;
  int status;
} bide_connect_error;

typedef struct bide_connect_options {
  int family;             /* AF_UNSPEC, AF_INET, AF_INET6 */
  double timeout;         /* seconds; math.huge: none. 0 is no time at all */
  const bide_addr *local; /* bind to this first, or NULL; borrowed during the call */
} bide_connect_options;

struct bide_connect {
  bide_host *host;
  void *user;
  int status;      /* in done: 0 or what failed (UV_ETIMEDOUT, the look-up's, the last address's) */
  int in_lookup;   /* the failure is the look-up's */
  bide_conn *conn; /* in done, when status is 0: take it and set this to NULL, or it is closed */
  uint32_t nerrors;
  bide_connect_error *errors; /* one per address that failed, in order; owned */
  /* connect.c's own part follows */
};

/* Begins; `done` is called once, from the loop, never from in here. The host name is copied. NULL
 * options are the defaults. 0 and *out, or a negative code and nothing begun. */
int bide__connect(bide_host *h, const char *host, int port, const bide_connect_options *o,
                  void (*done)(bide_connect *op), void *user, bide_connect **out);
/* The same to a unix socket; a leading NUL in `path` is Linux's abstract space. */
int bide__connect_unix(bide_host *h, const char *path, size_t len, const bide_connect_options *o,
                       void (*done)(bide_connect *op), void *user, bide_connect **out);
/* Fills in the address of a unix socket. 0, UV_EINVAL (empty, a NUL inside), UV_ENAMETOOLONG. */
int bide__unix_address(const char *path, size_t len, struct sockaddr_un *out, socklen_t *size);
/* Frees the operation: to be called once, in or after `done`; before it, this cancels (what was
 * opened is closed, `done` is not called). */
void bide__connect_free(bide_connect *op);
/* Writes what is being connected to ("example.org:80", or the path) into buf. */
void bide__connect_describe(const bide_connect *op, char *buf, size_t size);
/* Writes the failures one after the other ("[::1]:81: connection refused (ECONNREFUSED);
 * 127.0.0.1:81: …") into buf; for the text of an error when there is more than one. */
void bide__connect_reasons(const bide_connect *op, char *buf, size_t size);

#endif
