/* SPDX-License-Identifier: MIT */
/* pool.c: pools of connections (contract in client.h).
 *
 * Idle connections are taken last in, first out, so that those not needed fall out by age. Whoever
 * finds none, and may not open another, waits in the line of its origin. When the pool as a whole
 * is full (or descriptors have run out), a connection idle at another origin makes room. */
#include "client.h"

#include <assert.h>

bide_hpool *bide__hpool_new(bide_http *http, const bide_hpool_limits *limits) {
  bide_hpool *p = bide__alloc(http->host, sizeof *p);
  if (!p) return NULL;
  memset(p, 0, sizeof *p);
  p->http = http;
  p->limits = *limits;
  p->refs = 1;
  p->next = http->pools;
  if (p->next) p->next->prev = p;
  http->pools = p;
  return p;
}

void bide__hpool_unref(bide_hpool *p) {
  if (--p->refs > 0) return;
  assert(!p->origins);
  if (p->prev) p->prev->next = p->next;
  else p->http->pools = p->next;
  if (p->next) p->next->prev = p->prev;
  bide__free(p->http->host, p, sizeof *p);
}

void bide__hpool_close(bide_hpool *p) {
  p->closed = true;
  p->refs++;
  while (p->oldest) bide__hconn_close(p->oldest);
  bide__hpool_unref(p);
}

/* ---- origins ---- */

static void link_origin(bide_hpool *p, bide_horigin *o) {
  o->prev = NULL;
  o->next = p->origins;
  if (o->next) o->next->prev = o;
  p->origins = o;
}

static void unlink_origin(bide_horigin *o) {
  if (o->prev) o->prev->next = o->next;
  else o->pool->origins = o->next;
  if (o->next) o->next->prev = o->prev;
}

static size_t origin_size(const bide_horigin *o) {
  return sizeof *o + o->host_n + 1 + o->key_n;
}

/* An origin without connections and waiters is not kept: a crawl visits many. */
void bide__horigin_check(bide_horigin *o) {
  if (o->nopen || o->users || o->idle) return;
  unlink_origin(o);
  if (o->context) o->tls->context_unref(o->context);
  bide__free(o->pool->http->host, o, origin_size(o));
}

bide_horigin *bide__hpool_origin(bide_hpool *p, bide_slice key, bide_slice host, uint16_t port,
                                 bide_tls_context *context) {
  bide_horigin *o;
  for (o = p->origins; o; o = o->next)
    if (o->key_n == key.n && o->context == context &&
        memcmp(o->host + o->host_n + 1, key.p, key.n) == 0)
      break;
  if (o) {
    if (o->prev) {
      unlink_origin(o);
      link_origin(p, o);
    }
    return o;
  }
  o = bide__alloc(p->http->host, sizeof *o + host.n + 1 + key.n);
  if (!o) return NULL;
  memset(o, 0, sizeof *o);
  o->pool = p;
  o->port = port;
  o->tls = bide__tls_module(p->http->host);
  o->context = context;
  if (context) o->tls->context_ref(context);
  o->host_n = (uint32_t)host.n;
  o->key_n = (uint32_t)key.n;
  memcpy(o->host, host.p, host.n);
  o->host[host.n] = '\0';
  memcpy(o->host + host.n + 1, key.p, key.n);
  link_origin(p, o);
  return o;
}

/* ---- the lists of idle connections ---- */

void bide__hpool_take(bide_hconn *hc) {
  bide_horigin *o = hc->origin;
  bide_hpool *p = o->pool;
  if (hc->prev) hc->prev->next = hc->next;
  else o->idle = hc->next;
  if (hc->next) hc->next->prev = hc->prev;
  if (hc->older) hc->older->newer = hc->newer;
  else p->oldest = hc->newer;
  if (hc->newer) hc->newer->older = hc->older;
  else p->newest = hc->older;
  hc->next = hc->prev = hc->newer = hc->older = NULL;
  hc->idle = false;
}

static void put(bide_hconn *hc) {
  bide_horigin *o = hc->origin;
  bide_hpool *p = o->pool;
  hc->idle = true;
  hc->prev = NULL;
  hc->next = o->idle;
  if (hc->next) hc->next->prev = hc;
  o->idle = hc;
  hc->newer = NULL;
  hc->older = p->newest;
  if (hc->older) hc->older->newer = hc;
  else p->oldest = hc;
  p->newest = hc;
}

/* ---- the end of idle connections ----
 *
 * A timer of the loop's own, which does not keep the loop alive as an alarm would. It runs while
 * there are idle connections, once a second. */

enum { SWEEP_MS = 1000 };

static void on_sweep(uv_timer_t *timer) {
  bide_http *http = timer->data;
  uint64_t now = bide__now_ns(http->host);
  bide_hpool *p, *pnext;
  bool more = false;
  for (p = http->pools; p; p = pnext) {
    bide_hconn *hc, *next;
    pnext = p->next;
    for (hc = p->oldest; hc; hc = next) {
      next = hc->newer;
      if (hc->idle_until <= now) bide__hconn_close(hc);
      else more = true;
    }
  }
  if (more) return;
  http->sweep_on = false;
  uv_timer_stop(timer);
}

