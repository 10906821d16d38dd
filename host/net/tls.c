/* SPDX-License-Identifier: MIT */
/* tls.c: the transport that encrypts: a connection over another (contracts in conn.h, secure.h).
 *
 * Nothing is buffered here: OpenSSL holds the record being read and the one being sent, through
 * tls_bio.c. A send that the lower connection refuses is repeated with the same bytes in front, as
 * OpenSSL asks, because a connection's queue keeps its order.
 * States: NEW (nothing moved) → GREETING (handshake) → TELLING (its end is to be told from the
 * loop) → OPEN. Before OPEN reads and writes are refused with UV_EAGAIN, after a failure with it.
 * Closing: this closes the lower one, whose on_closed ends and frees both. */
#include "tls.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SEND_TURN (1u << 18) /* bytes encrypted in one go, so that others get their turn */

/* What others left in this thread's queue of errors is not ours: a call of OpenSSL's that fails
 * begins with an empty one. It mostly is, and looking costs a tenth of clearing. */
static inline void forget_errors(void) {
  if (BIDE_UNLIKELY(ERR_peek_error() != 0)) ERR_clear_error();
}

/* ---- between the two layers ---- */

static int ask(bide_tls *t, int events) {
  int more = events & ~t->asked, less = t->asked & ~events, status = 0;
  t->asked = (uint8_t)events;
  if (less) t->core->conn_unwant(t->lower, less);
  if (more) status = t->core->conn_want(t->lower, more);
  return status;
}

/* Is there something to read that the lower connection will not tell of? */
static int is_readable(const bide_tls *t) {
  return t->more && (t->error || SSL_has_pending(t->ssl) ||
                     (SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN));
}

static void on_soon(bide_alarm *a);

/* Asks beneath for what is wanted above. */
static int arm(bide_tls *t) {
  int events = 0, status = 0;
  if (t->state != BIDE_TLS_OPEN) return 0;
  if ((t->wanted & UV_READABLE) && is_readable(t)) {
    if (!t->alarm.timer.pos) status = t->core->alarm_again(t->conn.host, &t->alarm, 0, on_soon);
  } else if (t->wanted & UV_READABLE) {
    events |= t->read_needs;
  }
  if (t->wanted & UV_WRITABLE) events |= t->write_needs;
  int asked = ask(t, events);
  return status ? status : asked;
}

static void tell(bide_tls *t, int events) {
  if (events) t->core->conn_event(&t->conn, events);
  if (!t->core->conn_is_closing(&t->conn)) arm(t);
}

static void on_soon(bide_alarm *a) {
  bide_tls *t = bide_container(a, bide_tls, alarm);
  tell(t, t->wanted & UV_READABLE);
}

/* Why the last call did not get through: UV_EAGAIN with what has to come, UV_EOF, or an error, for
 * good. */
static int outcome(bide_tls *t, uint8_t *needs) {
  int status;
  switch (SSL_get_error(t->ssl, 0)) {
  case SSL_ERROR_WANT_READ: *needs = UV_READABLE; return UV_EAGAIN;
  case SSL_ERROR_WANT_WRITE: *needs = UV_WRITABLE; return UV_EAGAIN;
  case SSL_ERROR_ZERO_RETURN: return UV_EOF;
  default: break;
  }
  status = t->io_error ? t->io_error : bide__tls_fail(t);
  ERR_clear_error();
  return t->error = status;
}

/* ---- the handshake ---- */

static void finish(bide_tls *t) {
  bide_conn *c = &t->conn;
  t->core->alarm_stop(c->host, &t->alarm);
  t->state = BIDE_TLS_OPEN;
  t->more = 1; /* the peer's first bytes may have come with its last of the handshake */
  t->error = t->status;
  t->done(c, t->user, t->status);
  if (!t->core->conn_is_closing(c)) arm(t);
}

static void on_told(bide_alarm *a) {
  finish(bide_container(a, bide_tls, alarm));
}

/* UV_EAGAIN while it goes on, else its end. What was written in the plain goes out before it. */
static int step(bide_tls *t) {
  uint8_t needs = 0;
  int status;
  if (t->lower->last) return (status = ask(t, UV_WRITABLE)) == 0 ? UV_EAGAIN : status;
  ERR_clear_error();
  if (SSL_do_handshake(t->ssl) == 1) return 0;
  status = outcome(t, &needs);
  if (status == UV_EOF) status = bide__tls_fail(t);
  if (status == UV_EAGAIN && (status = ask(t, needs)) == 0) return UV_EAGAIN;
  return status;
}

static void greet(bide_tls *t) {
  int status = step(t);
  if (status == UV_EAGAIN) return;
  t->status = status;
  ask(t, 0);
  finish(t);
}

static void on_timeout(bide_alarm *a) {
  bide_tls *t = bide_container(a, bide_tls, alarm);
  t->status = UV_ETIMEDOUT;
  ask(t, 0);
  finish(t);
}

