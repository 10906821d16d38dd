/* SPDX-License-Identifier: MIT */
/* cconn.c: a client's connection: sends a request, finds the head of the response, then hands on
 * what comes to the exchange (contract in client.h).
 *
 * Idle ones go on reading: the server's close, or bytes that nobody asked for, end them at once. */
#include "client.h"

#include <assert.h>

static void on_limit(bide_alarm *a);

/* ---- open, close ---- */

static void drop_part(bide_hconn *hc) {
  bide_host *h = hc->conn->host;
  if (hc->part) bide__free(h, hc->part, sizeof *hc->part + hc->part->cap * sizeof(bide_h1_field));
  hc->part = NULL;
  bide__hbuf_free(h, &hc->in);
}

static void on_closed(bide_conn *c) {
  bide_hconn *hc = c->user;
  if (!hc->closing) bide__hconn_close(hc); /* closed from below: teardown */
  bide__free(c->host, hc, sizeof *hc);
}

void bide__hconn_close(bide_hconn *hc) {
  bide_horigin *o = hc->origin;
  bool rests = !hc->hx; /* nothing is cut short: TLS says goodbye */
  assert(!hc->closing);
  hc->closing = true;
  if (hc->idle) bide__hpool_take(hc);
  if (hc->hx) hc->hx->hc = NULL;
  hc->hx = NULL;
  bide__lazy_stop(hc->conn->host, &hc->limit);
  drop_part(hc);
  hc->origin = NULL;
  if (rests) bide__conn_close_gently(hc->conn, 0);
  else bide__conn_close(hc->conn);
  bide__hpool_gone(o);
}

static void fail(bide_hconn *hc, int error, int phase) {
  bide_hx *hx = hc->hx;
  if (hx && error == BIDE_ETLS) bide__hx_note(hx, hc->conn);
  bide__hconn_close(hc);
  if (hx) bide__hx_fail(hx, error, phase);
}

/* ---- heads ---- */

static bool keep_part(bide_hconn *hc, const bide_h1_head *head, const char *p, size_t n,
                      bool kept) {
  bide_host *h = hc->conn->host;
  size_t fields = head->cap * sizeof(bide_h1_field);
  if (!kept && bide__hbuf_put(h, &hc->in, p, n) != 0) return false;
  if (hc->part) return true;
  hc->part = bide__alloc(h, sizeof *hc->part + fields);
  if (!hc->part) return false;
  *hc->part = *head;
  hc->part->fields = (bide_h1_field *)(hc->part + 1);
  memcpy(hc->part->fields, head->fields, fields); /* also the one at hand, not yet counted */
  return true;
}

static const bide_h1_limits limits = {8192, 65536, 262144};

enum { FIELDS = 256 };

/* A head, informational ones skipped, then the body behind it. `kept`: the bytes are hc->in's own.
 */
static void read_head(bide_hconn *hc, const char *p, size_t n, bool kept) {
  bide_hx *hx = hc->hx;
  bide_h1_head fresh, *head = hc->part;
  int r;
  for (;;) {
    if (!head) {
      head = &fresh;
      bide__h1_init_response(head, hx->http->fields, FIELDS, &limits, (bide_h1_method)hx->method);
    }
    r = n > 0 ? bide__h1_parse(head, p, n) : BIDE_H1_MORE;
    if (r <= 0 || head->status >= 200 || head->status == 101) break;
    if (++hc->informed > BIDE_HX_INFORM) {
      fail(hc, BIDE_BODY_EINFORM, BIDE_HP_HEADERS);
      return;
    }
    p += r;
    n -= (size_t)r;
    if (kept) bide__hbuf_take(&hc->in, (size_t)r);
    if (head == hc->part) { /* the next one begins anew, in the same place */
      bide__h1_init_response(head, head->fields, FIELDS, &limits, (bide_h1_method)hx->method);
    } else {
      head = NULL;
    }
  }
  if (r < 0) {
    fail(hc, bide__hbody_code(r), BIDE_HP_HEADERS);
  } else if (r == BIDE_H1_MORE) {
    if (n > 0 && !keep_part(hc, head, p, n, kept)) fail(hc, UV_ENOMEM, BIDE_HP_HEADERS);
  } else if (head->kind == BIDE_H1_TUNNEL) {
    fail(hc, BIDE_BODY_EUPGRADE, BIDE_HP_HEADERS);
  } else {
    bide__hx_head(hx, head);
    if (hc->hx == hx && !hc->closing) bide__hx_data(hx, p + r, n - (size_t)r);
    /* what the parse left behind; while a kept one's bytes were read, nothing was put there */
    if (hc->part && !hc->closing) drop_part(hc);
  }
}

