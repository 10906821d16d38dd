/* SPDX-License-Identifier: MIT */
/* server.h: an HTTP/1.1 server: connections in, requests out, responses back.
 *
 *   listener ─▶ bide_hsconn ─▶ bide_hsreq ─▶ server's queue ─▶ dispatcher (a task, bindings) ─▶ a
 * task
 *
 * A connection parses heads in place, in the loop's read buffer; only what came in part, or too
 * early, is kept. It has one request at a time: what is pipelined behind it waits as bytes, within
 * bounds, then in the kernel. A request's memory comes from a list of spare ones and lives from its
 * head to the end of the task that handles it; Lua knows it by a slot of the http floor, never by
 * address.
 *
 * server.c owns the server and its lists, sconn.c the connection, sreq.c the request's body and
 * response, sbatch.c what leaves together, slog.c what is told about requests that were refused. */
#ifndef BIDE_HTTP_SERVER_H
#define BIDE_HTTP_SERVER_H

#include "buf.h"
#include "http.h"
#include "core/wait.h"
#include "core/task.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/throttle.h"
#include "net/secure.h"

#define BIDE_HS_STORE      1024  /* bytes of a request kept without another allocation */
#define BIDE_HS_INPUT_HIGH 65536 /* unread input past which the peer is made to wait */
#define BIDE_HS_SPARE      256   /* spare requests kept */
#define BIDE_HS_DRAIN      65536 /* unread rest of a body that is read away to keep a connection */
#define BIDE_HS_OVER       64    /* connections past the limit that are told so at once */
#define BIDE_HS_BATCH      16384 /* bytes of responses to pipelined requests in one write */
#define BIDE_HS_LOG_METHOD 32    /* bytes of method and target that are told */
#define BIDE_HS_LOG_TARGET 120
#define BIDE_HS_TASK       "http request" /* what a handler's task is called until it fails */

typedef struct bide_hsconn bide_hsconn;

/* When is a handler cancelled because its client has gone? Never, when the connection is lost, or
 * already when the client says that it will send no more. */
enum { BIDE_HS_GONE_NEVER, BIDE_HS_GONE_LOST, BIDE_HS_GONE_HALF };

typedef struct bide_hslimits { /* seconds and counts, as bide.http.serve's options */
  bide_h1_limits head;
  uint64_t max_body, min_rate; /* bytes; bytes a second, 0: any */
  double rate_grace;
  double header_timeout, body_timeout, idle_timeout, write_timeout;
  uint32_t max_headers, max_connections, max_requests;
  uint8_t cancel; /* BIDE_HS_GONE_… */
} bide_hslimits;

enum { BIDE_HS_OPEN, BIDE_HS_DRAINING, BIDE_HS_CLOSED };

/* A request that was refused, to be told about. Texts are escaped: safe for any log. */
typedef struct bide_hsline {
  struct bide_hsline *next;
  uint64_t count;     /* not 0: so many more, of which nothing else is known */
  const char *reason; /* constant, or `text` */
  int status;         /* 0: closed without an answer */
  uint16_t target_n;
  char peer[BIDE_ADDR_TEXT + 16]; /* empty: none */
  char text[256];
  char method[4 * BIDE_HS_LOG_METHOD + 4], target[4 * BIDE_HS_LOG_TARGET + 4]; /* … not known */
} bide_hsline;

typedef struct bide_hslog {
  bide_hsline *lines, **tail; /* owned: not told yet */
  bide_throttle rate;
  bool on;
} bide_hslog;

struct bide_hserver {
  bide_hserver *next, *prev; /* in http->servers */
  bide_http *http;
  bide_listener *listener; /* NULL before listening; freed by its last connection */
  bide_hslimits limits;
  bide_hsconn *conns;              /* list of all */
  bide_hsreq *ready, **ready_tail; /* requests that no task handles yet */
  bide_hsreq *running;             /* list: a task handles them */
  uint32_t nconns, nready, nrunning;
  bide_wait wait;  /* of the dispatcher */
  bool waiting;    /* … it does, for a request or the end */
  bide_link link;  /* on the dispatcher */
  bide_lazy grace; /* the end of a graceful close */
  bide_hslog log;
  uint32_t site; /* where it was started */
  uint8_t state;
  uint8_t refs; /* the binding's, the dispatcher's, one while anything is open */
  bool secure;
};

enum { BIDE_HSC_IDLE, BIDE_HSC_HEAD, BIDE_HSC_BUSY, BIDE_HSC_DRAIN, BIDE_HSC_CLOSING };

/* Responses that wait for those to the requests behind them, to leave in one write. They wait for
 * no longer than what is ready runs: `alarm` comes after the next poll, which does not wait. */
