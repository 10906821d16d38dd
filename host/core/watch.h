/* SPDX-License-Identifier: MIT */
/* watch.h: on_done: a small task that is made when it is asked for and made ready when the future
 * ends, so that the end itself allocates nothing. */
#ifndef BIDE_CORE_WATCH_H
#define BIDE_CORE_WATCH_H

#include "host.h"

/* Stack: 1 the future, 2 the function. Runs function(future) in a task of the current run. */
void bide__watch(lua_State *L, bide_host *h);
/* The run is over: those that never ran never will. */
void bide__watchers_fini(bide_runner *run);

#endif
