/* SPDX-License-Identifier: MIT */
/* report.h: how the program tells of an error. */
#ifndef BIDE_PROGRAM_REPORT_H
#define BIDE_PROGRAM_REPORT_H

#include <stdbool.h>

#include <lua.h>

/* Prints the error value at index `error` and the traceback at index `traceback` (0: none) to
 * stderr, as lua5.4 does: strings and numbers as they are, an object through its __tostring, else
 * its type. Never raises; leaves the stack as it was. */
void report_error(lua_State *L, int error, int traceback);

/* Whether the value at `error` is bide's own error with code "ECANCELED". Never raises. */
bool report_is_cancelled(lua_State *L, int error);

#endif
