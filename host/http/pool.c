/* SPDX-License-Identifier: MIT */
/* pool.c: pools of connections (contract in client.h).
 *
 * Idle connections are taken last in, first out, so that those not needed fall out by age. Whoever
 * finds none, and may not open another, waits in the line of its origin; the origins with a line
 * take turns. When the pool as a whole is full (or descriptors have run out), a connection idle at
 * another origin makes room; one that is always busy does after BIDE_HPOOL_TURN requests. */
#include "client.h"

#include <assert.h>

bide_hpool *bide__hpool_new(bide_http *http, const bide_hpool_limits *limits) {
  bide_hpool *p = bide__alloc(http->host, sizeof *p);
  if (!p) return NULL;
  memset(p, 0, sizeof *p);
  p->http = http;
  p->limits = *limits;
  p->refs = 1;
  bide__origins_init(p);
  p->next = http->pools;
  if (p->next) p->next->prev = p;
  http->pools = p;
  return p;
}

void bide__hpool_unref(bide_hpool *p) {
  if (--p->refs > 0) return;
  assert(p->norigins == 0);
  bide__origins_fini(p);
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

/* The first whose time is over, or NULL. */
static bide_hconn *find_over(const bide_hpool *p, uint64_t now) {
  bide_hconn *hc = p->oldest;
  while (hc && hc->idle_until > now) hc = hc->newer;
  return hc;
}

static void on_sweep(uv_timer_t *timer) {
  bide_http *http = timer->data;
  uint64_t now = bide__now_ns(http->host);
  bide_hpool *p, *next;
  bide_hconn *hc;
  bool more = false;
  for (p = http->pools; p; p = next) {
    p->refs++;
    while ((hc = find_over(p, now)) != NULL) bide__hconn_close(hc);
    more = more || p->oldest;
    next = p->next;
    bide__hpool_unref(p);
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
  if (!o->first) {
    o->first = o->last = hx;
    bide__origins_queue(o);
  } else if (front) {
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
  if (!o->first) bide__origins_unqueue(o);
  o->pool->nwaiting--;
  bide__lazy_stop(hx->http->host, &hx->limit);
}

/* ---- getting and giving ---- */

/* The server may close it at any moment; or it has done so, as far as one can look. What may not be
 * repeated is looked at closely. */
static bool is_stale(const bide_hx *hx, const bide_hconn *hc) {
  return hc->idle_until <= bide__http_now(hx->http->host) ||
         (!hx->idempotent && !bide__conn_is_quiet(hc->conn));
}

static bide_hconn *take_idle(bide_hx *hx) {
  bide_hconn *hc;
  if (hx->retried) return NULL; /* the others are likely to be as stale */
  /* Closing one may close others: always the first of what is left. */
  while ((hc = hx->origin->idle) != NULL && is_stale(hx, hc)) bide__hconn_close(hc);
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

/* The first of an origin that may open one more gets a connection of its own; that origin then goes
 * to the end. */
static bool serve_one(bide_hpool *p) {
  bide_horigin *o;
  bide_hx *hx;
  if (!p->first || (p->nopen >= cap(p) && !p->oldest)) return false;
  for (o = p->first; o && o->nopen >= p->limits.per_origin;) o = o->later;
  if (!o || !make_room(p)) return false;
  hx = o->first;
  bide__hpool_unwait(hx);
  if (o->first) {
    bide__origins_unqueue(o);
    bide__origins_queue(o);
  }
  connect_new(hx);
  return true;
}

/* What fails at once comes back in here: it is served by the loop that runs already, so that a long
 * line does not eat the stack. */
static void serve_lines(bide_hpool *p) {
  if (p->serving) return;
  p->serving = true;
  while (serve_one(p)) {}
  p->serving = false;
}

void bide__hpool_gone(bide_horigin *o) {
  bide_hpool *p = o->pool;
  o->nopen--;
  p->nopen--;
  o->users++; /* it must outlast those that fail here */
  serve_lines(p);
  o->users--;
  bide__horigin_check(o);
  bide__hpool_unref(p);
}

/* Somebody waits at an origin that may have more connections, and the pool has no room. */
static bool is_wanted_elsewhere(bide_hpool *p, const bide_horigin *here) {
  const bide_horigin *o = p->first;
  if (p->nopen < cap(p)) return false;
  while (o && (o == here || o->nopen >= p->limits.per_origin)) o = o->later;
  return o != NULL;
}

void bide__hpool_release(bide_hconn *hc) {
  bide_horigin *o = hc->origin;
  bide_hpool *p = o->pool;
  bide_hx *hx = o->first;
  bool turn = !hx || hc->served % BIDE_HPOOL_TURN == 0;
  if (p->nwaiting && turn && is_wanted_elsewhere(p, o)) {
    bide__hconn_close(hc);
  } else if (hx) {
    bide__hpool_unwait(hx);
    bide__hconn_send(hc, hx);
  } else if (p->closed) {
    bide__hconn_close(hc);
  } else {
    put(hc);
    bide__hconn_rest(hc);
  }
}
