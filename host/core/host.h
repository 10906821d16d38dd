/* SPDX-License-Identifier: MIT */
/* host.h: one Lua state with one loop: all that bide keeps.
 *
 * The host is a full userdata in the Lua registry and the first upvalue of every function of
 * bide's, so it outlives everything that can reach it; after teardown (`closed`) every function
 * refuses. It owns the loop's three handles (prepare, check, idle), the timer that bounds the poll,
 * the queues and the heaps. There is no global mutable state. */
#ifndef BIDE_CORE_HOST_H
#define BIDE_CORE_HOST_H

#include "task.h"

#include <stdatomic.h>

/* bide's own codes, beside libuv's (all of those are > -5000). */
#define BIDE_EDEADLK (-6001)
#define BIDE_ETLS    (-6002)
#define BIDE_EPROXY  (-6003)

#define BIDE_THREAD_POOL_MAX 1024
#define BIDE_READ_BUFFER     65536

typedef struct bide_site bide_site;
typedef struct bide_failure bide_failure;
typedef struct bide_slicer bide_slicer;

/* The site of a call, by the address of its instruction (trace.c). */
enum { BIDE_CALLS = 32 };
typedef struct bide_callsite {
  const char *pc;
  uint32_t site;
} bide_callsite;

typedef struct bide_queue {
  bide_task *head, **tail;
  uint32_t n;
} bide_queue;

/* Free indices of a Lua table that anchors things; giving one back never allocates. */
typedef struct bide_slots {
  uint32_t *free; /* owned */
  uint32_t nfree, cap, top;
} bide_slots;

/* A task that runs inside the await of another (await.c). On the C stack. */
typedef struct bide_nest {
  const bide_task *caller, *on;
  const struct bide_nest *outer;
} bide_nest;

/* Something that lives on the loop beside tasks (a pool of connections, say) and must be told when
 * the host closes. Runs no Lua. */
typedef struct bide_tenant {
  struct bide_tenant *next, *prev;
  void (*close)(struct bide_tenant *tenant);
} bide_tenant;

