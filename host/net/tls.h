/* SPDX-License-Identifier: MIT */
/* tls.h: what the files of the TLS module share. Includes OpenSSL; nobody outside includes this.
 *
 * Nothing here calls the core but through `bide_tls_core` (secure.h), for in stock Lua the module
 * is linked to OpenSSL and to nothing else. Memory of contexts is OpenSSL's, that of connections
 * the host's. No state outside of contexts and connections. */
#ifndef BIDE_NET_TLS_H
#define BIDE_NET_TLS_H

#include "secure.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#define BIDE_TLS_SESSIONS      128   /* sessions that a client's context keeps */
#define BIDE_TLS_PEER_SESSIONS 4     /* … of one server */
#define BIDE_TLS_SHOWN_NAMES   16    /* names of a certificate that are told */
#define BIDE_TLS_RECORD        16384 /* most bytes in a record (RFC 8446 section 5.1) */

typedef struct bide_tls bide_tls;
typedef struct bide_tls_session bide_tls_session;
typedef struct bide_tls_name bide_tls_name;

struct bide_tls_context {
  const bide_tls_core *core;
  bide_host *host;
  size_t cost;                /* what the host was charged for it */
  SSL_CTX *ctx;               /* owned */
  BIO_METHOD *bio;            /* owned */
  X509_LOOKUP_METHOD *bundle; /* owned; NULL without */
  uint32_t refs;
  uint8_t server, verify;
  bide_tls_session *sessions; /* of clients: list, the newest first; owned */
  uint32_t nsessions;
  bide_tls_name *names; /* of servers: list; owned */
  unsigned char *alpn;  /* owned; as in bide_tls_config */
  size_t alpn_n;
};

enum { BIDE_TLS_NEW, BIDE_TLS_GREETING, BIDE_TLS_TELLING, BIDE_TLS_OPEN };

struct bide_tls {
  bide_conn conn; /* first */
  const bide_tls_core *core;
  bide_tls_context *context; /* a reference */
  bide_conn *lower;          /* owned; freed after this */
  SSL *ssl;                  /* owned */
  bide_alarm alarm;          /* of the handshake; then of what is to be told from the loop */
  bide_tls_done done;
  void *user;
  int status;   /* of the handshake, to be told */
  int error;    /* what every later read and write returns */
  int io_error; /* what failed beneath */
  uint8_t state;
  uint8_t wanted;                  /* by the layer above: UV_READABLE, UV_WRITABLE */
  uint8_t asked;                   /* of the one beneath */
  uint8_t read_needs, write_needs; /* what has to come from beneath for a read, a write */
  uint8_t more;                    /* the last read left something behind */
  uint8_t drained;                 /* the last read from beneath got all that was there */
  uint8_t eof;                     /* the one beneath has ended */
  uint8_t heard, first;            /* the first byte that came */
  uint8_t lacked_cert;             /* the server asked for a certificate, and there is none */
  bide_tls_failure *failure;       /* owned */
  size_t size;                     /* of this, with the name */
  int port;                        /* of clients, part of the sessions' name */
  char host[];                     /* of clients: as asked for, ended by NUL */
};

/* ---- tls.c ---- */

int bide__tls_wrap(bide_tls_context *x, bide_conn *lower, const char *host, int port,
                   bide_conn **out);
int bide__tls_handshake(bide_conn *c, double timeout, bide_tls_done done, void *user);
const bide_tls_failure *bide__tls_failure_of(const bide_conn *c);
/* The SSL of a TLS connection. */
static inline SSL *bide__tls_ssl(const bide_conn *c) {
  return ((const bide_tls *)c)->ssl;
}
/* The connection whose SSL it is. */
static inline bide_tls *bide__tls_of(const SSL *ssl) {
  return SSL_get_app_data(ssl);
}
extern const bide_tls_module bide__tls_openssl;

/* ---- tls_bio.c ---- */

/* A source and sink of OpenSSL's that is a connection: no copy in between. NULL without memory. */
BIO_METHOD *bide__tls_bio_method(void);

/* ---- tls_context.c ---- */

int bide__tls_context_new(const bide_tls_core *core, bide_host *h, const bide_tls_config *config,
                          bide_tls_context **out, bide_tls_failure *why);
void bide__tls_context_ref(bide_tls_context *x);
void bide__tls_context_unref(bide_tls_context *x);

/* ---- tls_trust.c: certificates out of files, directories and texts ---- */

int bide__tls_load_trust(bide_tls_context *x, const bide_tls_config *config, bide_tls_failure *why);
int bide__tls_load_cert(bide_tls_context *x, const bide_tls_config *config, bide_tls_failure *why);

/* ---- tls_name.c: servers with several names ---- */

int bide__tls_add_name(bide_tls_context *x, const char *name, size_t n, bide_tls_context *other);
void bide__tls_free_names(bide_tls_context *x);
/* OpenSSL's callbacks: the client's hello is there; it offers protocols. */
int bide__tls_on_hello(SSL *ssl, int *alert, void *arg);
int bide__tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                      const unsigned char *in, unsigned inlen, void *arg);

/* ---- tls_session.c: sessions of clients, to be resumed ---- */

int bide__tls_on_session(SSL *ssl, SSL_SESSION *session);
/* Offers one that belongs to the same server, if there is any. */
void bide__tls_offer_session(bide_tls *t);
void bide__tls_free_sessions(bide_tls_context *x);

/* ---- tls_failure.c: from OpenSSL's errors to ours ---- */

/* Writes a failure that is no connection's; returns BIDE_ETLS. */
int bide__tls_explain(bide_tls_failure *why, const char *reason, const char *fmt, ...)
    BIDE_PRINTF(3, 4);
/* The latest error of OpenSSL's, in words. */
const char *bide__tls_last_error(char *buf, size_t size);
/* An operation has failed: notes why, out of OpenSSL's queue of errors; the code to return. */
int bide__tls_fail(bide_tls *t);
/* OpenSSL's callback for each certificate of a chain that is looked at. */
int bide__tls_on_verify(int ok, X509_STORE_CTX *chain);
/* The DNS names and addresses in a certificate, each ended by NUL, an empty one at the end. */
void bide__tls_cert_names(X509 *cert, char *buf, size_t size);

#endif
