/* SPDX-License-Identifier: MIT */
/* prompt.c: what the prompt (prompt.lua) needs of the system (contract in prompt.h).
 *
 * Standard input is polled, never read before it is readable, so that tasks run on while a line is
 * typed; the terminal does the editing. What cannot be polled (a regular file) is read at once.
 * Owns the poll handle and the bytes read ahead. Invariant: a future is in `line` or `interrupt`
 * only until it has been filled. */
#include "prompt.h"

#include <errno.h>
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

/* The length of the first line in the buffer, its newline not counted; -1: not all there yet. */
static ptrdiff_t first_line(void) {
  const char *end = memchr(state.buffer, '\n', state.size);
  if (end) return end - state.buffer;
  if (state.size == BUFFER_SIZE || (state.ended && state.size > 0)) return (ptrdiff_t)state.size;
  return -1;
}

/* Takes the first line and its newline out of the buffer. */
static void take(size_t length) {
  size_t used = length < state.size && state.buffer[length] == '\n' ? length + 1 : length;
  memmove(state.buffer, state.buffer + used, state.size - used);
  state.size -= used;
}

/* Reads what is there. */
static void fill(void) {
  ssize_t n = read(STDIN_FILENO, state.buffer + state.size, BUFFER_SIZE - state.size);
  if (n > 0) state.size += (size_t)n;
  else if (n == 0 || (errno != EINTR && errno != EAGAIN)) state.ended = true;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)events;
  if (status < 0) state.ended = true;
  else fill();
  ptrdiff_t length = first_line();
  if (length < 0 && !state.ended) return;
  uv_poll_stop(poll);
  bide_future *line = state.line;
  state.line = NULL;
  if (!line) return;
  if (length < 0) {
    bide_resolve_nothing(line);
    return;
  }
  bide_resolve_string(line, state.buffer, (size_t)length);
  take((size_t)length);
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
  while (!state.polls && !state.ended && first_line() < 0) fill();
  ptrdiff_t length = first_line();
  if (length >= 0) {
    lua_pushlstring(L, state.buffer, (size_t)length);
    take((size_t)length);
    return 1;
  }
  if (state.ended) return 0;
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

void prompt_push(lua_State *L) {
  const bide__lua_file *file = &program__lua_files[0];
  state.host = bide_host_of(L);
  state.polls = uv_poll_init(bide_loop(state.host), &state.poll, STDIN_FILENO) == 0;
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