typedef struct bide_hsbatch {
  bide_write write;
  uv_buf_t buf;
  bide_alarm alarm;
  bide_host *host;
  bide_hsconn *sc; /* NULL once it is being sent */
  size_t n;
  char text[BIDE_HS_BATCH];
} bide_hsbatch;

struct bide_hsconn {
  bide_hsconn *next, *prev; /* in server->conns */
  bide_hserver *server;
  bide_conn *conn;     /* owned */
  bide_hsreq *req;     /* the one being handled */
  bide_h1_head *part;  /* owned, with its fields behind it: a head that has come in part */
  bide_hsbatch *batch; /* owned; every other write comes after it */
  bide_hbuf in;        /* input that has come in part or too early */
  bide_lazy limit;
  uint32_t served;
  uint8_t state;
  bool eof;    /* the peer sends no more */
  bool failed; /* nothing can be sent any more */
  bool paused; /* reading is stopped */
};

enum { BIDE_HS_READ_NONE, BIDE_HS_READ_PIECE, BIDE_HS_READ_ALL };

struct bide_hsreq {
  bide_hsreq *next, *prev; /* in server->ready, ->running, or http->spare_reqs */
  bide_hserver *server;
  bide_hsconn *sc; /* NULL once the connection is gone */
  bide_task *task; /* that handles it */
  uint32_t slot, gen;
  uint32_t refs;   /* the connection's, the task's, one per wait in flight */
  uint8_t reading; /* BIDE_HS_READ_… of rwait */
  bool sending;    /* wwait waits, and holds a reference */
  bool head_sent;  /* an answer has begun */
  bool answered;   /* … and is complete */
  bool close;      /* the connection ends with this request */
  bool expect;     /* the client waits for "100 Continue" */
  bool body_done;
  int body_error;         /* code of body.h: no more body will come */
  int wake_status;        /* what an aborted write wakes with */
  int fault_status;       /* what to answer if the handler fails with the error `fault` */
  const void *fault;      /* the error that a wrong body raised in the handler, by its address */
  const char *fault_text; /* what is told of it; NULL: what body_error says */
  uint64_t got;           /* bytes of body taken */
  uint64_t sent;          /* bytes of the response that have left */
  uint64_t read_spent, write_spent; /* time spent waiting for the client so far */
  size_t write_left;                /* queued when the write was last looked at */
  size_t kept;                      /* bytes of `store` that the response leaves alone */
  bide_hbuf all;                    /* the whole body, being collected */
  /* from here on set when used, not cleared: most requests use little of it */
  uint64_t read_by, write_by;     /* deadlines of the waits; BIDE_NEVER */
  uint64_t read_from, write_from; /* when they began */
  uint64_t stuck_by;              /* … unless a byte leaves before */
  char *store;                    /* owned when it is not `fixed` */
  size_t store_cap;
  bide_link link; /* on the task */
  bide_hbody body;
  bide_wait rwait, wwait;
  bide_write write;
  uv_buf_t bufs[4];
  /* Base and fields: `store`, until the response is composed there; of the base what is told of a
   * request that failed stays. */
  bide_h1_head head;
  uint64_t fixed[BIDE_HS_STORE / 8];
};

/* ---- the server (server.c) ---- */

/* NULL when there is no memory. The caller's reference; not yet listening. */
bide_hserver *bide__hserver_new(bide_http *http, const bide_hslimits *limits);
int bide__hserver_listen(bide_hserver *s, const bide_addr *addr, const bide_listen_options *o);
void bide__hserver_unref(bide_hserver *s);
/* `t` dispatches; when it ends, however it does, the server is closed at once. */
void bide__hserver_dispatched(bide_hserver *s, bide_task *t);
/* Stops accepting, closes idle connections; after `grace` seconds cancels what is being handled.
 * When nothing is left the dispatcher is woken for the last time (state BIDE_HS_CLOSED).
 * Idempotent; a second call may shorten the grace. */
void bide__hserver_close(bide_hserver *s, double grace);
/* Teardown: no task will run any more. */
void bide__hserver_abandon(bide_hserver *s);
/* The next request without a task, or NULL. It stays the server's until bide__hsreq_start. */
bide_hsreq *bide__hserver_next(bide_hserver *s);
void bide__hserver_push(bide_hserver *s, bide_hsreq *r);
/* There is something for the dispatcher to do. */
void bide__hserver_wake(bide_hserver *s);
/* Something has gone: is the server over? */
void bide__hserver_check(bide_hserver *s);
void bide__hserver_free_spares(bide_http *http);

/* ---- connections (sconn.c) ---- */

