/* SPDX-License-Identifier: MIT */
/* exchange.c: one request and its response (contract in client.h).
 *
 * Under way it is in exactly one of three places: in the line of its origin, connecting, on a
 * connection. `finish` takes it out of the last; hx_fail and hx_stop out of any. */
#include "client.h"

#include <assert.h>
#include <stdio.h>

const char *const bide__hphase_names[BIDE_HP_COUNT] = {"pool",    "connect", "tls",
                                                       "headers", "read",    "total"};

enum { PROXY_TEXT = BIDE_HOST_MAX + 16 };

/* ---- memory ---- */

static void trim(bide_host *h, bide_hbuf *b) {
  if (b->cap > BIDE_HX_KEEP) bide__hbuf_free(h, b);
  b->start = b->n = 0;
}

bide_hx *bide__hx_new(bide_http *http, bide_hpool *p) {
  bide_hx *hx = http->spare_hx;
  bide_hbuf out = {0}, store = {0}, text = {0};
  if (hx) {
    http->spare_hx = hx->next;
    http->spare_hx_n--;
    out = hx->out;
    store = hx->head_store;
    text = hx->text;
  } else {
    hx = bide__alloc(http->host, sizeof *hx);
    if (!hx) return NULL;
  }
  memset(hx, 0, sizeof *hx);
  hx->out = out;
  hx->head_store = store;
  hx->text = text;
  hx->http = http;
  hx->pool = p;
  hx->refs = 1;
  hx->body_ref = LUA_NOREF;
  hx->limit.at = BIDE_NEVER;
  p->refs++;
  return hx;
}

static void free_buffers(bide_http *http, bide_hx *hx) {
  bide__hbuf_free(http->host, &hx->out);
  bide__hbuf_free(http->host, &hx->head_store);
  bide__hbuf_free(http->host, &hx->text);
}

void bide__hx_unref(bide_hx *hx) {
  bide_http *http = hx->http;
  bide_host *h = http->host;
  if (--hx->refs > 0) return;
  assert(!hx->hc && !hx->in_line && !hx->connecting && !hx->securing && !hx->sending);
  if (hx->why) bide__free(h, hx->why, sizeof *hx->why);
  hx->why = NULL;
  if (hx->proxy) bide__free(h, hx->proxy, PROXY_TEXT);
  hx->proxy = NULL;
  bide__hbody_fini(&hx->body);
  luaL_unref(h->main, LUA_REGISTRYINDEX, hx->body_ref);
  bide__hpool_unref(hx->pool);
  if (http->closed || http->spare_hx_n >= BIDE_HX_SPARE) {
    free_buffers(http, hx);
    bide__free(h, hx, sizeof *hx);
    return;
  }
  trim(h, &hx->out);
  trim(h, &hx->head_store);
  trim(h, &hx->text);
  hx->next = http->spare_hx;
  http->spare_hx = hx;
  http->spare_hx_n++;
}

void bide__hx_free_spares(bide_http *http) {
  while (http->spare_hx) {
    bide_hx *hx = http->spare_hx;
    http->spare_hx = hx->next;
    free_buffers(http, hx);
    bide__free(http->host, hx, sizeof *hx);
  }
  http->spare_hx_n = 0;
}

/* ---- waking ---- */

static void wake(bide_hx *hx) {
  if (!hx->waiting) return;
  hx->waiting = BIDE_HX_FOR_NOTHING;
  bide__wake(&hx->wait, 0);
}

/* Not under way any more: no connection, nothing will come. */
static void rest(bide_hx *hx) {
  bide_horigin *o = hx->origin;
  wake(hx);
  if (!hx->active) return;
  hx->active = false;
  hx->origin = NULL;
  o->users--;
  bide__horigin_check(o);
  if (--hx->http->nactive == 0) bide__hpool_quiet(hx->http);
  bide__hx_unref(hx);
}

