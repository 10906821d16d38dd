/* SPDX-License-Identifier: MIT */
/* warnings.h: Lua's warnings on stderr, as lua5.4 shows them. */
#ifndef BIDE_PROGRAM_WARNINGS_H
#define BIDE_PROGRAM_WARNINGS_H

#include <stdbool.h>

#include <lua.h>

/* From now on warnings of the state go to stderr while they are on; `warn "@on"` and `warn "@off"`
 * switch. */
void warnings_start(lua_State *L, bool on);

#endif