/* ---- input ---- */

static void on_data(bide_conn *c, const char *p, size_t n) {
  bide_hconn *hc = c->user;
  bide_hx *hx = hc->hx;
  if (!hx) { /* nobody asked */
    bide__hconn_close(hc);
    return;
  }
  hc->heard = true;
  bide__hconn_touch(hc);
  if (hx->has_head) bide__hx_data(hx, p, n);
  else if (BIDE_LIKELY(!hc->part)) read_head(hc, p, n, false);
  else if (bide__hbuf_put(c->host, &hc->in, p, n) != 0) fail(hc, UV_ENOMEM, BIDE_HP_HEADERS);
  else read_head(hc, bide__hbuf_at(&hc->in), hc->in.n, true);
}

static void on_end(bide_conn *c, int status) {
  bide_hconn *hc = c->user;
  bide_hx *hx = hc->hx;
  if (hx && hx->has_head) {
    bide__hx_end(hx, status);
    return;
  }
  if (hx && !hc->heard && hc->served > 0 && bide__hx_retry(hx, status)) return;
  fail(hc,
       status < 0  ? status
       : hc->heard ? bide__hbody_code(BIDE_H1_ETRUNCATED)
                   : UV_ECONNRESET,
       BIDE_HP_HEADERS);
}

static const bide_conn_cbs cbs = {.on_data = on_data, .on_end = on_end, .on_closed = on_closed};

/* ---- limits of time ---- */

