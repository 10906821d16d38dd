/* SPDX-License-Identifier: MIT */
/* bide.h: async Lua for C programs.
 *
 * A host is one Lua state with one loop. Scripts in it run as tasks: a wait suspends only the task
 * that waits. Any number of hosts may live in a process, each used by one thread at a time; there
 * is no global state. Every function is to be called on the host's thread unless it says otherwise.
 *
 * Codes: functions that return int return 0 (or a count) on success and a negative code on failure:
 * BIDE_ERROR or BIDE_STOPPED when a Lua error is on the stack, else one of libuv's (UV_ENOMEM,
 * UV_ECANCELED…). The types are opaque; a pointer that a function returns belongs to bide unless
 * it is said otherwise. Guide: docs/embedding.md. */
#ifndef BIDE_H
#define BIDE_H

#include <stddef.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

#include <lua.h> /* says nothing of C++ by itself */

#define BIDE_VERSION_MAJOR 0
#define BIDE_VERSION_MINOR 1
#define BIDE_VERSION_PATCH 0
#define BIDE_VERSION       "0.1.0"

#define BIDE_ERROR   (-6000) /* a Lua error; its value is on the stack */
#define BIDE_STOPPED (-6002) /* the same: bide_interrupt or a CPU budget ended the run */

#if defined(__GNUC__)
#define BIDE_API __attribute__((visibility("default")))
#else
#define BIDE_API
#endif

typedef struct bide_host bide_host;
typedef struct bide_future bide_future;

/* The version of the library, "0.1.0"; from any thread. */
BIDE_API const char *bide_version(void);

/* ---- hosts ---- */

/* All zero is the default of each; set `size` to sizeof(bide_options), as BIDE_OPTIONS does. A size
 * of 0, and an option set that the library is too old for, are refused. */
typedef struct bide_options {
  size_t size;     /* of this struct as the caller knows it */
  uv_loop_t *loop; /* the caller's loop, used but never closed; NULL: one of its own */
  lua_Alloc alloc; /* for all memory of the host; NULL: realloc and free */
  void *alloc_ud;
  /* Gets what would go to stderr (unhandled errors with their tracebacks, why bide_new failed),
   * NUL-terminated, without a newline at the end; NULL: stderr. Must not call into the host. */
  void (*report)(void *ud, const char *message);
  void *report_ud;
  /* The standard libraries to open beside the base library, package and coroutine, by name with
   * blanks between: "string table math"; "" is none. NULL: all. bide.http and bide.socket are
   * written in Lua and need string, table, math and os. */
  const char *libs;

  /* Bytes that may be held for this host, what it needs to exist (about 300 KB) included: all of
   * Lua's and of bide's, buffers, bodies and decompressors too; 48 KB for each TLS connection and
   * some for what OpenSSL and c-ares keep beside; what C futures carry. Not counted: the kernel's
   * socket buffers, and what the caller's own C functions allocate. The process may hold somewhat
   * more than this, for what the allocator cannot use at once. Past it a script gets `not enough
   * memory`; the host goes on. */
  size_t memory_limit;
  /* Seconds that a task may compute before others run: it is then suspended in mid-code and goes on
   * later, as if it had called bide.sleep(0) there. 0: never, but for bide.compute. Negative and
   * NaN are refused. */
  double cpu_slice;
  /* Seconds of CPU time for each run (a bide_call, or all between two times when no task lives);
   * past it the run is stopped with code EBUDGET, for good: no pcall keeps it. 0: none. Negative,
   * NaN and infinite are refused. */
  double cpu_budget;
  unsigned interruptible; /* nonzero: bide_interrupt reaches a script that computes */
  /* The last three, and bide.compute, have the kernel send this signal to the thread that runs the
   * host, only while it does; 0: SIGRTMIN + 7. What was installed for it before is still called for
   * signals that are not bide's, and put back when the last host that uses it is freed. Refused are
   * SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGKILL and SIGSTOP. */
  int signal;
  unsigned max_tasks;   /* alive at once */
  unsigned max_timers;  /* sleeps, and deadlines, and limits of operations: so many of each */
  unsigned max_sockets; /* open at once */
  unsigned max_depth; /* nested calls of a Lua thread; costs a hook at each call; sandbox: 16,000 */
  /* Nonzero: the script can reach nothing but what is listed in docs/embedding.md; also refuses
   * finalizers and bounds what could not be interrupted. */
  unsigned sandbox;
  /* In a sandbox: what may be connected to, "host:port" each, ended by NULL: a name or address as
   * the script will give it, IPv6 addresses in brackets ("[::1]:80"); "*" stands for any host or
   * any port. NULL: no network at all. Copied. Refused without a sandbox, or when malformed. */
  const char *const *network;
  /* In a sandbox: a directory beneath which files may be read: by loadfile, dofile and require
   * (root/?.lua, root/?/init.lua; text only), and as certificates for TLS. Paths are relative to
   * it; neither ".." nor symbolic links lead out of it (where the kernel lacks openat2, links are
   * not followed at all). Regular files alone; nothing can be written. NULL: no files. Refused
   * without a sandbox. */
  const char *root;
} bide_options;

