/* SPDX-License-Identifier: MIT */
/* listener.c: the accept loop (contract in listener.h).
 *
 * Freed when it was given up, its handle is closed and its last connection released.
 * Accepted sockets inherit TCP_NODELAY from the listening one: no system call per connection. */
#include "listener.h"
#include "connect.h"
#include "plain.h"
#include "poll.h"
#include "core/error.h"
#include "core/policy.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG       511
#define ACCEPT_TURNS  64   /* connections taken per event, so that others get their turn */
#define BACKOFF_FIRST 0.05 /* seconds of pause when descriptors have run out, doubled … */
#define BACKOFF_LAST  1.0  /* … up to this */

struct bide_listener {
  bide_host *host;
  bide_poll poll;
  bide_alarm resume;
  void (*on_conn)(bide_listener *l, bide_conn *c);
  void *user;
  bide_listen_layer *layer; /* owned; NULL: none */
  double pause;             /* 0: no shortage */
  uint32_t open, max;
  unsigned char listening, handle_open, given_up;
  size_t path_len; /* of a unix socket's file, 0: none */
  dev_t dev;
  ino_t ino;
  char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static void maybe_free(bide_listener *l) {
  if (!l->given_up || l->handle_open || l->open) return;
  if (l->layer) l->layer->free(l->layer);
  bide__free(l->host, l, sizeof *l);
}

/* Accepts only below the limit and outside a pause. */
static void update(bide_listener *l) {
  int room = !l->max || l->open < l->max;
  if (l->listening) bide__poll_want(&l->poll, room && !l->resume.timer.pos ? UV_READABLE : 0);
}

static void on_resume(bide_alarm *a) {
  update(bide_container(a, bide_listener, resume));
}

static int is_shortage(int status) {
  return status == UV_EMFILE || status == UV_ENFILE || status == UV_ENOMEM || status == UV_ENOBUFS;
}

/* One line per spell, then a pause that grows. */
static void back_off(bide_listener *l, int status) {
  if (l->pause == 0) {
    char text[128];
    snprintf(text, sizeof text, "accept: %s (%s); new connections wait", bide__code_text(status),
             bide__code_name(status));
    bide__net_report(l->host, text);
  }
  l->pause = l->pause == 0 ? BACKOFF_FIRST : l->pause * 2;
  if (l->pause > BACKOFF_LAST) l->pause = BACKOFF_LAST;
  bide__alarm_again(l->host, &l->resume, l->pause, on_resume);
}

static int accept_one(bide_listener *l, bide_conn **out) {
  bide_addr peer = {0};
  socklen_t len = sizeof peer;
  int fd = bide__accept(l->poll.fd, &peer.sa, &len);
  if (fd < 0) return uv_translate_sys_error(errno);
  bide__addr_unmap(&peer);
  int known = peer.sa.sa_family == AF_INET || peer.sa.sa_family == AF_INET6;
  return bide__plain_open(l->host, fd, known ? &peer : NULL, UV_READABLE, out);
}

static void on_events(bide_poll *p, int events) {
  bide_listener *l = bide_container(p, bide_listener, poll);
  (void)events;
  for (int i = 0; i < ACCEPT_TURNS && l->listening && (!l->max || l->open < l->max); i++) {
    bide_conn *c;
    int status = accept_one(l, &c);
    if (status == UV_EAGAIN) {
      bide__poll_spent(p, UV_READABLE);
      break;
    }
    if (is_shortage(status)) {
      back_off(l, status);
      break;
    }
    if (status) continue; /* the peer has gone again */
    l->pause = 0;
    l->open++;
    if (l->layer) l->layer->accept(l->layer, l, c);
    else l->on_conn(l, c);
  }
  update(l);
}

static void on_closed(bide_poll *p) {
  bide_listener *l = bide_container(p, bide_listener, poll);
  l->handle_open = 0;
  maybe_free(l);
}

static void on_teardown(bide_poll *p) {
  bide__listener_close(bide_container(p, bide_listener, poll));
}

static const bide_poll_ops poll_ops = {on_events, on_closed, on_teardown};

static bide_listener *new_listener(bide_host *h, const bide_listen_options *o,
                                   void (*on_conn)(bide_listener *, bide_conn *), void *user) {
  int may = bide__net(h) && !bide__may_open(h);
  bide_listener *l = may ? bide__alloc(h, sizeof *l) : NULL;
  bide_listen_layer *layer = o ? o->layer : NULL;
  if (!l && layer) layer->free(layer);
  if (!l) return NULL;
  *l = (bide_listener){.host = h, .on_conn = on_conn, .user = user, .layer = layer};
  l->max = o ? o->max : 0;
  return l;
}

/* Takes the bound descriptor into service; closes it on failure. */
static int open_listener(bide_listener *l, int fd, const bide_listen_options *o) {
  if (listen(fd, o && o->backlog > 0 ? o->backlog : BACKLOG)) {
    int status = uv_translate_sys_error(errno);
    close(fd);
    return status;
  }
  int status =
      bide__poll_open(bide__net(l->host), &l->poll, fd, BIDE_POLL_LISTENER, &poll_ops, UV_READABLE);
  if (status) return status;
  l->listening = l->handle_open = 1;
  status = bide__poll_want(&l->poll, UV_READABLE);
  if (status) bide__listener_close(l);
  return status;
}

static int bind_address(int fd, const bide_addr *addr, const bide_listen_options *o) {
  int on = 1, off = o && o->v6only;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (addr->sa.sa_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (o && o->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on))
    return uv_translate_sys_error(errno);
  return bind(fd, &addr->sa, bide__addr_len(addr)) ? uv_translate_sys_error(errno) : 0;
}

int bide__listen(bide_host *h, const bide_addr *addr, const bide_listen_options *o,
                 void (*on_conn)(bide_listener *l, bide_conn *c), void *user, bide_listener **out) {
  bide_listener *l = new_listener(h, o, on_conn, user);
  if (!l) return h->closed ? UV_ECANCELED : bide__may_open(h) ? UV_EACCES : UV_ENOMEM;
  int fd = bide__socket(addr->sa.sa_family, SOCK_STREAM), status = fd < 0 ? fd : 0;
  if (!status && (status = bind_address(fd, addr, o))) close(fd);
  if (!status) status = open_listener(l, fd, o);
  if (status) bide__listener_free(l);
  else *out = l;
  return status;
}

/* --- unix sockets --- */

/* Is the file a socket that nobody listens on? Only then may it be replaced. */
static int is_stale(const struct sockaddr_un *addr, socklen_t len) {
  struct stat st;
  int fd, stale;
  if (lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode)) return 0;
  if ((fd = bide__socket(AF_UNIX, SOCK_STREAM)) < 0) return 0;
  stale = connect(fd, (const struct sockaddr *)addr, len) && errno == ECONNREFUSED;
  close(fd);
  return stale;
}

