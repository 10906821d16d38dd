/* SPDX-License-Identifier: MIT */
/* warnings.c: Lua's warnings (contract in warnings.h).
 *
 * The three functions are the states: off, on, and inside a message that comes in pieces; each sets
 * the one that gets the next piece. Owns nothing; the user data is the Lua state. */
#include "warnings.h"

#include <stdio.h>
#include <string.h>

static void on_warning_off(void *ud, const char *message, int to_continue);
static void on_warning_on(void *ud, const char *message, int to_continue);

/* Whether the message is a control message, which it then obeys. */
static bool control(lua_State *L, const char *message, int to_continue) {
  if (to_continue || message[0] != '@') return false;
  if (strcmp(message, "@off") == 0) lua_setwarnf(L, on_warning_off, L);
  else if (strcmp(message, "@on") == 0) lua_setwarnf(L, on_warning_on, L);
  return true;
}

static void on_warning_off(void *ud, const char *message, int to_continue) {
  control(ud, message, to_continue);
}

static void on_warning_piece(void *ud, const char *message, int to_continue) {
  fputs(message, stderr);
  if (to_continue) {
    lua_setwarnf(ud, on_warning_piece, ud);
    return;
  }
  fputc('\n', stderr);
  fflush(stderr);
  lua_setwarnf(ud, on_warning_on, ud);
}

static void on_warning_on(void *ud, const char *message, int to_continue) {
  if (control(ud, message, to_continue)) return;
  fputs("Lua warning: ", stderr);
  on_warning_piece(ud, message, to_continue);
}

void warnings_start(lua_State *L, bool on) {
  lua_setwarnf(L, on ? on_warning_on : on_warning_off, L);
}
