/* SPDX-License-Identifier: MIT */
/* client.h: HTTP/1.1 exchanges over pooled connections.
 *
 *   bide_hpool ─▶ bide_horigin (scheme, host, port) ─▶ bide_hconn, idle or with one bide_hx
 *
 * An exchange (`hx`) is one request and its response: begun by a task, carried on by the loop, seen
 * by the task again when the whole body is there (or, streamed, when the head is). The request's
 * bytes are the exchange's own, but for a long body, which is anchored by a reference in the
 * registry.
 *
 * pool.c owns pools and who waits for what, origins.c the origins; cconn.c the connection;
 * exchange.c the exchange. */
#ifndef BIDE_HTTP_CLIENT_H
#define BIDE_HTTP_CLIENT_H

#include "buf.h"
#include "http.h"
#include "core/wait.h"
#include "net/conn.h"
#include "net/connect.h"
#include "net/secure.h"
#include "url.h"

#define BIDE_HX_SPARE      128   /* spare exchanges kept */
#define BIDE_HX_KEEP       4096  /* bytes of each buffer that a spare one keeps */
#define BIDE_HX_INPUT_HIGH 65536 /* unread input past which the server is made to wait */
#define BIDE_HX_DRAIN      65536 /* unread rest of a body that is read away to keep a connection */
#define BIDE_HX_DRAIN_TIME 5.0   /* seconds that this may take */
#define BIDE_HX_INFORM     16    /* informational responses before the final one */
#define BIDE_HPOOL_FEW     16    /* origins without a table on the heap; a power of two */
#define BIDE_HPOOL_TURN    32    /* requests of one connection while others wait for its place */

typedef struct bide_horigin bide_horigin;
typedef struct bide_hconn bide_hconn;
typedef struct bide_htunnel bide_htunnel;

enum { /* what an exchange is doing; a timeout names it */
       BIDE_HP_POOL,
       BIDE_HP_CONNECT,
       BIDE_HP_TLS,
       BIDE_HP_HEADERS,
       BIDE_HP_READ,
       BIDE_HP_TOTAL
};
enum { BIDE_HP_COUNT = BIDE_HP_TOTAL + 1 };
#define BIDE_HX_CHUNKED UINT64_MAX
extern const char *const bide__hphase_names[BIDE_HP_COUNT];

/* ---- pools ---- */

typedef struct bide_hpool_limits {
  uint32_t total, per_origin;
  double keepalive; /* seconds an idle connection is kept */
} bide_hpool_limits;

struct bide_hpool {
  bide_hpool *next, *prev; /* in http->pools */
  bide_http *http;
  bide_hpool_limits limits;
  bide_horigin **buckets; /* owned when it is not `few`; chains through `next` */
  bide_horigin *few[BIDE_HPOOL_FEW];
  uint32_t nbuckets, norigins; /* the first is a power of two */
  uint64_t seed;
  bide_horigin *first, *last;  /* origins with a line, the next one's turn first */
  bide_hconn *oldest, *newest; /* idle connections by time of falling idle */
  uint32_t nopen;              /* connections and connects under way */
  uint32_t nwaiting;           /* exchanges in all waiting lines */
  uint32_t refs;               /* the binding's, one per exchange and connection */
  uint32_t scarce;             /* descriptors ran out at that many connections, or 0 */
  uint64_t scarce_until;       /* … and that is believed until then */
  bool closed;
  bool serving; /* lines are being served further down the stack */
};

struct bide_horigin {
  bide_horigin *next;            /* in its bucket */
  bide_horigin *later, *earlier; /* in the pool's list of those with a line */
  bide_hpool *pool;
  bide_hconn *idle;      /* list, the last used first */
  bide_hx *first, *last; /* the waiting line */
  uint32_t nopen;
  uint32_t users; /* exchanges under way: they hold the origin */
  uint32_t hash;
  uint16_t port;
  const bide_tls_module *tls; /* of `context` */
  bide_tls_context *context;  /* a reference; NULL: plain */
  bide_slice key;             /* these three lie behind `host` */
  const char *via;            /* the host of the proxy that it is reached through; NULL: directly */
  bide_slice connect;         /* … and what that one is asked */
  uint16_t via_port;
  bool is_proxy; /* requests to it are for others */
  size_t size;   /* of this, with all names */
  char host[];   /* ended by NUL, as all names here */
};

/* A tunnel through a proxy: its host and port, and the request for the tunnel. */
typedef struct bide_hvia {
  bide_slice host, connect;
  uint16_t port;
} bide_hvia;

/* NULL when there is no memory; the caller's reference. */
bide_hpool *bide__hpool_new(bide_http *http, const bide_hpool_limits *limits);
void bide__hpool_unref(bide_hpool *p);
/* Closes what is idle; what is in use is closed when it is given back. */
void bide__hpool_close(bide_hpool *p);
/* The origin of that key ("http://host:port") and TLS context (NULL: none), made when there is
 * none; NULL without memory. `via` (NULL: directly) is part of the key. */
