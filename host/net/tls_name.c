/* SPDX-License-Identifier: MIT */
/* tls_name.c: a server that answers to several names, each with certificates of its own (RFC 6066
 * section 3), and the choice of a protocol (RFC 7301).
 *
 * The name is looked at in the client's hello, before a session is resumed: a session made under
 * one name's context is then of no use under another's, whose trust may be stricter. */
#include "tls.h"

#include <string.h>

struct bide_tls_name {
  bide_tls_name *next;
  bide_tls_context *context; /* a reference */
  size_t n;
  char name[]; /* in lower case */
};

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

int bide__tls_add_name(bide_tls_context *x, const char *name, size_t n, bide_tls_context *other) {
  bide_tls_name *e = OPENSSL_malloc(sizeof *e + n);
  if (!e) return UV_ENOMEM;
  e->n = n;
  for (size_t i = 0; i < n; i++) e->name[i] = lower(name[i]);
  e->context = other;
  e->next = x->names;
  x->names = e;
  bide__tls_context_ref(other);
  return 0;
}

void bide__tls_free_names(bide_tls_context *x) {
  while (x->names) {
    bide_tls_name *e = x->names;
    x->names = e->next;
    bide__tls_context_unref(e->context);
    OPENSSL_free(e);
  }
}

static bide_tls_context *find(const bide_tls_context *x, const char *name, size_t n) {
  for (const bide_tls_name *e = x->names; e; e = e->next) {
    size_t i = 0;
    if (e->n != n) continue;
    while (i < n && lower(name[i]) == e->name[i]) i++;
    if (i == n) return e->context;
  }
  return NULL;
}

/* The context for a name: its own, that of "*.rest", or the server's. */
static bide_tls_context *choose(bide_tls_context *x, const char *name, size_t n) {
  char wild[256];
  bide_tls_context *found = find(x, name, n);
  const char *dot = memchr(name, '.', n);
  if (found || !dot) return found ? found : x;
  size_t rest = n - (size_t)(dot - name);
  if (rest + 1 > sizeof wild) return x;
  wild[0] = '*';
  memcpy(wild + 1, dot, rest);
  found = find(x, wild, rest + 1);
  return found ? found : x;
}

/* The first host name in the extension's bytes; NULL when there is none or it is malformed. */
static const char *host_name(const unsigned char *p, size_t n, size_t *len) {
  if (n < 5 || (size_t)(p[0] << 8 | p[1]) != n - 2 || p[2] != 0) return NULL;
  *len = (size_t)(p[3] << 8 | p[4]);
  return *len && *len <= n - 5 && *len <= 255 ? (const char *)p + 5 : NULL;
}

int bide__tls_on_hello(SSL *ssl, int *alert, void *arg) {
  bide_tls_context *x = arg, *other;
  const unsigned char *p;
  size_t n, len = 0;
  if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n))
    return SSL_CLIENT_HELLO_SUCCESS;
  const char *name = host_name(p, n, &len);
  if (!name || (other = choose(x, name, len)) == x) return SSL_CLIENT_HELLO_SUCCESS;
  if (!SSL_set_SSL_CTX(ssl, other->ctx)) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  SSL_set_verify(ssl, SSL_CTX_get_verify_mode(other->ctx), bide__tls_on_verify);
  return SSL_CLIENT_HELLO_SUCCESS;
}

/* The server's order decides. */
int bide__tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                      const unsigned char *in, unsigned inlen, void *arg) {
  const bide_tls_context *x = arg;
  unsigned char *chosen;
  (void)ssl;
  if (SSL_select_next_proto(&chosen, outlen, x->alpn, (unsigned)x->alpn_n, in, inlen) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}
