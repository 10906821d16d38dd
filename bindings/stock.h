/* SPDX-License-Identifier: MIT */
/* stock.h: functions of Lua's own libraries written anew so that what they call may wait. Outside
 * of that they do what Lua 5.4.4's do. In the program and in hosts that bide_new makes they stand
 * in the place of Lua's; the module for stock Lua leaves those alone. */
#ifndef BIDE_STOCK_H
#define BIDE_STOCK_H

#include <lua.h>

int bide__l_sort(lua_State *L); /* table.sort */
int bide__l_gsub(lua_State *L); /* string.gsub */

/* Puts them into the tables `table` and `string`, as far as these are loaded. May raise. */
void bide__replace_stock(lua_State *L);

#endif
