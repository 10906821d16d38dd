/* SPDX-License-Identifier: MIT */
/* failure.h: the error of a failed future, and the duty to report it if nobody takes it.
 *
 * A failure is C memory while nobody has *seen* the error. The future's user value is its
 * *witness*, a userdata with a finalizer that holds error, record (trace.h) and the future as user
 * values (a cycle that is collected as one). If the witness is collected unseen, the future can no
 * longer be awaited: the failure is lost and is reported by the scheduler. What is unseen at the
 * end of its run is reported then. Error and traceback are kept beside, strongly, so that a report
 * needs no finalizer to have run: Lua gives up on a finalizer that fails, as all do at the limit of
 * the stack. */
#ifndef BIDE_CORE_FAILURE_H
#define BIDE_CORE_FAILURE_H

#include "host.h"

typedef struct bide_witness {
  bide_failure *failure; /* NULL once seen */
  uint64_t serial;       /* the failure's, which may be gone */
} bide_witness;

struct bide_failure {
  uint64_t serial;
  bide_failure *next, *prev; /* in host->failures while unseen */
  bide_host *host;
  bide_runner *run;     /* the run it is reported at the end of; NULL: the next one that ends */
  uint32_t slot;        /* in the host's tables of failures (weak) and of the lost; 0 when seen */
  unsigned char lost;   /* collected unseen: in the table of the lost */
  unsigned char daemon; /* reported at once */
};

/* Pops a record (trace.h; or false) and below it an error, and pushes their witness. `owner`: index
 * of the future's userdata; `t`: the task that it is, or NULL. May raise (memory). */
void bide__failure_push(lua_State *L, bide_host *h, int owner, bide_runner *run,
                        const bide_task *t);
/* Pops an error that belongs to no future and that nobody can take: it is reported at once. */
void bide__failure_lost(lua_State *L, bide_host *h);
/* The error has reached a waiter. Never raises. */
void bide__failure_seen(lua_State *L, bide_witness *w);
/* Reports failures whose handle is gone; with a run, also all unseen ones of it. Called by the
 * scheduler between tasks; calls on_unhandled protected. */
void bide__report_lost(bide_host *h, const bide_runner *run);
/* For a link on a task that has just failed and that nobody can await: its failure, which is the
 * one made last, is reported in this turn. */
void bide__failure_now(bide_host *h);
/* Frees what is left, at the end of the host. */
void bide__failures_fini(bide_host *h);
void bide__failure_open(lua_State *L, bide_host *h);

#endif