int bide__hpool_sweep(bide_http *http) {
  int rc;
  if (http->sweep_on) return 0;
  if (!http->sweep_open) {
    rc = uv_timer_init(http->host->loop, &http->sweep);
    if (rc != 0) return rc;
    http->sweep.data = http;
    http->sweep_open = true;
    uv_unref((uv_handle_t *)&http->sweep);
  }
  http->sweep_on = true;
  return uv_timer_start(&http->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

static void on_sweep_closed(uv_handle_t *handle) {
  bide_http *http = handle->data;
  http->host->closing_handles--;
}

void bide__hpool_sweep_close(bide_http *http) {
  if (http->sweep_open) {
    http->host->closing_handles++;
    uv_close((uv_handle_t *)&http->sweep, on_sweep_closed);
  }
  http->sweep_open = http->sweep_on = false;
}

void bide__hpool_quiet(bide_http *http) {
  bide_hpool *p;
  bide_hconn *hc;
  for (p = http->pools; p; p = p->next)
    for (hc = p->oldest; hc; hc = hc->newer) bide__lazy_stop(http->host, &hc->limit);
}

/* ---- the waiting lines ---- */

static void on_limit(bide_alarm *a) {
  bide_hx *hx = bide_container(a, bide_hx, limit.alarm);
  if (!bide__lazy_due(hx->http->host, &hx->limit)) return;
  bide__hx_fail(hx, UV_ETIMEDOUT, hx->limit.at >= hx->total_at ? BIDE_HP_TOTAL : BIDE_HP_POOL);
}

static void wait_in_line(bide_hx *hx, bool front) {
  bide_horigin *o = hx->origin;
  bide_host *h = hx->http->host;
  uint64_t now = bide__http_now(h), at = bide__deadline_ns(now, hx->timeout[BIDE_HP_POOL]);
  hx->phase = BIDE_HP_POOL;
  hx->in_line = true;
  hx->next = hx->prev = NULL;
  if (!o->first) o->first = o->last = hx;
  else if (front) {
    hx->next = o->first;
    o->first->prev = hx;
    o->first = hx;
  } else {
    hx->prev = o->last;
    o->last->next = hx;
    o->last = hx;
  }
  o->pool->nwaiting++;
  if (hx->total_at < at) at = hx->total_at;
  if (at == BIDE_NEVER) return;
  if (bide__lazy_set_at(h, &hx->limit, at, on_limit) != 0)
    bide__hx_fail(hx, UV_ENOMEM, BIDE_HP_POOL);
}

void bide__hpool_unwait(bide_hx *hx) {
  bide_horigin *o = hx->origin;
  if (!hx->in_line) return;
  hx->in_line = false;
  if (hx->prev) hx->prev->next = hx->next;
  else o->first = hx->next;
  if (hx->next) hx->next->prev = hx->prev;
  else o->last = hx->prev;
  hx->next = hx->prev = NULL;
  o->pool->nwaiting--;
  bide__lazy_stop(hx->http->host, &hx->limit);
}

/* ---- getting and giving ---- */

static bide_hconn *take_idle(bide_hx *hx) {
  bide_hconn *hc = hx->origin->idle;
  if (hx->retried) return NULL; /* the others are likely to be as stale */
  while (hc && !hx->idempotent && !bide__conn_is_quiet(hc->conn)) {
    bide_hconn *next = hc->next;
    bide__hconn_close(hc); /* may not be repeated: look closer first */
    hc = next;
  }
  if (hc) bide__hpool_take(hc);
  return hc;
}

static void connect_new(bide_hx *hx) {
  hx->origin->nopen++;
  hx->pool->nopen++;
  hx->pool->refs++;
  bide__hx_connect(hx);
}

/* How many connections there may be: what descriptors allowed a moment ago, or the limit. */
static uint32_t cap(bide_hpool *p) {
  if (p->scarce && bide__http_now(p->http->host) >= p->scarce_until) p->scarce = 0;
  return p->scarce ? p->scarce : p->limits.total;
}

/* Room for one more connection in the pool, if need be by closing an idle one elsewhere. */
static bool make_room(bide_hpool *p) {
  if (p->nopen < cap(p)) return true;
  if (p->oldest) bide__hconn_close(p->oldest);
  return p->nopen < cap(p);
}

bool bide__hpool_scarce(bide_hx *hx) {
  bide_hpool *p = hx->pool;
  uint32_t others = p->nopen - 1;
  if (others == 0) return false;
  p->scarce = others;
  p->scarce_until = bide__http_now(p->http->host) + 1000000000;
  wait_in_line(hx, true);
  bide__hpool_gone(hx->origin);
  return true;
}

void bide__hpool_get(bide_hx *hx) {
  bide_horigin *o = hx->origin;
  bide_hconn *hc;
  hc = take_idle(hx);
  if (hc) bide__hconn_send(hc, hx);
  else if (!o->first && o->nopen < hx->pool->limits.per_origin && make_room(hx->pool))
    connect_new(hx);
  else wait_in_line(hx, hx->retried);
}

/* The first in line gets a connection of its own if that is allowed now. */
static bool serve_line(bide_horigin *o) {
  bide_hx *hx = o->first;
  if (!hx || o->nopen >= o->pool->limits.per_origin || !make_room(o->pool)) return false;
  bide__hpool_unwait(hx);
  connect_new(hx);
  return true;
}

void bide__hpool_gone(bide_horigin *o) {
  bide_hpool *p = o->pool;
  o->nopen--;
  p->nopen--;
  if (p->nwaiting && !serve_line(o)) {
    bide_horigin *other;
    for (other = p->origins; other; other = other->next)
      if (other != o && serve_line(other)) break;
  }
  bide__horigin_check(o);
  bide__hpool_unref(p);
}

void bide__hpool_release(bide_hconn *hc) {
  bide_horigin *o = hc->origin;
  bide_hx *hx = o->first;
  if (hx) {
    bide__hpool_unwait(hx);
    bide__hconn_send(hc, hx);
  } else if (o->pool->closed || (o->pool->nwaiting && o->pool->nopen >= cap(o->pool))) {
    bide__hconn_close(hc); /* somebody waits at another origin */
  } else {
    put(hc);
    bide__hconn_rest(hc);
  }
}