void bide__hx_wait(bide_hx *hx, int what) {
  bool now = hx->failed || hx->done;
  hx->wait.task = NULL;
  bide__wait_init(hx->http->host, &hx->wait, &bide__hx_ops);
  hx->waiting = (uint8_t)what;
  if (what == BIDE_HX_FOR_WRITE) now = now || !hx->sending || hx->has_head;
  else if (what == BIDE_HX_FOR_CONN) now = now || hx->hc;
  else if (what == BIDE_HX_FOR_RESPONSE) now = now || (hx->has_head && hx->mode != BIDE_HX_COLLECT);
  else now = now || hx->eof || hx->text.n > 0;
  if (now) wake(hx);
}

/* ---- ways out ---- */

/* For the error: the origin may be gone by then. */
static void note_proxy(bide_hx *hx) {
  const bide_horigin *o = hx->origin;
  if (!o || !(o->via || o->is_proxy)) return;
  hx->proxy = bide__alloc(hx->http->host, PROXY_TEXT);
  if (!hx->proxy) return;
  bide__host_port_text(o->via ? o->via : o->host, o->via ? o->via_port : o->port, hx->proxy,
                       PROXY_TEXT);
}

void bide__hx_fail(bide_hx *hx, int error, int phase) {
  if (hx->failed || hx->done) return;
  hx->failed = true;
  hx->error = error;
  hx->error_phase = phase;
  if (error == BIDE_ETLS && hx->hc) bide__hx_note(hx, hx->hc->conn);
  note_proxy(hx);
  bide__hx_stop(hx);
}

void bide__hx_stop(bide_hx *hx) {
  bide_connect *op = hx->connecting;
  bide__hpool_unwait(hx);
  bide__hx_unsecure(hx);
  if (hx->hc) bide__hconn_close(hx->hc);
  if (op) {
    hx->connecting = NULL;
    bide__connect_free(op);
    bide__hpool_gone(hx->origin);
  }
  rest(hx);
}

static uint64_t body_left(const bide_hx *hx) {
  return hx->head.kind == BIDE_H1_LENGTH ? hx->body.wire.left : UINT64_MAX;
}

static void collect(bide_hx *hx, const char *p, size_t n);

void bide__hx_abandon(bide_hx *hx) {
  if (!hx->active) return;
  if (hx->hc && hx->has_head && !hx->sending && !hx->feeding && body_left(hx) <= BIDE_HX_DRAIN) {
    bide_host *h = hx->http->host;
    hx->mode = BIDE_HX_DRAINING;
    hx->total_at = bide__deadline_ns(bide__http_now(h), BIDE_HX_DRAIN_TIME);
    collect(hx, bide__hbuf_at(&hx->text), hx->text.n);
    hx->text.n = 0;
    if (hx->hc) bide__hconn_resume(hx->hc);
    return;
  }
  bide__hx_stop(hx);
}

/* The response is whole. */
static void finish(bide_hx *hx, bool reusable) {
  bide_hconn *hc = hx->hc;
  hx->done = true;
  hx->elapsed = bide__now_ns(hx->http->host) - hx->begun;
  if (hc) bide__hconn_done(hc, reusable && (hx->head.flags & BIDE_H1_KEEP_ALIVE) != 0 && !hx->eof);
  rest(hx);
}

static void fail_body(bide_hx *hx, int code) {
  bide__hx_fail(hx, bide__hbody_code(code), BIDE_HP_READ);
}

/* ---- connecting ---- */

static void connect_failed(bide_hx *hx, bide_connect *op) {
  int status = op->status;
  /* One address: the code says it all. */
  if (op->nerrors != 1 && status != UV_ETIMEDOUT)
    bide__connect_reasons(op, hx->reason, sizeof hx->reason);
  bide__connect_free(op);
  if ((status == UV_EMFILE || status == UV_ENFILE) && bide__hpool_scarce(hx)) return;
  bide__hpool_gone(hx->origin);
  bide__hx_fail(hx, status,
                status == UV_ETIMEDOUT && hx->total_first ? BIDE_HP_TOTAL : BIDE_HP_CONNECT);
}

