/* SPDX-License-Identifier: MIT */
/* poll.c: watched descriptors and when their owners hear of them (contract in poll.h); what asks
 * the kernel stands in poll_epoll.c and poll_uv.c.
 *
 * Three rings hold every poll: `open`; `again`, those that are ready and wanted without a new edge;
 * `closed`, whose owners have yet to be told. The last two are served by an idle handle, which runs
 * only while there are any: never in a call of the owner's, never while events are handed out, so
 * an event whose poll was closed meanwhile finds its memory still there. */
#include "poll_kernel.h"

#include "core/limit.h"

#include <assert.h>
#include <unistd.h>

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
  if (p->fd < 0) return;
  if (p->ready & p->wanted) later(p, &p->net->again);
  bide__kernel_expect(p);
}

void bide__poll_happened(bide_poll *p, int events) {
  p->ready |= (uint8_t)events;
  report(p);
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

int bide__poll_open(bide_net *net, bide_poll *p, int fd, int kind, const bide_poll_ops *ops,
                    int events) {
  *p = (bide_poll){.net = net, .fd = fd, .kind = (uint8_t)kind};
  int status = bide__socket_take(net->host);
  if (!status && (status = bide__kernel_add(p, events)) != 0) bide__socket_give(net->host);
  if (status) {
    close(fd);
    p->fd = -1;
    return status;
  }
  net->poll_ops[kind] = ops;
  bide__net_link(&net->open, &p->link);
  return 0;
}

static int keeps_alive(const bide_poll *p) {
  return p->wanted && !(p->flags & BIDE_POLL_WEAK);
}

int bide__poll_want(bide_poll *p, int events) {
  int before = keeps_alive(p), status;
  if (p->fd < 0) return UV_EBADF;
  p->wanted = (uint8_t)events;
  status = bide__kernel_expect(p);
  if (keeps_alive(p) != before) bide__kernel_ref(p, !before);
  if (p->ready & events) later(p, &p->net->again);
  return status;
}

void bide__poll_ref(bide_poll *p, int on) {
  int before = keeps_alive(p);
  p->flags = (uint8_t)(on ? p->flags & ~BIDE_POLL_WEAK : p->flags | BIDE_POLL_WEAK);
  if (keeps_alive(p) != before) bide__kernel_ref(p, !before);
}

void bide__poll_close(bide_poll *p) {
  assert(p->fd >= 0);
  bide__poll_want(p, 0);
  bide__kernel_remove(p);
  close(p->fd);
  bide__socket_give(p->net->host);
  p->fd = -1;
  later(p, &p->net->closed_polls);
}

/* The last one frees the net. */
static void on_handle_closed(uv_handle_t *handle) {
  bide_net *net = handle->data;
  net->host->closing_handles--;
  if (!--net->closing) bide__free(net->host, net, sizeof *net);
}

void bide__net_close_handle(bide_net *net, uv_handle_t *handle) {
  net->closing++;
  net->host->closing_handles++;
  uv_close(handle, on_handle_closed);
}

int bide__polls_open(bide_net *net) {
  uv_loop_t *loop = net->host->loop;
  net->open.next = net->open.prev = &net->open;
  net->again.next = net->again.prev = &net->again;
  net->closed_polls.next = net->closed_polls.prev = &net->closed_polls;
  uv_idle_init(loop, &net->idle);
  net->idle.data = net;
  int status = bide__kernel_open(net);
  if (status) bide__net_close_handle(net, (uv_handle_t *)&net->idle);
  return status;
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
  bide__kernel_close(net);
  bide__net_close_handle(net, (uv_handle_t *)&net->idle);
}
