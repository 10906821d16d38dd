/* SPDX-License-Identifier: MIT */
/* poll.h: a descriptor that is watched for readiness, lazily.
 *
 * Changing what epoll watches costs system calls; so a watch is put up when it is first wanted and
 * taken down only when an event comes that nobody wants. `ready` remembers such events. (A socket
 * is nearly always writable: that watch goes as soon as it is no longer wanted.) */
#ifndef BIDE_NET_POLL_H
#define BIDE_NET_POLL_H

#include "core/host.h"

typedef struct bide_poll {
  uv_poll_t handle;
  void (*on_events)(struct bide_poll *p, int events); /* wanted events that may be so */
  int fd;                                             /* owned; -1 once closed */
  uint8_t watched;                                    /* by libuv */
  uint8_t wanted;                                     /* by the user */
  uint8_t weak;                                       /* keeps no loop alive */
  uint8_t ready;                                      /* seen, and not yet found to be over */
} bide_poll;

/* Takes the non-blocking descriptor over, also on failure (closed). */
int bide__poll_open(bide_host *h, bide_poll *p, int fd, void (*on_events)(bide_poll *, int));
/* Wants exactly these events; each is reported as long as it is wanted and so. 0 or an error. */
int bide__poll_want(bide_poll *p, int events);
/* The descriptor was found not to be ready for `events` (EAGAIN, a short read). */
static inline void bide__poll_spent(bide_poll *p, int events) {
  p->ready &= (uint8_t)~events;
}
/* Closes the descriptor at once, the handle later: then `closed`. */
void bide__poll_close(bide_poll *p, uv_close_cb closed);
/* Does a wanted event keep the loop alive? At first it does. */
void bide__poll_ref(bide_poll *p, int on);

#endif
