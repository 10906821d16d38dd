/* SPDX-License-Identifier: MIT */
/* sconn.c: a server's connection: finds requests in its input, one after the other (server.h).
 *
 *   IDLE ──first byte──▶ HEAD ──head complete──▶ BUSY ──answered──▶ IDLE
 *                                                  └──unread body──▶ DRAIN ──▶ IDLE
 *
 * CLOSING is entered from anywhere, once, by bide__hsconn_close; on_closed frees. */
#include "server.h"

#include <assert.h>
#include <stdio.h>

static void on_limit(bide_alarm *a);

/* ---- open and close ---- */

static void free_input(bide_hsconn *sc) {
  bide_host *h = sc->server->http->host;
  if (sc->part) bide__free(h, sc->part, sizeof *sc->part + sc->part->cap * sizeof(bide_h1_field));
  sc->part = NULL;
  bide__hbuf_free(h, &sc->in);
}

static void on_closed(bide_conn *c) {
  bide_hsconn *sc = c->user;
  bide_hserver *s = sc->server;
  if (sc->state != BIDE_HSC_CLOSING)
    bide__hsconn_close(sc, false); /* closed from below: teardown */
  if (sc->prev) sc->prev->next = sc->next;
  else s->conns = sc->next;
  if (sc->next) sc->next->prev = sc->prev;
  s->nconns--;
  bide__free(s->http->host, sc, sizeof *sc);
  bide__listener_release(s->listener);
  bide__hserver_check(s);
}

void bide__hsconn_close(bide_hsconn *sc, bool gently) {
  bide_hsreq *r = sc->req;
  bool unread = sc->in.n > 0 || (r && !r->body_done);
  assert(sc->state != BIDE_HSC_CLOSING);
  sc->state = BIDE_HSC_CLOSING;
  sc->req = NULL;
  bide__lazy_stop(sc->server->http->host, &sc->limit);
  free_input(sc);
  if (gently) bide__hsconn_flush(sc);
  bide__hsconn_drop_batch(sc);
  if (gently && !sc->failed) bide__conn_close_gently(sc->conn, unread && !sc->eof);
  else bide__conn_close(sc->conn);
  if (r) bide__hsreq_lost(r);
}

/* ---- answers of the server's own ---- */

typedef struct note {
  bide_write write;
  uv_buf_t buf;
  bide_host *host;
  size_t size;
  char text[];
} note;

static void on_note_sent(bide_write *w, int status) {
  note *m = bide_container(w, note, write);
  (void)status;
  bide__free(m->host, m, m->size);
}

static int send_note(bide_hsconn *sc, const char *text, size_t n) {
  bide_host *h = sc->server->http->host;
  note *m = bide__alloc(h, sizeof *m + n);
  int rc;
  bide__hsconn_flush(sc);
  if (!m) return UV_ENOMEM;
  m->host = h;
  m->size = sizeof *m + n;
  memcpy(m->text, text, n);
  m->buf = uv_buf_init(m->text, (unsigned)n);
  rc = bide__conn_write(sc->conn, &m->write, &m->buf, 1, on_note_sent);
  if (rc != 0) bide__free(h, m, m->size);
  if (rc < 0) sc->failed = true;
  return rc < 0 ? rc : 0;
}

int bide__hsconn_answer(bide_hsconn *sc, int status, bool close) {
  char text[384];
  bide_http *http = sc->server->http;
  const char *reason = bide__h1_reason(status);
  int n;
  if (sc->failed) return UV_EPIPE;
  if (status == 100) return send_note(sc, "HTTP/1.1 100 Continue\r\n\r\n", 25);
  n = snprintf(text, sizeof text,
               "HTTP/1.1 %d %s\r\ndate: %.29s\r\ncontent-type: text/plain; charset=utf-8\r\n"
               "content-length: %d\r\n%s%s\r\n%s\n",
               status, reason, bide__http_date(http), (int)strlen(reason) + 1,
               status == 503 ? "retry-after: 1\r\n" : "", close ? "connection: close\r\n" : "",
               reason);
  /* A request to HEAD is answered without the body. */
  if (sc->req && sc->req->head.method == BIDE_M_HEAD) n -= (int)strlen(reason) + 1;
  return send_note(sc, text, (size_t)n);
}

/* `head`: what was found of the request's head in `have` bytes, or NULL. */
static void refuse(bide_hsconn *sc, int status, const char *reason, const bide_h1_head *head,
                   size_t have) {
  /* What is unread must not reset the connection before the answer is read. */
  int rc;
  bide__hslog_refused(sc->server, sc->conn, status, reason, head, have);
  rc = bide__hsconn_answer(sc, status, true);
  if (sc->state == BIDE_HSC_CLOSING) return;
  if (rc != 0) {
    bide__hsconn_close(sc, false);
    return;
  }
  sc->state = BIDE_HSC_CLOSING;
  bide__lazy_stop(sc->server->http->host, &sc->limit);
  free_input(sc);
  bide__conn_close_gently(sc->conn, !sc->eof);
}

