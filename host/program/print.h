/* SPDX-License-Identifier: MIT */
/* print.h: Lua's print, for a program that no SIGPIPE ends. */
#ifndef BIDE_PROGRAM_PRINT_H
#define BIDE_PROGRAM_PRINT_H

#include <lua.h>

/* As Lua's, but raises when standard output takes no more: who prints in a loop would else print
 * for ever once nobody reads. */
int l_print(lua_State *L);

#endif
