/* SPDX-License-Identifier: MIT */
/* slab.c: see slab.h. A chunk is CHUNK bytes at a multiple of CHUNK, so that a block finds its
 * chunk by its address. Each class has a ring of chunks with room; full chunks are in no ring. One
 * empty chunk is kept for the class that asks next, so that a size that comes and goes does not
 * reach malloc. */
#include "slab.h"
#include "compat.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 262144, PER_REGION = 8, GRAIN = 8, CLASSES = BIDE_SLAB_MAX / GRAIN };
/* A class with more chunks than these will fill the next one, too: the kernel gives its pages in
 * one call, which takes half as long as a fault for each. */
enum { FEW = 4 };

typedef struct chunk chunk;
typedef struct region region;
typedef struct block {
  struct block *next;
} block;

struct chunk {
  chunk *next, *prev; /* in the ring of its class, or among the spares */
  block *free;
  char *fresh; /* bytes from here on were never used */
  region *region;
  uint32_t used; /* blocks */
  uint32_t size; /* of a block; 0 before the first use */
};

struct region {
  region *next, *prev;
  char *base;     /* owned; PER_REGION chunks */
  uint32_t cut;   /* chunks that were ever used: memory beyond them is untouched */
  uint32_t spare; /* of these, the empty ones */
};

struct bide_slab {
  chunk *room[CLASSES];  /* the first chunk with room, or NULL */
  uint32_t cut[CLASSES]; /* chunks of the class */
  chunk *spares;         /* empty chunks */
  region *regions;       /* the newest first: only that one is not cut up */
  uint32_t idle;         /* regions all of whose chunks are spare */
  uint8_t closing;       /* frees do nothing any more */
};

bide_slab *bide__slab_new(void) {
  return calloc(1, sizeof(bide_slab));
}

void bide__slab_free(bide_slab *s) {
  while (s->regions) {
    region *r = s->regions;
    s->regions = r->next;
    free(r->base);
    free(r);
  }
  free(s);
}

void bide__slab_closing(bide_slab *s) {
  s->closing = 1;
}

static chunk *chunk_of(void *p) {
  return (chunk *)((uintptr_t)p & ~(uintptr_t)(CHUNK - 1));
}

static size_t class_of(size_t size) {
  return (size - 1) / GRAIN;
}

static void ring_add(chunk **head, chunk *c) {
  c->prev = NULL;
  c->next = *head;
  if (c->next) c->next->prev = c;
  *head = c;
}

static void ring_remove(chunk **head, chunk *c) {
  if (c->prev) c->prev->next = c->next;
  else *head = c->next;
  if (c->next) c->next->prev = c->prev;
}

static region *add_region(bide_slab *s) {
  region *r = malloc(sizeof *r);
  if (!r) return NULL;
  r->base = aligned_alloc(CHUNK, (size_t)CHUNK * PER_REGION);
  if (!r->base) {
    free(r);
    return NULL;
  }
  r->cut = r->spare = 0;
  r->prev = NULL;
  r->next = s->regions;
  if (r->next) r->next->prev = r;
  s->regions = r;
  return r;
}

static chunk *at(region *r, uint32_t i) {
  return (chunk *)(void *)(r->base + (size_t)i * CHUNK);
}

static void drop_region(bide_slab *s, region *r) {
  uint32_t i;
  for (i = 0; i < r->cut; i++) ring_remove(&s->spares, at(r, i));
  if (r->prev) r->prev->next = r->next;
  else s->regions = r->next;
  if (r->next) r->next->prev = r->prev;
  s->idle--;
  free(r->base);
  free(r);
}

static chunk *chunk_get(bide_slab *s) {
  chunk *c = s->spares;
  region *r = s->regions;
  if (c) {
    ring_remove(&s->spares, c);
    if (c->region->spare-- == PER_REGION) s->idle--;
    return c;
  }
  if ((!r || r->cut == PER_REGION) && !(r = add_region(s))) return NULL;
  c = at(r, r->cut++);
  c->region = r;
  c->size = 0;
  return c;
}

static void chunk_give(bide_slab *s, chunk *c) {
  ring_add(&s->spares, c);
  if (++c->region->spare < PER_REGION) return;
  if (++s->idle > 1) drop_region(s, c->region);
}

static int has_fresh(const chunk *c) {
  return c->fresh + c->size <= (const char *)c + CHUNK;
}

static void *refill(bide_slab *s, size_t k) {
  chunk *c = chunk_get(s);
  if (!c) return NULL;
  if (++s->cut[k] > FEW && !c->size) bide_pages_wanted(c, CHUNK);
  c->size = (uint32_t)((k + 1) * GRAIN);
  c->free = NULL;
  c->used = 1;
  c->fresh = (char *)c + ((sizeof *c + 15) & ~(size_t)15);
  ring_add(&s->room[k], c);
  c->fresh += c->size;
  return c->fresh - c->size;
}

/* From a chunk none of whose blocks came back. */
static void *take_fresh(bide_slab *s, size_t k) {
  chunk *c = s->room[k];
  void *p;
  if (!c) return refill(s, k);
  p = c->fresh;
  c->fresh += c->size;
  c->used++;
  if (!has_fresh(c)) ring_remove(&s->room[k], c);
  return p;
}

static inline void *take(bide_slab *s, size_t size) {
  size_t k = class_of(size);
  chunk *c = s->room[k];
  block *b = c ? c->free : NULL;
  if (BIDE_UNLIKELY(!b)) return take_fresh(s, k);
  c->used++;
  c->free = b->next;
  if (BIDE_UNLIKELY(!c->free && !has_fresh(c))) ring_remove(&s->room[k], c);
  return b;
}

static inline void give(bide_slab *s, void *p) {
  chunk *c = chunk_of(p);
  block *b = p;
  if (BIDE_UNLIKELY(!c->free && !has_fresh(c))) ring_add(&s->room[class_of(c->size)], c);
  b->next = c->free;
  c->free = b;
  if (BIDE_LIKELY(--c->used > 0)) return;
  ring_remove(&s->room[class_of(c->size)], c);
  s->cut[class_of(c->size)]--;
  chunk_give(s, c);
}

/* From one size class to another, or across the border to malloc. */
static void *move(bide_slab *s, void *p, size_t osize, size_t nsize) {
  void *q = nsize <= BIDE_SLAB_MAX ? take(s, nsize) : malloc(nsize);
  if (!q) return nsize < osize && osize <= BIDE_SLAB_MAX ? p : NULL; /* the chunk knows its size */
  memcpy(q, p, osize < nsize ? osize : nsize);
  if (osize <= BIDE_SLAB_MAX) give(s, p);
  else free(p);
  return q;
}

void *bide__slab_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  bide_slab *s = ud;
  if (!p) {
    if (BIDE_LIKELY(nsize - 1 < BIDE_SLAB_MAX)) return take(s, nsize);
    return nsize ? malloc(nsize) : NULL;
  }
  if (nsize == 0) {
    if (BIDE_UNLIKELY(osize > BIDE_SLAB_MAX)) free(p);
    else if (BIDE_LIKELY(!s->closing)) give(s, p);
    return NULL;
  }
  if (osize > BIDE_SLAB_MAX && nsize > BIDE_SLAB_MAX) return realloc(p, nsize);
  if (osize <= BIDE_SLAB_MAX && nsize <= BIDE_SLAB_MAX && class_of(osize) == class_of(nsize))
    return p;
  return move(s, p, osize, nsize);
}
