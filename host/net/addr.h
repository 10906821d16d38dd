/* SPDX-License-Identifier: MIT */
/* addr.h: socket addresses, and what can be said of a host name without asking anybody.
 *
 * A `bide_addr` is a plain value. No I/O here, no allocation. */
#ifndef BIDE_NET_ADDR_H
#define BIDE_NET_ADDR_H

#include "core/compat.h"
#include <netinet/in.h>
#include <sys/un.h>

typedef union bide_addr {
  struct sockaddr sa;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} bide_addr;

#define BIDE_ADDR_TEXT 64  /* room for an address with its zone */
#define BIDE_HOST_MAX  253 /* longest name that is looked up (RFC 1035, without the last dot) */
#define BIDE_ADDRS_MAX 64  /* addresses kept of one answer */

/* Takes a literal ("127.0.0.1", "::1", "fe80::1%eth0"; no brackets, no octal or short forms).
 * 0 or UV_EINVAL. */
int bide__addr_literal(const char *host, int port, bide_addr *out);
/* Is `host` localhost or beneath it (RFC 6761)? Never looked up. */
int bide__addr_is_localhost(const char *host);
/* Could `host` be looked up at all: 1..253 bytes, none of them a space, control or NUL. */
int bide__addr_host_valid(const char *host, size_t len);
/* The host as text; buf of at least BIDE_ADDR_TEXT bytes. Returns buf. */
const char *bide__addr_text(const bide_addr *a, char *buf, size_t size);
int bide__addr_port(const bide_addr *a);
void bide__addr_set_port(bide_addr *a, int port);
socklen_t bide__addr_len(const bide_addr *a);
/* An IPv4 address that comes out of an IPv6 socket (::ffff:a.b.c.d) becomes one; and the reverse.
 */
void bide__addr_unmap(bide_addr *a);
void bide__addr_map(bide_addr *a);
int bide__addr_equal(const bide_addr *a, const bide_addr *b);

/* "host:port", with an IPv6 literal in brackets: what error messages call a peer. Returns buf. */
const char *bide__host_port_text(const char *host, int port, char *buf, size_t size);

#endif
