/* SPDX-License-Identifier: MIT */
/* conn.c: the write queue, pushing and closing, over any transport (contract in conn.h).
 *
 * Invariant: c->last is NULL or the socket has refused bytes and UV_WRITABLE is wanted. After every
 * call of the user's the state is looked at anew, for it may have closed the connection. */
#include "conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

enum {
  PUSH = 1,     /* on_data is wanted */
  WANT_R = 2,   /* one on_readable is wanted */
  WANT_W = 4,   /* one on_writable is wanted */
  FULL = 8,     /* the queue has grown past the high mark: on_drain is owed */
  SHUT = 16,    /* no more is taken for sending */
  SHUT_OK = 32, /* … and the transport has been told */
  CLOSING = 64,
};

#define PUSH_TURNS 8 /* reads in a row per event, so that others get their turn */

static const bide_conn_cbs nobody;

void bide__conn_init(bide_host *h, bide_conn *c, const bide_conn_ops *ops) {
  *c = (bide_conn){.ops = ops, .cbs = &nobody, .host = h};
}

void bide__conn_use(bide_conn *c, const bide_conn_cbs *cbs, void *user) {
  c->cbs = cbs ? cbs : &nobody;
  c->user = user;
}

static int update(bide_conn *c) {
  int events = 0;
  if (c->flags & CLOSING) return UV_EBADF;
  if (c->flags & (PUSH | WANT_R)) events |= UV_READABLE;
  if (c->last || (c->flags & WANT_W) || (c->flags & (SHUT | SHUT_OK)) == SHUT)
    events |= UV_WRITABLE;
  return c->ops->want(c, events);
}

/* --- reading --- */

ssize_t bide__conn_recv(bide_conn *c, char *p, size_t n) {
  return c->flags & CLOSING ? UV_EBADF : c->ops->recv(c, p, n);
}

ssize_t bide__conn_send(bide_conn *c, const uv_buf_t *bufs, unsigned n) {
  return c->flags & CLOSING ? UV_EBADF : c->ops->send(c, bufs, n);
}

int bide__conn_want(bide_conn *c, int events) {
  if (events & UV_READABLE) c->flags |= WANT_R;
  if (events & UV_WRITABLE) c->flags |= WANT_W;
  return update(c);
}

void bide__conn_unwant(bide_conn *c, int events) {
  if (events & UV_READABLE) c->flags &= (uint16_t)~WANT_R;
  if (events & UV_WRITABLE) c->flags &= (uint16_t)~WANT_W;
  update(c);
}

void bide__conn_ref(bide_conn *c, int on) {
  if (!(c->flags & CLOSING)) c->ops->ref(c, on);
}

int bide__conn_read_start(bide_conn *c) {
  c->flags |= PUSH;
  return update(c);
}

void bide__conn_read_stop(bide_conn *c) {
  c->flags &= (uint16_t)~PUSH;
  update(c);
}

static void push(bide_conn *c) {
  char *buf = bide__read_buffer(c->host);
  for (int turn = 0; turn < PUSH_TURNS && (c->flags & (PUSH | CLOSING)) == PUSH; turn++) {
    ssize_t n = buf ? c->ops->recv(c, buf, BIDE_READ_BUFFER) : UV_ENOMEM;
    if (n == UV_EAGAIN) return;
    if (n > 0) {
      c->cbs->on_data(c, buf, (size_t)n);
      continue;
    }
    bide__conn_read_stop(c);
    if (c->cbs->on_end) c->cbs->on_end(c, n == UV_EOF ? 0 : (int)n);
  }
}

/* --- writing --- */

/* Takes `sent` bytes off the front of a write; returns whether nothing is left of it. */
static int advance(bide_write *w, size_t *sent) {
  while (w->n && *sent >= w->bufs->len) {
    *sent -= w->bufs->len;
    w->bufs++;
    w->n--;
  }
  if (!w->n) return 1;
  w->bufs->base += *sent;
  w->bufs->len -= *sent;
  *sent = 0;
  return 0;
}

static bide_write *pop(bide_conn *c) {
  bide_write *w = c->last->next;
  if (w == c->last) c->last = NULL;
  else c->last->next = w->next;
  w->next = NULL;
  return w;
}

