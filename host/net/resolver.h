/* SPDX-License-Identifier: MIT */
/* resolver.h: names to addresses, without blocking the loop.
 *
 * Literals, `localhost` and the names of /etc/hosts are known without asking; of the others each
 * family is a question of its own (names.h), so that an answer for one never waits for the other.
 * Equal questions asked at once are one look-up. Answers are kept as long as they hold, a minute at
 * most, in a bounded cache. Whoever asks may drop the question at any time and is free at once;
 * once nobody waits for anything, all that is under way ends. Teardown waits for no answer. */
#ifndef BIDE_NET_RESOLVER_H
#define BIDE_NET_RESOLVER_H

#include "addr.h"
#include "net.h"

/* An answer: shared, constant; ports are 0. */
typedef struct bide_addrs {
  uint32_t refs;
  uint32_t n;
  bide_addr at[];
} bide_addrs;

typedef struct bide_query bide_query;
struct bide_query {
  bide_query *next, *prev;    /* resolver's */
  struct bide_lookup *lookup; /* NULL when not under way */
  bide_resolver *resolver;
  int family;
  /* Called once, from the loop: status 0 and at least one address (borrowed during the call: take
   * bide__addrs_ref to keep it), or a negative code and NULL. The query is the caller's again. */
  void (*done)(bide_query *q, int status, bide_addrs *addrs);
};

/* What is known of `name` without asking: a new reference; or NULL with *status negative when it is
 * known to have no address, or there is no memory, and 0 when it must be asked for. family:
 * AF_UNSPEC, AF_INET, AF_INET6. */
bide_addrs *bide__resolve_now(bide_host *h, const char *name, int family, int *status);

/* Asks for `name`, of which bide__resolve_now knows nothing. family: AF_INET or AF_INET6. `q` is
 * the caller's memory, in use until `done` or bide__resolve_cancel. 0, or a negative code (then
 * `done` is not called). */
int bide__resolve(bide_host *h, bide_query *q, const char *name, int family,
                  void (*done)(bide_query *q, int status, bide_addrs *addrs));
/* Drops the question; `done` is not called. Does nothing if it is not under way. */
void bide__resolve_cancel(bide_query *q);

/* All addresses of both (either may be NULL), a new reference: those of IPv6 first if the first of
 * them has a route. NULL when there is no memory or there are none. */
bide_addrs *bide__addrs_merge(bide_host *h, const bide_addrs *v4, const bide_addrs *v6);

/* Asks these servers ("address[:port],…") instead of those of resolv.conf; NULL: those again. What
 * was remembered is forgotten. 0 or a negative code. */
int bide__resolve_servers(bide_host *h, const char *list);
/* For specs: another file than /etc/hosts, borrowed; NULL: that one again. 0 or a negative code. */
int bide__resolve_hosts_file(bide_host *h, const char *path);

static inline bide_addrs *bide__addrs_ref(bide_addrs *a) {
  a->refs++;
  return a;
}
void bide__addrs_unref(bide_host *h, bide_addrs *a);

void bide__resolver_close(bide_net *net);

#endif
