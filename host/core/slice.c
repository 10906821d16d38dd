/* SPDX-License-Identifier: MIT */
/* slice.c: see slice.h. The disposition of a signal belongs to the process, so who uses it is
 * counted for the process, in `signals`; nothing else here is shared between hosts. The handler
 * finds its slicer through a variable of the thread, which is set only between enter and leave. */
#include "slice.h"
#include "sched.h"
#include "stop.h"

#ifdef BIDE_LINUX

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct bide_slicer {
  bide_host *host;
  bide_slicer *outer; /* of the host in a task of which this one is driven */
  timer_t timer;      /* on the CPU time of the thread */
  timer_t edge;       /* on real time, once: the end of a slice of tasks from `hogs` */
  uint64_t thread;    /* whose timers they are, 0: there are none */
  struct itimerspec period;
  uint64_t slice; /* ns */
  int signo;
  unsigned char has_edge;     /* made when first needed */
  unsigned char all;          /* tasks are sliced, not only compute tasks */
  unsigned char blocked;      /* the signal was blocked when we entered */
  volatile uint32_t seen;     /* the step that the last signal found running */
  volatile uint64_t seen_cpu; /* … first at this CPU time of the thread, ns */
  volatile uint64_t end;      /* of the slice of tasks from `hogs`, by uv_hrtime; 0: none runs */
  lua_State *volatile hooked; /* has our hook in the place of: */
  lua_Hook saved;
  int saved_mask, saved_count;
  uint64_t budget, used, since; /* ns of CPU; since: when we entered */
  pthread_mutex_t mutex;        /* guards the two below */
  pthread_t runner;
  int runs;
};

static _Thread_local struct {
  bide_slicer *volatile armed;
  uint64_t id; /* of the thread, never used twice */
} here;

enum { TICKS = 4 }; /* signals in a slice */

static const char mark = 0; /* its address says that a signal is ours */

static struct {
  pthread_mutex_t mutex;
  struct {
    unsigned users;
    struct sigaction before;
  } of[65];
} signals = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static uint64_t cpu_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- hooks ---- */

static void inherit_hook(const bide_host *h, lua_State *L) {
  lua_sethook(L, lua_gethook(h->main), lua_gethookmask(h->main), lua_gethookcount(h->main));
}

static void restore_hook(bide_slicer *s, lua_State *L) {
  if (s->hooked != L) { /* a thread that was made in the moment before its maker's hook ran */
    inherit_hook(s->host, L);
    return;
  }
  lua_sethook(L, s->saved, s->saved_mask, s->saved_count);
  s->hooked = NULL;
}

/* Another's hook keeps its other events for the one instruction that ours is set, but for new
 * lines: Lua would call it after ours has yielded, with the thread no longer able to run. */
static void hook_slice(lua_State *L, lua_Debug *ar) {
  bide_host *h = bide__host_of(L);
  bide_slicer *s = h->slicer;
  bide_task *t = h->current;
  if (!s) { /* such a thread, first run by a finalizer after teardown */
    inherit_hook(h, L);
    return;
  }
  if (ar->event != LUA_HOOKCOUNT) {
    if (s->hooked == L && s->saved) s->saved(L, ar);
    return;
  }
  restore_hook(s, L);
  if (h->guard) {
    bide__guard(h, L);
    return;
  }
  if (!t || L != h->running || L != h->top || !lua_isyieldable(L)) return;
  if (!s->all && !t->fut.compute) return;
  t->fut.preempted = L == t->L ? BIDE_PREEMPTED_TASK : BIDE_PREEMPTED_COROUTINE;
  lua_yield(L, 0);
}

/* Set from a signal, Lua may be between its look at the mask and the count: one instruction more.
 */
enum { COUNT = 2 };