struct bide_host {
  uv_loop_t *loop;
  lua_State *main; /* the state's main thread */
  lua_State *from; /* the thread that drives the loop */
  bide_task *current;
  lua_State *top;      /* innermost thread of the running task: only there a wait may begin */
  bide_scope *co_base; /* scope at entry of the running plain coroutine, NULL in the task itself */
  /* The thread that runs Lua now, or NULL; read by a signal handler of this same thread. */
  lua_State *volatile running;
  bide_slicer *slicer;          /* owned; or NULL */
  volatile uint32_t steps;      /* of tasks so far, wraps; read by the signal handler */
  uint32_t preempted;           /* tasks that are suspended in mid-code */
  atomic_int stop;              /* BIDE_STOP_…: asked for, from any thread */
  volatile unsigned char guard; /* closed or stopping: bide__guard before each resume */
  unsigned char stopping;       /* a stop has come true; BIDE_STOP_… */
  unsigned char stopped;        /* the one that ended the last run */
  uint16_t entered;             /* bide__slicer_enter */
  unsigned char delivering;     /* a wake is on its way to its continuation */
  unsigned char closed;         /* teardown has begun: nothing waits any more */
  unsigned char dead;           /* teardown is over */
  unsigned char own_loop;
  unsigned char own_state; /* the Lua state was made by bide_new: its collector is ours to tune */
  unsigned char opened;    /* the handles of the scheduler are on the loop */
  uint32_t threads;        /* Lua threads that are anchored, those in the pool included */
  uint32_t spared;         /* KB that the collector was told not to count (thread.c) */
  uint32_t close_looks;    /* instructions used in teardown, in units of CLOSE_INSTRUCTIONS */
  uint64_t close_cpu, close_time; /* when teardown grants nothing more: CPU ns, uv_hrtime */
  unsigned char in_loop;          /* uv_run is on the C stack, called by bide */
  unsigned char in_turn;          /* tasks or posted calls run, whoever drives the loop */
  unsigned char interrupted;      /* the last run was cancelled from outside */
  unsigned char drained;
  unsigned char virtual_clock;
  unsigned char quiet;       /* virtual clock: a poll found nothing */
  unsigned char debug;       /* debug mode (debug.h) */
  unsigned char step_warned; /* … the step that runs was reported as too long */
  unsigned char collect;     /* … a collection is due at the end of the turn */
  uint64_t step_began, collected;
  unsigned char tracking; /* testing: streams and sockets are noted (bindings/tracked.h) */
  uint64_t shuffle;       /* testing: state of the random order of the ready queue; 0: in order */
  uint16_t close_depth;   /* nested coroutine.close */
  uint16_t co_depth;      /* nested resumes of plain coroutines */
  uint16_t fast;          /* completed awaits in a row */
  uint32_t round_left;    /* tasks of this round still to run */
  uint16_t nested;        /* steps inside steps (await.c) */
  const bide_nest *nest;  /* the innermost of these */
  uint32_t turn;          /* loop turns, wraps */
  uint32_t coarse;        /* milliseconds, wraps: the time of this turn, for ages of tasks */
  uint64_t vnow;          /* the virtual clock */
  bide_queue ready;       /* run in this turn or the next round of it */
  bide_queue later;       /* run after the next poll */
  bide_queue hogs;        /* tasks that compute: a slice in each turn */
  uint64_t until;         /* a turn ends at this time (uv_hrtime), 0: none */
  bide_heap timers;       /* sleeps */
  bide_heap alarms;       /* of operations */
  bide_heap deadlines;    /* scopes */
  uint64_t armed;         /* what `bound` is set to */
  uv_prepare_t prepare;
  uv_check_t check;
  uv_idle_t idle;
  uv_timer_t bound;
  unsigned char idle_on;
  int closing_handles;
  bide_runner *runs;   /* the innermost top-level run */
  uint32_t run_serial; /* of the latest run */
  bide_tenant tenants; /* ring */
  bide_thread *pool;   /* owned; threads ready for reuse */
  uint32_t pool_n, pool_cap;
  uint32_t pool_max;        /* a power of two; fewer with a memory limit */
  bide_slots slots;         /* registry keys that anchor tasks and threads */
  bide_slots failure_slots; /* keys in the tables of failures */
  uint32_t live_tasks;
  uint32_t native_lost; /* tasks that failed without an error value and without a waiter */
  int failures_ref, lost_ref, details_ref, recent_ref, reasons_ref, scratch_ref;
  /* What tracebacks keep of the error that was raised last, and of others (traceback.c). */
  int kept_ref, kept_origin_ref, origins_ref;
  unsigned reporting;         /* inside so many handlers of on_unhandled */
  const char *refused_op;     /* what bide__checkpoint has refused last */
  const bide_task *kept_task; /* … in which task; to compare only */
  int witnesses_ref;
  uint64_t failure_serial;
  int names_ref;                  /* weak table of names given by task:name(s) */
  int c_names_ref;                /* … and of those found for C functions (name.c) */
  uint32_t modules, modules_turn; /* in package.loaded, as counted in this turn; 0: not yet */
  int unhandled_ref;              /* the on_unhandled handler or LUA_NOREF */
  int error_ref;                  /* bide.Error */
  int mt_task_ref, mt_future_ref, mt_failure_ref, mt_group_ref, mt_guard_ref;
  const void *mt_task, *mt_future, *mt_failure, *mt_group; /* for identity */
  bide_failure *failures, *failures_last;                  /* not seen yet, oldest first */
  unsigned char report_now;                                /* a daemon has failed */
  uint32_t lost;    /* failures whose handle is gone, to be reported */
  int unhandled;    /* how many were reported */
  bide_site *sites; /* owned */
  uint32_t sites_n, sites_cap;
  uint32_t *site_index; /* owned; hash of sites */
  uint32_t site_cache[256];
  bide_callsite calls[BIDE_CALLS];
  int calls_ref;  /* the table that anchors their functions; 0: calls are not remembered */
  char *deadlock; /* owned; message of the deadlock being raised */
  size_t held;    /* bytes that bide__alloc and its kin have given out */
  size_t deadlock_size;
  char *read_buffer;       /* owned; BIDE_READ_BUFFER bytes, made at the first read; one per loop */
  unsigned char read_busy; /* between alloc and read callback */
  uv_loop_t *embed_loop;   /* made by bide_new and closed by bide_free, after the state; or NULL */
  bide_runner *base;       /* the run of tasks that C spawned, or NULL */
  unsigned char stop_at_rest;  /* leave uv_run when the base run has no task left */
  struct bide_future *futures; /* of C, not freed yet */
  struct bide_post *post;      /* wake-ups from other threads; embedded hosts only */
  _Atomic(void *) data;        /* the embedder's own; any thread */
  void (*report)(void *ud, const char *message); /* the embedder's, or NULL: stderr */
  void *report_ud;
  lua_Alloc alloc;
  void *alloc_ud;
  struct bide_meter *meter; /* of a memory limit; borrowed: it outlives the state; or NULL */
  uint32_t max_tasks, max_timers, max_sockets; /* UINT32_MAX: no limit */
  uint32_t max_depth;                          /* of calls; 0: no limit */
  uint32_t depth_left;                         /* calls until the depth is looked at again, */
  lua_State *depth_of;                         /* in this thread */
  uint32_t sockets;                            /* open */
  int signal;                                  /* for the slicer, when it is made later */
  lua_Hook dump_hook;                          /* that of bide_dump_running, once it was used; */
  lua_Hook dumped_hook;                        /* … what it has displaced, and how that was set */
  int dumped_mask, dumped_count;
  const struct bide_policy *policy; /* of a sandbox; borrowed from embed; or NULL */
};

