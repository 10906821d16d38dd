/* SPDX-License-Identifier: MIT */
/* resolver.c: questions, look-ups and the cache (contract in resolver.h).
 *
 * A look-up is one question under way; the queries that wait for it hang on it. It lives from the
 * first query until its answer comes, or until it is taken back unbegun. One whose answer was in
 * the cache stands in `known` until the next turn of the loop. */
#include "resolver.h"
#include "core/policy.h"
#include "hosts.h"
#include "names.h"
#include "plain.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CACHE_MAX 256
#define BUCKETS   1024 /* of look-ups under way; a power of two */

typedef struct bide_lookup {
  struct bide_lookup *next, *prev; /* in a ring of the resolver's, NULL once answered */
  struct bide_lookup *chain;       /* in its bucket, while its question is under way */
  uint32_t hash;
  bide_resolver *resolver;
  bide_query queries; /* ring */
  bide_question question;
  bide_addrs *addrs; /* known already; owned */
  int family;
  char name[BIDE_HOST_MAX + 2];
} bide_lookup;

typedef struct bide_cached {
  char *name; /* owned */
  size_t size;
  int family;
  uint64_t until;
  bide_addrs *addrs; /* owned reference */
} bide_cached;

struct bide_resolver {
  bide_host *host;
  bide_names *names;
  bide_hosts hosts;
  bide_alarm soon;            /* set while `known` is not empty */
  bide_lookup lookups, known; /* rings */
  uint32_t waiting;           /* queries */
  bide_lookup **buckets;      /* owned; the same look-ups, those of `known` apart, by name */
  bide_cached *cache;         /* owned, CACHE_MAX places once there is an answer to keep */
  uint32_t cached, oldest;
};

void bide__addrs_unref(bide_host *h, bide_addrs *a) {
  if (a && !--a->refs) bide__free(h, a, sizeof *a + a->n * sizeof *a->at);
}

static bide_addrs *new_addrs(bide_host *h, const bide_addr *at, uint32_t n) {
  bide_addrs *a = bide__alloc(h, sizeof *a + n * sizeof *a->at);
  if (!a) return NULL;
  a->refs = 1;
  a->n = n;
  if (n) memcpy(a->at, at, n * sizeof *at);
  return a;
}

static bide_resolver *open_resolver(bide_net *net) {
  bide_resolver *r = bide__alloc(net->host, sizeof *r);
  if (!r) return NULL;
  *r = (bide_resolver){.host = net->host, .names = bide__names_new(net)};
  r->lookups.next = r->lookups.prev = &r->lookups;
  r->known.next = r->known.prev = &r->known;
  r->buckets = bide__alloc(net->host, BUCKETS * sizeof *r->buckets);
  if (r->buckets) memset(r->buckets, 0, BUCKETS * sizeof *r->buckets);
  if (r->names && r->buckets) return net->resolver = r;
  if (r->names) bide__names_free(r->names);
  if (r->buckets) bide__free(net->host, r->buckets, BUCKETS * sizeof *r->buckets);
  bide__free(net->host, r, sizeof *r);
  return NULL;
}

/* The resolver of the host, made when there is none; or NULL and *status. */
static bide_resolver *resolver_of(bide_host *h, int *status) {
  bide_net *net = bide__net(h);
  bide_resolver *r = net ? net->resolver ? net->resolver : open_resolver(net) : NULL;
  *status = r ? 0 : h->closed ? UV_ECANCELED : UV_ENOMEM;
  return r;
}

/* --- what needs no asking --- */

/* Does `name` lie in a domain that has no addresses by decree (RFC 6761, RFC 7686)? */
static int is_nowhere(const char *name) {
  static const char *const nowhere[] = {"invalid", "onion"};
  size_t n = strlen(name);
  if (n && name[n - 1] == '.') n--;
  for (int i = 0; i < 2; i++) {
    size_t k = strlen(nowhere[i]);
    if (n >= k && !strncasecmp(name + n - k, nowhere[i], k) && (n == k || name[n - k - 1] == '.'))
      return 1;
  }
  return 0;
}