void bide__hx_use(bide_hx *hx, bide_conn *c) {
  bide_horigin *o = hx->origin;
  bide_hconn *hc = bide__hconn_new(o, c);
  if (!hc) {
    bide__hpool_gone(o);
    bide__hx_fail(hx, UV_ENOMEM, BIDE_HP_CONNECT);
    return;
  }
  bide__hconn_send(hc, hx);
}

static void on_connected(bide_connect *op) {
  bide_hx *hx = op->user;
  bide_conn *c = op->conn;
  hx->connecting = NULL;
  if (op->status != 0) {
    connect_failed(hx, op);
    return;
  }
  op->conn = NULL;
  bide__connect_free(op);
  if (hx->origin->via) bide__hx_tunnel(hx, c);
  else if (hx->origin->context) bide__hx_secure(hx, c);
  else bide__hx_use(hx, c);
}

double bide__hx_time_left(bide_hx *hx, int phase) {
  double left, limit = hx->timeout[phase];
  uint64_t now;
  hx->total_first = false;
  if (hx->total_at == BIDE_NEVER) return limit;
  now = bide__now_ns(hx->http->host);
  left = hx->total_at > now ? (double)(hx->total_at - now) / 1e9 : 0;
  hx->total_first = left < limit;
  return hx->total_first ? left : limit;
}

void bide__hx_connect(bide_hx *hx) {
  bide_host *h = hx->http->host;
  bide_connect_options o = {.timeout = bide__hx_time_left(hx, BIDE_HP_CONNECT)};
  bide_horigin *origin = hx->origin;
  int rc;
  hx->phase = BIDE_HP_CONNECT;
  hx->connect_by = bide__deadline_ns(bide__now_ns(h), o.timeout);
  rc = origin->via
           ? bide__connect(h, origin->via, origin->via_port, &o, on_connected, hx, &hx->connecting)
           : bide__connect(h, origin->host, origin->port, &o, on_connected, hx, &hx->connecting);
  if (rc == 0) return;
  hx->connecting = NULL;
  if ((rc == UV_EMFILE || rc == UV_ENFILE) && bide__hpool_scarce(hx)) return;
  bide__hpool_gone(origin);
  bide__hx_fail(hx, rc, BIDE_HP_CONNECT);
}

/* ---- the request ---- */

void bide__hx_begin(bide_hx *hx) {
  hx->active = true;
  hx->origin->users++;
  hx->http->nactive++;
  hx->refs++;
  bide__hpool_get(hx);
}

bool bide__hx_retry(bide_hx *hx, int status) {
  bide_hconn *hc = hx->hc;
  (void)status;
  if (!hx->idempotent || hx->retried) return false;
  hx->retried = true;
  hc->hx = NULL;
  hx->hc = NULL;
  hx->refs++;
  bide__hconn_close(hc);
  if (hx->active && !hx->failed) bide__hpool_get(hx);
  bide__hx_unref(hx);
  return true;
}

void bide__hx_sent(bide_hx *hx, int status) {
  (void)status; /* a failure is told by the reading side */
  if (hx->waiting == BIDE_HX_FOR_WRITE || hx->waiting == BIDE_HX_FOR_CONN) wake(hx);
}

int bide__hx_feed(bide_hx *hx, const bide_slice *pieces, unsigned n) {
  unsigned i;
  int rc;
  if (!hx->hc || hx->has_head || hx->failed) {
    hx->cut = true;
    return UV_EPIPE;
  }
  for (i = 0; i < n; i++)
    hx->bufs[i] = (uv_buf_t){.base = (char *)(uintptr_t)pieces[i].p, .len = pieces[i].n};
  rc = bide__hconn_write(hx->hc, hx, n);
  if (hx->hc) bide__hconn_touch(hx->hc);
  return rc;
}

void bide__hx_fed(bide_hx *hx, bool whole) {
  if (!hx->feeding) return;
  hx->feeding = false;
  hx->cut = !whole;
  if (hx->hc && !hx->sending) bide__hconn_await_head(hx->hc);
}

