/* SPDX-License-Identifier: MIT */
/* options.h: the table of options that a function takes as its last argument. All raise plain Lua
 * argument errors that name the option. Absent or nil: no options. */
#ifndef BIDE_OPTIONS_H
#define BIDE_OPTIONS_H

#include "bindings.h"

/* The value at idx is nil or a table with no other keys than `names` (NULL ends). */
void bide__check_options(lua_State *L, int idx, const char *const *names);
/* The option's value is on top: "option 'name': X expected, got Y". Does not return. */
int bide__opt_refuse(lua_State *L, int idx, const char *name, const char *expected);
lua_Integer bide__opt_integer(lua_State *L, int idx, const char *name, lua_Integer value,
                              lua_Integer min, lua_Integer max);
int bide__opt_boolean(lua_State *L, int idx, const char *name, int value);
/* Seconds: not negative, not NaN. */
double bide__opt_seconds(lua_State *L, int idx, const char *name, double value);
/* NULL when it is not given; borrowed from the table. */
const char *bide__opt_string(lua_State *L, int idx, const char *name, size_t *len);

/* A host name or address at arg, without NUL: as it stands there. */
const char *bide__check_host(lua_State *L, int arg);
int bide__check_port(lua_State *L, int arg, int min);

#endif
