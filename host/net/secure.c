/* SPDX-License-Identifier: MIT */
/* secure.c: what the core does about TLS without OpenSSL (contract in secure.h).
 *
 * Owns: the contexts of clients, kept by their options in a short list, the last used first; the
 * handshakes of a listener, in a ring of its layer's, so that they end with it. */
#include "secure.h"
#include "core/limit.h"
#include "core/policy.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const bide_tls_core bide__tls_core = {
    .alloc = bide__alloc,
    .free = bide__free,
    .alarm_again = bide__alarm_again,
    .alarm_stop = bide__alarm_stop,
    .conn_init = bide__conn_init,
    .conn_use = bide__conn_use,
    .conn_recv = bide__conn_recv,
    .conn_send = bide__conn_send,
    .conn_want = bide__conn_want,
    .conn_unwant = bide__conn_unwant,
    .conn_ref = bide__conn_ref,
    .conn_is_closing = bide__conn_is_closing,
    .conn_close = bide__conn_close,
    .conn_event = bide__conn_event,
    .conn_ended = bide__conn_ended,
    .file_open = bide__file_open,
    .charge = bide__charge,
    .refund = bide__refund,
};

const bide_tls_module *bide__tls_module(bide_host *h) {
  bide_net *net = bide__net(h);
  return net ? net->tls : NULL;
}

int bide__tls_set_module(bide_host *h, const bide_tls_module *m) {
  bide_net *net = bide__net(h);
  if (!net) return UV_ENOMEM;
  if (m->abi != BIDE_TLS_ABI) return UV_ENOTSUP;
  net->tls = m;
  return 0;
}

/* ---- contexts of clients ---- */

/* What tells whether a file is still the one that was read; zero for what is no file. */
typedef struct mark {
  dev_t dev;
  ino_t ino;
  off_t size;
  struct timespec changed;
} mark;

typedef struct bide_tls_entry {
  struct bide_tls_entry *next;
  bide_tls_context *context; /* a reference */
  uint64_t looked;           /* when the files were looked at */
  mark marks[3];
  size_t n;
  char key[]; /* n bytes */
} bide_tls_entry;

#define LOOK_AGAIN 1000 /* ms until files are looked at again */

static int look_at(const bide_host *h, const char *path, struct stat *st) {
  int fd, status;
  if (!h->policy) return stat(path, st);
  fd = bide__file_open(h, path);
  if (fd < 0) return -1;
  status = fstat(fd, st);
  close(fd);
  return status;
}

static mark mark_of(const bide_host *h, bide_tls_pem file) {
  struct stat st;
  mark m;
  memset(&m, 0, sizeof m);
  if (!file.p || strstr(file.p, "-----BEGIN") || look_at(h, file.p, &st)) return m;
  m.dev = st.st_dev;
  m.ino = st.st_ino;
  m.size = st.st_size;
  m.changed = st.st_mtim;
  return m;
}