int bide__tls_handshake(bide_conn *c, double timeout, bide_tls_done done, void *user) {
  bide_tls *t = (bide_tls *)c;
  int status = t->core->alarm_again(c->host, &t->alarm, timeout, on_timeout);
  if (status) return status;
  t->state = BIDE_TLS_GREETING;
  t->done = done;
  t->user = user;
  status = step(t);
  if (status == UV_EAGAIN) return 0;
  ask(t, 0);
  t->state = BIDE_TLS_TELLING;
  t->status = status;
  return t->core->alarm_again(c->host, &t->alarm, 0, on_told); /* set already: can't fail */
}

/* ---- the lower connection's events ---- */

static void on_lower(bide_conn *lower, uint8_t event) {
  bide_tls *t = lower->user;
  int events = 0;
  t->asked &= (uint8_t)~event;
  t->drained = 0;
  if (t->state == BIDE_TLS_GREETING) {
    greet(t);
    return;
  }
  if (t->read_needs == event) events |= UV_READABLE;
  if (t->write_needs == event) events |= UV_WRITABLE;
  tell(t, events & t->wanted);
}

static void on_readable(bide_conn *lower) {
  on_lower(lower, UV_READABLE);
}

static void on_writable(bide_conn *lower) {
  on_lower(lower, UV_WRITABLE);
}

/* Closed from above, or from beneath in the host's teardown. */
static void on_closed(bide_conn *lower) {
  bide_tls *t = lower->user;
  if (!t->core->conn_is_closing(&t->conn)) t->core->conn_close(&t->conn);
  t->core->conn_ended(&t->conn);
}

static const bide_conn_cbs lower_cbs = {
    .on_readable = on_readable, .on_writable = on_writable, .on_closed = on_closed};

/* ---- the transport's functions ---- */

/* Nothing can come out of another call: neither OpenSSL nor the lower connection has any more. */
static int is_dry(const bide_tls *t) {
  return t->drained && t->read_needs == UV_READABLE && !SSL_has_pending(t->ssl) &&
         !(SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN);
}

/* Takes record after record until `p` is full; what went wrong behind them is told next time. */
static ssize_t tls_recv(bide_conn *c, char *p, size_t n) {
  bide_tls *t = (bide_tls *)c;
  size_t total = 0, got;
  int status = 0;
  t->more = 0;
  if (t->error) return t->error;
  if (t->state != BIDE_TLS_OPEN || is_dry(t)) return UV_EAGAIN;
  forget_errors();
  while (total < n && !status) {
    if (SSL_read_ex(t->ssl, p + total, n - total, &got)) total += got;
    else status = outcome(t, &t->read_needs);
    if (!status && is_dry(t)) status = UV_EAGAIN;
  }
  t->more = status != UV_EAGAIN;
  return total ? (ssize_t)total : status;
}

/* The next stretch to encrypt: of a large piece what there is, of small ones a record together. */
static size_t stretch(const uv_buf_t *bufs, unsigned n, size_t skip, char *room, const char **p) {
  size_t len = 0;
  *p = bufs->base + skip;
  if (n == 1 || bufs->len - skip >= BIDE_TLS_RECORD) return bufs->len - skip;
  for (; n && len < BIDE_TLS_RECORD; bufs++, n--, skip = 0) {
    size_t part = bufs->len - skip, left = BIDE_TLS_RECORD - len;
    if (part > left) part = left;
    if (part) memcpy(room + len, bufs->base + skip, part);
    len += part;
  }
  *p = room;
  return len;
}

static ssize_t tls_send(bide_conn *c, const uv_buf_t *bufs, unsigned n) {
  bide_tls *t = (bide_tls *)c;
  char room[BIDE_TLS_RECORD];
  size_t total = 0, skip = 0, got;
  if (t->error) return t->error;
  if (t->state != BIDE_TLS_OPEN) return UV_EAGAIN;
  forget_errors();
  while (total < SEND_TURN) {
    const char *p;
    while (n && bufs->len == skip) bufs++, n--, skip = 0;
    if (!n) break;
    size_t len = stretch(bufs, n, skip, room, &p);
    if (!SSL_write_ex(t->ssl, p, len, &got)) {
      int status = outcome(t, &t->write_needs);
      return total ? (ssize_t)total : status;
    }
    total += got;
    for (skip += got; n && skip >= bufs->len && skip; bufs++, n--) skip -= bufs->len;
  }
  return (ssize_t)total;
}

static int tls_want(bide_conn *c, int events) {
  bide_tls *t = (bide_tls *)c;
  t->wanted = (uint8_t)events;
  return arm(t);
}

/* close_notify; the lower connection stays open, for the peer's answer. */
static int tls_shutdown(bide_conn *c) {
  bide_tls *t = (bide_tls *)c;
  if (t->error) return t->error;
  if (t->state != BIDE_TLS_OPEN) return UV_ENOTCONN;
  ERR_clear_error();
  if (SSL_shutdown(t->ssl) >= 0) return 0;
  return outcome(t, &t->write_needs);
}

