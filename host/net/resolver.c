/* SPDX-License-Identifier: MIT */
/* resolver.c: questions, look-ups and the cache (contract in resolver.h).
 *
 * A look-up is one question under way; the queries that wait for it hang on it. It lives from the
 * first query until its answer comes, or until it is taken back unbegun. */
#include "resolver.h"
#include "lookup.h"

#include <string.h>
#include <strings.h>

#define CACHE_MAX 256
#define CACHE_SECONDS                                                                              \
  10.0 /* getaddrinfo tells no time to live; a reconnect burst is what this is for */

typedef struct bide_lookup {
  struct bide_lookup *next, *prev; /* in resolver->lookups, NULL once answered */
  bide_query queries;              /* ring */
  bide_job *job;                   /* the pool's; NULL for an answer that is known already */
  bide_addrs *addrs;               /* … that one, owned */
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
  uv_async_t async;
  bide_pool *pool;
  bide_lookup lookups; /* ring */
  uint32_t waiting;    /* queries */
  bide_cached *cache;  /* owned, CACHE_MAX places once there is an answer to keep */
  uint32_t cached, oldest;
};

void bide__addrs_unref(bide_host *h, bide_addrs *a) {
  if (a && !--a->refs) bide__free(h, a, sizeof *a + a->n * sizeof *a->at);
}

static bide_addrs *new_addrs(bide_host *h, uint32_t n) {
  bide_addrs *a = bide__alloc(h, sizeof *a + n * sizeof *a->at);
  if (!a) return NULL;
  a->refs = 1;
  a->n = n;
  return a;
}

/* --- what needs no asking --- */

