/* SPDX-License-Identifier: MIT */
/* trace.h: sites (file:line, interned), tracebacks, and what stands in the way of a yield. */
#ifndef BIDE_CORE_TRACE_H
#define BIDE_CORE_TRACE_H

#include "host.h"

/* The site of the Lua code that called the running C function; 0 when there is none. Never raises.
 */
uint32_t bide__site_caller(lua_State *L, bide_host *h);
/* The site where the function at idx is defined. */
uint32_t bide__site_function(lua_State *L, bide_host *h, int idx);
/* The site where the suspended or running `co` stands now. */
uint32_t bide__site_current(bide_host *h, lua_State *co);
/* "file:line" of a site ("?" for 0), valid until sites are added; written to buf. */
const char *bide__site_text(const bide_host *h, uint32_t site, char *buf, size_t size);
/* The first task that awaits `t`, directly or as the owner of a join, or NULL. */
const bide_task *bide__awaiter(const bide_task *t);
void bide__sites_open(lua_State *L, bide_host *h);
/* Lets go of the functions that the memo holds. */
void bide__sites_forget(bide_host *h);
void bide__sites_fini(bide_host *h);

/* Pushes the traceback of task `t`, whose innermost thread is L (suspended or raising): its stack
 * from `level`, then who awaits it, then where it was spawned. */
void bide__traceback(lua_State *L, bide_host *h, lua_State *co, const bide_task *t, int level);
/* Pushes words for what keeps `co` from yielding: "table.sort (C function called at f.lua:3)". */
void bide__push_barrier(lua_State *L, bide_host *h, lua_State *co);

#endif
