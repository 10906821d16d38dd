/* SPDX-License-Identifier: MIT */
/* wait.h: the one way to suspend a task and the one way to wake it.
 *
 * An operation that can make a task wait embeds a `bide_wait`. A Lua-callable function starts the
 * operation and ends in
 *
 *     return bide__suspend(L, h, &op->wait, &op_ops, k_op);
 *
 * The task stands still until somebody calls `bide__wake(&op->wait, status)`; it then goes on in
 * `k_op(L, h, wait)`, in the task, where Lua values may be made and errors raised.
 *
 * Law of a wait:
 *  - it is woken exactly once; after that the operation must not touch it again;
 *  - cancellation calls `ops->abort(wait, status)` at most once, and only while the wait is not
 *    woken. The op then undoes what it began and wakes the wait with `status` (a negative code) at
 *    once, or later when undoing takes time (a join waits for its children);
 *  - abort runs no Lua, makes no Lua value, can't raise, closes no scope;
 *  - the memory of the wait belongs to the op. It must live until the continuation has run, even if
 *    the Lua stack that called is dropped by a foreign `coroutine.close`: anchor it in the task,
 *    in the host or by a reference count, never by the calling stack alone.
 */
#ifndef BIDE_CORE_WAIT_H
#define BIDE_CORE_WAIT_H

#include "compat.h"

typedef struct bide_host bide_host;
typedef struct bide_task bide_task;
typedef struct bide_wait bide_wait;
typedef struct bide_waitops bide_waitops;

/* The continuation of a wait: runs in the task after the wake, like a lua_KFunction, with the stack
 * of the function that suspended. `w->status` is 0 or a negative code. May suspend again. */
typedef int (*bide_kwait)(lua_State *L, bide_host *h, bide_wait *w);

/* A wait for tasks ends by theirs: a deadlock is raised in those, and in this one only when nothing
 * else is left. OWN: for tasks that it owns. TASK: for another's. JOIN, HARVEST: for several of
 * either, or for futures alone; bide__join_rank and bide__harvest_rank tell. */
enum { BIDE_INNER_OWN = 1, BIDE_INNER_TASK, BIDE_INNER_JOIN, BIDE_INNER_HARVEST };
/* Deadlock is raised in the waits of the lowest rank that there are. */
enum { BIDE_RANK_LEAF, BIDE_RANK_TASK, BIDE_RANK_OWN, BIDE_RANKS };

struct bide_waitops {
  const char *op; /* "sleep", "connect", …: what error messages and dumps call it */
  void (*abort)(bide_wait *w, int status);
  /* Optional: writes what is waited for ("connect 10.0.0.1:5432") to buf; NULL: `op` says it. */
  void (*describe)(const bide_wait *w, char *buf, size_t size);
  /* Optional: foreign code has dropped the stack of the task (a stock coroutine.close), so that the
   * continuation will never run; the wait was woken. Frees what the continuation would have freed.
   */
  void (*drop)(bide_wait *w);
  unsigned char inner; /* BIDE_INNER_…: whose waits end this one; 0: nobody's */
};

struct bide_wait {
  bide_task *task; /* set by bide__suspend */
  const bide_waitops *ops;
  int status;        /* valid in the continuation */
  unsigned char set; /* bide__wake was called */
  unsigned char aborted;
};

/* Suspends the running task until `w` is woken, then continues in `k`. Must be called as
 * `return bide__suspend(...)` from a C function whose first upvalue is the host (bide's own
 * libraries; others use bide_await). Refuses (raises) outside a task and where Lua can't yield.
 * If the task's cancellation is pending, aborts `w` first, so that `k` sees UV_ECANCELED: callers
 * that must not begin their operation then call bide__checkpoint before beginning it.
 * If `w` was woken already (by the caller, between begin and suspend), continues at once. */
int bide__suspend(lua_State *L, bide_host *h, bide_wait *w, const bide_waitops *ops, bide_kwait k);

/* Initialises `w` for the running task. bide__suspend does it as well unless `w->task` is set; an
 * op that may be woken before bide__suspend calls this first. */
void bide__wait_init(bide_host *h, bide_wait *w, const bide_waitops *ops);

/* Wakes the task behind `w`: it becomes ready, FIFO. Exactly once per wait; callable from loop
 * callbacks, never raises, never runs Lua. */
void bide__wake(bide_wait *w, int status);

/* To be called at the top of every function that may wait, before anything is begun. Raises if this
 * is no task or Lua can't yield here, naming the C function in the way. Returns 0 to go on, or
 * nonzero if the task's cancellation is pending: then `return bide__refuse(L, h);` */
int bide__checkpoint(lua_State *L, bide_host *h, const char *fname);

/* Lets others run, then raises the pending cancellation (code ECANCELED). In a message handler that
 * was called for the error of its own wait: returns that error, as the wait's result. */
int bide__refuse(lua_State *L, bide_host *h);

/* Ends a wait that came back with a negative status by raising the error that belongs to it:
 * UV_ECANCELED is the task's own cancellation, BIDE_EDEADLK a deadlock, others as they are. */
int bide__raise_status(lua_State *L, bide_host *h, int status, const char *op);

/* The stack that waited is gone, so the continuation of the running task's wait will never run:
 * lets the operation free what that would have freed. */
void bide__wait_dropped(bide_task *t);

/* Does `co` wait: is it suspended with the private mark on top of its stack? */
int bide__is_waiting(lua_State *co);
/* Yields with the mark on top; whoever continues L by right pops it first. */
int bide__wait_yield(lua_State *L, lua_KContext ctx, lua_KFunction k);
/* In `k`, when L was continued by somebody else: yields again, without what that one passed. */
int bide__wait_on(lua_State *L, lua_KContext ctx, lua_KFunction k);

/* Continues in `k` at once, as a wait that never suspended: for what has completed already. Counts
 * towards the 128 completed awaits in a row after which others run. */
int bide__complete(lua_State *L, bide_host *h, bide_wait *w, int status, bide_kwait k);

/* Both for C functions whose first upvalue is not the host (bide_await): a look-up more. */
int bide__suspend_foreign(lua_State *L, bide_host *h, bide_wait *w, const bide_waitops *ops,
                          bide_kwait k);
int bide__complete_foreign(lua_State *L, bide_host *h, bide_wait *w, int status, bide_kwait k);

#endif