bide_addrs *bide__resolve_now(bide_host *h, const char *name, int family) {
  static const char *const local[] = {"127.0.0.1", "::1"};
  bide_addr at[2];
  uint32_t n = 0;
  if (!bide__addr_literal(name, 0, &at[0])) {
    n = family == AF_UNSPEC || family == at[0].sa.sa_family;
  } else if (bide__addr_is_localhost(name)) {
    for (int i = 0; i < 2; i++)
      if (family == AF_UNSPEC || family == (i ? AF_INET6 : AF_INET))
        bide__addr_literal(local[i], 0, &at[n++]);
  }
  bide_addrs *a = n ? new_addrs(h, n) : NULL;
  if (a) memcpy(a->at, at, n * sizeof *at);
  return a;
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

static void cache_put(bide_resolver *r, const char *name, int family, bide_addrs *addrs) {
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
  *e = (bide_cached){copy, size, family, bide__deadline_ns(bide__now_ns(h), CACHE_SECONDS),
                     bide__addrs_ref(addrs)};
}

/* --- answers --- */

static bide_addrs *take_answer(bide_host *h, const struct addrinfo *res) {
  uint32_t n = 0, i = 0;
  for (const struct addrinfo *a = res; a && n < BIDE_ADDRS_MAX; a = a->ai_next)
    n += a->ai_family == AF_INET || a->ai_family == AF_INET6;
  bide_addrs *addrs = n ? new_addrs(h, n) : NULL;
  if (!addrs) return NULL;
  for (const struct addrinfo *a = res; a && i < n; a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    memset(&addrs->at[i], 0, sizeof *addrs->at);
    memcpy(&addrs->at[i++], a->ai_addr,
           a->ai_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
  }
  return addrs;
}

static void unlink_query(bide_resolver *r, bide_query *q) {
  q->prev->next = q->next;
  q->next->prev = q->prev;
  q->lookup = NULL;
  if (!--r->waiting) uv_unref((uv_handle_t *)&r->async);
}

static void unlink_lookup(bide_lookup *l) {
  l->prev->next = l->next;
  l->next->prev = l->prev;
  l->next = l->prev = NULL;
}

/* Tells all who wait and frees the look-up; each may ask anew meanwhile. */
static void conclude(bide_resolver *r, bide_lookup *l, int status, bide_addrs *addrs) {
  unlink_lookup(l);
  while (l->queries.next != &l->queries) {
    bide_query *q = l->queries.next;
    unlink_query(r, q);
    q->done(q, status, addrs);
  }
  bide__addrs_unref(r->host, addrs);
  bide__free(r->host, l, sizeof *l);
}

static void answer_job(bide_resolver *r, bide_job *job) {
  bide_lookup *l = job->owner;
  bide_addrs *addrs = job->status ? NULL : take_answer(r->host, job->res);
  int status = job->status;
  if (!status && !addrs) status = UV_ENOMEM;
  if (addrs) cache_put(r, l->name, l->family, addrs);
  bide__job_free(job);
  conclude(r, l, status, addrs);
}

static bide_lookup *first_known(bide_resolver *r, uint32_t *n) {
  bide_lookup *found = NULL;
  for (bide_lookup *l = r->lookups.prev; l != &r->lookups; l = l->prev)
    if (l->addrs) {
      found = l;
      ++*n;
    }
  return found;
}

/* What is known already is answered from here as well; what a callback asks meanwhile, next time.
 */
static void on_answers(uv_async_t *async) {
  bide_resolver *r = bide_container(async, bide_resolver, async);
  bide_job *job = bide__pool_collect(r->pool), *next;
  uint32_t n = 0, ignored = 0;
  bide_lookup *l = first_known(r, &n);
  for (; job; job = next) {
    next = job->next;
    answer_job(r, job);
  }
  for (; n && (l = first_known(r, &ignored)); n--) {
    bide_addrs *addrs = l->addrs;
    l->addrs = NULL;
    conclude(r, l, 0, addrs);
  }
}

/* --- questions --- */

static void on_async_closed(uv_handle_t *handle) {
  bide_resolver *r = bide_container(handle, bide_resolver, async);
  r->host->closing_handles--;
  bide__free(r->host, r, sizeof *r);
}

static bide_resolver *open_resolver(bide_net *net) {
  bide_resolver *r = bide__alloc(net->host, sizeof *r);
  if (!r) return NULL;
  *r = (bide_resolver){.host = net->host};
  r->lookups.next = r->lookups.prev = &r->lookups;
  r->pool = bide__pool_new(&r->async);
  if (!r->pool || uv_async_init(net->host->loop, &r->async, on_answers)) {
    if (r->pool) bide__pool_drop(r->pool);
    bide__free(net->host, r, sizeof *r);
    return NULL;
  }
  uv_unref((uv_handle_t *)&r->async);
  return net->resolver = r;
}

void bide__resolver_close(bide_net *net) {
  bide_resolver *r = net->resolver;
  if (!r) return;
  net->resolver = NULL;
  bide__pool_drop(r->pool);
  while (r->lookups.next != &r->lookups) {
    bide_lookup *l = r->lookups.next;
    bide_addrs *addrs = l->addrs;
    l->addrs = NULL;
    unlink_lookup(l);
    while (l->queries.next != &l->queries) {
      bide_query *q = l->queries.next;
      unlink_query(r, q);
      q->done(q, UV_ECANCELED, NULL);
    }
    bide__addrs_unref(r->host, addrs);
    bide__free(r->host, l, sizeof *l);
  }
  for (uint32_t i = 0; i < r->cached; i++) cache_drop(r, &r->cache[i]);
  if (r->cache) bide__free(r->host, r->cache, CACHE_MAX * sizeof *r->cache);
  r->host->closing_handles++;
  uv_close((uv_handle_t *)&r->async, on_async_closed);
}

static bide_lookup *find_lookup(bide_resolver *r, const char *name, int family) {
  for (bide_lookup *l = r->lookups.next; l != &r->lookups; l = l->next)
    if (!l->addrs && l->family == family && !strcasecmp(l->name, name)) return l;
  return NULL;
}

/* Begins a look-up; `known` (may be NULL) is taken over, also on failure. */
static bide_lookup *new_lookup(bide_resolver *r, const char *name, int family, bide_addrs *known) {
  bide_lookup *l = bide__alloc(r->host, sizeof *l);
  if (!l) goto fail;
  *l = (bide_lookup){.family = family, .addrs = known};
  memcpy(l->name, name, strlen(name) + 1);
  if (!known && !(l->job = bide__pool_ask(r->pool, name, family, l))) goto fail;
  l->queries.next = l->queries.prev = &l->queries;
  l->prev = r->lookups.prev;
  l->next = &r->lookups;
  l->prev->next = l;
  r->lookups.prev = l;
  if (known) uv_async_send(&r->async);
  return l;
fail:
  if (l) bide__free(r->host, l, sizeof *l);
  bide__addrs_unref(r->host, known);
  return NULL;
}

int bide__resolve(bide_host *h, bide_query *q, const char *name, int family,
                  void (*done)(bide_query *q, int status, bide_addrs *addrs)) {
  bide_net *net = bide__net(h);
  if (!bide__addr_host_valid(name, strlen(name))) return UV_EAI_NONAME;
  if (!net) return h->closed ? UV_ECANCELED : UV_ENOMEM;
  bide_resolver *r = net->resolver ? net->resolver : open_resolver(net);
  if (!r) return UV_ENOMEM;
  bide_addrs *known = bide__resolve_now(h, name, family);
  if (!known) known = cache_get(r, name, family);
  bide_lookup *l = known ? NULL : find_lookup(r, name, family);
  if (!l) l = new_lookup(r, name, family, known);
  if (!l) return UV_ENOMEM;
  *q = (bide_query){.family = family, .lookup = l, .done = done, .resolver = r};
  q->prev = l->queries.prev;
  q->next = &l->queries;
  q->prev->next = q;
  l->queries.prev = q;
  if (!r->waiting++) uv_ref((uv_handle_t *)&r->async);
  return 0;
}

void bide__resolve_cancel(bide_query *q) {
  bide_lookup *l = q->lookup;
  bide_resolver *r = q->resolver;
  if (!l) return;
  unlink_query(r, q);
  if (l->queries.next != &l->queries || !l->prev) return;
  if (!l->addrs && !(l->job && bide__pool_take_back(r->pool, l->job))) return;
  unlink_lookup(l);
  bide__addrs_unref(r->host, l->addrs);
  bide__free(r->host, l, sizeof *l);
}
