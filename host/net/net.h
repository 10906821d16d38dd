/* SPDX-License-Identifier: MIT */
/* net.h: what the network floor keeps per host.
 *
 * Made at first use, a tenant of the host: its teardown closes every connection, listener and
 * socket that is still open and abandons what the resolver has under way. */
#ifndef BIDE_NET_NET_H
#define BIDE_NET_NET_H

#include "core/host.h"

typedef struct bide_net bide_net;
typedef struct bide_resolver bide_resolver;

/* The link of what must be closed with the host: first member of what it is in. */
typedef struct bide_netlink {
  struct bide_netlink *next, *prev;
} bide_netlink;

struct bide_net {
  bide_tenant tenant; /* first */
  bide_host *host;
  bide_netlink open, again, closed_polls;  /* rings of polls, poll.c's */
  bide_netlink others;                     /* ring of bide_netitem: connects under way */
  const struct bide_poll_ops *poll_ops[5]; /* by kind: BIDE_POLL_KINDS */
  uv_poll_t handle;                        /* watches `set` */
  uv_idle_t idle;                          /* active while `again` or `closed_polls` is not empty */
  int set;                                 /* owned; the epoll set */
  uint32_t alive;                          /* polls that keep the loop alive */
  uint32_t closing;                        /* handles; the last one to be closed frees this */
  bide_resolver *resolver;                 /* owned; NULL until the first name is asked for */
  const struct bide_tls_module *tls;       /* NULL until TLS is asked for (secure.h) */
  struct bide_tls_entry *tls_contexts;     /* list, the last used first; owned */
  unsigned char closed;                    /* teardown has come by */
};

/* Something in net->others. `close` runs no Lua and unlinks. */
typedef struct bide_netitem {
  bide_netlink link; /* first */
  void (*close)(struct bide_netitem *item);
} bide_netitem;

/* The host's net, made when there is none; NULL when there is no memory or the host is closed. */
bide_net *bide__net(bide_host *h);
void bide__net_link(bide_netlink *ring, bide_netlink *l);
void bide__net_unlink(bide_netlink *l);
/* One line for the person who runs this, on stderr: what goes wrong and belongs to no task
 * ("accept: too many open files (EMFILE), waiting"). Never called per connection or per byte. */
void bide__net_report(bide_host *h, const char *text);

#endif