/* All defaults; in C and C++: bide_options o = BIDE_OPTIONS; */
#define BIDE_OPTIONS                                                                               \
  {                                                                                                \
    sizeof(bide_options), NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL,  \
        NULL                                                                                       \
  }

/* Makes a host: a new Lua state with the standard libraries and bide, which `require "bide"` finds.
 * `options` may be NULL and is not kept (nor is what it points to, but for `loop` and the
 * functions). NULL when memory or handles are lacking, or an option is wrong; `report` or stderr is
 * told which (stderr too when `size` does not reach `report`). The host may be made on one thread
 * and used on another, by one at a time. */
BIDE_API bide_host *bide_new(const bide_options *options);

/* Ends a host: cancels all its tasks, newest first, and refuses every further wait; runs their
 * clean-up within bounds; closes what it has on the loop, the Lua state, and its own loop. Ends in
 * bounded time whatever the scripts do, but for finalizers written in Lua (a sandbox refuses those)
 * and blocking work of bide_work, which it waits for (job->cancel makes that short).
 *
 * Finalizers of userdata may close handles of theirs on either kind of loop; on the host's own,
 * what is then still open is closed without a callback and its memory must live until bide_free
 * returns; on a caller's nothing of the caller's is touched. Order: ARCHITECTURE.md, "Teardown".
 *
 * Futures of C that are still to be filled have their cancel hooks called, and may be filled after
 * bide_free: that frees them. Not from within a task, or a callback of the loop: it runs the loop
 * (also a caller's, whose own callbacks may then be called) until its handles are closed. NULL is
 * fine. */
BIDE_API void bide_free(bide_host *host);

/* The main Lua state: for passing functions, arguments and results. Valid until bide_free. */
BIDE_API lua_State *bide_lua(bide_host *host);
/* The loop that the host lives on. */
BIDE_API uv_loop_t *bide_loop(bide_host *host);
/* The host that a Lua state belongs to, or NULL: for C functions called from Lua. */
BIDE_API bide_host *bide_host_of(lua_State *L);
/* Bytes held for the host; 0 unless it has a memory limit. */
BIDE_API size_t bide_memory(const bide_host *host);

/* A pointer of the caller's, NULL at first, with which bide does nothing: for C functions and
 * callbacks, which get at the host by bide_host_of or as an argument. From any thread, until
 * bide_free is called, and in what that calls (hooks, posted calls, finalizers); set and read in
 * one piece, and what was done before it was set is seen by who reads it. */
BIDE_API void bide_set_data(bide_host *host, void *data);
BIDE_API void *bide_data(const bide_host *host);

/* ---- running scripts ---- */

/* Compiles a file, or `size` bytes at `chunk`, and pushes the function on bide_lua(host). `name` as
 * for luaL_loadbuffer ("=name", "@file"). Text or what luac made; in a sandbox text only: bytecode
 * is nothing that limits hold for. On BIDE_ERROR the message is pushed instead. */
BIDE_API int bide_load_file(bide_host *host, const char *path);
BIDE_API int bide_load_string(bide_host *host, const char *chunk, size_t size, const char *name);

/* Runs the function below `nargs` arguments on bide_lua(host) as the main task of a run: drives the
 * loop until it and all that it spawned have ended. Pops function and arguments; pushes `nresults`
 * results (or LUA_MULTRET), or on failure two values: the error and, above it, its traceback (a
 * string). UV_ECANCELED when bide_cancel ended it, BIDE_STOPPED when it was stopped, BIDE_ERROR for
 * any other error. Not from within a task or a callback of the loop (BIDE_ERROR, code EBUSY), nor
 * from within a finalizer (ENOYIELD). */
BIDE_API int bide_call(bide_host *host, int nargs, int nresults);

/* Starts the function below `nargs` arguments on bide_lua(host) as a task; replaces them by the
 * task. It first runs when the loop does: in bide_run, or in uv_run on the caller's own loop. On
 * BIDE_ERROR the error stands in their place; on UV_ENOMEM, and UV_ECANCELED once the host is being
 * freed, nothing does. */
BIDE_API int bide_spawn(bide_host *host, int nargs);

/* Runs the loop. UV_RUN_DEFAULT: until no task is left, raising EDEADLK in waits that can't end.
 * UV_RUN_ONCE, UV_RUN_NOWAIT: as uv_run. Returns how many tasks are left; BIDE_STOPPED when none is
 * and the last were stopped; UV_EINVAL from within a task, a finalizer or a callback of the loop.
 */