/* The host of this Lua state: the first upvalue of bide's functions. */
static inline bide_host *bide__host(lua_State *L) {
  return (bide_host *)lua_touserdata(L, lua_upvalueindex(1));
}
/* May a wait begin here, and is none refused? The quick answer of bide__checkpoint (wait.h), which
 * does the rest. Inside a task only. */
static inline int bide__may_wait(lua_State *L, const bide_host *h) {
  return L == h->top && lua_isyieldable(L) && !bide__task_refused(h->current);
}
/* The host of any state by a registry look-up (by address): for slow paths and foreign C functions.
 * NULL when bide is not loaded. */
bide_host *bide__host_of(lua_State *L);
/* As uv_loop_init, but no descriptor of the loop's is 0, 1 or 2. */
int bide__loop_init(uv_loop_t *loop);
/* Makes the host of this state if it has none; pushes it. loop NULL: its own. Raises on failure. */
bide_host *bide__host_open(lua_State *L, uv_loop_t *loop);
/* Teardown, in one order (ARCHITECTURE.md): cancel and refuse, run what must run, close handles,
 * run the loop until they are closed, free. Idempotent. */
void bide__host_close(bide_host *h);

/* Memory through the state's allocator; NULL when there is none left, and after teardown. Sizes are
 * given back at free. */
void *bide__alloc(bide_host *h, size_t size);
void *bide__realloc(bide_host *h, void *p, size_t osize, size_t nsize);
void bide__free(bide_host *h, void *p, size_t size);

/* The next free slot (from 1) with room to give it back later, or 0 when there is no memory; it
 * stays free until bide__slot_take, so that what is in between may raise. */
uint32_t bide__slot_peek(bide_host *h, bide_slots *s);
void bide__slot_take(bide_slots *s);
static inline void bide__slot_give(bide_slots *s, uint32_t slot) {
  s->free[s->nfree++] = slot;
}

uint64_t bide__now_ns(const bide_host *h);
/* Seconds since a time that was taken from host->coarse. */
double bide__coarse_age(const bide_host *h, uint32_t then);

/* Tells the embedder, or stderr: unhandled errors, a server that cannot accept. One message, no
 * newline at the end. */
void bide__report(bide_host *h, const char *message);

/* Registers with the host; `close` is called in teardown, before the handles are closed. */
void bide__tenant_add(bide_host *h, bide_tenant *tenant);
void bide__tenant_remove(bide_tenant *tenant);

/* The one read buffer of the loop, for an alloc callback; NULL when there is no memory. Data must
 * be taken out before the read callback returns. */
char *bide__read_buffer(bide_host *h);

#endif
