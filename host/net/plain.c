/* SPDX-License-Identifier: MIT */
/* plain.c: the transport over a stream socket (contract in plain.h).
 *
 * `ready` of the poll tells what the last answer left open: after a short read there is nothing
 * more until the next event, and recv says so without asking the kernel. */
#include "plain.h"
#include "poll.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct bide_plain {
  bide_conn conn; /* first */
  bide_poll poll;
  bide_addr peer; /* family 0: not known */
} bide_plain;

static ssize_t plain_recv(bide_conn *c, char *p, size_t n) {
  bide_plain *s = (bide_plain *)c;
  ssize_t got;
  if (!(s->poll.ready & UV_READABLE)) return UV_EAGAIN;
  do got = recv(s->poll.fd, p, n, 0);
  while (got < 0 && errno == EINTR);
  if (got == 0) return UV_EOF;
  if (got > 0 && (size_t)got == n) return got;
  if (got > 0) bide__poll_short(&s->poll);
  else if (errno == EAGAIN) bide__poll_spent(&s->poll, UV_READABLE);
  return got > 0 ? got : uv_translate_sys_error(errno);
}

static size_t total(const uv_buf_t *bufs, unsigned n) {
  size_t sum = 0;
  for (unsigned i = 0; i < n; i++) sum += bufs[i].len;
  return sum;
}

static ssize_t plain_send(bide_conn *c, const uv_buf_t *bufs, unsigned n) {
  bide_plain *s = (bide_plain *)c;
  struct msghdr m = {.msg_iov = (struct iovec *)bufs, .msg_iovlen = n};
  ssize_t sent;
  do
    sent = n == 1 ? send(s->poll.fd, bufs->base, bufs->len, MSG_NOSIGNAL)
                  : sendmsg(s->poll.fd, &m, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent < 0 ? errno == EAGAIN : (size_t)sent < total(bufs, n))
    bide__poll_spent(&s->poll, UV_WRITABLE);
  if (sent >= 0) return sent;
  return errno == ENOBUFS ? UV_EAGAIN : uv_translate_sys_error(errno);
}

static int plain_want(bide_conn *c, int events) {
  return bide__poll_want(&((bide_plain *)c)->poll, events);
}

static int plain_shutdown(bide_conn *c) {
  return shutdown(((bide_plain *)c)->poll.fd, SHUT_WR) ? uv_translate_sys_error(errno) : 0;
}

static void plain_close(bide_conn *c) {
  bide__poll_close(&((bide_plain *)c)->poll);
}

static void plain_free(bide_conn *c) {
  bide__free(c->host, c, sizeof(bide_plain));
}

static int plain_fd(const bide_conn *c) {
  return ((const bide_plain *)c)->poll.fd;
}

static void plain_ref(bide_conn *c, int on) {
  bide__poll_ref(&((bide_plain *)c)->poll, on);
}

static const bide_addr *plain_peer(const bide_conn *c) {
  const bide_plain *s = (const bide_plain *)c;
  return s->peer.sa.sa_family ? &s->peer : NULL;
}

static int plain_quiet(bide_conn *c) {
  char byte;
  ssize_t n = recv(((bide_plain *)c)->poll.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static const bide_conn_ops plain_ops = {
    .name = "socket",
    .recv = plain_recv,
    .send = plain_send,
    .want = plain_want,
    .shutdown = plain_shutdown,
    .close = plain_close,
    .free = plain_free,
    .fd = plain_fd,
    .peer = plain_peer,
    .ref = plain_ref,
    .quiet = plain_quiet,
};

static bide_conn *conn_of(bide_poll *p) {
  return &bide_container(p, bide_plain, poll)->conn;
}

static void on_events(bide_poll *p, int events) {
  bide__conn_event(conn_of(p), events);
}
static void on_closed(bide_poll *p) {
  bide__conn_ended(conn_of(p));
}
static void on_teardown(bide_poll *p) {
  bide__conn_close(conn_of(p));
}

static const bide_poll_ops poll_ops = {on_events, on_closed, on_teardown};

int bide__plain_open(bide_host *h, int fd, const bide_addr *peer, int events, bide_conn **out) {
  bide_net *net = bide__net(h);
  bide_plain *s = net ? bide__alloc(h, sizeof *s) : NULL;
  if (!s) {
    close(fd);
    return h->closed ? UV_ECANCELED : UV_ENOMEM;
  }
  int status = bide__poll_open(net, &s->poll, fd, BIDE_POLL_STREAM, &poll_ops, events);
  if (status) {
    bide__free(h, s, sizeof *s);
    return status;
  }
  bide__conn_init(h, &s->conn, &plain_ops);
  s->peer = peer ? *peer : (bide_addr){0};
  *out = &s->conn;
  return 0;
}

int bide__socket(int family, int type) {
#ifdef BIDE_LINUX
  int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? uv_translate_sys_error(errno) : fd;
#else
  int fd = socket(family, type, 0);
  return fd < 0 ? uv_translate_sys_error(errno) : bide__socket_prepare(fd);
#endif
}

int bide__accept(int fd, struct sockaddr *peer, socklen_t *len) {
#ifdef BIDE_LINUX
  return accept4(fd, peer, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
  int new_fd = accept(fd, peer, len);
  return new_fd < 0 ? new_fd : bide__socket_prepare(new_fd);
#endif
}

int bide__socket_prepare(int fd) {
#ifdef SO_NOSIGPIPE
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}
