/* SPDX-License-Identifier: MIT */
/* policy.h: what a sandboxed script may reach outside of its state.
 *
 * Whoever opens something for a script (a connection, a listener, a file) asks here first, on its
 * own floor, so that no way through Lua leads around it. A host without a policy may do all. */
#ifndef BIDE_CORE_POLICY_H
#define BIDE_CORE_POLICY_H

#include "host.h"

typedef struct bide_policy bide_policy;

/* The first entry of `network` that is malformed, or NULL: a name or IPv4 address, or an IPv6
 * address in brackets, or "*"; a colon; a port from 1 on, or "*". */
const char *bide__policy_flaw(const char *const *network);

/* `network`: "host:port" each, without a flaw, NULL at the end, "*" for any; NULL: none. `root`:
 * the directory whose files may be read; NULL: none. Copied, opened. NULL and *status (negative)
 * without memory or such a directory. Outlives the state. */
bide_policy *bide__policy_new(const char *const *network, const char *root, int *status);
void bide__policy_free(bide_policy *p);

/* 0, or UV_EACCES. The name is compared as it was given, before it is looked up. */
int bide__may_connect(const bide_host *h, const char *host, int port);
/* Looking up a name: one to which some connection is allowed. */
int bide__may_resolve(const bide_host *h, const char *host);
/* Anything else than connecting: listening, datagrams, local sockets, processes. */
int bide__may_open(const bide_host *h);

/* Opens a file for reading, beneath the root where there is a policy: `path` is then relative to
 * it, and neither ".." nor a symbolic link leads out of it; only regular files. The caller closes.
 * A descriptor, or negative: UV_EACCES, UV_ENOENT… */
int bide__file_open(const bide_host *h, const char *path);

#endif
