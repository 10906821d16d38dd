/* SPDX-License-Identifier: MIT */
/* conn.h: a connection: bytes both ways, whatever carries them.
 *
 * Three layers. A *transport* (plain.h over a socket; TLS over another connection) is a table of
 * non-blocking functions, `bide_conn_ops`. The layer of this file adds the write queue, the pushing
 * of data, closing. The *user* (a Lua stream, HTTP, a TLS transport) hears through `bide_conn_cbs`.
 *
 * Callbacks run on the loop and run no Lua. In any callback the user may call anything here,
 * closing included: the memory of a connection lives until the loop has closed its handle.
 *
 * Reading, one of two ways:
 *  - pull: bide__conn_recv into your own memory; on UV_EAGAIN call bide__conn_want(c) and wait for
 *    on_readable, which comes once per call. Nothing is read behind the user's back: what nobody
 * asks for stays in the kernel, and the peer is slowed down.
 *  - push: bide__conn_read_start; on_data gets the bytes in the loop's shared buffer, valid during
 *    the call only; then on_end once. Costs no buffer while idle and notices the peer's close.
 *
 * Writing: bide__conn_write tries the socket first, all pieces in one system call, and queues the
 * rest: a `bide_write`, its array of pieces and their bytes are borrowed until `done`. Order is
 * kept.
 *
 * Closing: bide__conn_close is the one way to give a connection up; afterwards the user hears
 * nothing but on_closed and must not touch it. */
#ifndef BIDE_NET_CONN_H
#define BIDE_NET_CONN_H

#include "addr.h"
#include "net.h"
#include <sys/types.h>

#define BIDE_WRITE_HIGH   65536 /* queued bytes past which a writer should wait */
#define BIDE_WRITE_LOW    16384 /* … until no more than these are queued: on_drain */
#define BIDE_WRITE_PIECES 64    /* most pieces in one system call; more are sent in turns */
#define BIDE_LINGER       10.0  /* seconds that a flushing close may take */

typedef struct bide_conn bide_conn;
typedef struct bide_conn_ops bide_conn_ops;
typedef struct bide_conn_cbs bide_conn_cbs;
typedef struct bide_write bide_write;

struct bide_conn {
  const bide_conn_ops *ops;
  const bide_conn_cbs *cbs; /* borrowed, constant tables */
  void *user;               /* the user's, never touched here */
  bide_host *host;
  bide_write *last;   /* of the queue, a ring; NULL when nothing is queued */
  size_t queued;      /* bytes */
  uint16_t flags;     /* conn.c's */
  uint16_t ops_flags; /* the transport's */
  int error;          /* a failed write: what every later one returns */
};

/* What the user is told. Any may be NULL but for those of the way it reads. */
struct bide_conn_cbs {
  void (*on_readable)(bide_conn *c);
  void (*on_writable)(bide_conn *c);
  void (*on_data)(bide_conn *c, const char *p, size_t n);
  /* Pushing is over: 0 at the end of the stream, or a negative code. Writing may still work. */
  void (*on_end)(bide_conn *c, int status);
  /* The queue had grown past BIDE_WRITE_HIGH and is at or below BIDE_WRITE_LOW, or has failed. */
  void (*on_drain)(bide_conn *c);
  /* The end asked for by bide__conn_shutdown has been sent, or never will be (negative). May come
   * out of bide__conn_shutdown itself. */
  void (*on_shutdown)(bide_conn *c, int status);
  /* The last that is heard, after bide__conn_close; the connection is freed when it returns. */
  void (*on_closed)(bide_conn *c);
};

struct bide_write {
  bide_write *next; /* in the queue */
  uv_buf_t *bufs;   /* borrowed; changed as bytes leave */
  unsigned n;
  void (*done)(bide_write *w, int status); /* all has left (0), or never will (negative); w is the
                                            * user's again. From the loop or out of a close */
};

struct bide_tls_module;

/* A transport. None of these may call back into the user; events come later, from the loop. */
struct bide_conn_ops {
  const char *name; /* "tcp", "unix", "tls" */
  /* Takes what is there: > 0 bytes, UV_EOF, UV_EAGAIN, or an error. May answer UV_EAGAIN without
   * looking when nothing has come since the last answer. n > 0. */
  ssize_t (*recv)(bide_conn *c, char *p, size_t n);
  /* Sends what goes at once: >= 0 bytes, UV_EAGAIN, or an error; never a SIGPIPE. */
  ssize_t (*send)(bide_conn *c, const uv_buf_t *bufs, unsigned n);
  /* Says which events the connection wants (UV_READABLE | UV_WRITABLE, 0): the transport calls
   * bide__conn_event when one of them may be so, as long as it is wanted. 0 or an error. */
  int (*want)(bide_conn *c, int events);
  /* No more will be sent; called once the queue is empty. UV_EAGAIN: call again when writable. */
  int (*shutdown)(bide_conn *c);
  /* Gives the handle up; later, from the loop, bide__conn_ended is called. */
  void (*close)(bide_conn *c);
  /* Frees the memory. */
  void (*free)(bide_conn *c);
  /* The socket beneath, for options and addresses; negative when there is none. */
  int (*fd)(const bide_conn *c);
  /* Who is at the other end; NULL when it has no address. Also after a reset. */
  const bide_addr *(*peer)(const bide_conn *c);
  void (*ref)(bide_conn *c, int on);
  /* Is it open, with nothing to read? For a pool, before reuse. */
  int (*quiet)(bide_conn *c);
  /* Set: it is TLS (secure.h), whose end is a message, which an orderly close sends. */
  const struct bide_tls_module *tls;
};