static void append(bide_conn *c, bide_write *w) {
  if (c->last) {
    w->next = c->last->next;
    c->last->next = w;
  } else {
    w->next = w;
  }
  c->last = w;
  for (unsigned i = 0; i < w->n; i++) c->queued += w->bufs[i].len;
  if (c->queued > BIDE_WRITE_HIGH) c->flags |= FULL;
}

/* Everything that is queued will never leave. */
static void fail_queue(bide_conn *c, int status) {
  c->queued = 0;
  while (c->last) {
    bide_write *w = pop(c);
    w->done(w, status);
  }
}

static size_t total(const uv_buf_t *bufs, unsigned n) {
  size_t sum = 0;
  for (unsigned i = 0; i < n; i++) sum += bufs[i].len;
  return sum;
}

/* The first pieces of the queue, across writes. */
static unsigned gather(const bide_conn *c, uv_buf_t *bufs) {
  const bide_write *w = c->last;
  unsigned n = 0;
  do {
    w = w->next;
    for (unsigned i = 0; i < w->n && n < BIDE_WRITE_PIECES; i++) bufs[n++] = w->bufs[i];
  } while (w != c->last && n < BIDE_WRITE_PIECES);
  return n;
}

/* Sends one system call's worth of the queue. 1 to go on, 0 when the socket is full, or an error.
 */
static int flush_some(bide_conn *c) {
  uv_buf_t bufs[BIDE_WRITE_PIECES];
  unsigned n = gather(c, bufs);
  size_t asked = total(bufs, n);
  ssize_t r = c->ops->send(c, bufs, n);
  if (r < 0) return r == UV_EAGAIN ? 0 : (int)r;
  size_t sent = (size_t)r;
  int more = sent == asked;
  c->queued -= sent;
  while (c->last && advance(c->last->next, &sent)) {
    bide_write *w = pop(c);
    w->done(w, 0);
    if (c->flags & CLOSING) return 0;
  }
  return more;
}

/* Tells the transport that no more will come, once the queue is empty. */
static void finish(bide_conn *c) {
  int status = c->ops->shutdown(c);
  if (status == UV_EAGAIN) return;
  c->flags |= SHUT_OK;
  if (status && !c->error) c->error = status;
}

/* What is owed when the queue has become short: a drain, the end. */
static void flushed(bide_conn *c) {
  int ending = !c->last && (c->flags & (SHUT | SHUT_OK)) == SHUT;
  if (ending) finish(c);
  update(c);
  if ((c->flags & FULL) && (c->queued <= BIDE_WRITE_LOW || c->error)) {
    c->flags &= (uint16_t)~FULL;
    if (c->cbs->on_drain) c->cbs->on_drain(c);
  }
  if (ending && (c->flags & (SHUT_OK | CLOSING)) == SHUT_OK && c->cbs->on_shutdown)
    c->cbs->on_shutdown(c, c->error);
}

static void flush(bide_conn *c) {
  int status = 1;
  for (int turn = 0; turn < PUSH_TURNS && status > 0 && c->last; turn++) status = flush_some(c);
  if (c->flags & CLOSING) return;
  if (status < 0) {
    c->error = status;
    fail_queue(c, status);
    if (c->flags & CLOSING) return;
  }
  flushed(c);
}

int bide__conn_refusal(const bide_conn *c) {
  if (c->flags & CLOSING) return UV_EBADF;
  if (c->error) return c->error;
  return c->flags & SHUT ? UV_EPIPE : 0;
}

int bide__conn_try_write(bide_conn *c, bide_write *w) {
  int status = bide__conn_refusal(c);
  while (!status) {
    unsigned n = w->n < BIDE_WRITE_PIECES ? w->n : BIDE_WRITE_PIECES;
    size_t asked = total(w->bufs, n), sent;
    ssize_t r = asked ? c->ops->send(c, w->bufs, n) : 0;
    if (r == UV_EAGAIN) return 0;
    if (r < 0) return c->error = (int)r;
    sent = (size_t)r;
    int whole = sent == asked;
    if (advance(w, &sent)) return 1;
    if (!whole) return 0;
  }
  return status;
}

