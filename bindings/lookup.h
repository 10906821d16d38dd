/* SPDX-License-Identifier: MIT */
/* lookup.h: a task that waits for the addresses of a name. */
#ifndef BIDE_LOOKUP_H
#define BIDE_LOOKUP_H

#include "bindings.h"
#include "net/resolver.h"

#define BIDE_LOOKUP_TIMEOUT 10.0

/* Looks `name` up and goes on in `k`, which takes the answer first thing. */
int bide__lookup(lua_State *L, bide_host *h, const char *name, int family, double timeout,
                 bide_kwait k);
/* The answer: 0 and *addrs (a reference), or a negative code. Frees the operation. */
int bide__lookup_take(bide_host *h, bide_wait *w, bide_addrs **addrs);
/* Raises what a look-up ended with. */
int bide__lookup_fail(lua_State *L, bide_host *h, int status, const char *op, const char *name);

#endif