static uint64_t min(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

void bide__hconn_touch(bide_hconn *hc) {
  bide_hx *hx = hc->hx;
  bide_host *h = hc->conn->host;
  uint64_t at = bide__deadline_ns(bide__http_now(h), hx->timeout[BIDE_HP_READ]);
  at = min(at, hx->total_at);
  if (!hx->has_head) at = min(at, hx->headers_at);
  if (bide__lazy_set_at(h, &hc->limit, at, on_limit) != 0) fail(hc, UV_ENOMEM, BIDE_HP_READ);
}

void bide__hconn_await_head(bide_hconn *hc) {
  bide_hx *hx = hc->hx;
  hx->headers_at = bide__deadline_ns(bide__http_now(hc->conn->host), hx->timeout[BIDE_HP_HEADERS]);
  bide__hconn_touch(hc);
}

static void on_limit(bide_alarm *a) {
  bide_hconn *hc = bide_container(a, bide_hconn, limit.alarm);
  bide_host *h = hc->conn->host;
  bide_hx *hx = hc->hx;
  uint64_t now;
  if (!bide__lazy_due(h, &hc->limit)) return;
  now = bide__now_ns(h);
  if (now >= hx->total_at) {
    fail(hc, UV_ETIMEDOUT, BIDE_HP_TOTAL);
  } else if (hx->paused ||
             (hx->feeding && !hx->sending)) { /* it is this side that takes its time */
    bide__hconn_await_head(hc);
  } else if (hx->sending && bide__conn_queued(hc->conn) < hx->unsent) {
    hx->unsent = bide__conn_queued(hc->conn);
    bide__hconn_await_head(hc);
  } else if (!hx->has_head && now >= hx->headers_at) {
    fail(hc, UV_ETIMEDOUT, BIDE_HP_HEADERS);
  } else {
    fail(hc, UV_ETIMEDOUT, BIDE_HP_READ);
  }
}

/* ---- use ---- */

bide_hconn *bide__hconn_new(bide_horigin *o, bide_conn *c) {
  bide_hconn *hc = bide__alloc(c->host, sizeof *hc);
  if (!hc) {
    bide__conn_close(c);
    return NULL;
  }
  memset(hc, 0, sizeof *hc);
  hc->origin = o;
  hc->conn = c;
  hc->limit.at = BIDE_NEVER;
  hc->keep = o->pool->limits.keepalive;
  bide__conn_use(c, &cbs, hc);
  (void)bide__conn_nodelay(c, 1);
  return hc;
}

static void on_sent(bide_write *w, int status) {
  bide_hx *hx = bide_container(w, bide_hx, write);
  hx->sending = false;
  if (status == 0 && hx->hc && !hx->feeding) bide__hconn_await_head(hx->hc);
  bide__hx_sent(hx, status);
}

int bide__hconn_write(bide_hconn *hc, bide_hx *hx, unsigned n) {
  int rc = bide__conn_write(hc->conn, &hx->write, hx->bufs, n, on_sent);
  if (rc == 0) {
    hx->sending = true;
    hx->unsent = bide__conn_queued(hc->conn);
  }
  return rc;
}

void bide__hconn_send(bide_hconn *hc, bide_hx *hx) {
  unsigned n = 1;
  int rc;
  hc->hx = hx;
  hx->hc = hc;
  hc->heard = false;
  hc->informed = 0;
  hx->phase = BIDE_HP_HEADERS;
  hx->bufs[0] = (uv_buf_t){.base = bide__hbuf_at(&hx->out), .len = hx->out.n};
  if (hx->long_body.n) {
    hx->bufs[1] = (uv_buf_t){.base = (char *)(uintptr_t)hx->long_body.p, .len = hx->long_body.n};
    n = 2;
  }
  bide__conn_ref(hc->conn, 1);
  bide__hconn_await_head(hc);
  if (hc->closing) return;
  rc = bide__hconn_write(hc, hx, n);
  if (hx->waiting == BIDE_HX_FOR_CONN) bide__hx_sent(hx, rc);
  if (hc->closing || hc->hx != hx) return;
  /* A refused write is told by the read as well, with what the server said before it closed. */
  if (bide__conn_read_start(hc->conn) != 0) fail(hc, rc < 0 ? rc : UV_EPIPE, BIDE_HP_HEADERS);
}

void bide__hconn_resume(bide_hconn *hc) {
  bide_hx *hx = hc->hx;
  if (!hx->paused || hx->text.n >= BIDE_HX_INPUT_HIGH / 2) return;
  hx->paused = false;
  bide__hconn_touch(hc);
  if (!hc->closing && bide__conn_read_start(hc->conn) != 0) fail(hc, UV_ECONNRESET, BIDE_HP_READ);
}

void bide__hconn_done(bide_hconn *hc, bool reusable) {
  bide_hx *hx = hc->hx;
  hc->served++;
  if (hx->sending || hx->feeding || hx->cut) { /* what is queued is hx's: it is dropped at once */
    bide__hconn_close(hc);
    return;
  }
  hc->hx = NULL;
  hx->hc = NULL;
  if (reusable) bide__hpool_release(hc);
  else bide__hconn_close(hc);
}

void bide__hconn_rest(bide_hconn *hc) {
  bide_host *h = hc->conn->host;
  bide__conn_ref(hc->conn, 0);
  bide__lazy_off(&hc->limit);
  hc->idle_until = bide__deadline_ns(bide__http_now(h), hc->keep);
  if (bide__hpool_sweep(hc->origin->pool->http) != 0) bide__hconn_close(hc);
}
