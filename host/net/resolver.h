/* SPDX-License-Identifier: MIT */
/* resolver.h: names to addresses, without blocking the loop.
 *
 * Equal questions asked at once are one look-up. Answers are kept for a short time in a bounded
 * cache. Whoever asks may drop the question at any time and is free at once; a look-up that nobody
 * waits for any more ends by itself, its answer goes to the cache. Literals and `localhost` are
 * answered without asking, yet from the loop like all others. Teardown waits for no look-up. */
#ifndef BIDE_NET_RESOLVER_H
#define BIDE_NET_RESOLVER_H

#include "addr.h"
#include "net.h"

#define BIDE_ADDRS_MAX 64 /* addresses kept of one answer */

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

/* Asks for `name`. family: AF_UNSPEC, AF_INET, AF_INET6. `q` is the caller's memory, in use until
 * `done` or bide__resolve_cancel. 0, or a negative code (then `done` is not called). */
int bide__resolve(bide_host *h, bide_query *q, const char *name, int family,
                  void (*done)(bide_query *q, int status, bide_addrs *addrs));
/* Drops the question; `done` is not called. Does nothing if it is not under way. */
void bide__resolve_cancel(bide_query *q);

/* The answer for a literal or localhost, a new reference; NULL if the name must be looked up or
 * there is no memory. */
bide_addrs *bide__resolve_now(bide_host *h, const char *name, int family);

static inline bide_addrs *bide__addrs_ref(bide_addrs *a) {
  a->refs++;
  return a;
}
void bide__addrs_unref(bide_host *h, bide_addrs *a);

void bide__resolver_close(bide_net *net);

#endif