static uint32_t from_hosts(bide_host *h, const char *name, int family, bide_addr *at, int *status) {
  bide_resolver *r = resolver_of(h, status);
  uint32_t n = r ? bide__hosts_find(h, &r->hosts, name, family, at, BIDE_ADDRS_MAX) : 0;
  if (r && !n && family != AF_UNSPEC &&
      bide__hosts_find(h, &r->hosts, name, AF_UNSPEC, at, BIDE_ADDRS_MAX))
    *status = UV_EAI_NODATA;
  return n;
}

bide_addrs *bide__resolve_now(bide_host *h, const char *name, int family, int *status) {
  static const char *const local[] = {"127.0.0.1", "::1"};
  bide_addr at[BIDE_ADDRS_MAX];
  uint32_t n = 0;
  *status = 0;
  if (!bide__addr_host_valid(name, strlen(name)) || is_nowhere(name)) {
    *status = UV_EAI_NONAME;
  } else if (!bide__addr_literal(name, 0, &at[0])) {
    n = family == AF_UNSPEC || family == at[0].sa.sa_family;
    if (!n) *status = UV_EAI_ADDRFAMILY;
  } else if (bide__addr_is_localhost(name)) {
    for (int i = 0; i < 2; i++)
      if (family == AF_UNSPEC || family == (i ? AF_INET6 : AF_INET))
        bide__addr_literal(local[i], 0, &at[n++]);
  } else if ((*status = bide__may_resolve(h, name)) == 0) {
    n = from_hosts(h, name, family, at, status);
  }
  bide_addrs *a = n ? new_addrs(h, at, n) : NULL;
  if (n && !a) *status = UV_ENOMEM;
  return a;
}

/* Asks the routing table; no packet is sent. */
static int has_route(const bide_addr *a) {
  bide_addr to = *a;
  int fd = bide__socket(a->sa.sa_family, SOCK_DGRAM);
  bide__addr_set_port(&to, 53);
  int r = fd < 0 ? -1 : connect(fd, &to.sa, bide__addr_len(&to));
  if (fd >= 0) close(fd);
  return !r;
}

bide_addrs *bide__addrs_merge(bide_host *h, const bide_addrs *v4, const bide_addrs *v6) {
  const bide_addrs *parts[2] = {v6, v4};
  uint32_t n = (v4 ? v4->n : 0) + (v6 ? v6->n : 0);
  if (v4 && v6 && !has_route(&v6->at[0])) {
    parts[0] = v4;
    parts[1] = v6;
  }
  if (n > BIDE_ADDRS_MAX) n = BIDE_ADDRS_MAX;
  bide_addr at[BIDE_ADDRS_MAX];
  uint32_t have = 0;
  for (int i = 0; i < 2; i++)
    for (uint32_t k = 0; parts[i] && k < parts[i]->n && have < n; k++) at[have++] = parts[i]->at[k];
  return n ? new_addrs(h, at, n) : NULL;
}

/* --- the cache: a ring of places, the oldest answer is overwritten --- */

static bide_addrs *cache_get(bide_resolver *r, const char *name, int family) {
  uint64_t now = bide__now_ns(r->host);
  for (uint32_t i = 0; i < r->cached; i++) {
    bide_cached *e = &r->cache[i];
    if (e->name && e->family == family && e->until > now && !strcasecmp(e->name, name))
      return bide__addrs_ref(e->addrs);
  }
  return NULL;
}

static void cache_drop(bide_resolver *r, bide_cached *e) {
  if (!e->name) return;
  bide__addrs_unref(r->host, e->addrs);
  bide__free(r->host, e->name, e->size);
  *e = (bide_cached){0};
}