/* ---- heads ---- */

static void begin(bide_hsconn *sc, const bide_h1_head *head) {
  bide_hserver *s = sc->server;
  bide_hsreq *r;
  sc->state = BIDE_HSC_BUSY;
  sc->served++;
  bide__lazy_off(&sc->limit);
  r = bide__hsreq_new(sc, head);
  sc->req = r;
  if (r) bide__hserver_push(s, r);
}

static bool keep_part(bide_hsconn *sc, const bide_h1_head *head) {
  size_t fields = head->cap * sizeof(bide_h1_field);
  bide_h1_head *part;
  if (sc->part) return true;
  part = bide__alloc(sc->server->http->host, sizeof *part + fields);
  if (!part) return false;
  *part = *head;
  part->fields = (bide_h1_field *)(part + 1);
  memcpy(part->fields, head->fields, fields); /* also the one at hand, not yet counted */
  sc->part = part;
  return true;
}

/* The head is not complete. `kept`: the bytes are sc->in's own. */
static void wait_for_head(bide_hsconn *sc, const bide_h1_head *head, const char *p, size_t n,
                          bool kept) {
  bide_hserver *s = sc->server;
  bide_host *h = s->http->host;
  if ((!kept && bide__hbuf_put(h, &sc->in, p, n) != 0) || !keep_part(sc, head)) {
    bide__hsconn_close(sc, false);
    return;
  }
  if (sc->eof) {
    bide__hsconn_close(sc, false);
  } else if (sc->state == BIDE_HSC_IDLE) {
    sc->state = BIDE_HSC_HEAD;
    if (bide__lazy_set(h, &sc->limit, s->limits.header_timeout, on_limit) != 0)
      bide__hsconn_close(sc, false);
  }
}

static void drop_part(bide_hsconn *sc) {
  if (!sc->part) return;
  bide__free(sc->server->http->host, sc->part,
             sizeof *sc->part + sc->part->cap * sizeof(bide_h1_field));
  sc->part = NULL;
}

/* Looks for a head in n > 0 bytes; at most one request comes out. */
static void read_head(bide_hsconn *sc, const char *p, size_t n, bool kept) {
  bide_hserver *s = sc->server;
  bide_http *http = s->http;
  bide_h1_head fresh, *head = sc->part;
  int r;
  if (!head) {
    head = &fresh;
    bide__h1_init_request(head, http->fields, (uint16_t)s->limits.max_headers, &s->limits.head);
  }
  r = bide__h1_parse(head, p, n);
  if (r == BIDE_H1_MORE) {
    wait_for_head(sc, head, p, n, kept);
    return;
  }
  if (r < 0) {
    refuse(sc, bide__h1_error_status(r), bide__h1_error_text(r), head, n);
    return;
  }
  if (head->length > s->limits.max_body && head->kind == BIDE_H1_LENGTH) {
    refuse(sc, 413, bide__hbody_error_text(BIDE_BODY_ETOOBIG), head, n);
    return;
  }
  begin(sc, head);
  if (!sc->req) {
    refuse(sc, 503, bide__hbody_error_text(BIDE_BODY_ENOMEM), head, n);
    return;
  }
  drop_part(sc);
  if (kept) {
    bide__hbuf_take(&sc->in, (size_t)r);
  } else if (n > (size_t)r && bide__hbuf_put(http->host, &sc->in, p + r, n - (size_t)r) != 0) {
    bide__hsconn_close(sc, false);
  }
}

/* ---- input ---- */

static void busy_input(bide_hsconn *sc, const char *p, size_t n) {
  bide_host *h = sc->server->http->host;
  if (bide__hbuf_put(h, &sc->in, p, n) != 0) {
    bide__hsconn_close(sc, false);
    return;
  }
  if (sc->in.n >= BIDE_HS_INPUT_HIGH) {
    sc->paused = true;
    bide__conn_read_stop(sc->conn);
  }
  if (sc->req) bide__hsreq_input(sc->req);
}

void bide__hsconn_resume(bide_hsconn *sc) {
  if (!sc->paused || sc->in.n >= BIDE_HS_INPUT_HIGH / 2 || sc->state == BIDE_HSC_CLOSING) return;
  sc->paused = false;
  if (bide__conn_read_start(sc->conn) != 0) bide__hsconn_close(sc, false);
}

static void drain_input(bide_hsconn *sc) {
  bide_hsreq *r = sc->req;
  if (!bide__hsreq_drain(r)) bide__hsconn_close(sc, true);
  else if (r->body_done) bide__hsconn_next(sc);
  else bide__hsconn_resume(sc);
}