bide_horigin *bide__hpool_origin(bide_hpool *p, bide_slice key, bide_slice host, uint16_t port,
                                 bide_tls_context *context, const bide_hvia *via);
/* Frees it if nobody needs it any more. */
void bide__horigin_check(bide_horigin *o);
void bide__origins_init(bide_hpool *p);
/* There are none any more. */
void bide__origins_fini(bide_hpool *p);
/* Puts it at the end of those that have a line; takes it off. */
void bide__origins_queue(bide_horigin *o);
void bide__origins_unqueue(bide_horigin *o);
/* Gets hx a connection: gives an idle one, begins to connect or puts it into the line. */
void bide__hpool_get(bide_hx *hx);
/* Its connect found no descriptor: it waits, if there are others to wait for, at the head of the
 * line; that connect is given back. */
bool bide__hpool_scarce(bide_hx *hx);
/* Leaves the line. */
void bide__hpool_unwait(bide_hx *hx);
/* A connection is free for reuse. */
void bide__hpool_release(bide_hconn *hc);
/* One connection (or connect) less: others may go. */
void bide__hpool_gone(bide_horigin *o);
/* Sees to it that idle connections are closed in time: one has become idle. 0 or an error. */
int bide__hpool_sweep(bide_http *http);
void bide__hpool_sweep_close(bide_http *http);
/* No exchange is under way any more: nothing of the client's keeps the loop alive. */
void bide__hpool_quiet(bide_http *http);
/* Takes an idle connection off its lists. */
void bide__hpool_take(bide_hconn *hc);

/* ---- connections ---- */

struct bide_hconn {
  bide_hconn *next, *prev;   /* in origin->idle */
  bide_hconn *newer, *older; /* in the pool's list of idle ones */
  bide_horigin *origin;
  bide_conn *conn; /* owned */
  bide_hx *hx;     /* NULL: idle */
  bide_lazy limit;
  bide_h1_head *part; /* owned, with its fields: a head that has come in part */
  bide_hbuf in;       /* … and its bytes */
  double keep;        /* seconds it may be idle */
  uint64_t idle_until;
  uint32_t served;
  uint8_t informed; /* informational responses so far */
  bool heard;       /* bytes of this response have come */
  bool idle;        /* on the pool's lists */
  bool closing;
};

/* Takes a connected transport over. NULL without memory (closed). */
bide_hconn *bide__hconn_new(bide_horigin *o, bide_conn *c);
/* Sends hx's request and awaits its response. */
void bide__hconn_send(bide_hconn *hc, bide_hx *hx);
/* Writes hx->bufs. 1, 0 or an error as bide__conn_write. */
int bide__hconn_write(bide_hconn *hc, bide_hx *hx, unsigned n);
/* Gives the connection up, and its exchange nothing more. */
void bide__hconn_close(bide_hconn *hc);
/* The exchange is over: back to the pool, or closed unless `reusable`. */
void bide__hconn_done(bide_hconn *hc, bool reusable);
/* Idle from now on. */
void bide__hconn_rest(bide_hconn *hc);
/* Sets the deadline anew: a byte has come, or the exchange's phase has changed. */
void bide__hconn_touch(bide_hconn *hc);
/* The same; and the time for the head begins now, since the request has left, or goes on to. */
void bide__hconn_await_head(bide_hconn *hc);
void bide__hconn_resume(bide_hconn *hc);

/* ---- exchanges ---- */

enum { BIDE_HX_COLLECT, BIDE_HX_STREAM, BIDE_HX_DRAINING };
enum {
  BIDE_HX_FOR_NOTHING,
  BIDE_HX_FOR_RESPONSE,
  BIDE_HX_FOR_CONN,
  BIDE_HX_FOR_WRITE,
  BIDE_HX_FOR_INPUT
};