static void set_hook(bide_slicer *s, lua_State *L) {
  lua_Hook hook = lua_gethook(L);
  if (hook && hook == s->host->dump_hook) return; /* a later signal will */
  if (hook == hook_slice) return;
  s->saved = hook;
  s->saved_mask = lua_gethookmask(L);
  s->saved_count = lua_gethookcount(L);
  s->hooked = L;
  lua_sethook(L, hook_slice, (s->saved_mask & ~LUA_MASKLINE) | LUA_MASKCOUNT, COUNT);
}

int bide__is_slice_hook(lua_State *L) {
  return lua_gethook(L) == hook_slice;
}

int bide__is_preempted(lua_State *co) {
  lua_Debug ar;
  return lua_status(co) == LUA_YIELD && lua_getstack(co, 0, &ar) && lua_getinfo(co, "S", &ar) &&
         *ar.what != 'C';
}

void bide__preempted_resume(bide_host *h, bide_task *t, lua_State *co) {
  t->fut.preempted = BIDE_PREEMPTED_NOT;
  h->preempted--;
  h->delivering = 0;
  if (bide__task_refused(t)) bide__cancel_hook(h, co);
}

/* ---- the signal ---- */

/* How long a step may run after the first signal that found it running: that one came up to a
 * period late, the next may come a little early. */
static uint64_t patience(const bide_slicer *s) {
  return s->slice - s->slice / TICKS / 2;
}

static int is_to_stop(bide_host *h) {
  return h->stopping || atomic_load(&h->stop);
}

static void tick(bide_slicer *s) {
  bide_host *h = s->host;
  lua_State *L = h->running;
  const bide_task *t = h->current;
  uint64_t cpu = 0;
  if (!is_to_stop(h)) {
    cpu = cpu_now();
    if (s->budget && s->used + cpu - s->since >= s->budget) bide__stop(h, BIDE_STOP_BUDGET);
  }
  if (!L || h->closed) return;
  if (is_to_stop(h)) {
    bide__stop_hook(h, L);
    return;
  }
  if (s->seen != h->steps) {
    s->seen = h->steps;
    s->seen_cpu = cpu;
  }
  if (!t || !(s->all || t->fut.compute)) return;
  if (s->end ? uv_hrtime() >= s->end : cpu - s->seen_cpu >= patience(s)) set_hook(s, L);
}

static void on_signal(int signo, siginfo_t *info, void *context) {
  int saved = errno;
  const struct sigaction *before = &signals.of[signo].before;
  int ours = (info->si_code == SI_TIMER || info->si_code == SI_QUEUE) &&
             info->si_value.sival_ptr == (void *)(uintptr_t)&mark;
  if (ours) {
    if (here.armed) tick(here.armed);
  } else if (before->sa_flags & SA_SIGINFO) {
    before->sa_sigaction(signo, info, context);
  } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
    before->sa_handler(signo);
  }
  errno = saved;
}

static int take_signal(int signo) {
  struct sigaction act;
  int rc = 0;
  memset(&act, 0, sizeof act);
  act.sa_sigaction = on_signal;
  act.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  sigemptyset(&act.sa_mask);
  pthread_mutex_lock(&signals.mutex);
  if (signals.of[signo].users == 0) {
    if (sigaction(signo, NULL, &signals.of[signo].before) || sigaction(signo, &act, NULL))
      rc = uv_translate_sys_error(errno);
  }
  if (rc == 0) signals.of[signo].users++;
  pthread_mutex_unlock(&signals.mutex);
  return rc;
}

static void give_signal(int signo) {
  struct sigaction now;
  pthread_mutex_lock(&signals.mutex);
  if (--signals.of[signo].users == 0 && sigaction(signo, NULL, &now) == 0 &&
      (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal)
    sigaction(signo, &signals.of[signo].before, NULL);
  pthread_mutex_unlock(&signals.mutex);
}

/* ---- enter and leave ---- */

static void set_mask(bide_slicer *s, int how, sigset_t *before) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, s->signo);
  pthread_sigmask(how, &set, before);
}

static void delete_timers(bide_slicer *s) {
  if (!s->thread) return;
  timer_delete(s->timer);
  if (s->has_edge) timer_delete(s->edge);
  s->has_edge = 0;
  s->thread = 0;
}

