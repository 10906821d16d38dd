/* SPDX-License-Identifier: MIT */
/* poll_kernel.h: what poll.c asks of the system. Implemented by poll_epoll.c (Linux) and poll_uv.c
 * (elsewhere). */
#ifndef BIDE_NET_POLL_KERNEL_H
#define BIDE_NET_POLL_KERNEL_H

#include "poll.h"

int bide__kernel_open(bide_net *net);
void bide__kernel_close(bide_net *net);
/* The poll begins or ceases to keep the loop alive. */
void bide__kernel_ref(bide_poll *p, int on);
/* Begins to watch p->fd for `events`. 0 or an error. */
int bide__kernel_add(bide_poll *p, int events);
/* Sees to it that what is wanted and not ready will be told. 0 or an error. */
int bide__kernel_expect(bide_poll *p);
/* Ends the watch; the descriptor is closed next. */
void bide__kernel_remove(bide_poll *p);

/* For these files: closes a handle of the net's (data is the net) as part of its teardown. */
void bide__net_close_handle(bide_net *net, uv_handle_t *handle);
/* … something has happened to an open poll. */
void bide__poll_happened(bide_poll *p, int events);

#endif