struct bide_hx {
  bide_hx *next, *prev; /* in the waiting line; or http->spare_hx */
  bide_http *http;
  bide_hpool *pool; /* reference */
  bide_horigin *origin;
  bide_hconn *hc;
  bide_connect *connecting; /* owned */
  bide_conn *securing;      /* owned; connected, on its way through a proxy or in its handshake */
  bide_htunnel *tunnel;     /* owned; while a proxy is asked */
  bide_lazy limit;          /* of waiting in the line */
  bide_wait wait;
  uint32_t refs; /* the task's or stream's, one while it is under way */
  /* the request */
  double timeout[BIDE_HP_COUNT];
  uint64_t begun, total_at, headers_at, connect_by;
  uint64_t max_body;
  bide_hbuf out; /* head, and a short body */
  bide_slice long_body;
  int body_ref; /* anchors long_body */
  bide_write write;
  uv_buf_t bufs[3];
  size_t unsent; /* when the deadline was last looked at */
  uint8_t phase, method, mode;
  bool idempotent; /* may be sent once more */
  bool decompress;
  bool bounded; /* max_body holds; else for what is read whole only */
  bool feeding; /* pieces of a streamed body are still to come */
  bool cut;     /* the request's end was not sent: nothing can follow it on its connection */
  bool sending; /* `write` is in the queue */
  bool retried; /* … on a new connection, after a stale one */
  bool in_line;
  bool active;     /* under way: holds a reference */
  uint8_t waiting; /* what `wait` is to be woken for: BIDE_HX_FOR_… */
  bool paused;     /* reading is stopped until the reader has caught up */
  /* the response */
  bool has_head, done, failed, eof;
  bool total_first;   /* the connect's limit is the whole one */
  bool owned_by_wait; /* the task's reference is the continuation's to give back */
  int eof_status;
  bide_h1_head head;
  bide_hbuf head_store; /* its fields and bytes */
  bide_hbody body;
  bide_hbuf text; /* collected: the body so far; streamed: raw input */
  uint64_t got;
  uint64_t elapsed;
  int error;             /* libuv's code, or body.h's, when failed */
  int error_phase;       /* BIDE_HP_… */
  int proxy_status;      /* of BIDE_EPROXY */
  char reason[160];      /* of a failed connect, of BIDE_EPROXY */
  bide_tls_failure *why; /* owned; of BIDE_ETLS, NULL when not known */
  char *proxy;           /* owned: "host:port", once it has failed and if there was one */
  /* the binding's own */
  int redirects;      /* how many are left */
  uint64_t announced; /* bytes of a fed body still to come; UINT64_MAX: chunked */
};

/* A new exchange in pool p, to be filled and begun. NULL without memory. */
bide_hx *bide__hx_new(bide_http *http, bide_hpool *p);
void bide__hx_unref(bide_hx *hx);
/* Starts it; `wait` is woken with 0 once the response is there (streamed: its head), or it has
 * failed; maybe before this returns. With `feeding`, also when the connection is there: hx->hc. */
void bide__hx_begin(bide_hx *hx);
/* `wait` is woken anew, with 0, for what is said (BIDE_HX_FOR_…); at once if it is so already. */
void bide__hx_wait(bide_hx *hx, int what);
/* Fails it, whatever it is doing, and wakes. */
void bide__hx_fail(bide_hx *hx, int error, int phase);
/* Stops it without a word; its connection, if it has one, is closed. */
void bide__hx_stop(bide_hx *hx);
/* Gives the response up: its rest is read away if it is known to be small. */
void bide__hx_abandon(bide_hx *hx);
/* The function that gives the body is called no more, since it is through (`whole`) or its request
 * has its response: what is to come is that. */
void bide__hx_fed(bide_hx *hx, bool whole);
/* Begins to connect; its place in the pool is taken. */
void bide__hx_connect(bide_hx *hx);
/* Seconds that a phase may take, what is left of the whole included (hx->total_first: that is it).
 */
double bide__hx_time_left(bide_hx *hx, int phase);
/* The connection is ready: sends the request over it. */
void bide__hx_use(bide_hx *hx, bide_conn *c);
/* Asks the origin's proxy for a tunnel, then goes on to TLS (client_tunnel.c); gives that up. */
void bide__hx_tunnel(bide_hx *hx, bide_conn *c);
void bide__hx_untunnel(bide_hx *hx);
/* Makes the new connection a TLS one first (client_tls.c); gives that up; notes why it failed. */
void bide__hx_secure(bide_hx *hx, bide_conn *c);
void bide__hx_unsecure(bide_hx *hx);
void bide__hx_note(bide_hx *hx, const bide_conn *c);
/* From its connection: the head is complete; body bytes; the end of the stream (0 or a code). */
void bide__hx_head(bide_hx *hx, const bide_h1_head *head);
void bide__hx_data(bide_hx *hx, const char *p, size_t n);
void bide__hx_end(bide_hx *hx, int status);
/* May the request be sent again on a new connection, after the old one failed without a byte? */
bool bide__hx_retry(bide_hx *hx, int status);
/* Streamed: the next piece that is there, as bide__hbody_next; *piece is borrowed until the next
 * call. */
int bide__hx_piece(bide_hx *hx, bide_slice *piece);
/* Sends pieces of a streamed request body. 1 sent, 0 they are borrowed until BIDE_HX_FOR_WRITE,
 * negative: no more is wanted, the response (or a failure) is there. */
int bide__hx_feed(bide_hx *hx, const bide_slice *pieces, unsigned n);
/* The request's bytes have left, or never will (negative). From the connection. */
void bide__hx_sent(bide_hx *hx, int status);
void bide__hx_free_spares(bide_http *http);

extern const bide_waitops bide__hx_ops;

#endif
