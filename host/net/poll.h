/* SPDX-License-Identifier: MIT */
/* poll.h: descriptors watched for readiness.
 *
 * On Linux every descriptor of a host is in one epoll set of bide's own, which the loop watches as
 * one handle: 32 bytes a descriptor where a uv_poll_t takes 160 and a uv_tcp_t 248, one system call
 * to begin and one to end, none in between: the set is edge-triggered, and `ready` remembers what
 * has been reported and not yet been found to be over. (Elsewhere: poll_uv.c, a uv_poll_t each.)
 *
 * A wanted event is reported as long as it is wanted and ready, from the loop, never from a call
 * here. Contract with the edges: whoever reads or writes until the kernel says EAGAIN, or gets less
 * than it asked for, calls bide__poll_spent; before that there is no further event to hope for. */
#ifndef BIDE_NET_POLL_H
#define BIDE_NET_POLL_H

#include "net.h"

typedef struct bide_poll {
  bide_netlink link; /* in one ring of the net: open, again or closed */
  bide_net *net;
  int fd;         /* owned; -1 once closed */
  uint8_t kind;   /* whose: BIDE_POLL_… */
  uint8_t wanted; /* UV_READABLE, UV_WRITABLE */
  uint8_t ready;  /* the same */
  uint8_t flags;  /* below */
#ifndef BIDE_LINUX
  struct watch *watch; /* poll_uv.c's */
#endif
} bide_poll;

/* In flags: what the kernel was asked for; end of stream or an error; keeps no loop alive. */
enum { BIDE_POLL_WATCHED = 3, BIDE_POLL_ENDED = 0x40, BIDE_POLL_WEAK = 0x80 };
enum {
  BIDE_POLL_STREAM,
  BIDE_POLL_LISTENER,
  BIDE_POLL_DATAGRAM,
  BIDE_POLL_NAMES,
  BIDE_POLL_SOCKET,
  BIDE_POLL_KINDS
};

/* What each kind does; constant tables. None may be NULL. */
typedef struct bide_poll_ops {
  void (*on_events)(bide_poll *p, int events); /* wanted events that may be so */
  void (*on_closed)(bide_poll *p);             /* the last: frees */
  void (*on_teardown)(bide_poll *p);           /* the host closes: close it now */
} bide_poll_ops;

/* Takes the non-blocking descriptor over, also on failure (closed). `events`: what will certainly
 * be wanted; more can be wanted later. */
int bide__poll_open(bide_net *net, bide_poll *p, int fd, int kind, const bide_poll_ops *ops,
                    int events);
/* Wants exactly these events. 0 or an error. */
int bide__poll_want(bide_poll *p, int events);
/* The descriptor was found not to be ready for `events`. */
static inline void bide__poll_spent(bide_poll *p, int events) {
  p->ready &= (uint8_t)~events;
}
/* A read got less than it asked for: there is no more, unless the end has come as well, which the
 * kernel has told already. */
static inline void bide__poll_short(bide_poll *p) {
  if (!(p->flags & BIDE_POLL_ENDED)) p->ready &= (uint8_t)~UV_READABLE;
}
/* Closes the descriptor now; on_closed comes later, from the loop. */
void bide__poll_close(bide_poll *p);
/* Does a wanted event keep the loop alive? At first it does. */
void bide__poll_ref(bide_poll *p, int on);

/* On failure the net is freed, from the loop. */
int bide__polls_open(bide_net *net);
/* Tells every kind's on_teardown, then every on_closed, then closes the handles. */
void bide__polls_close(bide_net *net);

#endif
