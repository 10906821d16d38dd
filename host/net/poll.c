/* SPDX-License-Identifier: MIT */
/* poll.c: the epoll set of a host and its place in the loop (contract in poll.h).
 *
 * Three rings hold every poll: `open`; `again`, those that are ready and wanted without a new edge;
 * `closed`, whose owners have yet to be told. The last two are served by an idle handle, which runs
 * only while there are any: never in a call of the owner's, never while events are handed out, so
 * an event whose poll was closed meanwhile finds its memory still there. */
#ifdef __linux__

#include "poll.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BATCH 256
#define WEAK  0x80

static const bide_poll_ops *ops_of(const bide_poll *p) {
  return p->net->poll_ops[p->kind];
}

static void move(bide_poll *p, bide_netlink *ring) {
  bide__net_unlink(&p->link);
  bide__net_link(ring, &p->link);
}

static void on_idle(uv_idle_t *handle);

static void later(bide_poll *p, bide_netlink *ring) {
  move(p, ring);
  uv_idle_start(&p->net->idle, on_idle);
}

/* Hands out what is ready and wanted; what still is afterwards comes again. */
static void report(bide_poll *p) {
  int events = p->ready & p->wanted;
  if (events) ops_of(p)->on_events(p, events);
  if (p->fd >= 0 && (p->ready & p->wanted)) later(p, &p->net->again);
}

/* Takes a ring's members over into an empty one. */
static void take(bide_netlink *to, bide_netlink *from) {
  to->next = to->prev = to;
  if (from->next == from) return;
  *to = *from;
  to->next->prev = to->prev->next = to;
  from->next = from->prev = from;
}

static void tell_closed(bide_netlink *ring) {
  while (ring->prev != ring) {
    bide_poll *p = (bide_poll *)ring->prev;
    bide__net_unlink(&p->link);
    ops_of(p)->on_closed(p);
  }
}

static void on_idle(uv_idle_t *handle) {
  bide_net *net = handle->data;
  bide_netlink closed, again;
  uv_idle_stop(handle);
  take(&closed, &net->closed_polls);
  take(&again, &net->again);
  tell_closed(&closed);
  while (again.prev != &again) {
    bide_poll *p = (bide_poll *)again.prev;
    move(p, &net->open);
    report(p);
  }
}

static void on_set(uv_poll_t *handle, int status, int events) {
  bide_net *net = handle->data;
  struct epoll_event ev[BATCH];
  (void)status;
  (void)events;
  int n = epoll_wait(net->set, ev, BATCH, 0);
  for (int i = 0; i < n; i++) {
    bide_poll *p = ev[i].data.ptr;
    if (p->fd < 0) continue;
    if (ev[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) p->flags |= BIDE_POLL_ENDED;
    if (ev[i].events & ~(unsigned)EPOLLOUT) p->ready |= UV_READABLE;
    if (ev[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) p->ready |= UV_WRITABLE;
    report(p);
  }
}

static int control(bide_poll *p, int how, int events) {
  struct epoll_event ev = {.events = EPOLLET, .data.ptr = p};
  if (events & UV_READABLE) ev.events |= EPOLLIN | EPOLLRDHUP;
  if (events & UV_WRITABLE) ev.events |= EPOLLOUT;
  if (epoll_ctl(p->net->set, how, p->fd, &ev)) return uv_translate_sys_error(errno);
  p->flags |= (uint8_t)events;
  return 0;
}

int bide__poll_open(bide_net *net, bide_poll *p, int fd, int kind, const bide_poll_ops *ops,
                    int events) {
  *p = (bide_poll){.net = net, .fd = fd, .kind = (uint8_t)kind};
  int status = control(p, EPOLL_CTL_ADD, events);
  if (status) {
    close(fd);
    p->fd = -1;
    return status;
  }
  net->poll_ops[kind] = ops;
  bide__net_link(&net->open, &p->link);
  return 0;
}

/* Counts the polls that keep the loop alive. */
static void count(bide_poll *p, int before) {
  int after = p->wanted && !(p->flags & WEAK);
  if (before == after) return;
  p->net->alive += after ? 1u : -1u;
  if (p->net->alive == 1 && after) uv_ref((uv_handle_t *)&p->net->handle);
  if (p->net->alive == 0) uv_unref((uv_handle_t *)&p->net->handle);
}

int bide__poll_want(bide_poll *p, int events) {
  int before = p->wanted && !(p->flags & WEAK), status = 0;
  if (p->fd < 0) return UV_EBADF;
  if (events & ~p->flags) status = control(p, EPOLL_CTL_MOD, events | (p->flags & 3));
  p->wanted = (uint8_t)events;
  count(p, before);
  if (p->ready & events) later(p, &p->net->again);
  return status;
}

void bide__poll_ref(bide_poll *p, int on) {
  int before = p->wanted && !(p->flags & WEAK);
  p->flags = (uint8_t)(on ? p->flags & ~WEAK : p->flags | WEAK);
  count(p, before);
}

/* Out of the set explicitly: a forked child may hold the description, and its events, open. */
void bide__poll_close(bide_poll *p) {
  assert(p->fd >= 0);
  bide__poll_want(p, 0);
  epoll_ctl(p->net->set, EPOLL_CTL_DEL, p->fd, NULL);
  close(p->fd);
  p->fd = -1;
  later(p, &p->net->closed_polls);
}

int bide__polls_open(bide_net *net) {
  uv_loop_t *loop = net->host->loop;
  net->open.next = net->open.prev = &net->open;
  net->again.next = net->again.prev = &net->again;
  net->closed_polls.next = net->closed_polls.prev = &net->closed_polls;
  net->set = epoll_create1(EPOLL_CLOEXEC);
  if (net->set < 0) return uv_translate_sys_error(errno);
  int status = uv_poll_init(loop, &net->handle, net->set);
  if (status) {
    close(net->set);
    return status;
  }
  uv_idle_init(loop, &net->idle);
  net->handle.data = net->idle.data = net;
  uv_poll_start(&net->handle, UV_READABLE, on_set);
  uv_unref((uv_handle_t *)&net->handle);
  return 0;
}

static void on_handle_closed(uv_handle_t *handle) {
  bide_net *net = handle->data;
  net->host->closing_handles--;
  if (++net->handles_closed == 2) bide__free(net->host, net, sizeof *net);
}

void bide__polls_close(bide_net *net) {
  bide_netlink *rings[] = {&net->open, &net->again};
  for (int i = 0; i < 2; i++)
    while (rings[i]->next != rings[i]) {
      bide_poll *p = (bide_poll *)rings[i]->next;
      ops_of(p)->on_teardown(p);
    }
  while (net->closed_polls.next != &net->closed_polls) {
    bide_netlink closed;
    take(&closed, &net->closed_polls);
    tell_closed(&closed);
  }
  net->host->closing_handles += 2;
  uv_close((uv_handle_t *)&net->handle, on_handle_closed);
  uv_close((uv_handle_t *)&net->idle, on_handle_closed);
  close(net->set);
}

#endif
