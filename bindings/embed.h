/* SPDX-License-Identifier: MIT */
/* embed.h: what the files behind bide.h share. */
#ifndef BIDE_EMBED_H
#define BIDE_EMBED_H

#include "core/host.h"

/* Opens and closes the host's wake-up handle, which other threads reach by bide_post and which
 * keeps the loop alive while C futures are outstanding. The close is a tenant's: bide__host_close
 * does it. */
int bide__post_open(bide_host *h);
/* One more or fewer C future is outstanding. */
void bide__post_hold(bide_host *h);
void bide__post_let_go(bide_host *h);

#endif
