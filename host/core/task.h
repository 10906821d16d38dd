/* SPDX-License-Identifier: MIT */
/* task.h: a running Lua function whose result is a future.
 *
 * A task is a full userdata with two user values: 1 is the task-local variables while it runs and
 * the result afterwards (future.h), 2 the function.
 *
 * Its Lua thread comes from a pool: at the spawn when the pool has one or there are arguments, else
 * at the first step. The thread's stack holds `task_main` with the task and the function. A thread
 * goes back to the pool only if its function ended in order and no user code ever saw the thread.
 *
 * What keeps a living task: its thread's stack, from the spawn to the first stop; that alone where
 * it can (`anchored` 0), for most tasks end without a stop, and nobody else can reach the thread.
 * Otherwise, and always from the first stop on, the registry, under the integer `fut.slot`.
 *
 * Invariant: a task is exactly one of: parked, in the ready queue, in the later queue, running,
 * waiting (wait != NULL, not set), ended. */
#ifndef BIDE_CORE_TASK_H
#define BIDE_CORE_TASK_H

#include "future.h"
#include "scope.h"
#include "waiter.h"

/* fut.flags */
enum {
  BIDE_TF_CANCEL = 1,   /* task:cancel() was called */
  BIDE_TF_STARTED = 2,  /* its function has been entered */
  BIDE_TF_SEEN = 4,     /* user code got hold of the thread: never reuse it */
  BIDE_TF_DAEMON = 8,   /* the run does not wait for it */
  BIDE_TF_LOCALS = 16,  /* the user value holds task-local variables while it runs */
  BIDE_TF_OWNED = 32,   /* a combinator's or a group's child: its error has a receiver */
  BIDE_TF_QUIET = 64,   /* an on_done task: starts even in what is cancelled */
  BIDE_TF_REASON = 128, /* host's table of reasons has an entry */
};

/* In the table of task-local variables its address is the key of the task that alone has it and may
 * change it (as a light userdata); none once it is shared. */
extern const char bide__locals_owner;

typedef struct bide_thread {
  lua_State *L;
  uint32_t slot; /* the registry key that anchors it */
} bide_thread;

struct bide_task {
  bide_fut fut;             /* first: a task is a future */
  lua_State *L;             /* NULL before the first step (without arguments) and after the end */
  bide_wait *wait;          /* what it waits for, or NULL */
  bide_task *next;          /* in the ready or later queue */
  bide_scope *scope;        /* the innermost scope */
  bide_task *snext, *sprev; /* in scope->tasks: snext is older */
  bide_wait own;            /* for the operations that fit into the task itself */
  union {
    bide_timer timer; /* sleep */
    struct {
      bide_link link; /* await */
      bide_fut *on;
    } await;
    bide_waiter waiter; /* lock, condition, event */
    bide_peer peer;     /* channel */
  } op;
  uint32_t thread_slot; /* the one of its thread */
  uint32_t site_spawn;  /* where it was spawned */
  uint32_t born, since; /* when it was spawned, and when its wait began: bide__coarse_ms */
};

/* Makes a task of the function and `nargs` arguments on top of the stack and pushes it in their
 * place; it is ready to run. `scope`: where it belongs; `site`: where it is
 * spawned (bide__site_caller). Raises on lack of memory, leaving nothing.
 */
bide_task *bide__spawn(lua_State *L, bide_host *h, int nargs, bide_scope *scope, int flags,
                       uint32_t site);
/* The same in two parts: a parked task is anchored but in no scope, run or queue. */
bide_task *bide__spawn_parked(lua_State *L, bide_host *h, int nargs, int flags, uint32_t site);
void bide__task_unpark(bide_host *h, bide_task *t, bide_scope *scope);
/* Gives up a parked task. */
void bide__task_discard(bide_host *h, bide_task *t);
/* Cancels what `t` does; 0 if it has ended. Runs no Lua. */
int bide__task_cancel(bide_task *t);
/* Aborts the wait of `t` if it has one that is not complete. */
void bide__task_interrupt(bide_task *t, int status);
/* One step: starts or continues `t`, which is in no queue, until it waits or ends; from the thread
 * `from`. For the scheduler, and for an await that runs what would run next anyway. */
void bide__task_step(bide_host *h, bide_task *t, lua_State *from);
/* Into the list of tasks of `s`, and out of that of its scope. */
static inline void bide__scope_add_task(bide_scope *s, bide_task *t) {
  t->scope = s;
  t->sprev = NULL;
  t->snext = s->tasks;
  if (t->snext) t->snext->sprev = t;
  s->tasks = t;
}
static inline void bide__scope_remove_task(bide_task *t) {
  if (t->sprev) t->sprev->snext = t->snext;
  else t->scope->tasks = t->snext;
  if (t->snext) t->snext->sprev = t->sprev;
  t->snext = t->sprev = NULL;
}
/* Would a wait of `t` be refused in scope `at` now? The task's own cancellation counts at its base,
 * beneath the scopes that the task itself entered. */
static inline int bide__refused_in(const bide_scope *at, const bide_task *t) {
  if (at->eff) return 1;
  return at->owner != t && (t->fut.flags & BIDE_TF_CANCEL) != 0;
}
/* Is a wait of `t` refused now? */
static inline int bide__task_refused(const bide_task *t) {
  return bide__refused_in(t->scope, t);
}
/* Lets go of an ended task that a scope's `ended` has kept. */
void bide__task_release(bide_host *h, bide_task *t);
/* The task at idx or NULL. */
bide_task *bide__totask(lua_State *L, int idx);
/* Pushes the userdata of a living task. Raises nothing. */
void bide__push_task(lua_State *L, bide_host *h, const bide_task *t);
/* The host of a task that is in a scope (any but a parked one). */
bide_host *bide__task_host(const bide_task *t);
#endif