void bide__conn_queue_write(bide_conn *c, bide_write *w) {
  append(c, w);
  update(c);
}

int bide__conn_write(bide_conn *c, bide_write *w, uv_buf_t *bufs, unsigned n,
                     void (*done)(bide_write *w, int status)) {
  *w = (bide_write){.bufs = bufs, .n = n, .done = done};
  int status = c->last ? bide__conn_refusal(c) : bide__conn_try_write(c, w);
  if (!status) bide__conn_queue_write(c, w);
  return status;
}

int bide__conn_shutdown(bide_conn *c) {
  if (c->flags & CLOSING) return UV_EBADF;
  if (c->flags & SHUT) return 0;
  c->flags |= SHUT;
  if (c->last) return 0;
  flushed(c);
  return c->error;
}

int bide__conn_is_shut(const bide_conn *c) {
  return c->flags & SHUT_OK ? 1 : 0;
}

void bide__conn_event(bide_conn *c, int events) {
  if (c->flags & CLOSING) return;
  if ((events & UV_WRITABLE) && (c->last || (c->flags & (SHUT | SHUT_OK)) == SHUT)) flush(c);
  if (c->flags & CLOSING) return;
  if ((events & UV_WRITABLE) && (c->flags & WANT_W)) {
    bide__conn_unwant(c, UV_WRITABLE);
    if (c->cbs->on_writable) c->cbs->on_writable(c);
  }
  if (c->flags & CLOSING || !(events & UV_READABLE)) return;
  if (c->flags & PUSH) push(c);
  if ((c->flags & (WANT_R | CLOSING)) != WANT_R) return;
  bide__conn_unwant(c, UV_READABLE);
  if (c->cbs->on_readable) c->cbs->on_readable(c);
}

/* --- closing --- */

void bide__conn_close(bide_conn *c) {
  if (c->flags & CLOSING) return;
  c->flags |= CLOSING;
  c->ops->want(c, 0);
  fail_queue(c, UV_ECANCELED);
  c->ops->close(c);
}

void bide__conn_ended(bide_conn *c) {
  if (c->cbs->on_closed) c->cbs->on_closed(c);
  c->ops->free(c);
}

int bide__conn_is_closing(const bide_conn *c) {
  return c->flags & CLOSING ? 1 : 0;
}

/* --- the socket beneath --- */

int bide__conn_is_quiet(bide_conn *c) {
  return !(c->flags & CLOSING) && !c->error && !c->last && c->ops->quiet(c);
}

const bide_addr *bide__conn_peer(const bide_conn *c) {
  return c->ops->peer(c);
}

int bide__conn_local(const bide_conn *c, bide_addr *out) {
  struct sockaddr_storage ss = {0};
  socklen_t len = sizeof ss;
  int fd = c->flags & CLOSING ? -1 : c->ops->fd(c);
  if (fd < 0) return UV_EBADF;
  if (getsockname(fd, (struct sockaddr *)&ss, &len)) return uv_translate_sys_error(errno);
  memset(out, 0, sizeof *out);
  out->sa.sa_family = ss.ss_family;
  if (ss.ss_family == AF_INET || ss.ss_family == AF_INET6) memcpy(out, &ss, sizeof *out);
  return 0;
}

static int set_option(bide_conn *c, int level, int name, int value) {
  int fd = c->flags & CLOSING ? -1 : c->ops->fd(c);
  if (fd < 0) return UV_EBADF;
  return setsockopt(fd, level, name, &value, sizeof value) ? uv_translate_sys_error(errno) : 0;
}

int bide__conn_nodelay(bide_conn *c, int on) {
  return set_option(c, IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
}

int bide__conn_keepalive(bide_conn *c, unsigned seconds) {
  int status = set_option(c, SOL_SOCKET, SO_KEEPALIVE, seconds != 0);
  if (status || !seconds) return status;
#ifdef TCP_KEEPIDLE
  status = set_option(c, IPPROTO_TCP, TCP_KEEPIDLE, (int)seconds);
#else
  status = set_option(c, IPPROTO_TCP, TCP_KEEPALIVE, (int)seconds);
#endif
  if (!status) status = set_option(c, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  return status ? status : set_option(c, IPPROTO_TCP, TCP_KEEPCNT, 10);
}
