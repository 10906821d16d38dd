/* SPDX-License-Identifier: MIT */
/* secure.h: TLS as the rest of bide sees it: two tables, and no OpenSSL.
 *
 * What uses OpenSSL (host/net/tls*.c, bindings/tls.c) is a module of its own for stock Lua, loaded
 * at the first need, so that `require "bide"` maps no libssl; the program and the library have it
 * inside, and do not touch it before either. The two meet in tables of functions: `bide_tls_module`
 * is what the module offers, `bide_tls_core` what it needs; neither is linked to the other. This
 * file's functions are the core's: contexts kept by their options, handshakes of listeners.
 *
 * A *context* is what was asked for (certificates, trust, ALPN), made once and shared, counted. */
#ifndef BIDE_NET_SECURE_H
#define BIDE_NET_SECURE_H

#include "conn.h"
#include "listener.h"

#define BIDE_TLS_ABI      2
#define BIDE_TLS_TIMEOUT  10.0  /* seconds a handshake may take */
#define BIDE_TLS_COST     49152 /* bytes that OpenSSL holds: for a connection, */
#define BIDE_TLS_BASE     32768 /* for a context, beside four times what texts it was given, */
#define BIDE_TLS_KEPT     8192  /* for a session that is kept */
#define BIDE_TLS_CONTEXTS 32    /* client contexts kept by their options */
#define BIDE_TLS_MODULE   "bide.openssl"

typedef struct bide_tls_context bide_tls_context;
typedef struct bide_tls_module bide_tls_module;
typedef struct bide_tls_core bide_tls_core;

/* Why TLS failed: status BIDE_ETLS. */
typedef struct bide_tls_failure {
  const char *reason; /* a word for programs, constant: "expired", "wrong_host", … */
  uint8_t heard;      /* the peer had sent something */
  char text[384];     /* for people */
  char names[512];    /* what the certificate is for, each ended by NUL, an empty one ends */
} bide_tls_failure;

enum { BIDE_TLS_NONE, BIDE_TLS_OPTIONAL, BIDE_TLS_REQUIRED };

/* A file's path (of `ca`: or a hashed directory's) or the PEM text itself. */
typedef struct bide_tls_pem {
  const char *p; /* borrowed, ended by NUL; NULL: not given */
  size_t n;
} bide_tls_pem;

typedef struct bide_tls_config {
  uint8_t server;
  uint8_t verify;  /* BIDE_TLS_… the peer's certificate */
  uint8_t version; /* the least: 12 or 13 */
  bide_tls_pem ca; /* none: what the system trusts */
  bide_tls_pem cert, key;
  const char *alpn; /* protocols, each after a byte that tells its length; borrowed */
  size_t alpn_n;
} bide_tls_config;

/* Told once, from the loop, never from the call that began it; unless the connection is closed
 * before. 0, BIDE_ETLS, UV_ETIMEDOUT or what failed beneath; then it must be closed. */
typedef void (*bide_tls_done)(bide_conn *c, void *user, int status);

struct bide_tls_module {
  int abi;
  /* 0 and *out, or UV_ENOMEM, or BIDE_ETLS and *why. Reads files, as far as the host may. */
  int (*context_new)(const bide_tls_core *core, bide_host *h, const bide_tls_config *config,
                     bide_tls_context **out, bide_tls_failure *why);
  void (*context_ref)(bide_tls_context *x);
  void (*context_unref)(bide_tls_context *x);
  /* Clients that ask for `name` ("*.x": for any name one label longer than x) get `other`, which
   * is referred to. 0 or UV_ENOMEM. */
  int (*context_add_name)(bide_tls_context *x, const char *name, size_t n, bide_tls_context *other);
  /* A connection over `lower`, which must not be read from, and is the new one's own from now on;
   * what is queued there is sent before the handshake. host (of clients): whose certificate is
   * expected, and the name that is asked for. No byte moves before the handshake. 0, or UV_ENOMEM
   * and nothing taken. */
  int (*wrap)(bide_tls_context *x, bide_conn *lower, const char *host, int port, bide_conn **out);
  /* Begins the handshake. Reads and writes may be wanted meanwhile; they wait for its end. 0, or
   * UV_ENOMEM and nothing begun. */
  int (*handshake)(bide_conn *c, double timeout, bide_tls_done done, void *user);
  /* What a BIDE_ETLS was; NULL when there was no memory to say. Valid as long as the connection. */
  const bide_tls_failure *(*failure)(const bide_conn *c);
  /* Pushes a table about the connection; may raise (memory). */
  void (*push_info)(lua_State *L, const bide_conn *c);
};