static void on_data(bide_conn *c, const char *p, size_t n) {
  bide_hsconn *sc = c->user;
  if (sc->state == BIDE_HSC_IDLE || sc->state == BIDE_HSC_HEAD) {
    if (BIDE_LIKELY(!sc->part)) read_head(sc, p, n, false);
    else if (bide__hbuf_put(sc->server->http->host, &sc->in, p, n) != 0)
      bide__hsconn_close(sc, false);
    else read_head(sc, bide__hbuf_at(&sc->in), sc->in.n, true);
    return;
  }
  busy_input(sc, p, n);
  if (sc->state == BIDE_HSC_DRAIN) drain_input(sc);
}

/* A body that is cut short is told to its reader before the task is cancelled. */
static void end_busy(bide_hsconn *sc, bool gone) {
  bide_hsreq *r = sc->req;
  r->refs++;
  bide__hsreq_input(r);
  if (gone) bide__hsreq_gone(r);
  bide__hsreq_unref(r);
}

static void on_end(bide_conn *c, int status) {
  bide_hsconn *sc = c->user;
  bool gone = status < 0 || sc->server->limits.cancel == BIDE_HS_GONE_HALF;
  sc->eof = true;
  if (status < 0) sc->failed = true;
  if (sc->state == BIDE_HSC_BUSY) end_busy(sc, gone);
  else if (sc->state != BIDE_HSC_CLOSING) bide__hsconn_close(sc, status == 0);
}

/* ---- the end of a request ---- */

void bide__hsconn_next(bide_hsconn *sc) {
  bide_hserver *s = sc->server;
  bide_hsreq *r = sc->req;
  bool close = r->close || sc->failed || s->state != BIDE_HS_OPEN;
  if (close) {
    bide__hsconn_close(sc, !sc->failed);
    return;
  }
  sc->req = NULL;
  bide__hsreq_lost(r);
  sc->state = BIDE_HSC_IDLE;
  if (sc->in.n > 0) read_head(sc, bide__hbuf_at(&sc->in), sc->in.n, true);
  else if (sc->in.cap) bide__hbuf_free(s->http->host, &sc->in);
  if (sc->batch && sc->state != BIDE_HSC_BUSY) bide__hsconn_flush(sc);
  if (sc->state == BIDE_HSC_IDLE) {
    if (sc->eof ||
        bide__lazy_set(s->http->host, &sc->limit, s->limits.idle_timeout, on_limit) != 0) {
      bide__hsconn_close(sc, true);
      return;
    }
  }
  if (sc->state != BIDE_HSC_CLOSING) bide__hsconn_resume(sc);
}

/* ---- limits of time ---- */

static void on_limit(bide_alarm *a) {
  bide_hsconn *sc = bide_container(a, bide_hsconn, limit.alarm);
  bide_host *h = sc->server->http->host;
  if (!bide__lazy_due(h, &sc->limit)) return;
  if (sc->state == BIDE_HSC_BUSY) {
    if (bide__hsreq_late(sc->req, bide__now_ns(h))) bide__hsconn_close(sc, false);
    else bide__hsconn_limit(sc);
  } else if (sc->state == BIDE_HSC_HEAD) {
    bide__h1_rebase(sc->part, bide__hbuf_at(&sc->in));
    refuse(sc, 408, "the head was not complete in time", sc->part, sc->in.n);
  } else {
    bide__hsconn_close(sc, sc->state == BIDE_HSC_IDLE);
  }
}

void bide__hsconn_limit(bide_hsconn *sc) {
  bide_hsreq *r = sc->req;
  bide_host *h = sc->server->http->host;
  uint64_t at = r->read_by < r->write_by ? r->read_by : r->write_by;
  if (bide__lazy_set_at(h, &sc->limit, at, on_limit) != 0) bide__hsconn_close(sc, false);
}

/* ---- the beginning ---- */

static const bide_conn_cbs cbs = {.on_data = on_data, .on_end = on_end, .on_closed = on_closed};

void bide__hsconn_open(bide_hserver *s, bide_conn *c) {
  bide_host *h = s->http->host;
  bide_hsconn *sc = bide__alloc(h, sizeof *sc);
  if (!sc) {
    bide__conn_close(c);
    bide__listener_release(s->listener);
    return;
  }
  memset(sc, 0, sizeof *sc);
  sc->server = s;
  sc->conn = c;
  sc->limit.at = BIDE_NEVER;
  sc->next = s->conns;
  if (sc->next) sc->next->prev = sc;
  s->conns = sc;
  s->nconns++;
  bide__conn_use(c, &cbs, sc);
  (void)bide__conn_nodelay(c, 1);
  if (s->nconns > s->limits.max_connections) refuse(sc, 503, "too many connections", NULL, 0);
  else if (bide__conn_read_start(c) != 0 ||
           bide__lazy_set(h, &sc->limit, s->limits.header_timeout, on_limit) != 0)
    bide__hsconn_close(sc, false);
}
