/* SPDX-License-Identifier: MIT */
/* client_tunnel.c: a way through a proxy (RFC 9110 section 9.3.6), before TLS begins (contract in
 * client.h).
 *
 * The proxy is asked with CONNECT; its answer is a head and nothing else. Until then the connection
 * is the exchange's (`securing`), with its place in the pool, as in a handshake. Whatever the proxy
 * sends is bounded: by the limits of a head, the number of informational ones, and the time left of
 * the connect phase. Bytes behind a 2xx would be taken for the server's own: refused. */
#include "client.h"

#include <math.h>
#include <stdio.h>

enum { FIELDS = 100 };

struct bide_htunnel {
  bide_alarm alarm;
  bide_hx *hx;
  bide_write write;
  uv_buf_t buf;
  bide_hbuf in; /* what has come, from the beginning of a head */
  bide_h1_head head;
  bide_h1_field fields[FIELDS];
  int informed; /* informational responses so far */
};

static const bide_h1_limits limits = {8192, 8192, 65536};

static void expect_head(bide_htunnel *t) {
  bide__h1_init_response(&t->head, t->fields, FIELDS, &limits, BIDE_M_CONNECT);
}

void bide__hx_untunnel(bide_hx *hx) {
  bide_htunnel *t = hx->tunnel;
  bide_host *h = hx->http->host;
  if (!t) return;
  hx->tunnel = NULL;
  bide__alarm_stop(h, &t->alarm);
  bide__hbuf_free(h, &t->in);
  bide__free(h, t, sizeof *t);
}

static void fail(bide_hx *hx, int error) {
  bide__hx_unsecure(hx);
  bide__hx_fail(hx, error,
                error == UV_ETIMEDOUT && hx->total_first ? BIDE_HP_TOTAL : BIDE_HP_CONNECT);
}

/* "407 Proxy Authentication Required": in our words, not the proxy's. */
static void refused(bide_hx *hx, int status) {
  snprintf(hx->reason, sizeof hx->reason, "%d %s", status, bide__h1_reason(status));
  hx->proxy_status = status;
  fail(hx, BIDE_EPROXY);
}

/* The answer is there: on to TLS. */
static void opened(bide_hx *hx) {
  bide_conn *c = hx->securing;
  hx->securing = NULL;
  bide__hx_untunnel(hx);
  bide__conn_read_stop(c);
  bide__conn_use(c, NULL, NULL);
  bide__hx_secure(hx, c);
}

static void on_data(bide_conn *c, const char *p, size_t n) {
  bide_hx *hx = c->user;
  bide_htunnel *t = hx->tunnel;
  int r;
  if (bide__hbuf_put(c->host, &t->in, p, n) != 0) {
    fail(hx, UV_ENOMEM);
    return;
  }
  while ((r = bide__h1_parse(&t->head, bide__hbuf_at(&t->in), t->in.n)) > 0 &&
         t->head.status < 200 && t->head.status != 101) {
    if (++t->informed > BIDE_HX_INFORM) {
      fail(hx, BIDE_BODY_EINFORM);
      return;
    }
    bide__hbuf_take(&t->in, (size_t)r);
    expect_head(t);
  }
  if (r < 0) fail(hx, bide__hbody_code(r));
  else if (r > 0 && t->head.status / 100 != 2) refused(hx, t->head.status);
  else if (r > 0 && (t->in.n > (size_t)r || bide__conn_queued(c))) fail(hx, BIDE_BODY_EEARLY);
  else if (r > 0) opened(hx);
}

static void on_end(bide_conn *c, int status) {
  bide_hx *hx = c->user;
  bool heard = hx->tunnel->in.n > 0;
  fail(hx, status < 0 ? status : heard ? bide__hbody_code(BIDE_H1_ETRUNCATED) : UV_ECONNRESET);
}

/* Closed from beneath: teardown. */
static void on_closed(bide_conn *c) {
  bide_hx *hx = c->user;
  hx->securing = NULL;
  bide__hx_untunnel(hx);
  bide__hpool_gone(hx->origin);
  bide__hx_fail(hx, UV_ECANCELED, BIDE_HP_CONNECT);
}

static const bide_conn_cbs cbs = {.on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void on_limit(bide_alarm *a) {
  fail(bide_container(a, bide_htunnel, alarm)->hx, UV_ETIMEDOUT);
}

/* Told also when it is closed; a failure is heard by the reading side as well. */
static void on_sent(bide_write *w, int status) {
  (void)w;
  (void)status;
}

/* Sends the request and awaits its answer; 0, or what went wrong. The bytes are the origin's, which
 * the exchange holds. */
static int begin(bide_htunnel *t, bide_conn *c) {
  bide_host *h = c->host;
  bide_slice request = t->hx->origin->connect;
  uint64_t now = bide__now_ns(h), by = t->hx->connect_by;
  double left = by == BIDE_NEVER ? HUGE_VAL : by > now ? (double)(by - now) / 1e9 : 0;
  int status = bide__alarm_again(h, &t->alarm, left, on_limit);
  if (status) return status;
  expect_head(t);
  t->buf = (uv_buf_t){.base = (char *)(uintptr_t)request.p, .len = request.n};
  status = bide__conn_write(c, &t->write, &t->buf, 1, on_sent);
  return status < 0 ? status : bide__conn_read_start(c);
}

void bide__hx_tunnel(bide_hx *hx, bide_conn *c) {
  bide_htunnel *t = bide__alloc(c->host, sizeof *t);
  int status = UV_ENOMEM;
  hx->securing = c;
  bide__conn_use(c, &cbs, hx);
  if (t) {
    memset(t, 0, sizeof *t);
    t->hx = hx;
    hx->tunnel = t;
    status = begin(t, c);
  }
  if (status < 0) fail(hx, status);
}