/* One that sends this thread our signal. */
static int make_timer(const bide_slicer *s, clockid_t clock, timer_t *timer) {
  struct sigevent ev;
  memset(&ev, 0, sizeof ev);
  ev.sigev_notify = SIGEV_THREAD_ID;
  ev.sigev_signo = s->signo;
  ev.sigev_value.sival_ptr = (void *)(uintptr_t)&mark;
  ev._sigev_un._tid = gettid();
  return timer_create(clock, &ev, timer);
}

/* The timers are bound to a thread; a host may move to another. */
static int take_timers(bide_slicer *s) {
  if (!here.id) here.id = (uv_hrtime() << 12) ^ (uint64_t)gettid();
  if (s->thread == here.id) return 0;
  delete_timers(s);
  if (make_timer(s, CLOCK_THREAD_CPUTIME_ID, &s->timer) != 0) return -1;
  s->thread = here.id;
  return 0;
}

static void set_runner(bide_slicer *s, int runs) {
  pthread_mutex_lock(&s->mutex);
  s->runner = pthread_self();
  s->runs = runs;
  pthread_mutex_unlock(&s->mutex);
}

static void start(bide_slicer *s) {
  sigset_t before;
  if (take_timers(s) != 0) return; /* none to be had: no slices */
  s->seen = s->host->steps - 1;
  s->since = cpu_now();
  s->outer = here.armed;
  here.armed = s;
  set_runner(s, 1);
  set_mask(s, SIG_UNBLOCK, &before);
  s->blocked = (unsigned char)sigismember(&before, s->signo);
  timer_settime(s->timer, 0, &s->period, NULL);
}

/* What was sent by the timer, and by other threads while we were the runner, has been handled when
 * timer_settime returns: only then may the signal be blocked. */
static void stop(bide_slicer *s) {
  static const struct itimerspec never;
  if (here.armed != s) return;
  set_runner(s, 0);
  timer_settime(s->timer, 0, &never, NULL);
  if (s->blocked) set_mask(s, SIG_BLOCK, NULL);
  here.armed = s->outer;
  s->used += cpu_now() - s->since;
}

void bide__slicer_enter(bide_host *h) {
  if (h->entered++ == 0 && h->slicer) start(h->slicer);
}

void bide__slicer_leave(bide_host *h) {
  if (--h->entered == 0 && h->slicer) stop(h->slicer);
}

int bide__slicer_poke(bide_host *h) {
  bide_slicer *s = h->slicer;
  union sigval value = {.sival_ptr = (void *)(uintptr_t)&mark};
  if (!s) return 0; /* who waits will see it */
  pthread_mutex_lock(&s->mutex);
  if (s->runs) pthread_sigqueue(s->runner, s->signo, value);
  pthread_mutex_unlock(&s->mutex);
  return 0;
}

/* ---- open and close ---- */

static void set_slice(bide_slicer *s, double seconds) {
  uint64_t part;
  s->all = seconds > 0;
  if (!(seconds > 0)) seconds = BIDE_SLICE;
  if (seconds < 0.0002) seconds = 0.0002;
  if (seconds > 1000) seconds = 1000;
  s->slice = (uint64_t)(seconds * 1e9);
  part = s->slice / TICKS;
  s->period.it_interval.tv_sec = (time_t)(part / 1000000000u);
  s->period.it_interval.tv_nsec = (long)(part % 1000000000u);
  s->period.it_value = s->period.it_interval;
}

int bide__slicer_open(bide_host *h, double slice, int signo) {
  bide_slicer *s;
  int rc;
  if (h->slicer) {
    if (slice > 0) set_slice(h->slicer, slice);
    return 0;
  }
  if (signo == 0) signo = SIGRTMIN + 7;
  if (signo < 1 || signo > SIGRTMAX || signo > 64) return UV_EINVAL;
  if ((rc = take_signal(signo)) != 0) return rc;
  s = bide__alloc(h, sizeof *s);
  if (!s) {
    give_signal(signo);
    return UV_ENOMEM;
  }
  memset(s, 0, sizeof *s);
  s->host = h;
  s->signo = signo;
  pthread_mutex_init(&s->mutex, NULL);
  set_slice(s, slice);
  h->slicer = s;
  if (h->entered) start(s);
  return 0;
}