static void cache_put(bide_resolver *r, const char *name, int family, bide_addrs *addrs,
                      double seconds) {
  bide_host *h = r->host;
  size_t size = strlen(name) + 1;
  char *copy = bide__alloc(h, size);
  if (copy && !r->cache) r->cache = bide__alloc(h, CACHE_MAX * sizeof *r->cache);
  if (!copy || !r->cache) {
    if (copy) bide__free(h, copy, size);
    return;
  }
  bide_cached *e = &r->cache[r->oldest];
  if (r->cached < CACHE_MAX) e = &r->cache[r->cached++];
  else {
    r->oldest = (r->oldest + 1) % CACHE_MAX;
    cache_drop(r, e);
  }
  memcpy(copy, name, size);
  *e = (bide_cached){copy, size, family, bide__deadline_ns(bide__now_ns(h), seconds),
                     bide__addrs_ref(addrs)};
}

static void cache_clear(bide_resolver *r) {
  for (uint32_t i = 0; i < r->cached; i++) cache_drop(r, &r->cache[i]);
  r->cached = r->oldest = 0;
}

/* --- answers --- */

static void unlink_query(bide_resolver *r, bide_query *q) {
  q->prev->next = q->next;
  q->next->prev = q->prev;
  q->lookup = NULL;
  r->waiting--;
}

static void link_lookup(bide_lookup *ring, bide_lookup *l) {
  l->prev = ring->prev;
  l->next = ring;
  l->prev->next = l;
  ring->prev = l;
}

static uint32_t hash_of(const char *name, int family) {
  uint32_t x = (uint32_t)family;
  for (; *name; name++) x = (x ^ (unsigned char)tolower((unsigned char)*name)) * 16777619u;
  return x ^ x >> 15;
}

static bide_lookup **bucket(bide_resolver *r, uint32_t hash) {
  return &r->buckets[hash & (BUCKETS - 1)];
}

static void unlink_lookup(bide_lookup *l) {
  bide_lookup **at = bucket(l->resolver, l->hash);
  while (*at && *at != l) at = &(*at)->chain;
  if (*at) *at = l->chain;
  l->prev->next = l->next;
  l->next->prev = l->prev;
  l->next = l->prev = NULL;
}

/* Tells all who wait and frees the look-up; each may ask anew meanwhile. */
static void conclude(bide_lookup *l, int status, bide_addrs *addrs) {
  bide_resolver *r = l->resolver;
  unlink_lookup(l);
  while (l->queries.next != &l->queries) {
    bide_query *q = l->queries.next;
    unlink_query(r, q);
    q->done(q, status, addrs);
  }
  bide__addrs_unref(r->host, addrs);
  bide__free(r->host, l, sizeof *l);
  if (!r->waiting) bide__names_rest(r->names);
}

static void on_answer(bide_question *q, int status, const bide_addr *at, uint32_t n,
                      double seconds) {
  bide_lookup *l = bide_container(q, bide_lookup, question);
  bide_resolver *r = l->resolver;
  bide_addrs *addrs = status ? NULL : new_addrs(r->host, at, n);
  if (!status && !addrs) status = UV_ENOMEM;
  if (addrs && seconds > 0) cache_put(r, l->name, l->family, addrs, seconds);
  conclude(l, status, addrs);
}

static void conclude_known(bide_lookup *l, int status) {
  bide_addrs *addrs = l->addrs;
  l->addrs = NULL;
  if (status) bide__addrs_unref(l->resolver->host, addrs);
  conclude(l, status, status ? NULL : addrs);
}

/* What a callback asks meanwhile is answered next time. */
static void on_soon(bide_alarm *a) {
  bide_resolver *r = bide_container(a, bide_resolver, soon);
  uint32_t n = 0;
  for (const bide_lookup *l = r->known.next; l != &r->known; l = l->next) n++;
  for (; n && r->known.next != &r->known; n--) conclude_known(r->known.next, 0);
}

/* --- questions --- */