BIDE_API int bide_run(bide_host *host, uv_run_mode mode);

/* ---- inside another loop ---- */

/* For a program whose loop is not libuv's: watch bide_fd for reading, wait no longer than
 * bide_timeout, then call bide_step.
 *
 *     struct pollfd p = {bide_fd(host), POLLIN, 0};
 *     do poll(&p, 1, bide_timeout(host)); while (bide_step(host, 0) > 0);
 */

/* A descriptor that becomes readable when the host has something to do; the host's own. Negative:
 * there is none. The same for the host's life. */
BIDE_API int bide_fd(const bide_host *host);
/* Milliseconds until the host has something to do by itself; 0: now; -1: not before bide_fd is
 * readable. Valid until the next call into the host. */
BIDE_API int bide_timeout(bide_host *host);
/* Does what there is to do without waiting for anything. With `seconds` > 0 it returns, as soon as
 * the running task gives way, when so much time has passed: what is left is done by the next step.
 * (With cpu_slice a task gives way at the end of its slice.) Returns as bide_run. */
BIDE_API int bide_step(bide_host *host, double seconds);

/* Cancels everything that runs in the host: main tasks and all others, level-triggered. Also from
 * callbacks of the loop. */
BIDE_API void bide_cancel(bide_host *host);

/* Stops everything that runs in the host, for good: no wait and no instruction succeeds any more,
 * clean-up in Lua is not run. What ran ends with code EINTR (BIDE_STOPPED); the host can be used
 * again. Without effect when nothing runs. From any thread, until bide_free is called. A script
 * that computes is reached at its next instruction if the host is `interruptible` (or has a slice
 * or budget), else at its next wait. 0, or UV_ENOTSUP where there are no such signals: then it
 * reaches waits only. */
BIDE_API int bide_interrupt(bide_host *host);

/* Calls `fn` on the loop's thread, outside any task, when the task or future at index `idx` of
 * bide_lua(host) has ended in any way (at once if it has ended already). `ok`: it is done, neither
 * failed nor cancelled. `fn` must not free the host. 0 or UV_ENOMEM, UV_EINVAL (no task there). */
typedef void (*bide_done_fn)(bide_host *host, int ok, void *arg);
BIDE_API int bide_on_done(bide_host *host, int idx, bide_done_fn fn, void *arg);

/* Pushes the results of the task or future at index `idx` of bide_lua(host) and returns how many,
 * or pushes its error (which then counts as handled) and returns BIDE_ERROR. UV_EAGAIN while it is
 * pending, UV_EINVAL when there is none; then nothing is pushed. */
BIDE_API int bide_result(bide_host *host, int idx);

/* Cancels the task at index `idx` of bide_lua(host), as task:cancel() does: an error is raised
 * where it waits. Also from callbacks of the loop. 1, or 0 if it has ended already; UV_EINVAL when
 * there is no task. */
BIDE_API int bide_cancel_task(bide_host *host, int idx);

/* How many errors nobody handled have been reported so far. */
BIDE_API int bide_unhandled(bide_host *host);

/* ---- looking inside ---- */

/* Debug mode: warnings (reported as unhandled errors are) when a task holds the loop for longer
 * than 50 ms, ends as if it had not been cancelled, or fails with its handle dropped. Slower. 0, or
 * BIDE_ERROR (no memory; the error is pushed). The environment variable BIDE_DEBUG=1 does the same.
 */
BIDE_API int bide_debug(bide_host *host, int on);

/* Reports (options.report, or stderr) the tree of tasks: what each waits for, since when, where; or
 * that it cannot, for lack of memory. On the loop's thread, from anywhere but a signal handler. */
BIDE_API void bide_dump(bide_host *host);
/* From a signal handler on the loop's thread: nonzero if Lua code of a task is running; it then
 * dumps at its next instruction. Else do it from a callback of the loop. */
BIDE_API int bide_dump_running(bide_host *host);

/* ---- C functions that wait ---- */

/* A future of C: made by a C function that Lua calls in a task, awaited by it, filled later.
 * Check arguments, and whatever else may raise, before making one.
 *
 *     static int l_read_sensor(lua_State *L) {
 *       bide_future *f = bide_future_new(L);
 *       sensor_request(on_value, f);          // calls on_value later, on the loop's thread
 *       return bide_await(L, f);
 *     }
 *     static void on_value(int v, void *f) { bide_resolve_integer(f, v); }
 *
 * It has two ends. Whoever is to fill it must resolve, reject or drop it exactly once, on the
 * loop's thread, also after the await has been cancelled or the host was freed; until then it keeps
 * the loop alive. Whoever made it must await it or forget it. It is freed when both have happened,
 * at the latest by bide_free or by the filling, whichever comes second. */