/* ---- the response ---- */

static bool keep_head(bide_hx *hx, const bide_h1_head *head) {
  bide_hbuf *b = &hx->head_store;
  size_t fields = head->count * sizeof(bide_h1_field);
  char *p;
  b->start = b->n = 0;
  if (bide__hbuf_reserve(hx->http->host, b, fields + head->size) != 0) return false;
  p = bide__hbuf_at(b);
  b->n = fields + head->size;
  hx->head = *head;
  hx->head.fields = memcpy(p, head->fields, fields);
  hx->head.base = memcpy(p + fields, head->base, head->size);
  return true;
}

/* How long the server says it keeps the connection, less a second for the way. */
static void note_keep_alive(bide_hx *hx) {
  const bide_h1_field *f = bide__h1_find(&hx->head, BIDE_H_KEEP_ALIVE, 0);
  int32_t t;
  if (!f || (t = bide__h1_keep_alive_timeout(bide__h1_value(&hx->head, f))) < 0) return;
  if (t <= 1) hx->head.flags &= (uint16_t)~BIDE_H1_KEEP_ALIVE;
  else if (t - 1 < hx->hc->keep) hx->hc->keep = t - 1;
}

/* More than max_body; of a coded body also what comes, for it may decode to nothing for ever. What
 * is small gains in length by its coding. */
#define CODED_ROOM 4096

static bool is_too_big(const bide_hx *hx, uint64_t length) {
  if (!hx->body.inflate) return length > hx->max_body;
  return length > CODED_ROOM && length - CODED_ROOM > hx->max_body;
}

void bide__hx_head(bide_hx *hx, const bide_h1_head *head) {
  bide_host *h = hx->http->host;
  int rc;
  hx->has_head = true;
  hx->phase = BIDE_HP_READ;
  hx->text.start = hx->text.n = 0;
  rc = keep_head(hx, head) ? bide__hbody_init(h, &hx->body, &hx->head, hx->decompress)
                           : BIDE_BODY_ENOMEM;
  if (rc != 0) {
    fail_body(hx, rc);
    return;
  }
  if (bide__h1_has(head, BIDE_H_KEEP_ALIVE)) note_keep_alive(hx);
  if (hx->bounded && head->kind == BIDE_H1_LENGTH && is_too_big(hx, head->length)) {
    fail_body(hx, BIDE_BODY_ETOOBIG);
  } else if (hx->mode == BIDE_HX_COLLECT && head->kind == BIDE_H1_LENGTH) {
    size_t hint = head->length < 65536 ? (size_t)head->length : 65536;
    if (bide__hbuf_reserve(h, &hx->text, hint) != 0) fail_body(hx, BIDE_BODY_ENOMEM);
  } else if (hx->mode == BIDE_HX_STREAM) {
    hx->elapsed = bide__now_ns(h) - hx->begun;
    if (hx->waiting == BIDE_HX_FOR_RESPONSE || hx->waiting == BIDE_HX_FOR_WRITE) wake(hx);
  }
}

/* Collects (or throws away) what is in p; the connection's bytes are gone afterwards. */
static void collect(bide_hx *hx, const char *p, size_t n) {
  bide_host *h = hx->http->host;
  for (;;) {
    bide_slice piece;
    size_t used;
    int r = bide__hbody_next(&hx->body, p, n, &used, hx->http->scratch, &piece);
    p += used;
    n -= used;
    if (r == BIDE_H1_DONE) {
      finish(hx, n == 0);
      return;
    }
    if (r < 0) {
      fail_body(hx, r);
      return;
    }
    if (r == BIDE_H1_DATA) hx->got += piece.n;
    if (hx->mode == BIDE_HX_COLLECT &&
        (hx->got > hx->max_body || is_too_big(hx, bide__hbody_coded(&hx->body)))) {
      fail_body(hx, BIDE_BODY_ETOOBIG);
      return;
    }
    if (r == BIDE_H1_MORE) return;
    if (hx->mode == BIDE_HX_COLLECT && bide__hbuf_put(h, &hx->text, piece.p, piece.n) != 0) {
      fail_body(hx, BIDE_BODY_ENOMEM);
      return;
    }
  }
}

