/* SPDX-License-Identifier: MIT */
/* tls_session.c: a client's sessions, kept to be resumed (contract in tls.h).
 *
 * One list per context, so a session is resumed only under the options it was verified under, and
 * only with the host and port it was made with. A TLS 1.3 ticket is used once (RFC 8446 appendix
 * C.4), so several of one server are kept. */
#include "tls.h"

#include <string.h>

struct bide_tls_session {
  bide_tls_session *next;
  SSL_SESSION *session; /* owned */
  int port;
  char host[];
};

static void forget(bide_tls_context *x, bide_tls_session **at) {
  bide_tls_session *s = *at;
  *at = s->next;
  x->nsessions--;
  SSL_SESSION_free(s->session);
  OPENSSL_free(s);
  x->core->refund(x->host, BIDE_TLS_KEPT);
}

static int is_of(const bide_tls_session *s, const bide_tls *t) {
  return s->port == t->port && !strcmp(s->host, t->host);
}

/* Keeps the lists within their bounds before one more is added. */
static void make_room(bide_tls_context *x, const bide_tls *t) {
  bide_tls_session **at = &x->sessions, **last = NULL, **oldest = NULL;
  int same = 0;
  for (; *at; at = &(*at)->next) {
    oldest = at;
    if (!is_of(*at, t)) continue;
    same++;
    last = at;
  }
  if (same >= BIDE_TLS_PEER_SESSIONS) forget(x, last);
  else if (x->nsessions >= BIDE_TLS_SESSIONS) forget(x, oldest);
}

/* 1: the session is ours now. */
int bide__tls_on_session(SSL *ssl, SSL_SESSION *session) {
  bide_tls *t = bide__tls_of(ssl);
  bide_tls_context *x = t->context;
  size_t n = strlen(t->host) + 1;
  if (!*t->host || !SSL_SESSION_is_resumable(session)) return 0;
  make_room(x, t);
  if (x->core->charge(x->host, BIDE_TLS_KEPT)) return 0;
  bide_tls_session *s = OPENSSL_malloc(sizeof *s + n);
  if (!s) {
    x->core->refund(x->host, BIDE_TLS_KEPT);
    return 0;
  }
  s->session = session;
  s->port = t->port;
  memcpy(s->host, t->host, n);
  s->next = x->sessions;
  x->sessions = s;
  x->nsessions++;
  return 1;
}

void bide__tls_offer_session(bide_tls *t) {
  bide_tls_context *x = t->context;
  bide_tls_session **at = &x->sessions;
  while (*at && !is_of(*at, t)) at = &(*at)->next;
  if (!*at) return;
  SSL_set_session(t->ssl, (*at)->session);
  if (SSL_SESSION_get_protocol_version((*at)->session) >= TLS1_3_VERSION) forget(x, at);
}

void bide__tls_free_sessions(bide_tls_context *x) {
  while (x->sessions) forget(x, &x->sessions);
}
