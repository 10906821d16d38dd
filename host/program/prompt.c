/* SPDX-License-Identifier: MIT */
/* prompt.c: what the prompt (prompt.lua) needs of the system (contract in prompt.h).
 *
 * Standard input is polled and read only when there is something, so that tasks run on while a line
 * is typed; the terminal does the editing. What cannot be polled (a regular file) is read at once.
 * Its descriptor stays as it was found, for others have it too: the standard output of a terminal,
 * the shell that comes after, what a chunk starts. And nothing is read beyond the line that is
 * asked for: the next may be for the chunk's io.read. Owns the poll handle and what has been read
 * of a line. Invariant: a future is in `line` or `interrupt` only until it has been filled. */
#include "prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <uv.h>

#include <bide.h>

#include "bindings/preload.h"
#include "interrupt.h"
#include "report.h"

extern const bide__lua_file program__lua_files[];

/* A line that does not fit comes in pieces. */
enum { BUFFER_SIZE = 64 * 1024 };

static struct {
  bool polls; /* `poll` is open */
  bool left;
  bool ended; /* no more input */
  uv_poll_t poll;
  bide_host *host;
  bide_future *line;      /* who waits for a line */
  bide_future *interrupt; /* who waits for Ctrl-C */
  size_t size;
  char buffer[BUFFER_SIZE];
} state;

/* ---- lines ---- */

static bool has_line(void) {
  return state.ended || state.size == BUFFER_SIZE ||
         (state.size > 0 && state.buffer[state.size - 1] == '\n');
}

/* Takes the line out of the buffer, where its text stays until the next is read: its length, the
 * newline not counted. */
static size_t take_line(void) {
  size_t length = state.size;
  state.size = 0;
  return length > 0 && state.buffer[length - 1] == '\n' ? length - 1 : length;
}

static bool is_readable(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) > 0;
}

/* Reads what is there of a line, byte by byte so as to read no more; all of it where nothing can be
 * polled. */
static void fill(void) {
  while (!has_line() && (!state.polls || is_readable())) {
    ssize_t n = read(STDIN_FILENO, state.buffer + state.size, 1);
    if (n > 0) state.size++;
    else if (n == 0 || (errno != EINTR && errno != EAGAIN)) state.ended = true;
  }
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)events;
  if (status < 0) state.ended = true;
  else fill();
  if (!has_line()) return;
  uv_poll_stop(poll);
  bide_future *line = state.line;
  state.line = NULL;
  if (!line) return;
  if (state.size == 0) bide_resolve_nothing(line);
  else bide_resolve_string(line, state.buffer, take_line());
}

static void on_line_cancel(bide_future *line, void *arg) {
  (void)arg;
  state.line = NULL;
  if (state.polls) uv_poll_stop(&state.poll);
  bide_future_drop(line);
}

/* read_line(text) → line, or nothing at the end. Waits. */
static int l_read_line(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  fwrite(text, 1, size, stdout);
  fflush(stdout);
  fill();
  if (has_line()) {
    if (state.size == 0) return 0;
    lua_pushlstring(L, state.buffer, take_line());
    return 1;
  }
  state.line = bide_future_new(L);
  bide_future_on_cancel(state.line, on_line_cancel, NULL);
  if (uv_poll_start(&state.poll, UV_READABLE, on_readable) < 0) {
    bide_future *line = state.line;
    state.line = NULL;
    state.ended = true;
    bide_resolve_nothing(line);
    return bide_await(L, line);
  }
  return bide_await(L, state.line);
}

/* ---- Ctrl-C ---- */

/* While a line is being typed nothing is there to cancel but the run. */
static bool on_interrupt(void) {
  bide_future *interrupt = state.interrupt;
  if (!interrupt || state.line) return false;
  state.interrupt = NULL;
  bide_resolve_nothing(interrupt);
  return true;
}

static void on_interrupt_cancel(bide_future *interrupt, void *arg) {
  (void)arg;
  state.interrupt = NULL;
  bide_future_drop(interrupt);
}

/* wait_interrupt(): waits. */
static int l_wait_interrupt(lua_State *L) {
  state.interrupt = bide_future_new(L);
  bide_future_on_cancel(state.interrupt, on_interrupt_cancel, NULL);
  return bide_await(L, state.interrupt);
}

/* ---- the rest ---- */

/* report(err, traceback?) */
static int l_report(lua_State *L) {
  lua_settop(L, 2);
  report_error(L, 1, 2);
  return 0;
}

/* leave(): ends the run, for there is no more input. */
static int l_leave(lua_State *L) {
  (void)L;
  putchar('\n');
  state.left = true;
  bide_cancel(state.host);
  return 0;
}

void prompt_prepare(void) {
  setvbuf(stdin, NULL, _IONBF, 0);
}

/* libuv makes what it polls non-blocking, though it never reads it. */
static void open_poll(void) {
  int flags = fcntl(STDIN_FILENO, F_GETFL);
  state.polls = uv_poll_init(bide_loop(state.host), &state.poll, STDIN_FILENO) == 0;
  if (flags >= 0) fcntl(STDIN_FILENO, F_SETFL, flags);
}

void prompt_push(lua_State *L) {
  const bide__lua_file *file = &program__lua_files[0];
  state.host = bide_host_of(L);
  open_poll();
  if (luaL_loadbufferx(L, file->text, file->size, file->chunk, "t") != LUA_OK) lua_error(L);
  lua_createtable(L, 0, 4);
  luaL_setfuncs(L,
                (const luaL_Reg[]){{"read_line", l_read_line},
                                   {"wait_interrupt", l_wait_interrupt},
                                   {"report", l_report},
                                   {"leave", l_leave},
                                   {NULL, NULL}},
                0);
  interrupt_catch(on_interrupt);
}

bool prompt_left(void) {
  return state.left;
}

void prompt_stop(void) {
  interrupt_catch(NULL);
  if (state.polls) uv_close((uv_handle_t *)&state.poll, NULL);
  state.polls = false;
}