static int is_same(const mark *a, const mark *b) {
  return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
         a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static void look(const bide_host *h, bide_tls_entry *e, const bide_tls_config *config,
                 uint64_t now) {
  e->looked = now;
  e->marks[0] = mark_of(h, config->ca);
  e->marks[1] = mark_of(h, config->cert);
  e->marks[2] = mark_of(h, config->key);
}

/* Have its files stayed as they were? Looked at once a second at the most. */
static int is_fresh(const bide_host *h, bide_tls_entry *e, const bide_tls_config *config,
                    uint64_t now) {
  bide_tls_entry seen;
  if (now - e->looked < LOOK_AGAIN) return 1;
  look(h, &seen, config, now);
  e->looked = now;
  for (int i = 0; i < 3; i++)
    if (!is_same(&e->marks[i], &seen.marks[i])) return 0;
  return 1;
}

static void free_entry(bide_net *net, bide_tls_entry *e) {
  net->tls->context_unref(e->context);
  bide__free(net->host, e, sizeof *e + e->n);
}

/* Takes it out of the list. */
static bide_tls_entry *take(bide_net *net, const char *key, size_t n) {
  for (bide_tls_entry **at = &net->tls_contexts; *at; at = &(*at)->next) {
    bide_tls_entry *e = *at;
    if (e->n != n || memcmp(e->key, key, n)) continue;
    *at = e->next;
    return e;
  }
  return NULL;
}

static void put(bide_net *net, bide_tls_entry *e) {
  bide_tls_entry **at = &net->tls_contexts, *last;
  e->next = *at;
  *at = e;
  for (int i = 0; *at && i < BIDE_TLS_CONTEXTS; i++) at = &(*at)->next;
  last = *at;
  *at = NULL;
  if (last) free_entry(net, last);
}

static int make(bide_net *net, const bide_tls_config *config, const char *key, size_t n,
                bide_tls_entry **out, bide_tls_failure *why) {
  bide_tls_entry *e = bide__alloc(net->host, sizeof *e + n);
  if (!e) return UV_ENOMEM;
  e->n = n;
  memcpy(e->key, key, n);
  look(net->host, e, config, uv_now(net->host->loop));
  int status = net->tls->context_new(&bide__tls_core, net->host, config, &e->context, why);
  if (status) bide__free(net->host, e, sizeof *e + n);
  else *out = e;
  return status;
}

bide_tls_context *bide__tls_client_known(bide_host *h, const bide_tls_config *config,
                                         const char *key, size_t n) {
  bide_net *net = bide__net(h);
  bide_tls_entry *e = net ? take(net, key, n) : NULL;
  if (!e) return NULL;
  if (!is_fresh(h, e, config, uv_now(h->loop))) {
    free_entry(net, e);
    return NULL;
  }
  put(net, e);
  return e->context;
}

int bide__tls_client_context(bide_host *h, const bide_tls_config *config, const char *key, size_t n,
                             bide_tls_context **out, bide_tls_failure *why) {
  bide_net *net = bide__net(h);
  bide_tls_entry *e;
  if (!net) return h->closed ? UV_ECANCELED : UV_ENOMEM;
  int status = make(net, config, key, n, &e, why);
  if (status) return status;
  put(net, e);
  *out = e->context;
  return 0;
}

void bide__tls_close(bide_net *net) {
  while (net->tls_contexts) {
    bide_tls_entry *e = net->tls_contexts;
    net->tls_contexts = e->next;
    free_entry(net, e);
  }
}

/* ---- handshakes of listeners ---- */

typedef struct layer {
  bide_listen_layer pub; /* first */
  bide_host *host;
  const bide_tls_module *module;
  bide_tls_context *context; /* a reference */
  double timeout;
  bide_tls_refused refused; /* NULL: nobody is told */
  bide_netlink greeting;    /* ring of connections in their handshake */
} layer;

typedef struct greeting {
  bide_netlink link; /* first */
  layer *of;
  bide_listener *listener;
  bide_conn *conn;
} greeting;

static void free_greeting(greeting *g) {
  bide__net_unlink(&g->link);
  bide__free(g->of->host, g, sizeof *g);
}

static void give_up(greeting *g) {
  bide_listener *l = g->listener;
  bide__conn_use(g->conn, NULL, NULL);
  bide__conn_close(g->conn);
  free_greeting(g);
  bide__listener_release(l);
}

/* Peers that leave without a word are no failure: so look checks of health and scans of ports. */
static void tell_refused(const greeting *g, int status) {
  const bide_tls_failure *why = status == BIDE_ETLS ? g->of->module->failure(g->conn) : NULL;
  if (!g->of->refused || (status != BIDE_ETLS && status != UV_ETIMEDOUT)) return;
  if (!why || why->heard) g->of->refused(g->listener, g->conn, status, why);
}

/* No failure of a handshake reaches a handler: the peer was told by an alert. */
static void on_greeted(bide_conn *c, void *user, int status) {
  greeting *g = user;
  bide_listener *l = g->listener;
  if (status) {
    tell_refused(g, status);
    give_up(g);
    return;
  }
  bide__conn_use(c, NULL, NULL);
  free_greeting(g);
  bide__listener_deliver(l, c);
}

/* The host closes it under us. */
static void on_closed(bide_conn *c) {
  greeting *g = c->user;
  bide_listener *l = g->listener;
  free_greeting(g);
  bide__listener_release(l);
}

static const bide_conn_cbs greeting_cbs = {.on_closed = on_closed};

static void layer_accept(bide_listen_layer *pub, bide_listener *l, bide_conn *c) {
  layer *y = (layer *)pub;
  greeting *g = bide__alloc(y->host, sizeof *g);
  if (!g || y->module->wrap(y->context, c, NULL, 0, &c)) {
    if (g) bide__free(y->host, g, sizeof *g);
    bide__conn_close(c);
    bide__listener_release(l);
    return;
  }
  *g = (greeting){.of = y, .listener = l, .conn = c};
  bide__net_link(&y->greeting, &g->link);
  bide__conn_use(c, &greeting_cbs, g);
  if (y->module->handshake(c, y->timeout, on_greeted, g)) give_up(g);
}

static void layer_close(bide_listen_layer *pub) {
  layer *y = (layer *)pub;
  while (y->greeting.next != &y->greeting) give_up((greeting *)y->greeting.next);
}

static void layer_free(bide_listen_layer *pub) {
  layer *y = (layer *)pub;
  y->module->context_unref(y->context);
  bide__free(y->host, y, sizeof *y);
}

bide_listen_layer *bide__tls_layer(bide_host *h, bide_tls_context *x, double timeout,
                                   bide_tls_refused refused) {
  const bide_tls_module *m = bide__tls_module(h);
  layer *y = bide__alloc(h, sizeof *y);
  if (!y) {
    m->context_unref(x);
    return NULL;
  }
  *y = (layer){.pub = {layer_accept, layer_close, layer_free},
               .host = h,
               .module = m,
               .context = x,
               .timeout = timeout,
               .refused = refused};
  y->greeting.next = y->greeting.prev = &y->greeting;
  return &y->pub;
}
