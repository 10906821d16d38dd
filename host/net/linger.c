/* SPDX-License-Identifier: MIT */
/* linger.c: closing gently: flush, tell the end, take what still comes, all within a time.
 *
 * A linger takes the place of the connection's user until it is closed; it lives as long. */
#include "conn.h"

#define DRAIN_MAX (1u << 20) /* bytes thrown away at most */

typedef struct bide_linger {
  bide_alarm alarm;
  bide_conn *conn;
  const bide_conn_cbs *cbs; /* of the user, for its on_closed */
  void *user;
  size_t drained;
  int drain; /* throw away what still comes */
} bide_linger;

static void on_alarm(bide_alarm *a) {
  bide__conn_close(bide_container(a, bide_linger, alarm)->conn);
}

static void on_closed(bide_conn *c) {
  bide_linger *g = c->user;
  bide__alarm_stop(c->host, &g->alarm);
  bide__conn_use(c, g->cbs, g->user);
  bide__free(c->host, g, sizeof *g);
  if (c->cbs->on_closed) c->cbs->on_closed(c);
}

static void on_data(bide_conn *c, const char *p, size_t n) {
  bide_linger *g = c->user;
  (void)p;
  g->drained += n;
  if (g->drained > DRAIN_MAX) bide__conn_close(c);
}

static void on_end(bide_conn *c, int status) {
  (void)status;
  bide__conn_close(c);
}

static void on_shutdown(bide_conn *c, int status) {
  const bide_linger *g = c->user;
  if (status || !g->drain || bide__conn_read_start(c)) bide__conn_close(c);
}

static const bide_conn_cbs lingering = {
    .on_data = on_data, .on_end = on_end, .on_shutdown = on_shutdown, .on_closed = on_closed};

/* TLS ends by a message: 1 when it has left, or never will. */
static int has_ended(bide_conn *c) {
  const bide_conn_cbs *cbs = c->cbs;
  void *user = c->user;
  bide__conn_use(c, NULL, NULL);
  bide__conn_shutdown(c);
  bide__conn_use(c, cbs, user);
  return bide__conn_is_shut(c);
}

void bide__conn_close_gently(bide_conn *c, int drain) {
  bide_linger *g = NULL;
  bide__conn_read_stop(c);
  bide__conn_unwant(c, UV_READABLE | UV_WRITABLE);
  if (bide__conn_is_closing(c)) return;
  if (c->last || drain || (c->ops->tls && !has_ended(c))) g = bide__alloc(c->host, sizeof *g);
  if (!g || c->error) goto now;
  *g = (bide_linger){.conn = c, .cbs = c->cbs, .user = c->user, .drain = drain};
  if (bide__alarm_start(c->host, &g->alarm, BIDE_LINGER, on_alarm)) goto now;
  bide__conn_use(c, &lingering, g);
  if (bide__conn_is_shut(c)) on_shutdown(c, 0);
  else bide__conn_shutdown(c);
  return;
now:
  if (g) bide__free(c->host, g, sizeof *g);
  bide__conn_close(c);
}
