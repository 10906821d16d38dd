/* SPDX-License-Identifier: MIT */
/* slice.h: tasks that compute too long give way to others.
 *
 * Nothing counts instructions. While the loop runs, a timer on the CPU time of its thread sends
 * that thread a signal every quarter of a slice. The handler looks whether the step of a task that
 * ran at the signals before still runs, and only then sets a count hook on the running Lua thread,
 * which yields at the next instruction: through the plain coroutines in between, as a wait passes.
 * So it costs nothing until somebody overruns. The task goes to the queue `hogs`, of which each
 * turn of the loop runs what fits into one slice.
 *
 * The kernel looks at timers on CPU time at its own tick only, every 1 to 10 ms, and more seldom
 * where others want the processor: the first time a step may run for two ticks more than its slice.
 * The end of a slice of `hogs` is a timer on real time, which comes when it is due. It is not used
 * for the rest: it would go off while a task is in a system call that waits, and cut that short.
 *
 * Where Lua cannot yield (a comparator of Lua's own table.sort) a later signal tries again. In a
 * finalizer Lua switches hooks off: neither a slice nor a stop reaches it. */
#ifndef BIDE_CORE_SLICE_H
#define BIDE_CORE_SLICE_H

#include "host.h"

#define BIDE_SLICE 0.01 /* seconds; for bide.compute where no other was asked for */

/* Makes the host's slicer, or changes the one it has. `slice` in seconds: all tasks are sliced; 0:
 * only compute tasks are, at BIDE_SLICE. `signo` 0: SIGRTMIN + 7. 0, UV_ENOTSUP where there are no
 * such timers, UV_ENOMEM, or why the signal cannot be had. */
int bide__slicer_open(bide_host *h, double slice, int signo);
/* Teardown: no signal comes any more; what stood for the signal before is put back. */
void bide__slicer_close(bide_host *h);
/* CPU seconds for all that runs until the host is at rest again; 0: no limit. Needs a slicer. */
void bide__slicer_budget(bide_host *h, double seconds);
/* The budget is whole again. */
void bide__slicer_refill(bide_host *h);
/* From any thread: lets the thread that runs the host look at h->stop at its next instruction, if
 * there is a slicer. 0, UV_ENOTSUP where there are no such signals. */
int bide__slicer_poke(bide_host *h);

/* Around every stretch in which tasks may run; nests. Signals come only in between. */
void bide__slicer_enter(bide_host *h);
void bide__slicer_leave(bide_host *h);

/* Was the suspended `co` stopped in mid-code? Only while h->preempted is not 0 it can have been. */
int bide__is_preempted(lua_State *co);
/* Before `co`, the innermost thread of the preempted task `t`, is resumed. */
void bide__preempted_resume(bide_host *h, bide_task *t, lua_State *co);
/* Is L about to be stopped at the end of its slice? */
int bide__is_slice_hook(lua_State *L);
/* Runs tasks from the queue of those that compute, for a slice at most. */
void bide__run_hogs(bide_host *h);

#endif