static void tls_close(bide_conn *c) {
  bide_tls *t = (bide_tls *)c;
  t->core->alarm_stop(c->host, &t->alarm);
  t->core->conn_close(t->lower);
}

/* A session stays fit to be resumed however the connection ended, unless TLS itself failed. */
static void tls_free(bide_conn *c) {
  bide_tls *t = (bide_tls *)c;
  const bide_tls_core *core = t->core;
  bide_host *h = c->host;
  if (!t->error) SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(t->ssl);
  bide__tls_context_unref(t->context);
  if (t->failure) core->free(h, t->failure, sizeof *t->failure);
  core->free(h, t, t->size);
  core->refund(h, BIDE_TLS_COST);
}

static int tls_fd(const bide_conn *c) {
  const bide_conn *lower = ((const bide_tls *)c)->lower;
  return lower->ops->fd(lower);
}

static const bide_addr *tls_peer(const bide_conn *c) {
  const bide_conn *lower = ((const bide_tls *)c)->lower;
  return lower->ops->peer(lower);
}

static void tls_ref(bide_conn *c, int on) {
  const bide_tls *t = (const bide_tls *)c;
  t->core->conn_ref(t->lower, on);
}

/* What has come may be sessions, which no reader would see. */
static int tls_quiet(bide_conn *c) {
  bide_tls *t = (bide_tls *)c;
  bide_conn *lower = t->lower;
  size_t got;
  char byte;
  if (t->error || t->state != BIDE_TLS_OPEN || SSL_pending(t->ssl)) return 0;
  if (lower->ops->quiet(lower)) return 1;
  ERR_clear_error();
  if (SSL_peek_ex(t->ssl, &byte, 1, &got)) return 0;
  return outcome(t, &t->read_needs) == UV_EAGAIN && lower->ops->quiet(lower);
}

static const bide_conn_ops tls_ops = {
    .name = "tls",
    .recv = tls_recv,
    .send = tls_send,
    .want = tls_want,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .free = tls_free,
    .fd = tls_fd,
    .peer = tls_peer,
    .ref = tls_ref,
    .quiet = tls_quiet,
    .tls = &bide__tls_openssl,
};

const bide_tls_failure *bide__tls_failure_of(const bide_conn *c) {
  return ((const bide_tls *)c)->failure;
}

/* ---- making one ---- */

/* The name that is asked for and that the certificate must be for (RFC 9525: of its subject's
 * alternative names). Addresses are not asked for (RFC 6066 section 3). Without a name there is
 * nothing to expect. */
static int set_peer(bide_tls *t) {
  X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
  unsigned char address[16];
  char name[256];
  size_t n = strcspn(t->host, "%");
  if (n > 1 && t->host[n - 1] == '.') n--;
  if (!n || n >= sizeof name) return !n;
  memcpy(name, t->host, n);
  name[n] = 0;
  if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
    return X509_VERIFY_PARAM_set1_ip_asc(param, name);
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                             X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  return X509_VERIFY_PARAM_set1_host(param, name, 0) && SSL_set_tlsext_host_name(t->ssl, name);
}

static int open_ssl(bide_tls *t) {
  bide_tls_context *x = t->context;
  BIO *bio;
  t->ssl = SSL_new(x->ctx);
  if (!t->ssl || !SSL_set_app_data(t->ssl, t) || !(bio = BIO_new(x->bio))) return 0;
  BIO_set_data(bio, t);
  BIO_set_init(bio, 1);
  SSL_set_bio(t->ssl, bio, bio);
  if (x->server) {
    SSL_set_accept_state(t->ssl);
    return 1;
  }
  SSL_set_connect_state(t->ssl);
  if (!set_peer(t)) return 0;
  bide__tls_offer_session(t);
  return 1;
}

static bide_tls *new_tls(bide_tls_context *x, bide_conn *lower, const char *host, int port) {
  size_t n = host ? strlen(host) + 1 : 1, size = sizeof(bide_tls) + n;
  bide_host *h = lower->host;
  bide_tls *t = NULL;
  if (x->core->charge(h, BIDE_TLS_COST)) return NULL;
  if (!(t = x->core->alloc(h, size))) goto fail;
  memset(t, 0, size);
  x->core->conn_init(h, &t->conn, &tls_ops);
  t->core = x->core;
  t->context = x;
  t->lower = lower;
  t->size = size;
  t->port = port;
  t->read_needs = UV_READABLE;
  t->write_needs = UV_WRITABLE;
  if (host) memcpy(t->host, host, n);
  if (open_ssl(t)) return t;
  SSL_free(t->ssl);
  x->core->free(h, t, size);
fail:
  x->core->refund(h, BIDE_TLS_COST);
  return NULL;
}

int bide__tls_wrap(bide_tls_context *x, bide_conn *lower, const char *host, int port,
                   bide_conn **out) {
  bide_tls *t = new_tls(x, lower, host, port);
  ERR_clear_error();
  if (!t) return UV_ENOMEM;
  bide__tls_context_ref(x);
  x->core->conn_use(lower, &lower_cbs, t);
  *out = &t->conn;
  return 0;
}
