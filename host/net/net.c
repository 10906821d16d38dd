/* SPDX-License-Identifier: MIT */
/* net.c: what the network floor keeps per host (contract in net.h).
 *
 * Found through the host's ring of tenants, by the function that closes it: there are a handful,
 * and it is looked for only when something is opened. */
#include "net.h"
#include "poll.h"
#include "resolver.h"
#include "secure.h"
#include "core/error.h"

#include <stdio.h>

void bide__net_link(bide_netlink *ring, bide_netlink *l) {
  l->next = ring->next;
  l->prev = ring;
  ring->next->prev = l;
  ring->next = l;
}

void bide__net_unlink(bide_netlink *l) {
  if (!l->next) return;
  l->prev->next = l->next;
  l->next->prev = l->prev;
  l->next = l->prev = NULL;
}

/* Closes in this order: what opens connections first. */
static void close_net(bide_tenant *tenant) {
  bide_net *net = (bide_net *)tenant;
  net->closed = 1;
  bide__resolver_close(net);
  while (net->others.next != &net->others) {
    bide_netitem *item = (bide_netitem *)net->others.next;
    bide__net_unlink(&item->link);
    item->close(item);
  }
  bide__tls_close(net);
  bide__polls_close(net); /* frees it, in the end */
}

static bide_net *find(bide_host *h) {
  for (bide_tenant *t = h->tenants.next; t && t != &h->tenants; t = t->next)
    if (t->close == close_net) return (bide_net *)t;
  return NULL;
}

bide_net *bide__net(bide_host *h) {
  bide_net *net = find(h);
  if (net || h->closed) return net && !net->closed ? net : NULL;
  net = bide__alloc(h, sizeof *net);
  if (!net) return NULL;
  *net = (bide_net){.host = h, .tenant.close = close_net};
  net->others.next = net->others.prev = &net->others;
  if (bide__polls_open(net)) return NULL;
  bide__tenant_add(h, &net->tenant);
  return net;
}

void bide__net_report(bide_host *h, const char *text) {
  char message[300];
  snprintf(message, sizeof message, "bide: %s", text);
  bide__report(h, message);
}
