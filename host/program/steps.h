/* SPDX-License-Identifier: MIT */
/* steps.h: what the main task of the program does. */
#ifndef BIDE_PROGRAM_STEPS_H
#define BIDE_PROGRAM_STEPS_H

#include <lua.h>

#include "arguments.h"

/* Prepares the state for the command line: the table `arg`, the script's folder in the module
 * paths, warnings. Raises; call it protected, with `args` as a light userdata. */
int l_prepare(lua_State *L);

/* Runs the steps one after the other, each of which may wait. Call it with `args` as upvalue, a
 * light userdata that outlives the call. An error of a step is raised and ends the list. */
int l_steps(lua_State *L);

#endif
