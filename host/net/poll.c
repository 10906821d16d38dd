/* SPDX-License-Identifier: MIT */
/* poll.c: a lazily watched descriptor (contract in poll.h).
 *
 * Invariant: what is wanted is watched. What is watched and no longer wanted stays so until its
 * next event, so that a reader that comes back in the meantime (the rule) costs no system call. The
 * handle is referenced only while something is wanted: an idle descriptor keeps no loop alive. */
#include "poll.h"

#include <unistd.h>

static void on_poll(uv_poll_t *handle, int status, int events);

static int watch(bide_poll *p, int events) {
  int status = events ? uv_poll_start(&p->handle, events, on_poll) : uv_poll_stop(&p->handle);
  p->watched = status ? 0 : (uint8_t)events;
  return status;
}

static void on_poll(uv_poll_t *handle, int status, int events) {
  bide_poll *p = bide_container(handle, bide_poll, handle);
  if (status < 0) { /* POLLERR: libuv has stopped watching; what is wrong, recv or send will say */
    p->watched = 0;
    events = UV_READABLE | UV_WRITABLE;
  }
  p->ready |= (uint8_t)events;
  if (p->watched & events & ~p->wanted) watch(p, p->wanted);
  if (events & p->wanted) p->on_events(p, events & p->wanted);
  if (p->fd < 0) return;
  int keep = p->watched & (p->wanted | UV_READABLE);
  if (keep != p->watched || (p->wanted & ~p->watched)) watch(p, keep | p->wanted);
}

int bide__poll_open(bide_host *h, bide_poll *p, int fd, void (*on_events)(bide_poll *, int)) {
  int status = uv_poll_init(h->loop, &p->handle, fd);
  if (status) {
    close(fd);
    p->fd = -1;
    return status;
  }
  uv_unref((uv_handle_t *)&p->handle);
  p->on_events = on_events;
  p->fd = fd;
  p->watched = p->wanted = p->ready = p->weak = 0;
  return 0;
}

static void update_ref(bide_poll *p) {
  if (p->wanted && !p->weak) uv_ref((uv_handle_t *)&p->handle);
  else uv_unref((uv_handle_t *)&p->handle);
}

int bide__poll_want(bide_poll *p, int events) {
  if (p->fd < 0) return UV_EBADF;
  if (events == p->wanted && !(events & ~p->watched)) return 0;
  p->wanted = (uint8_t)events;
  update_ref(p);
  return events & ~p->watched ? watch(p, p->watched | events) : 0;
}

void bide__poll_ref(bide_poll *p, int on) {
  p->weak = !on;
  if (p->fd >= 0) update_ref(p);
}

void bide__poll_close(bide_poll *p, uv_close_cb closed) {
  p->wanted = 0;
  uv_close((uv_handle_t *)&p->handle, closed); /* stops the watch, so the descriptor may go */
  close(p->fd);
  p->fd = -1;
}
