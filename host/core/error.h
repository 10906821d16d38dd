/* SPDX-License-Identifier: MIT */
/* error.h: bide.Error, and what is known about an error beside its value.
 *
 * An error raised by bide is a table with the metatable bide.Error. Details of any error value
 * (traceback, other errors of the same gather) are kept aside, by weak key for tables and the like,
 * in a short ring of the latest for strings and other plain values; the value itself is never
 * touched. */
#ifndef BIDE_CORE_ERROR_H
#define BIDE_CORE_ERROR_H

#include "host.h"

/* Pushes a new error table with code, op, message and where (file:line of the nearest Lua caller).
 * fmt as lua_pushfstring; one that begins with "%s: " names first what the operation was done to,
 * which becomes the field `target`. */
void bide__error_push(lua_State *L, bide_host *h, const char *code, const char *op, const char *fmt,
                      ...);
/* The same, raised. */
int bide__error(lua_State *L, bide_host *h, const char *code, const char *op, const char *fmt, ...);
/* Raises that `op` needs a run. */
int bide__not_running(lua_State *L, bide_host *h, const char *op);
/* Pushes the error for a libuv code (or a BIDE_E… one): code name and text from the code. */
void bide__error_push_status(lua_State *L, bide_host *h, int status, const char *op,
                             const char *what);
/* The error of a wait that ended with that status: what bide__raise_status raises. */
void bide__error_push_wait(lua_State *L, bide_host *h, int status, const char *op);
/* "ECONNREFUSED" for UV_ECONNREFUSED, and bide's own. */
const char *bide__code_name(int status);
const char *bide__code_text(int status);
/* Is the value at idx a bide.Error; with this code? */
int bide__is_error(lua_State *L, bide_host *h, int idx);
int bide__error_is(lua_State *L, bide_host *h, int idx, const char *code);
/* An ECANCELED that this task's own cancellation raised (no err.task). */
int bide__error_is_own_cancel(lua_State *L, bide_host *h, int idx);
/* Pushes the details table of the error at idx, making it if `make`; else nil when there is none.
 */
void bide__details(lua_State *L, bide_host *h, int idx, int make);
void bide__error_open(lua_State *L, bide_host *h);
/* An argument error in the caller, found/expected: "bad argument #1 to 'f' (X expected, got Y)". */
int bide__type_error(lua_State *L, int arg, const char *expected);
/* A duration in seconds at arg: a number, not negative, not NaN; math.huge is allowed. */
double bide__check_seconds(lua_State *L, int arg);

#endif
