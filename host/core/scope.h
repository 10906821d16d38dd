/* SPDX-License-Identifier: MIT */
/* scope.h: cancellation scopes, a tree as in Trio.
 *
 * A scope is a stretch of a task's life (the body of timeout, group, shield) and all that is owned
 * there: child tasks, and the scopes beneath. Cancelling a scope reaches every wait in it, again
 * and again (level-triggered), but for what stands under a shield. `eff` is the cached answer to
 * "is a wait in this scope refused?"; it is only ever switched on, by bide__scope_cancel, in two
 * passes: first every scope beneath is marked, then every task is interrupted, so that no abort
 * recurses.
 *
 * A scope is memory of whoever opened it (a run, a join, a body in flight), which must close it
 * after its last task and child scope have gone. */
#ifndef BIDE_CORE_SCOPE_H
#define BIDE_CORE_SCOPE_H

#include "timer.h"

typedef struct bide_task bide_task;
typedef struct bide_runner bide_runner;
typedef struct bide_scope bide_scope;

enum { BIDE_SCOPE_RUN, BIDE_SCOPE_BODY, BIDE_SCOPE_OWNED };

struct bide_scope {
  bide_scope *parent, *child, *prev, *next; /* child: the newest; next: the one opened before it */
  bide_task *tasks;                         /* the newest task whose innermost scope this is */
  bide_task *owner;                         /* the task that opened it; NULL for a run's */
  bide_runner *run;
  bide_timer deadline;             /* in host->deadlines */
  uint32_t turn;                   /* loop turn in which the deadline was set */
  uint8_t kind;                    /* BIDE_SCOPE_… */
  uint8_t shield;                  /* cancellation from outside stops here */
  uint8_t cancelled;               /* cancelled itself (not only by a scope above) */
  uint8_t expired;                 /* … by its deadline */
  uint8_t eff;                     /* waits in here are refused */
  void (*drop)(bide_scope *scope); /* frees what embeds it, when its opener's stack is gone */
  /* Optional: a task whose innermost scope this was has ended; nonzero keeps it anchored until
   * bide__task_release. Runs no Lua. */
  int (*ended)(bide_scope *scope, bide_task *t);
};

/* Opens `s` under `parent` for `owner` (NULL: a run). Takes over eff from the parent and the
 * owner's own cancellation unless `shield`. */
void bide__scope_open(bide_scope *s, bide_scope *parent, bide_task *owner, int kind, int shield);
/* Unlinks `s` and stops its deadline. It must have no tasks left (asserted); scopes beneath, which
 * can only be those of joins whose caller's stack was dropped, move up to its parent. */
void bide__scope_close(bide_host *h, bide_scope *s);
/* Moves the running task into `s` / back to the parent. Bodies only. */
void bide__scope_enter(bide_task *t, bide_scope *s);
void bide__scope_leave(bide_task *t, bide_scope *s);
/* Cancels `s`: all waits in it that are not complete are aborted, newest task first; later ones are
 * refused. Idempotent. Runs no Lua. */
void bide__scope_cancel(bide_host *h, bide_scope *s);
/* The same for all waits in `s` but without making it the origin: the cause lies elsewhere. */
void bide__scope_cancel_status(bide_host *h, bide_scope *s, int status);
/* The next scope in a walk over everything beneath `root` (begin with s = root); `down`: may go
 * into the children of `s`. NULL at the end. */
bide_scope *bide__scope_walk(bide_scope *s, const bide_scope *root, int down);
/* The cancellation of `s` comes from `s` itself and not from above: a body that ends with it has
 * reached the scope that asked for it. */
int bide__scope_is_origin(const bide_scope *s);
/* Is `s` cancelled from above? A child that ended by it has left its work undone, so its opener
 * must not end as if all were done, also when its own last wait was complete. */
static inline int bide__scope_is_cut(const bide_scope *s) {
  return s->eff && !bide__scope_is_origin(s);
}
/* Drops every scope that `t` entered below `base` (its stack was dropped by foreign code). */
void bide__scope_unwind(bide_host *h, bide_task *t, bide_scope *base);

#endif