struct bide_tls_core {
  void *(*alloc)(bide_host *h, size_t n);
  void (*free)(bide_host *h, void *p, size_t n);
  int (*alarm_again)(bide_host *h, bide_alarm *a, double seconds, void (*fire)(bide_alarm *a));
  void (*alarm_stop)(bide_host *h, bide_alarm *a);
  void (*conn_init)(bide_host *h, bide_conn *c, const bide_conn_ops *ops);
  void (*conn_use)(bide_conn *c, const bide_conn_cbs *cbs, void *user);
  ssize_t (*conn_recv)(bide_conn *c, char *p, size_t n);
  ssize_t (*conn_send)(bide_conn *c, const uv_buf_t *bufs, unsigned n);
  int (*conn_want)(bide_conn *c, int events);
  void (*conn_unwant)(bide_conn *c, int events);
  void (*conn_ref)(bide_conn *c, int on);
  int (*conn_is_closing)(const bide_conn *c);
  void (*conn_close)(bide_conn *c);
  void (*conn_event)(bide_conn *c, int events);
  void (*conn_ended)(bide_conn *c);
  /* A file for reading, as far as the host may: see policy.h. */
  int (*file_open)(const bide_host *h, const char *path);
  /* What OpenSSL holds for the host, for its memory limit: see limit.h. */
  int (*charge)(bide_host *h, size_t size);
  void (*refund)(bide_host *h, size_t size);
};

extern const bide_tls_core bide__tls_core;

/* The module, once it has been given; NULL before. */
const bide_tls_module *bide__tls_module(bide_host *h);
/* UV_ENOTSUP when it is of another build. */
int bide__tls_set_module(bide_host *h, const bide_tls_module *m);
/* The context of a client with these options, kept under `key`, which tells all of them; borrowed,
 * until bide__tls_client_context is called. NULL when it is not kept, or a file of its has changed.
 */
bide_tls_context *bide__tls_client_known(bide_host *h, const bide_tls_config *config,
                                         const char *key, size_t n);
/* Makes and keeps it. 0, UV_ENOMEM, or BIDE_ETLS and *why. */
int bide__tls_client_context(bide_host *h, const bide_tls_config *config, const char *key, size_t n,
                             bide_tls_context **out, bide_tls_failure *why);
/* Is it TLS? Then its module's functions may be called. */
static inline int bide__conn_is_tls(const bide_conn *c) {
  return c->ops->tls != NULL;
}

/* A handshake of a listener's has failed, after the peer had said something (BIDE_ETLS; `why` may
 * be NULL), or has taken too long (UV_ETIMEDOUT). It runs no Lua. */
typedef void (*bide_tls_refused)(bide_listener *l, const bide_conn *c, int status,
                                 const bide_tls_failure *why);

/* A layer for a listener: each connection gets a TLS one, which is handed on once its handshake is
 * through. Takes the caller's reference to `x`. NULL without memory (the reference is given back).
 * `refused` may be NULL. */
bide_listen_layer *bide__tls_layer(bide_host *h, bide_tls_context *x, double timeout,
                                   bide_tls_refused refused);

/* Teardown. */
void bide__tls_close(bide_net *net);

#endif