/* --- for users --- */

/* Hands the connection to (another) user. Reading must be stopped. */
void bide__conn_use(bide_conn *c, const bide_conn_cbs *cbs, void *user);

ssize_t bide__conn_recv(bide_conn *c, char *p, size_t n);
/* Sends past the queue, which must be empty: >= 0 bytes, UV_EAGAIN or an error. For transports that
 * lie on this one. */
ssize_t bide__conn_send(bide_conn *c, const uv_buf_t *bufs, unsigned n);
/* Asks for one on_readable and/or on_writable each (UV_READABLE | UV_WRITABLE), in addition to what
 * was asked for before. 0 or an error. */
int bide__conn_want(bide_conn *c, int events);
/* Takes it back. Keeps nothing armed that costs. */
void bide__conn_unwant(bide_conn *c, int events);
/* Does waiting for its events keep the loop alive (a deadlock is reported when nothing does)? At
 * first it does; an idle connection in a pool should not. */
void bide__conn_ref(bide_conn *c, int on);

/* Pushing; idempotent. on_data never runs inside read_start. */
int bide__conn_read_start(bide_conn *c);
void bide__conn_read_stop(bide_conn *c);

/* 1: all has left already, `done` is not called. 0: the rest is queued, `done` will be called.
 * Negative: refused, nothing borrowed (after a shutdown UV_EPIPE; after a failure that failure). A
 * failed socket is also reported to reads; it needs no more than this return value here. */
int bide__conn_write(bide_conn *c, bide_write *w, uv_buf_t *bufs, unsigned n,
                     void (*done)(bide_write *w, int status));
/* The two halves of it: takes off w->bufs what the socket accepts now (the queue must be empty), 1
 * when nothing is left, 0, or an error; and queues the rest, which can't fail. */
int bide__conn_try_write(bide_conn *c, bide_write *w);
void bide__conn_queue_write(bide_conn *c, bide_write *w);
/* What a write would be refused with now, or 0. */
int bide__conn_refusal(const bide_conn *c);
/* Bytes in the queue, and whether a writer should wait for on_drain before it writes more. */
static inline size_t bide__conn_queued(const bide_conn *c) {
  return c->queued;
}
static inline int bide__conn_is_full(const bide_conn *c) {
  return c->queued > BIDE_WRITE_HIGH;
}

/* Half-close: once the queue has been sent, the peer sees the end of the stream. Idempotent. */
int bide__conn_shutdown(bide_conn *c);
int bide__conn_is_shut(const bide_conn *c); /* it has been sent */
int bide__conn_is_closing(const bide_conn *c);

/* Closes now. What is queued is dropped, its `done` called with UV_ECANCELED before this returns.
 */
void bide__conn_close(bide_conn *c);
/* Closes once what is queued has been sent, BIDE_LINGER seconds at the most; with `drain`, then
 * also takes and throws away what the peer still sends (until its end, or 1 MiB), so that a reset
 * does not destroy an answer that it has not read yet. The user hears `done` and on_closed, nothing
 * else. */
void bide__conn_close_gently(bide_conn *c, int drain);

/* Open and nothing to read: fit to be used again. One system call. */
int bide__conn_is_quiet(bide_conn *c);
/* NULL when it has none (unix); known also after a reset. Valid as long as the connection. */
const bide_addr *bide__conn_peer(const bide_conn *c);
int bide__conn_local(const bide_conn *c, bide_addr *out);
int bide__conn_nodelay(bide_conn *c, int on);
/* 0 switches it off. */
int bide__conn_keepalive(bide_conn *c, unsigned seconds);

/* --- for transports --- */

void bide__conn_init(bide_host *h, bide_conn *c, const bide_conn_ops *ops);
/* One or more wanted events may be so (the connection's own recv and send tell). */
void bide__conn_event(bide_conn *c, int events);
/* The handle is closed: tells the user and frees. */
void bide__conn_ended(bide_conn *c);

#endif
