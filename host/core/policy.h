/* SPDX-License-Identifier: MIT */
/* policy.h: what a sandboxed script may reach outside of its state.
 *
 * Whoever opens something for a script (a connection, a listener, a file) asks here first, on its
 * own floor, so that no way through Lua leads around it. A host without a policy may do all. */
#ifndef BIDE_CORE_POLICY_H
#define BIDE_CORE_POLICY_H

#include "host.h"

typedef struct bide_policy bide_policy;

/* `network`: "host:port" each, NULL at the end, "*" for any; NULL: none. Copied. NULL when there is
 * no memory. Outlives the state. */
bide_policy *bide__policy_new(const char *const *network);
void bide__policy_free(bide_policy *p);

/* 0, or UV_EACCES. The name is compared as it was given, before it is looked up. */
int bide__may_connect(const bide_host *h, const char *host, int port);
/* Anything else than connecting: listening, datagrams, local sockets, files, processes. */
int bide__may_open(const bide_host *h);

#endif