/* Raises when the caller is in no task or cannot wait, or memory is lacking. */
BIDE_API bide_future *bide_future_new(lua_State *L);
/* `cancel` is called at most once, when the await is cancelled or the host freed before the future
 * was filled: to stop the work early. It may fill the future itself; it must not call into Lua. */
BIDE_API void bide_future_on_cancel(bide_future *f, void (*cancel)(bide_future *f, void *arg),
                                    void *arg);

/* What the future is called where bide tells of it: in timeouts and dumps, and as `op` of errors
 * that have no other; NULL: "await", as it is without a call. Not copied: a static string. While
 * the caller has an end of the future. What bide_work waits for is called "work". */
BIDE_API void bide_future_name(bide_future *f, const char *name);

/* Suspends the running task until `f` is filled; its results are what the calling function returns.
 * Only as `return bide_await(L, f)`, once per future (a second raises while the first waits); also
 * later than in the function that made it, and in another task of the host. Raises what the future
 * was rejected with, or ECANCELED.
 *
 * It takes `f` whatever happens: also when it raises without having waited, the caller need not
 * (and must not) forget it; the cancel hook is called as for a cancelled await. Only a future that
 * is awaited already, or is another host's, stays what it is. */
BIDE_API int bide_await(lua_State *L, bide_future *f);
/* Nobody will await it; the cancel hook is called if it is not filled yet. */
BIDE_API void bide_future_forget(bide_future *f);

/* Puts results on the stack of L and returns how many; runs protected, inside the awaiting task,
 * and may raise. Not called when the await was cancelled: then `drop` is, if it is not NULL. */
typedef int (*bide_push_fn)(lua_State *L, void *arg);

/* The first to fill it counts. A second call does nothing while the future is still there, which is
 * until the task has gone on: never rely on it. */
BIDE_API void bide_resolve(bide_future *f, bide_push_fn push, void *arg, void (*drop)(void *arg));
BIDE_API void bide_resolve_nothing(bide_future *f);
BIDE_API void bide_resolve_integer(bide_future *f, lua_Integer value);
/* Copies the bytes; UV_ENOMEM rejects the future instead. */
BIDE_API void bide_resolve_string(bide_future *f, const char *s, size_t size);
/* Raises a bide.Error in the awaiting task. `code` as "EIO", `op` what was being done, `message`
 * may be NULL; the strings are copied (cut to 31, 31 and 255 bytes). */
BIDE_API void bide_reject(bide_future *f, const char *code, const char *op, const char *message);
/* Nobody will ever fill it: the await ends with EDEADLK. */
BIDE_API void bide_future_drop(bide_future *f);

/* A blocking call as a wait: what bide_work does with its `arg`. All but `work` may be NULL. */
typedef struct bide_job {
  void (*work)(void *arg); /* the call; on a thread of libuv's pool: not into Lua nor the host */
  bide_push_fn done;       /* puts the results on the stack, in the awaiting task; may raise */
  /* On the loop's thread while `work` runs, or has just returned: the await was cancelled, or the
   * host is being freed. Makes `work` return early, as sqlite3_interrupt does. At most once. */
  void (*cancel)(void *arg);
  /* Once, on the loop's thread, when nothing uses `arg` any more, however it ended. After a
   * cancellation that is when `work` has returned, or at once if it had not begun. */
  void (*drop)(void *arg);
} bide_job;

/* Calls job->work(arg) on a thread of the pool and awaits its end. Only as
 * `return bide_work(L, &job, arg)`. `job` is copied. When it raises by itself (no task, no memory),
 * `drop` has been called. */
BIDE_API int bide_work(lua_State *L, const bide_job *job, void *arg);

/* Raises a bide.Error, as bide_reject does: in any C function that Lua calls, in a task or not.
 * Does not return; as `return bide_raise(L, "EIO", "read", "short read")`. */
BIDE_API int bide_raise(lua_State *L, const char *code, const char *op, const char *message);

/* ---- from other threads ---- */

/* Calls fn(host, arg) on the loop's thread, soon, in order of posting, outside of any task. From
 * any thread, until bide_free is called; a thread that does not know of that must be joined before
 * it, or at the latest by what bide_free itself calls: a cancel hook, a finalizer of the state. 0,
 * UV_ENOMEM, or UV_ECANCELED once the host is being freed: then `fn` is never called. Calls posted
 * before that run at the latest in bide_free. It does not keep the loop alive. */
typedef void (*bide_post_fn)(bide_host *host, void *arg);
BIDE_API int bide_post(bide_host *host, bide_post_fn fn, void *arg);

/* The Lua module `bide.core`, for Lua states that the caller makes. */
BIDE_API int luaopen_bide_core(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
