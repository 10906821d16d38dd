/* SPDX-License-Identifier: MIT */
/* socket.h: a socket and those who wait for it to become ready; for callers that make their own
 * system calls and keep LuaSocket's rules. Streams and datagrams proper have conn.h and udp.h.
 *
 * Any number of watches may hang on one socket. A watch fires once, from the loop or out of
 * bide__socket_close, and is then off. */
#ifndef BIDE_NET_SOCKET_H
#define BIDE_NET_SOCKET_H

#include "addr.h"
#include "poll.h"

typedef struct bide_socket bide_socket;
typedef struct bide_watch bide_watch;

struct bide_socket {
  bide_poll poll; /* first; its fd is -1 once closed */
  bide_host *host;
  bide_watch *watches; /* list */
  void **owner;        /* borrowed: set to NULL when the host closes it; may be NULL */
};

struct bide_watch {
  bide_watch *next;
  bide_socket *socket; /* NULL while off */
  int events;          /* UV_READABLE, UV_WRITABLE */
  /* `events`: what may be so now; 0 when the socket was closed. Runs no Lua. */
  void (*fire)(bide_watch *w, int events);
};

/* Takes a non-blocking descriptor over, also on failure (closed). 0 and *out, or an error. */
int bide__socket_open(bide_host *h, int fd, bide_socket **out);
/* 0 or an error. */
int bide__socket_watch(bide_socket *s, bide_watch *w);
void bide__socket_unwatch(bide_watch *w);
/* The kernel has said EAGAIN for these events. */
void bide__socket_spent(bide_socket *s, int events);
void bide__socket_close(bide_socket *s);
/* The same, but the descriptor stays open and is the caller's. */
int bide__socket_release(bide_socket *s);

#endif
