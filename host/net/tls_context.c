/* SPDX-License-Identifier: MIT */
/* tls_context.c: what is the same for all connections with the same options (contract in tls.h).
 *
 * Rules that no option loosens: TLS 1.2 or newer, no renegotiation, no compression. Memory: record
 * buffers are held only while there are bytes in them; a server keeps no sessions, its clients do
 * (tickets). */
#include "tls.h"

#include <openssl/rand.h>
#include <string.h>

/* verify=false. */
static int accept_any(X509_STORE_CTX *chain, void *arg) {
  (void)chain;
  (void)arg;
  return 1;
}

/* Asked by a server for a certificate that we do not have: only noted. */
static int on_cert_wanted(SSL *ssl, X509 **cert, EVP_PKEY **key) {
  (void)cert;
  (void)key;
  bide__tls_of(ssl)->lacked_cert = 1;
  return 0;
}

/* The system's own settings may be stricter; they stay. */
static int set_version(SSL_CTX *ctx, int version) {
  int least = version >= 13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  int set = (int)SSL_CTX_get_min_proto_version(ctx);
  return set >= least || SSL_CTX_set_min_proto_version(ctx, least);
}

static int set_common(bide_tls_context *x, const bide_tls_config *config) {
  SSL_CTX *ctx = x->ctx;
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx, 1); /* a record's head and body in one system call */
  return set_version(ctx, config->version);
}

static int set_client(bide_tls_context *x, const bide_tls_config *config) {
  SSL_CTX *ctx = x->ctx;
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, bide__tls_on_session);
  SSL_CTX_set_client_cert_cb(ctx, on_cert_wanted);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, bide__tls_on_verify);
  if (config->verify == BIDE_TLS_NONE) SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
  return !x->alpn_n || !SSL_CTX_set_alpn_protos(ctx, x->alpn, (unsigned)x->alpn_n);
}

/* Each context's sessions are its own (tls_name.c tells why). */
static int set_server(bide_tls_context *x, const bide_tls_config *config) {
  static const int modes[] = {SSL_VERIFY_NONE, SSL_VERIFY_PEER,
                              SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
  unsigned char id[16];
  SSL_CTX *ctx = x->ctx;
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(ctx, modes[config->verify], bide__tls_on_verify);
  SSL_CTX_set_client_hello_cb(ctx, bide__tls_on_hello, x);
  if (x->alpn_n) SSL_CTX_set_alpn_select_cb(ctx, bide__tls_on_alpn, x);
  return RAND_bytes(id, sizeof id) == 1 && SSL_CTX_set_session_id_context(ctx, id, sizeof id);
}

static int copy_alpn(bide_tls_context *x, const bide_tls_config *config) {
  if (!config->alpn_n) return 1;
  x->alpn = OPENSSL_memdup(config->alpn, config->alpn_n);
  x->alpn_n = config->alpn_n;
  return x->alpn != NULL;
}

int bide__tls_context_new(const bide_tls_core *core, bide_host *h, const bide_tls_config *config,
                          bide_tls_context **out, bide_tls_failure *why) {
  size_t cost = BIDE_TLS_BASE + 4 * (config->ca.n + config->cert.n + config->key.n);
  bide_tls_context *x;
  int status;
  if (core->charge(h, cost)) return UV_ENOMEM;
  if (!(x = OPENSSL_zalloc(sizeof *x))) {
    core->refund(h, cost);
    return UV_ENOMEM;
  }
  ERR_clear_error();
  x->core = core;
  x->host = h;
  x->cost = cost;
  x->refs = 1;
  x->server = config->server;
  x->verify = config->verify;
  x->bio = bide__tls_bio_method();
  x->ctx = SSL_CTX_new(config->server ? TLS_server_method() : TLS_client_method());
  if (!x->bio || !x->ctx || !copy_alpn(x, config) || !set_common(x, config) ||
      !(config->server ? set_server(x, config) : set_client(x, config))) {
    bide__tls_context_unref(x);
    return UV_ENOMEM;
  }
  status = bide__tls_load_trust(x, config, why);
  if (!status) status = bide__tls_load_cert(x, config, why);
  if (status) bide__tls_context_unref(x);
  else *out = x;
  return status;
}

void bide__tls_context_ref(bide_tls_context *x) {
  x->refs++;
}

void bide__tls_context_unref(bide_tls_context *x) {
  if (--x->refs) return;
  bide__tls_free_sessions(x);
  bide__tls_free_names(x);
  SSL_CTX_free(x->ctx);
  BIO_meth_free(x->bio);
  X509_LOOKUP_meth_free(x->bundle);
  OPENSSL_free(x->alpn);
  x->core->refund(x->host, x->cost);
  OPENSSL_free(x);
}