void bide__slicer_close(bide_host *h) {
  bide_slicer *s = h->slicer;
  if (!s) return;
  stop(s);
  h->slicer = NULL;
  delete_timers(s);
  give_signal(s->signo);
  pthread_mutex_destroy(&s->mutex);
  bide__free(h, s, sizeof *s);
}

void bide__slicer_budget(bide_host *h, double seconds) {
  if (h->slicer) h->slicer->budget = seconds > 0 && seconds < 9e9 ? (uint64_t)(seconds * 1e9) : 0;
}

void bide__slicer_refill(bide_host *h) {
  if (!h->slicer) return;
  h->slicer->used = 0;
  if (h->entered) h->slicer->since = cpu_now();
}

/* Where there is no second timer to be had the first one finds the end, later. */
static void set_edge(bide_slicer *s, uint64_t when) {
  struct itimerspec at = {{0, 0}, {(time_t)(when / 1000000000u), (long)(when % 1000000000u)}};
  if (here.armed != s) return;
  if (!s->has_edge) s->has_edge = make_timer(s, CLOCK_MONOTONIC, &s->edge) == 0;
  if (s->has_edge) timer_settime(s->edge, TIMER_ABSTIME, &at, NULL);
}

static uint64_t slice_begin(const bide_host *h) {
  bide_slicer *s = h->slicer;
  uint64_t end = uv_hrtime() + (s ? s->slice : (uint64_t)(BIDE_SLICE * 1e9));
  if (h->until && h->until < end) end = h->until;
  if (!s) return end;
  s->end = end;
  set_edge(s, end);
  return end;
}

static void slice_end(const bide_host *h) {
  if (!h->slicer) return;
  h->slicer->end = 0;
  set_edge(h->slicer, 0);
}

#else /* elsewhere a thread cannot be sent a signal for its CPU time */

struct bide_slicer {
  int unused;
};

int bide__slicer_open(bide_host *h, double slice, int signo) {
  (void)h;
  (void)slice;
  (void)signo;
  return UV_ENOTSUP;
}
void bide__slicer_close(bide_host *h) {
  (void)h;
}
void bide__slicer_budget(bide_host *h, double seconds) {
  (void)h;
  (void)seconds;
}
void bide__slicer_refill(bide_host *h) {
  (void)h;
}
int bide__slicer_poke(bide_host *h) {
  (void)h;
  return UV_ENOTSUP;
}
void bide__slicer_enter(bide_host *h) {
  h->entered++;
}
void bide__slicer_leave(bide_host *h) {
  h->entered--;
}
int bide__is_preempted(lua_State *co) {
  (void)co;
  return 0;
}
void bide__preempted_resume(bide_host *h, bide_task *t, lua_State *co) {
  (void)h;
  (void)t;
  (void)co;
}
static uint64_t slice_begin(const bide_host *h) {
  (void)h;
  return uv_hrtime() + (uint64_t)(BIDE_SLICE * 1e9);
}
static void slice_end(const bide_host *h) {
  (void)h;
}

#endif

/* ---- the queue of those that compute ---- */

void bide__run_hogs(bide_host *h) {
  uint64_t end = slice_begin(h);
  uint32_t n = h->hogs.n;
  while (n-- > 0 && h->hogs.n > 0) {
    bide__task_step(h, bide__queue_pop(&h->hogs), h->from);
    if (BIDE_UNLIKELY(atomic_load_explicit(&h->stop, memory_order_relaxed))) bide__stop_all(h);
    if (uv_hrtime() >= end) break;
  }
  slice_end(h);
}
