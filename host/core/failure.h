/* SPDX-License-Identifier: MIT */
/* failure.h: the error of a failed future, and the duty to report it if nobody takes it.
 *
 * A failure is a userdata with a finalizer, held only by its future's user value; it holds the error
 * and the traceback as user values. Handed to a waiter it is *seen*. If it is collected unseen, its
 * future can no longer be awaited: it goes to the host's table of the lost and is reported by the
 * scheduler. What is unseen at the end of its run is reported then. */
#ifndef BIDE_CORE_FAILURE_H
#define BIDE_CORE_FAILURE_H

#include "host.h"

struct bide_failure {
  bide_failure *next, *prev; /* in host->failures while unseen */
  bide_host *host;
  bide_run *run; /* the run it is reported at the end of; NULL: the next one that ends */
  uint32_t slot; /* reserved in host's tables of failures and of the lost; 0 when seen */
  unsigned char seen;
};

/* Pushes a failure of the error on top of the stack (popped) with the traceback below it (popped). */
void bide__failure_push(lua_State *L, bide_host *h, bide_run *run);
/* The error of the failure at idx has reached a waiter. */
void bide__failure_seen(bide_failure *f);
/* Reports failures whose handle is gone; with a run, also all unseen ones of it. Called by the
 * scheduler between tasks; calls on_unhandled protected. */
void bide__report_lost(bide_host *h, const bide_run *run);
void bide__failure_open(lua_State *L, bide_host *h);

#endif
