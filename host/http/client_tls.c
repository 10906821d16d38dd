/* SPDX-License-Identifier: MIT */
/* client_tls.c: a client's new connection becomes a TLS one (contract in client.h).
 *
 * While the handshake lasts the connection is the exchange's (`securing`), with its place in the
 * pool; closed from beneath, in teardown, it fails the exchange. */
#include "client.h"

void bide__hx_note(bide_hx *hx, const bide_conn *c) {
  const bide_tls_failure *why = bide__conn_is_tls(c) ? c->ops->tls->failure(c) : NULL;
  if (!why || hx->why) return;
  hx->why = bide__alloc(hx->http->host, sizeof *hx->why);
  if (hx->why) *hx->why = *why;
}

static void on_lost(bide_conn *c) {
  bide_hx *hx = c->user;
  if (!hx) return;
  hx->securing = NULL;
  bide__hpool_gone(hx->origin);
  bide__hx_fail(hx, UV_ECANCELED, BIDE_HP_TLS);
}

static const bide_conn_cbs cbs = {.on_closed = on_lost};

static bide_conn *let_go(bide_hx *hx) {
  bide_conn *c = hx->securing;
  hx->securing = NULL;
  bide__conn_use(c, NULL, NULL);
  return c;
}

void bide__hx_unsecure(bide_hx *hx) {
  if (!hx->securing) return;
  bide__conn_close(let_go(hx));
  bide__hx_untunnel(hx);
  bide__hpool_gone(hx->origin);
}

static void on_secured(bide_conn *c, void *user, int status) {
  bide_hx *hx = user;
  (void)let_go(hx);
  if (status == 0) {
    bide__hx_use(hx, c);
    return;
  }
  if (status == BIDE_ETLS) bide__hx_note(hx, c);
  bide__conn_close(c);
  bide__hpool_gone(hx->origin);
  bide__hx_fail(hx, status,
                status == UV_ETIMEDOUT && hx->total_first ? BIDE_HP_TOTAL : BIDE_HP_TLS);
}

void bide__hx_secure(bide_hx *hx, bide_conn *c) {
  bide_horigin *o = hx->origin;
  bide_conn *tls;
  double timeout;
  hx->phase = BIDE_HP_TLS;
  timeout = bide__hx_time_left(hx, BIDE_HP_TLS);
  if (o->tls->wrap(o->context, c, o->host, o->port, &tls) != 0) {
    bide__conn_close(c);
    bide__hpool_gone(o);
    bide__hx_fail(hx, UV_ENOMEM, BIDE_HP_TLS);
    return;
  }
  hx->securing = tls;
  bide__conn_use(tls, &cbs, hx);
  if (o->tls->handshake(tls, timeout, on_secured, hx) == 0) return;
  bide__hx_unsecure(hx);
  bide__hx_fail(hx, UV_ENOMEM, BIDE_HP_TLS);
}
