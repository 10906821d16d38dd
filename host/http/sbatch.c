/* SPDX-License-Identifier: MIT */
/* sbatch.c: responses to pipelined requests that leave in one write (contract in server.h). */
#include "server.h"

static void free_batch(bide_hsbatch *b) {
  bide__alarm_stop(b->host, &b->alarm);
  bide__free(b->host, b, sizeof *b);
}

static void on_sent(bide_write *w, int status) {
  bide_hsbatch *b = bide_container(w, bide_hsbatch, write);
  (void)status; /* a failed connection tells its reader */
  free_batch(b);
}

void bide__hsconn_flush(bide_hsconn *sc) {
  bide_hsbatch *b = sc->batch;
  int rc;
  if (!b) return;
  sc->batch = NULL;
  b->sc = NULL;
  bide__alarm_stop(b->host, &b->alarm);
  b->buf = uv_buf_init(b->text, (unsigned)b->n);
  rc = sc->failed ? UV_EPIPE : bide__conn_write(sc->conn, &b->write, &b->buf, 1, on_sent);
  if (rc < 0) sc->failed = true;
  if (rc != 0) free_batch(b);
}

void bide__hsconn_drop_batch(bide_hsconn *sc) {
  if (sc->batch) free_batch(sc->batch);
  sc->batch = NULL;
}

static void on_alarm(bide_alarm *a) {
  bide__hsconn_flush(bide_container(a, bide_hsbatch, alarm)->sc);
}

static bide_hsbatch *open_batch(bide_hsconn *sc) {
  bide_host *h = sc->server->http->host;
  bide_hsbatch *b = bide__alloc(h, sizeof *b);
  if (!b) return NULL;
  memset(b, 0, offsetof(bide_hsbatch, text));
  b->host = h;
  b->sc = sc;
  if (bide__alarm_start(h, &b->alarm, 0, on_alarm) == 0) return sc->batch = b;
  bide__free(h, b, sizeof *b);
  return NULL;
}

bool bide__hsconn_hold(bide_hsconn *sc, const bide_slice *pieces, unsigned n) {
  const bide_hsreq *r = sc->req;
  bide_hsbatch *b = sc->batch;
  size_t size = 0;
  if (sc->in.n == 0 || !r->body_done || r->close || sc->failed) return false;
  for (unsigned i = 0; i < n; i++) size += pieces[i].n;
  if (b && size > BIDE_HS_BATCH - b->n) {
    bide__hsconn_flush(sc);
    b = NULL;
  }
  if (size > BIDE_HS_BATCH || sc->failed || bide__conn_queued(sc->conn) > 0) return false;
  if (!b) b = open_batch(sc);
  if (!b) return false;
  for (unsigned i = 0; i < n; i++) {
    memcpy(b->text + b->n, pieces[i].p, pieces[i].n);
    b->n += pieces[i].n;
  }
  return true;
}