static int bind_path(bide_listener *l, int fd, const char *path, size_t len,
                     const bide_listen_options *o) {
  struct sockaddr_un addr;
  struct stat st;
  socklen_t size;
  int status = bide__unix_address(path, len, &addr, &size);
  if (status) return status;
  int r = bind(fd, (struct sockaddr *)&addr, size);
  if (r && errno == EADDRINUSE && path[0] && is_stale(&addr, size) && !unlink(addr.sun_path))
    r = bind(fd, (struct sockaddr *)&addr, size);
  if (r) return uv_translate_sys_error(errno ? errno : EADDRINUSE);
  if (!path[0] || lstat(addr.sun_path, &st)) return 0;
  memcpy(l->path, path, len);
  l->path_len = len;
  l->dev = st.st_dev;
  l->ino = st.st_ino;
  if (o && o->mode && chmod(l->path, (mode_t)o->mode)) return uv_translate_sys_error(errno);
  return 0;
}

static void remove_path(bide_listener *l) {
  struct stat st;
  if (l->path_len && !lstat(l->path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
    unlink(l->path);
  l->path_len = 0;
}

int bide__listen_unix(bide_host *h, const char *path, size_t len, const bide_listen_options *o,
                      void (*on_conn)(bide_listener *l, bide_conn *c), void *user,
                      bide_listener **out) {
  bide_listener *l = new_listener(h, o, on_conn, user);
  if (!l) return h->closed ? UV_ECANCELED : bide__may_open(h) ? UV_EACCES : UV_ENOMEM;
  int fd = bide__socket(AF_UNIX, SOCK_STREAM), status = fd < 0 ? fd : 0;
  if (!status && (status = bind_path(l, fd, path, len, o))) close(fd);
  if (!status) status = open_listener(l, fd, o);
  if (status) bide__listener_free(l);
  else *out = l;
  return status;
}

/* --- the open listener --- */

void *bide__listener_user(const bide_listener *l) {
  return l->user;
}

uint32_t bide__listener_open(const bide_listener *l) {
  return l->open;
}

int bide__listener_address(const bide_listener *l, bide_addr *out) {
  socklen_t len = sizeof *out;
  memset(out, 0, sizeof *out);
  if (!l->listening) return UV_EBADF;
  return getsockname(l->poll.fd, &out->sa, &len) ? uv_translate_sys_error(errno) : 0;
}

void bide__listener_deliver(bide_listener *l, bide_conn *c) {
  l->on_conn(l, c);
}

void bide__listener_release(bide_listener *l) {
  l->open--;
  update(l);
  maybe_free(l);
}

void bide__listener_ref(bide_listener *l, int on) {
  if (l->listening) bide__poll_ref(&l->poll, on);
}

void bide__listener_close(bide_listener *l) {
  bide__alarm_stop(l->host, &l->resume);
  remove_path(l);
  if (!l->listening) return;
  l->listening = 0;
  bide__poll_close(&l->poll);
  if (l->layer) l->layer->close(l->layer);
}

void bide__listener_free(bide_listener *l) {
  bide__listener_close(l);
  l->given_up = 1;
  maybe_free(l);
}
