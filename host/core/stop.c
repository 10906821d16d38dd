/* SPDX-License-Identifier: MIT */
/* stop.c: see stop.h. The hooks here raise; whoever sets one on a thread must know that the thread
 * belongs to a task, for a hook on the main thread would outlive the stop. */
#include "stop.h"
#include "error.h"
#include "run.h"
#include "sched.h"
#include "slice.h"

#include <time.h>

enum {
  CLOSE_TURNS = 64,         /* turns a task may take to clean up in teardown */
  CLOSE_INSTRUCTIONS = 100, /* between two looks at the budget */
  CLOSE_BUDGET = 50000,     /* looks: five million instructions in all */
  CLOSE_CPU_MS = 500,
  CLOSE_MS = 3000,
  CLOSE_RESUME = 5 /* looks that a guarded resume counts for */
};

/* ---- hooks ---- */

/* A memory error is raised without a message handler and without an allocation. Any other would
 * call the handler of an xpcall in here, where Lua has switched hooks off: it could stay for ever.
 */
static void raise_killed(lua_State *L) {
  lua_pushliteral(L, "not enough memory");
  lua_error(L);
}

static void hook_stop(lua_State *L, lua_Debug *ar) {
  bide_host *h = bide__host_of(L);
  (void)ar;
  if (atomic_load(&h->stop)) bide__stop_all(h);
  if (!h->stopping) { /* left over from a stop that is over */
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  raise_killed(L);
}

/* An instruction may be a call of a C function, which takes as long as it likes: so the time is
 * looked at as well, that of the processor, and, for who sleeps, the real one. */
static uint64_t cpu_ns(void) {
  struct timespec ts;
  return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0
             ? (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec
             : 0;
}

int bide__is_late(const bide_host *h) {
  return h->close_time && (cpu_ns() >= h->close_cpu || uv_hrtime() >= h->close_time);
}

static void hook_budget(lua_State *L, lua_Debug *ar) {
  bide_host *h = bide__host_of(L);
  (void)ar;
  if (bide__is_late(h)) h->close_looks = CLOSE_BUDGET;
  if (++h->close_looks <= CLOSE_BUDGET) return;
  lua_sethook(L, hook_budget, LUA_MASKCOUNT, 1);
  raise_killed(L);
}

static void hook_cancel(lua_State *L, lua_Debug *ar) {
  bide_host *h = bide__host_of(L);
  (void)ar;
  lua_sethook(L, lua_gethook(h->main), lua_gethookmask(h->main), lua_gethookcount(h->main));
  if (h->guard) bide__guard(h, L);
  if (h->closed) raise_killed(L); /* nobody waits for the handler of an xpcall */
  if (h->current && bide__task_refused(h->current))
    bide__raise_status(L, h, UV_ECANCELED, "compute");
}

void bide__stop_hook(bide_host *h, lua_State *L) {
  h->guard = 1;
  lua_sethook(L, hook_stop, LUA_MASKCOUNT, 1); /* anew: a signal may have come while Lua counted */
}

void bide__cancel_hook(bide_host *h, lua_State *L) {
  (void)h;
  lua_sethook(L, hook_cancel, LUA_MASKCOUNT, 1);
}

int bide__is_killing(const bide_host *h) {
  return h->stopping || (h->closed && h->close_looks > CLOSE_BUDGET);
}

/* A thread counts for itself, and setting its hook makes it begin anew. So what is set already is
 * left, and resumes are counted too: of threads that never live to see their count's end. */
static void bound(bide_host *h, lua_State *L) {
  int count;
  if (lua_gethook(L) == hook_cancel) return;
  h->close_looks = bide__is_late(h) ? CLOSE_BUDGET + 1 : h->close_looks + CLOSE_RESUME;
  count = h->close_looks > CLOSE_BUDGET ? 1 : CLOSE_INSTRUCTIONS;
  if (lua_gethook(L) == hook_budget && lua_gethookcount(L) == count) return;
  lua_sethook(L, hook_budget, LUA_MASKCOUNT, count);
}

void bide__guard(bide_host *h, lua_State *L) {
  if (h->closed) {
    bound(h, L);
  } else if (h->stopping || atomic_load(&h->stop)) {
    bide__stop_hook(h, L);
  }
}

/* ---- refusing all ---- */

/* Every task beneath `root` is cancelled, shields or not; newest first. */
static void refuse_all(bide_scope *root) {
  bide_scope *s;
  bide_task *t;
  for (s = root; s; s = bide__scope_walk(s, root, 1)) s->eff = 1;
  for (s = root; s; s = bide__scope_walk(s, root, 1))
    for (t = s->tasks; t; t = t->snext) {
      t->fut.flags |= BIDE_TF_CANCEL;
      bide__task_interrupt(t, UV_ECANCELED);
    }
}

/* ---- a stop ---- */

int bide__stop(bide_host *h, int why) {
  int none = BIDE_STOP_NONE;
  return atomic_compare_exchange_strong(&h->stop, &none, why);
}

void bide__stop_all(bide_host *h) {
  bide_scope *root = bide__run_outermost(h);
  int why = atomic_exchange(&h->stop, BIDE_STOP_NONE);
  if (!why || h->closed) return;
  if (!h->live_tasks && !h->running) {
    h->guard = 0;
    return;
  }
  h->stopping = h->stopped = (unsigned char)why;
  h->guard = 1;
  if (root) refuse_all(root);
}

void bide__stop_settle(bide_host *h) {
  if (h->live_tasks) {
    refuse_all(bide__run_outermost(h)); /* scopes that were opened since then */
    return;
  }
  h->stopping = BIDE_STOP_NONE;
  h->guard = h->closed;
}

void bide__stop_reset(bide_host *h) {
  if (h->live_tasks) return;
  bide__run_base_renew(h);
  atomic_store(&h->stop, BIDE_STOP_NONE);
  h->stopping = h->stopped = BIDE_STOP_NONE;
  h->guard = h->closed;
  bide__slicer_refill(h);
}

void bide__stop_push_error(lua_State *L, bide_host *h) {
  if (h->stopped == BIDE_STOP_BUDGET)
    bide__error_push(L, h, "EBUDGET", "run", "the script was stopped: its CPU budget is used up");
  else bide__error_push(L, h, "EINTR", "run", "the script was stopped: interrupted");
}

/* ---- teardown ---- */

void bide__end_tasks(bide_host *h) {
  bide_scope *root = bide__run_outermost(h);
  int turn;
  if (!root) return;
  h->close_cpu = cpu_ns() + CLOSE_CPU_MS * 1000000u;
  h->close_time = uv_hrtime() + CLOSE_MS * 1000000u;
  for (turn = 0; h->live_tasks && turn < CLOSE_TURNS * 2; turn++) {
    if (turn == CLOSE_TURNS) h->close_looks = CLOSE_BUDGET + 1;
    refuse_all(root);
    if (!bide__sched_turn(h)) uv_run(h->loop, UV_RUN_NOWAIT);
  }
}
