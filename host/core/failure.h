/* SPDX-License-Identifier: MIT */
/* failure.h: the error of a failed future, and the duty to report it if nobody takes it.
 *
 * A failure is a userdata with a finalizer, held only by its future's user value; it holds the
 * error and the traceback as user values (and the future, so that a report can show it: a cycle
 * that is collected as one). Handed to a waiter it is *seen*. If it is collected unseen, its future
 * can no longer be awaited: it goes to the host's table of the lost and is reported by the
 * scheduler. What is unseen at the end of its run is reported then. */
#ifndef BIDE_CORE_FAILURE_H
#define BIDE_CORE_FAILURE_H

#include "host.h"

struct bide_failure {
  bide_failure *next, *prev; /* in host->failures while unseen */
  bide_host *host;
  bide_runner *run;     /* the run it is reported at the end of; NULL: the next one that ends */
  uint32_t slot;        /* in the host's tables of failures (weak) and of the lost; 0 when seen */
  unsigned char lost;   /* collected unseen: in the table of the lost */
  unsigned char daemon; /* reported at once */
};

/* Pops a traceback (or false) and below it an error, and pushes their failure. `owner`: index of
 * the future's userdata; `t`: the task that it is, or NULL. May raise (memory). */
void bide__failure_push(lua_State *L, bide_host *h, int owner, bide_runner *run,
                        const bide_task *t);
/* The error of the failure at idx has reached a waiter. */
void bide__failure_seen(lua_State *L, bide_failure *f);
/* Reports failures whose handle is gone; with a run, also all unseen ones of it. Called by the
 * scheduler between tasks; calls on_unhandled protected. */
void bide__report_lost(bide_host *h, const bide_runner *run);
void bide__failure_open(lua_State *L, bide_host *h);

#endif