void bide__hsconn_open(bide_hserver *s, bide_conn *c);
/* The request is over: on to the next, or close. */
void bide__hsconn_next(bide_hsconn *sc);
/* Gives the connection up; gently: what was written still leaves. */
void bide__hsconn_close(bide_hsconn *sc, bool gently);
/* Reads on, if reading was stopped for want of room. */
void bide__hsconn_resume(bide_hsconn *sc);
/* Answers by itself: a status, its reason as plain text. 0 or a negative code. */
int bide__hsconn_answer(bide_hsconn *sc, int status, bool close);
/* Keeps a whole response for a while if more requests are there behind it; false: it is to be sent.
 */
bool bide__hsconn_hold(bide_hsconn *sc, const bide_slice *pieces, unsigned n);
/* Sends what is kept, before any other write; throws it away. */
void bide__hsconn_flush(bide_hsconn *sc);
void bide__hsconn_drop_batch(bide_hsconn *sc);
/* The deadlines of its request have changed. */
void bide__hsconn_limit(bide_hsconn *sc);

/* ---- requests (sreq.c) ---- */

bide_hsreq *bide__hsreq_new(bide_hsconn *sc, const bide_h1_head *head);
void bide__hsreq_unref(bide_hsreq *r);
/* `t` handles the request from now on; takes the server's queue's hold. */
void bide__hsreq_start(bide_hsreq *r, bide_task *t);
/* No task could be made: answers 503. */
void bide__hsreq_refuse(bide_hsreq *r, const char *why);
/* Input has come, or ended. */
void bide__hsreq_input(bide_hsreq *r);
/* Nobody will read the answer: cancels the task, if that is wanted. */
void bide__hsreq_gone(bide_hsreq *r);
/* The connection lets go of it: no more body will come. */
void bide__hsreq_lost(bide_hsreq *r);
/* Says "100 Continue" if the client waits for it. */
void bide__hsreq_want_body(bide_hsreq *r);
/* Looks at the deadlines of its waits; true when the connection is to be given up. */
bool bide__hsreq_late(bide_hsreq *r, uint64_t now);
/* Throws body away that nobody will read; false when it is too much of it. */
bool bide__hsreq_drain(bide_hsreq *r);
/* Is the connection to be closed behind the response? Asked before its head is written. */
bool bide__hsreq_must_close(const bide_hsreq *r);
/* The next piece that is there already: codes of bide__hbody_next; *piece borrowed until the next
 * call of anything here. */
int bide__hsreq_piece(bide_hsreq *r, bide_slice *piece);
/* Begins to wait for input (BIDE_HS_READ_…); rwait is woken with 0 when there is something to see.
 */
void bide__hsreq_wait_input(bide_hsreq *r, int how);
/* Sends pieces: 1 done, 0 wwait will be woken, negative the connection is gone. Bytes are borrowed
 * until then. */
int bide__hsreq_send(bide_hsreq *r, const bide_slice *pieces, unsigned n);
/* In the continuation of wwait: gives its reference back. */
void bide__hsreq_sent(bide_hsreq *r);
/* Gives `store` room for `n` bytes of a response, whose place it is. 0 or UV_ENOMEM. */
int bide__hsreq_room(bide_hsreq *r, size_t n);
static inline bide_out bide__hsreq_out(const bide_hsreq *r) {
  return bide__out(r->store + r->kept, r->store_cap - r->kept);
}

extern const bide_waitops bide__hsreq_read_ops, bide__hsreq_write_ops;

/* ---- what is told about refused requests (slog.c) ---- */

void bide__hslog_open(bide_hserver *s);
/* `head`, of which `have` bytes are there at its base, may be NULL, or a failed one. */
void bide__hslog_refused(bide_hserver *s, const bide_conn *c, int status, const char *reason,
                         const bide_h1_head *head, size_t have);
/* A handshake has failed (bide_tls_refused); the listener's user is a server. */
void bide__hslog_handshake(bide_listener *l, const bide_conn *c, int status,
                           const bide_tls_failure *why);
/* Tells how many were left out. */
void bide__hslog_sum(bide_hserver *s);
/* "GET /path" of that head, escaped, cut to fit. */
const char *bide__hslog_request(const bide_h1_head *h, char *buf, size_t size);
/* The next line, the caller's to free, or NULL. */
bide_hsline *bide__hslog_next(bide_hserver *s);
void bide__hslog_free(bide_hserver *s, bide_hsline *line);
const char *bide__hsline_text(const bide_hsline *line, char *buf, size_t size);
/* Nothing is told any more. */
void bide__hslog_close(bide_hserver *s);

#endif
