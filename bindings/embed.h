/* SPDX-License-Identifier: MIT */
/* embed.h: what the files behind bide.h share. */
#ifndef BIDE_EMBED_H
#define BIDE_EMBED_H

#include "bide.h"
#include "core/host.h"

/* The host's wake-up handle, which other threads reach by bide_post and which keeps the loop alive
 * while C futures are outstanding; and the ring of those futures. Made with the host. The handle is
 * a tenant's: bide__host_close closes it; the mutex lives until bide__post_free, after the state.
 */
int bide__post_open(bide_host *h);
void bide__post_free(struct bide_post *p);
/* Lets the loop run a turn. From any thread. */
void bide__post_wake(bide_host *h);
/* One more or fewer C future is outstanding. */
void bide__post_hold(bide_host *h);
void bide__post_let_go(bide_host *h);
/* Teardown: calls the cancel hooks of C futures that are outstanding, frees those that are filled,
 * and cuts the others off from the host. */
void bide__futures_close(bide_host *h);

/* Copies what the caller of bide_new knows of into `o`, which has all defaults. 0, or UV_EINVAL
 * when something is wrong with them, which is then reported. */
int bide__options_take(bide_options *o, const bide_options *given);
/* Reports why there is no host; returns UV_EINVAL. */
int bide__options_refuse(const bide_options *o, const char *format, ...);

/* Shrinks the libraries of a state, before a script has run in it. May raise. */
void bide__sandbox(lua_State *L, bide_host *h);
/* Then: loadfile, dofile and require for files beneath the policy's root. May raise. */
void bide__sandbox_files(lua_State *L, bide_host *h);

#endif
