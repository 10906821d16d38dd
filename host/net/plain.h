/* SPDX-License-Identifier: MIT */
/* plain.h: the transport over a stream socket, TCP or unix.
 *
 * Owns the descriptor, which poll.h watches; reads go where the reader wants them and sends never
 * raise SIGPIPE, for which libuv's streams leave no room. */
#ifndef BIDE_NET_PLAIN_H
#define BIDE_NET_PLAIN_H

#include "conn.h"

/* Wraps a connected (or connecting) non-blocking stream socket. The descriptor is taken over, also
 * on failure (closed). `peer`: who it is connected to, NULL when it has no address (unix); it is
 * kept, since the kernel forgets it at a reset. `events`: UV_READABLE, and UV_WRITABLE if that is
 * sure to be wanted (connecting). 0 or a negative code. */
int bide__plain_open(bide_host *h, int fd, const bide_addr *peer, int events, bide_conn **out);

/* A new non-blocking, close-on-exec socket: the descriptor or a negative code. */
int bide__socket(int family, int type);
/* accept(2), but that the new socket is non-blocking and close-on-exec. */
int bide__accept(int fd, struct sockaddr *peer, socklen_t *len);
/* Makes a socket that came some other way non-blocking and so on; returns it. */
int bide__socket_prepare(int fd);

#endif