/* Streamed: the bytes wait as they came for somebody to ask. */
static void keep_raw(bide_hx *hx, const char *p, size_t n) {
  if (bide__hbuf_put(hx->http->host, &hx->text, p, n) != 0) {
    fail_body(hx, BIDE_BODY_ENOMEM);
    return;
  }
  if (hx->text.n >= BIDE_HX_INPUT_HIGH && hx->hc) {
    hx->paused = true;
    bide__conn_read_stop(hx->hc->conn);
  }
  if (hx->waiting == BIDE_HX_FOR_INPUT) wake(hx);
}

void bide__hx_data(bide_hx *hx, const char *p, size_t n) {
  if (hx->mode == BIDE_HX_STREAM) keep_raw(hx, p, n);
  else collect(hx, p, n);
}

void bide__hx_end(bide_hx *hx, int status) {
  int r;
  hx->eof = true;
  hx->eof_status = status;
  if (hx->mode == BIDE_HX_STREAM) {
    if (hx->waiting == BIDE_HX_FOR_INPUT) wake(hx);
    return;
  }
  if (status < 0) {
    bide__hx_fail(hx, status, BIDE_HP_READ);
    return;
  }
  r = bide__hbody_eof(&hx->body);
  if (r == BIDE_H1_DONE) finish(hx, false);
  else fail_body(hx, r);
}

int bide__hx_piece(bide_hx *hx, bide_slice *piece) {
  size_t used;
  int r;
  if (hx->hc) bide__hconn_resume(hx->hc);
  if (hx->failed) return hx->error;
  if (hx->done) return BIDE_H1_DONE;
  r = bide__hbody_next(&hx->body, bide__hbuf_at(&hx->text), hx->text.n, &used, hx->http->scratch,
                       piece);
  bide__hbuf_take(&hx->text, used);
  if (r == BIDE_H1_MORE && hx->eof) {
    if (hx->eof_status < 0) {
      bide__hx_fail(hx, hx->eof_status, BIDE_HP_READ);
      return hx->error;
    }
    r = bide__hbody_eof(&hx->body);
  }
  if (r == BIDE_H1_DATA) hx->got += piece->n;
  if (r >= 0 && r != BIDE_H1_DONE && hx->bounded &&
      (hx->got > hx->max_body || is_too_big(hx, bide__hbody_coded(&hx->body))))
    r = BIDE_BODY_ETOOBIG;
  if (r == BIDE_H1_DONE) finish(hx, hx->text.n == 0);
  else if (r < 0) fail_body(hx, r);
  return r < 0 ? hx->error : r;
}

/* ---- the wait ---- */

static void abort_hx(bide_wait *w, int status) {
  bide_hx *hx = bide_container(w, bide_hx, wait);
  int what = hx->waiting;
  hx->waiting = BIDE_HX_FOR_NOTHING;
  if (what != BIDE_HX_FOR_INPUT) { /* a reader may come again */
    hx->failed = true;
    hx->error = status;
    bide__hx_stop(hx);
  }
  bide__wake(w, status);
}

static void drop_hx(bide_wait *w) {
  bide_hx *hx = bide_container(w, bide_hx, wait);
  if (!hx->owned_by_wait) return; /* a stream's finalizer sees to it */
  bide__hx_stop(hx);
  bide__hx_unref(hx);
}

static void describe(const bide_wait *w, char *buf, size_t size) {
  const bide_hx *hx = bide_container(w, bide_hx, wait);
  snprintf(buf, size, "http request to %s:%d (%s)", hx->origin ? hx->origin->host : "?",
           hx->origin ? hx->origin->port : 0, bide__hphase_names[hx->phase]);
}

const bide_waitops bide__hx_ops = {
    .op = "http", .abort = abort_hx, .describe = describe, .drop = drop_hx};
