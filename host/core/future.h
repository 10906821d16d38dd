/* SPDX-License-Identifier: MIT */
/* future.h: a result that is not there yet, and those who wait for it.
 *
 * A `bide_fut` heads a full userdata with one user value. The user value holds the result:
 * nothing (nres 0), the value (nres 1), a table `{n=…}` of values (more), or for a failed one the
 * *failure* (failure.h), which holds the error. Tasks begin with a future (task.h). A future ends
 * once; the links on it are then notified in order of joining and unlinked. */
#ifndef BIDE_CORE_FUTURE_H
#define BIDE_CORE_FUTURE_H

#include "wait.h"
#include <stdint.h>

enum { BIDE_PENDING, BIDE_DONE, BIDE_FAILED, BIDE_CANCELLED };
enum { BIDE_IS_FUTURE, BIDE_IS_TASK };

/* A task suspended in mid-code: in its own thread, or in a plain coroutine. */
enum { BIDE_PREEMPTED_NOT, BIDE_PREEMPTED_TASK, BIDE_PREEMPTED_COROUTINE };

/* Failures for which no Lua value could be made. */
enum { BIDE_NATIVE_NONE, BIDE_NATIVE_MEMORY, BIDE_NATIVE_CLOSED, BIDE_NATIVE_CSTACK };

typedef struct bide_fut bide_fut;
typedef struct bide_link bide_link;

/* Tells our userdata from others' without a look at metatables. Another library's userdata would
 * have to begin with it to be mistaken, and to be at least as large. */
#define BIDE_FUT_MAGIC 0xb1de7a5cu

/* One who waits for a future: embedded in a task's op or a join. */
struct bide_link {
  bide_link *next, *prev;          /* circular; both NULL when not linked */
  void (*notify)(bide_link *link); /* the future has ended; the link is unlinked already */
};

struct bide_fut {
  uint32_t magic;        /* BIDE_FUT_MAGIC */
  uint8_t state;         /* BIDE_PENDING … */
  uint8_t kind : 1;      /* BIDE_IS_… */
  uint8_t anchored : 1;  /* of tasks: the registry holds it under `slot` */
  uint8_t end_state : 2; /* of tasks: set by task_main, taken over at the end of the step */
  uint8_t compute : 1;   /* of tasks: bide.compute */
  uint8_t preempted : 2; /* of tasks: BIDE_PREEMPTED_… */
  uint8_t told : 1;      /* of tasks, in debug mode: a wait has raised the task's cancellation */
  uint8_t native;        /* BIDE_NATIVE_… when failed without an error value */
  uint8_t flags;         /* of tasks: task.h */
  uint32_t nres;
  /* Of a task: the registry key that is its own while it lives. Of a future: the number of the run
   * that it was made in, or 0. */
  uint32_t slot;
  bide_link *waiters; /* the last one to join, or NULL */
};

/* The future (or task) at idx, or NULL. No registry look-up by name. */
static inline bide_fut *bide__tofuture(lua_State *L, int idx) {
  bide_fut *f = (bide_fut *)lua_touserdata(L, idx);
  if (!f || lua_rawlen(L, idx) < sizeof *f) return NULL; /* a light one has no length */
  return f->magic == BIDE_FUT_MAGIC ? f : NULL;
}
/* Pushes a new pending future (userdata). */
bide_fut *bide__future_push(lua_State *L, bide_host *h);
void bide__link(bide_fut *f, bide_link *link, void (*notify)(bide_link *));
void bide__unlink(bide_fut *f, bide_link *link);
/* Takes the n values on top of the stack as the result of the future at idx; may raise (memory). */
void bide__store_results(lua_State *L, int idx, bide_fut *f, int n);
/* Ends `f`: sets the state and notifies all links. Never raises. */
void bide__future_end(bide_fut *f, int state);
/* Pushes all results of an ended future at idx (returns how many), or raises its error. */
int bide__push_results(lua_State *L, bide_host *h, int idx);
/* Pushes the first result (or nil) of a done future at idx. */
void bide__push_first(lua_State *L, int idx);
/* The error of the future at idx, if it has failed, has reached somebody: no report. Never raises.
 */
void bide__fut_seen(lua_State *L, bide_host *h, int idx);
/* Pushes the error of a failed or cancelled one at idx, and marks it as seen. */
void bide__push_error(lua_State *L, bide_host *h, int idx);

#endif