void bide__resolver_close(bide_net *net) {
  bide_resolver *r = net->resolver;
  if (!r) return;
  net->resolver = NULL;
  while (r->known.next != &r->known) conclude_known(r->known.next, UV_ECANCELED);
  bide__names_free(r->names);
  bide__alarm_stop(r->host, &r->soon);
  cache_clear(r);
  if (r->cache) bide__free(r->host, r->cache, CACHE_MAX * sizeof *r->cache);
  bide__hosts_fini(r->host, &r->hosts);
  bide__free(r->host, r->buckets, BUCKETS * sizeof *r->buckets);
  bide__free(r->host, r, sizeof *r);
}

static bide_lookup *find_lookup(bide_resolver *r, const char *name, int family) {
  uint32_t hash = hash_of(name, family);
  bide_lookup *l = *bucket(r, hash);
  while (l && (l->hash != hash || l->family != family || strcasecmp(l->name, name))) l = l->chain;
  return l;
}

/* Begins a look-up; `known` (may be NULL) is taken over, also on failure. */
static bide_lookup *new_lookup(bide_resolver *r, const char *name, int family, bide_addrs *known) {
  bide_lookup *l = bide__alloc(r->host, sizeof *l);
  if (!l) goto fail;
  *l = (bide_lookup){.resolver = r, .family = family, .addrs = known};
  memcpy(l->name, name, strlen(name) + 1);
  l->question = (bide_question){.name = l->name, .family = family, .done = on_answer};
  if (known ? !r->soon.timer.pos && bide__alarm_start(r->host, &r->soon, 0, on_soon)
            : bide__names_ask(r->names, &l->question))
    goto fail;
  l->queries.next = l->queries.prev = &l->queries;
  link_lookup(known ? &r->known : &r->lookups, l);
  if (known) return l;
  l->hash = hash_of(name, family);
  l->chain = *bucket(r, l->hash);
  *bucket(r, l->hash) = l;
  return l;
fail:
  if (l) bide__free(r->host, l, sizeof *l);
  bide__addrs_unref(r->host, known);
  return NULL;
}

int bide__resolve(bide_host *h, bide_query *q, const char *name, int family,
                  void (*done)(bide_query *q, int status, bide_addrs *addrs)) {
  int status;
  bide_resolver *r = resolver_of(h, &status);
  if (!r) return status;
  if ((status = bide__may_resolve(h, name)) != 0) return status;
  bide_addrs *known = cache_get(r, name, family);
  bide_lookup *l = known ? NULL : find_lookup(r, name, family);
  if (!l) l = new_lookup(r, name, family, known);
  if (!l) return UV_ENOMEM;
  *q = (bide_query){.family = family, .lookup = l, .done = done, .resolver = r};
  q->prev = l->queries.prev;
  q->next = &l->queries;
  q->prev->next = q;
  l->queries.prev = q;
  r->waiting++;
  return 0;
}

void bide__resolve_cancel(bide_query *q) {
  bide_lookup *l = q->lookup;
  bide_resolver *r = q->resolver;
  if (!l) return;
  unlink_query(r, q);
  if (l->queries.next != &l->queries || !l->prev) return;
  if (l->addrs) {
    conclude_known(l, UV_ECANCELED);
    if (r->known.next == &r->known) bide__alarm_stop(r->host, &r->soon);
  } else if (bide__names_take_back(&l->question)) {
    conclude(l, UV_ECANCELED, NULL);
  } else if (!r->waiting) {
    bide__names_rest(r->names);
  }
}

int bide__resolve_servers(bide_host *h, const char *list) {
  int status;
  bide_resolver *r = resolver_of(h, &status);
  if (!r) return status;
  if (!(status = bide__names_servers(r->names, list))) cache_clear(r);
  return status;
}

int bide__resolve_hosts_file(bide_host *h, const char *path) {
  int status;
  bide_resolver *r = resolver_of(h, &status);
  if (!r) return status;
  bide__hosts_fini(h, &r->hosts);
  r->hosts = (bide_hosts){.path = path};
  return 0;
}
