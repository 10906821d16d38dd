/* SPDX-License-Identifier: MIT */
/* origins.c: the origins of a pool: found by key, and in line for a connection (client.h).
 *
 * A crawl has thousands of them at once, so they are hashed; a table that can't grow for want of
 * memory only gets slower. The seed is the pool's own: who sends redirects can't aim at a chain. */
#include "client.h"

static uint32_t hash_of(const bide_hpool *p, bide_slice key, const bide_tls_context *context) {
  uint64_t x = p->seed ^ (uintptr_t)context;
  for (size_t i = 0; i < key.n; i++) x = (x ^ (unsigned char)key.p[i]) * UINT64_C(0x100000001b3);
  return (uint32_t)(x ^ x >> 32);
}

static bide_horigin **bucket(bide_hpool *p, uint32_t hash) {
  return &p->buckets[hash & (p->nbuckets - 1)];
}

static void grow(bide_hpool *p) {
  bide_host *h = p->http->host;
  uint32_t old_n = p->nbuckets, n = old_n * 4;
  bide_horigin **old = p->buckets, **at = bide__alloc(h, n * sizeof(bide_horigin *));
  if (!at) return;
  memset(at, 0, n * sizeof(bide_horigin *));
  p->buckets = at;
  p->nbuckets = n;
  for (uint32_t i = 0; i < old_n; i++)
    for (bide_horigin *o = old[i], *next; o; o = next) {
      next = o->next;
      o->next = *bucket(p, o->hash);
      *bucket(p, o->hash) = o;
    }
  if (old != p->few) bide__free(h, old, old_n * sizeof *old);
}

void bide__origins_init(bide_hpool *p) {
  p->buckets = p->few;
  p->nbuckets = BIDE_HPOOL_FEW;
  p->seed = (uintptr_t)p ^ uv_hrtime();
}

void bide__origins_fini(bide_hpool *p) {
  if (p->buckets != p->few) bide__free(p->http->host, p->buckets, p->nbuckets * sizeof *p->buckets);
}

/* Copies a name behind the others. */
static char *put_name(char **at, bide_slice name) {
  char *p = *at;
  memcpy(p, name.p, name.n);
  p[name.n] = '\0';
  *at = p + name.n + 1;
  return p;
}

static bide_horigin *make(bide_hpool *p, bide_slice key, bide_slice host, uint16_t port,
                          bide_tls_context *context, const bide_hvia *via) {
  size_t more = via ? via->host.n + via->connect.n + 2 : 0;
  size_t size = sizeof(bide_horigin) + host.n + key.n + 2 + more;
  bide_horigin *o = bide__alloc(p->http->host, size);
  char *at;
  if (!o) return NULL;
  memset(o, 0, sizeof *o);
  at = o->host;
  o->size = size;
  o->pool = p;
  o->port = port;
  o->tls = bide__tls_module(p->http->host);
  o->context = context;
  if (context) o->tls->context_ref(context);
  put_name(&at, host);
  o->key = (bide_slice){put_name(&at, key), key.n};
  if (!via) return o;
  o->via = put_name(&at, via->host);
  o->via_port = via->port;
  o->connect = (bide_slice){put_name(&at, via->connect), via->connect.n};
  return o;
}

static bool is_at(const bide_horigin *o, bide_slice key, const bide_hvia *via) {
  if (!bide__slice_eq(o->key, key) || !o->via != !via) return false;
  return !via || (o->via_port == via->port && bide__slice_eq(o->connect, via->connect) &&
                  strncmp(o->via, via->host.p, via->host.n) == 0 && !o->via[via->host.n]);
}

bide_horigin *bide__hpool_origin(bide_hpool *p, bide_slice key, bide_slice host, uint16_t port,
                                 bide_tls_context *context, const bide_hvia *via) {
  uint32_t hash = hash_of(p, key, context);
  bide_horigin *o;
  for (o = *bucket(p, hash); o; o = o->next)
    if (o->hash == hash && o->context == context && is_at(o, key, via)) return o;
  o = make(p, key, host, port, context, via);
  if (!o) return NULL;
  if (p->norigins >= p->nbuckets) grow(p);
  o->hash = hash;
  o->next = *bucket(p, hash);
  *bucket(p, hash) = o;
  p->norigins++;
  return o;
}

/* An origin without connections and waiters is not kept: a crawl visits many. */
void bide__horigin_check(bide_horigin *o) {
  bide_hpool *p = o->pool;
  bide_horigin **at = bucket(p, o->hash);
  if (o->nopen || o->users || o->idle) return;
  while (*at != o) at = &(*at)->next;
  *at = o->next;
  p->norigins--;
  if (o->context) o->tls->context_unref(o->context);
  bide__free(p->http->host, o, o->size);
}

/* ---- those in line ---- */

void bide__origins_queue(bide_horigin *o) {
  bide_hpool *p = o->pool;
  o->later = NULL;
  o->earlier = p->last;
  if (p->last) p->last->later = o;
  else p->first = o;
  p->last = o;
}

void bide__origins_unqueue(bide_horigin *o) {
  bide_hpool *p = o->pool;
  if (o->earlier) o->earlier->later = o->later;
  else p->first = o->later;
  if (o->later) o->later->earlier = o->earlier;
  else p->last = o->earlier;
  o->later = o->earlier = NULL;
}
