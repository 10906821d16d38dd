/* SPDX-License-Identifier: MIT */
/* run.h: a run: a main task and everything spawned beneath it, waited for as one.
 *
 * At top level bide__run_loop drives the loop until the run is over; inside a task a run is a child
 * of that task's scope and the task waits for it. */
#ifndef BIDE_CORE_RUN_H
#define BIDE_CORE_RUN_H

#include "host.h"

struct bide_runner {
  bide_scope root;    /* all tasks of the run */
  bide_scope daemons; /* child of root */
  bide_host *host;
  bide_runner *outer; /* the run around it, or NULL */
  lua_State *from;    /* at top level: host->from before it */
  uint32_t serial;    /* from 1; wraps */
  uint32_t live;      /* tasks that it waits for, main included */
  uint32_t daemon_live;
  bide_task *main;
  bide_link link; /* on main */
  struct bide_watcher *watchers;
  bide_wait wait;       /* of the task that called bide.run inside a run */
  unsigned char nested; /* called from a task */
  unsigned char over;
  unsigned char held; /* goes on without tasks until the embedder lets go */
  int abort_status;
  unsigned char abandoned;   /* the calling stack is gone: free at the end */
  unsigned char interrupted; /* cancelled from outside, as by SIGINT */
};

/* bide.run: function and arguments from stack index 1 up. */
int bide__run_call(lua_State *L, bide_host *h, int nargs);
/* The scope above every task of the host, or NULL when nothing runs. */
bide_scope *bide__run_outermost(bide_host *h);
/* Makes the host's base run if there is none; it lasts until bide__run_base_close. 0 or UV_ENOMEM.
 */
int bide__run_base(bide_host *h);
/* No task of it is left: what it was cancelled by, if it was, does not reach the tasks to come. */
void bide__run_base_renew(bide_host *h);
void bide__run_base_close(bide_host *h);
/* The scope of the run, if `w` is the wait of a task for a run inside it; else NULL. */
bide_scope *bide__run_scope(bide_wait *w);
/* A task of the run has ended. */
void bide__run_task_ended(bide_runner *r, bide_task *t);
/* Cancels the outermost run: main and every task. Callable from a loop callback. */
void bide__run_interrupt(bide_host *h);

#endif
