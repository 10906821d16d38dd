/* SPDX-License-Identifier: MIT */
/* scripts.h: scripts that are in the middle of something for longer than anybody waits, for hosts
 * that are freed meanwhile. Each is Lua code that may use the globals of begin_scripted. */
#ifndef SPEC_EMBED_SCRIPTS_H
#define SPEC_EMBED_SCRIPTS_H

#include "check.h"

extern const char *const scripts[];
extern const int script_count;
/* Not to be run beside others, or cancelled: they stay in the handler of an error for ever, which
 * only bide_free ends. The list ends with NULL. */
extern const char *const lonely_scripts[];

/* begin_host with what the scripts use: bide, PEM (a certificate with its key), port(server),
 * silent() (the port of a server that says nothing), pool(ms) (blocking work). */
bide_host *begin_scripted(const bide_options *options, held *h);

#endif
