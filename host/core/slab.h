/* SPDX-License-Identifier: MIT */
/* slab.h: the default allocator of hosts that bide itself makes: size classes of eight bytes up to
 * BIDE_SLAB_MAX, beyond that malloc.
 *
 * Why: a task is a dozen small blocks of few sizes, and malloc adds eight bytes to each, rounds up
 * to sixteen and takes longer. A block has no header here: Lua gives its size back. Blocks of a
 * class are cut from chunks; a chunk whose last block was freed is given back. One slab per host,
 * so no lock. */
#ifndef BIDE_CORE_SLAB_H
#define BIDE_CORE_SLAB_H

#include <stddef.h>

#define BIDE_SLAB_MAX 1024

typedef struct bide_slab bide_slab;

/* NULL when there is no memory. */
bide_slab *bide__slab_new(void);
/* Everything that was allocated from it is gone, small blocks and large ones alike. Large ones that
 * are still held are the caller's leak. */
void bide__slab_free(bide_slab *s);
/* From now on frees of small blocks do nothing: for lua_close, after which bide__slab_free drops
 * all at once. */
void bide__slab_closing(bide_slab *s);
/* A lua_Alloc; ud is the slab. */
void *bide__slab_alloc(void *ud, void *p, size_t osize, size_t nsize);

#endif
