/* SPDX-License-Identifier: MIT */
/* socket.c: watched sockets (contract in socket.h). */
#include "socket.h"
#include "core/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void update(bide_socket *s) {
  int events = 0;
  for (const bide_watch *w = s->watches; w; w = w->next) events |= w->events;
  if (s->poll.fd >= 0) bide__poll_want(&s->poll, events);
}

/* Takes those that wait for one of `events` (0: all) off and fires them. */
static void fire(bide_socket *s, int events) {
  bide_watch *due = NULL, **end = &due, **at = &s->watches;
  while (*at) {
    bide_watch *w = *at;
    if (events && !(w->events & events)) {
      at = &w->next;
      continue;
    }
    *at = w->next;
    w->next = NULL;
    *end = w;
    end = &w->next;
  }
  while (due) {
    bide_watch *w = due;
    due = w->next;
    w->socket = NULL;
    w->fire(w, events & w->events);
  }
}

static void on_events(bide_poll *p, int events) {
  bide_socket *s = (bide_socket *)p;
  fire(s, events);
  update(s);
}

static void on_closed(bide_poll *p) {
  bide_socket *s = (bide_socket *)p;
  bide__free(s->host, s, sizeof *s);
}

static void on_teardown(bide_poll *p) {
  bide__socket_close((bide_socket *)p);
}

static const bide_poll_ops poll_ops = {on_events, on_closed, on_teardown};

int bide__socket_open(bide_host *h, int fd, bide_socket **out) {
  bide_net *net = bide__net(h);
  bide_socket *s = net ? bide__alloc(h, sizeof *s) : NULL;
  int status = bide__may_open(h);
  if (!s || status) {
    if (s) bide__free(h, s, sizeof *s);
    close(fd);
    return status ? status : h->closed ? UV_ECANCELED : UV_ENOMEM;
  }
  *s = (bide_socket){.host = h};
  status =
      bide__poll_open(net, &s->poll, fd, BIDE_POLL_SOCKET, &poll_ops, UV_READABLE | UV_WRITABLE);
  if (status) bide__free(h, s, sizeof *s);
  else *out = s;
  return status;
}

int bide__socket_watch(bide_socket *s, bide_watch *w) {
  w->socket = s;
  w->next = s->watches;
  s->watches = w;
  int events = 0;
  for (const bide_watch *at = s->watches; at; at = at->next) events |= at->events;
  int status = bide__poll_want(&s->poll, events);
  if (status) bide__socket_unwatch(w);
  return status;
}

void bide__socket_unwatch(bide_watch *w) {
  bide_socket *s = w->socket;
  bide_watch **at;
  if (!s) return;
  for (at = &s->watches; *at && *at != w; at = &(*at)->next) continue;
  if (*at) *at = w->next;
  w->socket = NULL;
  update(s);
}

void bide__socket_spent(bide_socket *s, int events) {
  bide__poll_spent(&s->poll, events);
}

void bide__socket_close(bide_socket *s) {
  if (s->owner) *s->owner = NULL;
  s->owner = NULL;
  bide__poll_close(&s->poll);
  fire(s, 0);
}

/* The poll closes its descriptor; the socket lives on under the same number. */
int bide__socket_release(bide_socket *s) {
  int fd = s->poll.fd, kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (kept < 0) return uv_translate_sys_error(errno);
  bide__socket_close(s);
  if (dup2(kept, fd) < 0) fd = -1;
  close(kept);
  return fd;
}
