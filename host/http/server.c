/* SPDX-License-Identifier: MIT */
/* server.c: the server, its queue of requests, its end (contract in server.h). */
#include "server.h"

#include <assert.h>

bide_hserver *bide__hserver_new(bide_http *http, const bide_hslimits *limits) {
  bide_hserver *s = bide__alloc(http->host, sizeof *s);
  if (!s) return NULL;
  memset(s, 0, sizeof *s);
  s->http = http;
  s->limits = *limits;
  s->ready_tail = &s->ready;
  s->refs = 1;
  bide__hslog_open(s);
  s->next = http->servers;
  if (s->next) s->next->prev = s;
  http->servers = s;
  return s;
}

static void unlink_server(bide_hserver *s) {
  if (s->prev) s->prev->next = s->next;
  else s->http->servers = s->next;
  if (s->next) s->next->prev = s->prev;
}

void bide__hserver_unref(bide_hserver *s) {
  if (--s->refs > 0) return;
  bide__lazy_stop(s->http->host, &s->grace);
  bide__hslog_close(s);
  unlink_server(s);
  bide__free(s->http->host, s, sizeof *s);
}

static void on_conn(bide_listener *l, bide_conn *c) {
  bide__hsconn_open(bide__listener_user(l), c);
}

int bide__hserver_listen(bide_hserver *s, const bide_addr *addr, const bide_listen_options *o) {
  int rc = bide__listen(s->http->host, addr, o, on_conn, s, &s->listener);
  if (rc == 0) s->refs++;
  return rc;
}

/* ---- the queue ---- */

void bide__hserver_wake(bide_hserver *s) {
  if (!s->waiting) return;
  s->waiting = false;
  bide__wake(&s->wait, 0);
}

void bide__hserver_push(bide_hserver *s, bide_hsreq *r) {
  r->next = NULL;
  *s->ready_tail = r;
  s->ready_tail = &r->next;
  s->nready++;
  bide__hserver_wake(s);
}

bide_hsreq *bide__hserver_next(bide_hserver *s) {
  bide_hsreq *r = s->ready;
  if (!r) return NULL;
  s->ready = r->next;
  if (!s->ready) s->ready_tail = &s->ready;
  s->nready--;
  r->next = r->prev = NULL;
  return r;
}

/* ---- the end ---- */

static void on_grace(bide_alarm *a) {
  bide_hserver *s = bide_container(a, bide_hserver, grace.alarm);
  bide_hsreq *r;
  if (!bide__lazy_due(s->http->host, &s->grace)) return;
  /* Cancelling wakes tasks, it runs none: the list stays as it is. */
  for (r = s->running; r; r = r->next) bide__task_cancel(r->task);
}

void bide__hserver_check(bide_hserver *s) {
  if (s->state != BIDE_HS_DRAINING || s->nconns || s->nready || s->nrunning) return;
  s->state = BIDE_HS_CLOSED;
  bide__lazy_stop(s->http->host, &s->grace);
  bide__hslog_sum(s);
  bide__hserver_wake(s);
  bide__hserver_unref(s);
}

static void close_idle(bide_hserver *s) {
  bide_hsconn *sc, *next;
  for (sc = s->conns; sc; sc = next) {
    next = sc->next;
    if (sc->state != BIDE_HSC_BUSY && sc->state != BIDE_HSC_CLOSING)
      bide__hsconn_close(sc, sc->state == BIDE_HSC_DRAIN);
  }
}

void bide__hserver_close(bide_hserver *s, double grace) {
  bide_host *h = s->http->host;
  if (s->state == BIDE_HS_CLOSED) return;
  if (s->state == BIDE_HS_OPEN) {
    s->state = BIDE_HS_DRAINING;
    if (s->listener) bide__listener_free(s->listener);
    else s->refs++; /* never listened: the check below takes it back */
    s->grace.at = BIDE_NEVER;
    close_idle(s);
  }
  if (bide__deadline_ns(bide__http_now(h), grace) <= s->grace.at) {
    if (grace <= 0 || bide__lazy_set(h, &s->grace, grace, on_grace) != 0) {
      s->grace.at = 0;
      on_grace(&s->grace.alarm);
    }
  }
  bide__hserver_check(s);
}

static void on_dispatcher_end(bide_link *link) {
  bide_hserver *s = bide_container(link, bide_hserver, link);
  bide_hsreq *r;
  s->waiting = false;
  bide__hslog_close(s);
  bide__hserver_close(s, 0);
  while ((r = bide__hserver_next(s)) != NULL) bide__hsreq_refuse(r, "the server has ended");
  bide__hserver_check(s);
  bide__hserver_unref(s);
}

void bide__hserver_dispatched(bide_hserver *s, bide_task *t) {
  s->refs++;
  bide__link(&t->fut, &s->link, on_dispatcher_end);
}

void bide__hserver_abandon(bide_hserver *s) {
  bide_hsconn *sc, *next;
  bide_hsreq *r;
  s->waiting = false;
  s->refs++;
  bide__hslog_close(s);
  bide__hserver_close(s, 0);
  while ((r = bide__hserver_next(s)) != NULL) bide__hsreq_unref(r);
  for (sc = s->conns; sc; sc = next) {
    next = sc->next;
    if (sc->state != BIDE_HSC_CLOSING) bide__hsconn_close(sc, false);
  }
  bide__lazy_stop(s->http->host, &s->grace);
  bide__hserver_unref(s);
}
