/* SPDX-License-Identifier: MIT */
/* poll_uv.c: a uv_poll_t per descriptor (contract in poll_kernel.h), where there is no epoll.
 *
 * The loop's events are level-triggered: one that has been told is not watched for again until it
 * was found to be over. The handle outlives its poll by a turn of the loop. */
#include "poll_kernel.h"

#ifndef BIDE_LINUX

typedef struct watch {
  uv_poll_t handle;
  bide_host *host;
  bide_poll *poll;
} watch;

int bide__kernel_open(bide_net *net) {
  (void)net;
  return 0;
}

void bide__kernel_close(bide_net *net) {
  (void)net;
}

void bide__kernel_ref(bide_poll *p, int on) {
  if (on) uv_ref((uv_handle_t *)&p->watch->handle);
  else uv_unref((uv_handle_t *)&p->watch->handle);
}

static void on_poll(uv_poll_t *handle, int status, int events);

static int start(bide_poll *p, int events) {
  watch *w = p->watch;
  int status = events ? uv_poll_start(&w->handle, events, on_poll) : uv_poll_stop(&w->handle);
  p->flags = (uint8_t)((p->flags & ~BIDE_POLL_WATCHED) | (status ? 0 : events));
  return status;
}

/* An error has stopped the handle already; what it is, the next call on the descriptor says. */
static void on_poll(uv_poll_t *handle, int status, int events) {
  bide_poll *p = ((watch *)handle)->poll;
  if (status < 0) events = UV_READABLE | UV_WRITABLE;
  start(p, p->flags & BIDE_POLL_WATCHED & ~events);
  p->net->host->quiet = 0; /* though perhaps no task is woken */
  bide__poll_happened(p, events);
}

int bide__kernel_add(bide_poll *p, int events) {
  bide_host *h = p->net->host;
  watch *w = bide__alloc(h, sizeof *w);
  (void)events;
  if (!w) return UV_ENOMEM;
  int status = uv_poll_init(h->loop, &w->handle, p->fd);
  if (status) {
    bide__free(h, w, sizeof *w);
    return status;
  }
  w->host = h;
  w->poll = p;
  p->watch = w;
  uv_unref((uv_handle_t *)&w->handle);
  return 0;
}

int bide__kernel_expect(bide_poll *p) {
  int events = p->wanted & ~p->ready;
  return events == (p->flags & BIDE_POLL_WATCHED) ? 0 : start(p, events);
}

static void on_closed(uv_handle_t *handle) {
  watch *w = (watch *)handle;
  w->host->closing_handles--;
  bide__free(w->host, w, sizeof *w);
}

void bide__kernel_remove(bide_poll *p) {
  watch *w = p->watch;
  w->host->closing_handles++;
  uv_close((uv_handle_t *)&w->handle, on_closed);
}

#endif
