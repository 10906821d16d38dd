/* SPDX-License-Identifier: MIT */
/* trace.h: what stacks tell: sites (file:line, interned), tracebacks, what stands in the way of a
 * yield. */
#ifndef BIDE_CORE_TRACE_H
#define BIDE_CORE_TRACE_H

#include "host.h"

/* The site of the Lua code that called the running C function; 0 when there is none. Never raises.
 */
uint32_t bide__site_caller(lua_State *L, bide_host *h);
/* The site where the function at idx is defined. */
uint32_t bide__site_function(lua_State *L, bide_host *h, int idx);
/* The site of the innermost Lua code of `co` at `level` or further out. */
uint32_t bide__site_at(bide_host *h, lua_State *co, int level);
/* The site of a line of the function that `ar` (filled with "S") tells of. */
uint32_t bide__site_line(bide_host *h, const lua_Debug *ar, int line);
/* The site where the suspended or running `co` stands now. */
uint32_t bide__site_current(bide_host *h, lua_State *co);
/* "file:line" of a site ("?" for 0), valid until sites are added; written to buf. */
const char *bide__site_text(const bide_host *h, uint32_t site, char *buf, size_t size);
/* The first task that awaits the result of `t`, directly or as the owner of a join, or NULL. */
const bide_task *bide__awaiter(const bide_task *t);
void bide__sites_open(lua_State *L, bide_host *h);
/* Lets go of the functions that the memo holds. */
void bide__sites_forget(bide_host *h);
void bide__sites_fini(bide_host *h);

/* ---- tracebacks (traceback.c) ---- */

/* The line where living task `t` stands, in the innermost of its coroutines; `co`: the thread that
 * runs, when that is the task's, or NULL. May raise (memory). */
uint32_t bide__task_place(lua_State *L, bide_host *h, const bide_task *t, lua_State *co);
/* Pushes the traceback of task `t`: its stack (`co` is its innermost thread when that runs, else
 * NULL), from `level` on, with the coroutines in it; then who awaits it, then where they were
 * spawned. t NULL: the stack of `co` alone. */
void bide__traceback(lua_State *L, bide_host *h, lua_State *co, const bide_task *t, int level);
/* The same for the error at `err` that leaves it, as a record (a table, opaque): it goes on from
 * the traceback that the error came with. May raise (memory). */
void bide__push_record(lua_State *L, bide_host *h, lua_State *co, const bide_task *t, int level,
                       int err);
/* Pushes the text of the record at `record`, or nil (and returns 0) if that is none. */
int bide__push_record_text(lua_State *L, int record);
/* The error at `err` goes from a failed task, whose record is at `record`, to the running one. May
 * raise. */
void bide__keep_record(lua_State *L, bide_host *h, int err, int record);
/* Pushes the record kept last if it is that of the error at `err`, else nil (and returns 0). */
int bide__push_kept_record(lua_State *L, bide_host *h, int err);
/* Notes the record for the value (no string, number…) at `at`, for as long as that lives. */
void bide__note_record(lua_State *L, bide_host *h, int at, int record);
/* Pushes the record noted for the value at `at`, or something else (and returns 0). */
int bide__push_noted(lua_State *L, bide_host *h, int at);
/* The plain coroutine `co` has ended by the error on top of L and is about to be reset: pushes its
 * frames, for the traceback of that error, or false. Raises nothing if L has room. */
void bide__push_dead_frames(lua_State *L, bide_host *h, lua_State *co);
/* Removes them from below the top of L: they belong to the error on top. May raise. */
void bide__keep_dead_frames(lua_State *L, bide_host *h);
/* What was kept has been used, or is of no use any more. */
void bide__forget_traceback(lua_State *L, bide_host *h);
/* A message handler for bodies that bide calls with lua_pcallk and whose errors it raises again. */
int bide__body_handler(lua_State *L);
/* Are these the frames of bide's own Lua files? */
int bide__is_own_source(lua_State *L, const char *source);

/* ---- barriers (barrier.c) ---- */

/* Pushes words for what keeps `co` from yielding: "table.sort (called at f.lua:3)". */
void bide__push_barrier(lua_State *L, bide_host *h, lua_State *co);
/* Does a finalizer run, in whatever thread of the state? (Before 5.4.4: in this one.) */
int bide__in_finalizer(lua_State *L);
/* Is `co` in a message handler that has failed already, and so was called again for its own error?
 * Another error there would only call it once more, until Lua gives up and hides all of them. */
int bide__handler_again(lua_State *co);

#endif
