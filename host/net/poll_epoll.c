/* SPDX-License-Identifier: MIT */
/* poll_epoll.c: one edge-triggered epoll set per host, which the loop watches as one handle
 * (contract in poll_kernel.h). */
#include "poll_kernel.h"

#ifdef BIDE_LINUX

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Few enough that what they touch stays in the cache until their tasks have run. */
#define BATCH 64

static void on_set(uv_poll_t *handle, int status, int events) {
  bide_net *net = handle->data;
  struct epoll_event ev[BATCH];
  (void)status;
  (void)events;
  int n = epoll_wait(net->set, ev, BATCH, 0);
  net->host->quiet = 0; /* though perhaps no task is woken */
  for (int i = 0; i < n; i++) {
    bide_poll *p = ev[i].data.ptr;
    int what = 0;
    if (p->fd < 0) continue; /* closed by the owner of one before it */
    if (ev[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) p->flags |= BIDE_POLL_ENDED;
    if (ev[i].events & ~(unsigned)EPOLLOUT) what |= UV_READABLE;
    if (ev[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) what |= UV_WRITABLE;
    bide__poll_happened(p, what);
  }
}

int bide__kernel_open(bide_net *net) {
  net->set = epoll_create1(EPOLL_CLOEXEC);
  if (net->set < 0) return uv_translate_sys_error(errno);
  int status = uv_poll_init(net->host->loop, &net->handle, net->set);
  if (status) {
    close(net->set);
    return status;
  }
  net->handle.data = net;
  uv_poll_start(&net->handle, UV_READABLE, on_set);
  uv_unref((uv_handle_t *)&net->handle);
  return 0;
}

void bide__kernel_close(bide_net *net) {
  bide__net_close_handle(net, (uv_handle_t *)&net->handle);
  close(net->set);
}

void bide__kernel_ref(bide_poll *p, int on) {
  bide_net *net = p->net;
  net->alive += on ? 1u : -1u;
  if (net->alive == 0) uv_unref((uv_handle_t *)&net->handle);
  else if (on && net->alive == 1) uv_ref((uv_handle_t *)&net->handle);
}

static int control(bide_poll *p, int how, int events) {
  struct epoll_event ev = {.events = EPOLLET, .data.ptr = p};
  if (events & UV_READABLE) ev.events |= EPOLLIN | EPOLLRDHUP;
  if (events & UV_WRITABLE) ev.events |= EPOLLOUT;
  if (epoll_ctl(p->net->set, how, p->fd, &ev)) return uv_translate_sys_error(errno);
  p->flags |= (uint8_t)events;
  return 0;
}

int bide__kernel_add(bide_poll *p, int events) {
  return control(p, EPOLL_CTL_ADD, events);
}

int bide__kernel_expect(bide_poll *p) {
  if (!(p->wanted & ~p->flags)) return 0;
  return control(p, EPOLL_CTL_MOD, p->wanted | (p->flags & BIDE_POLL_WATCHED));
}

/* Explicitly: a forked child may hold the description, and with it the events, open. */
void bide__kernel_remove(bide_poll *p) {
  epoll_ctl(p->net->set, EPOLL_CTL_DEL, p->fd, NULL);
}

#endif
