/* SPDX-License-Identifier: MIT */
/* udp.h: datagram sockets. What has arrived waits in the kernel until somebody asks for it. */
#ifndef BIDE_NET_UDP_H
#define BIDE_NET_UDP_H

#include "addr.h"
#include "poll.h"

#define BIDE_DATAGRAM_MAX 65535

typedef struct bide_udp bide_udp;

/* What the user is told, from the loop; runs no Lua. */
typedef struct bide_udp_cbs {
  void (*on_readable)(bide_udp *u); /* once per bide__udp_want */
  void (*on_writable)(bide_udp *u);
  void (*on_closed)(bide_udp *u); /* the host has closed it under its user: forget it */
} bide_udp_cbs;

typedef struct bide_udp_options {
  int reuse_address, reuse_port, v6only, broadcast;
} bide_udp_options;

/* Binds to `addr` (port 0: any). 0 and *out, or a negative code. */
int bide__udp_open(bide_host *h, const bide_addr *addr, const bide_udp_options *o,
                   const bide_udp_cbs *cbs, void *user, bide_udp **out);
void *bide__udp_user(const bide_udp *u);
/* One datagram to `to`, or to the connected peer when it is NULL. 0, UV_EAGAIN, or an error. */
int bide__udp_send(bide_udp *u, const char *p, size_t n, const bide_addr *to);
/* Takes one datagram: its length (what fits into n), UV_EAGAIN or an error. *truncated: it was
 * longer. */
ssize_t bide__udp_recv(bide_udp *u, char *p, size_t n, bide_addr *from, int *truncated);
/* Asks for one on_readable and/or on_writable; UV_READABLE | UV_WRITABLE. */
int bide__udp_want(bide_udp *u, int events);
void bide__udp_unwant(bide_udp *u, int events);
/* Sends to and hears from `to` alone; NULL undoes that. */
int bide__udp_connect(bide_udp *u, const bide_addr *to);
int bide__udp_local(const bide_udp *u, bide_addr *out);
int bide__udp_peer(const bide_udp *u, bide_addr *out);
/* Joins or leaves a multicast group on the interface with the address `on` (IPv4) or the index that
 * is its zone (IPv6); NULL: the system chooses. */
int bide__udp_membership(bide_udp *u, const bide_addr *group, const bide_addr *on, int join);
enum { BIDE_UDP_BROADCAST, BIDE_UDP_TTL, BIDE_UDP_MULTICAST_TTL, BIDE_UDP_MULTICAST_LOOP };
int bide__udp_set(bide_udp *u, int option, int value);
/* Gives it up: the user hears nothing more. */
void bide__udp_close(bide_udp *u);

#endif
