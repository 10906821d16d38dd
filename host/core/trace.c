/* SPDX-License-Identifier: MIT */
/* trace.c: sites are interned as small numbers so that a task costs four bytes per site; the table
 * is bounded by BIDE_SITES_MAX, beyond which a site is unknown (0). A direct-mapped cache, keyed by
 * the address of the source's name, makes the common case one comparison of at most 60 bytes. */
#include "trace.h"

#include <stdio.h>
#include <string.h>

enum { BIDE_SITES_MAX = 65535, CACHE = 256 };

struct bide_site {
  char src[LUA_IDSIZE];
  int line;
  uint32_t next; /* in the chain of its bucket */
};

/* ---- sites ---- */

static uint32_t hash(const char *s, int line) {
  uint32_t x = 2166136261u ^ (uint32_t)line;
  for (; *s; s++) x = (x ^ (unsigned char)*s) * 16777619u;
  return x;
}

/* A quick look for the cache: sources of 16 equal bytes at the same address. */
static int alike(const bide_site *s, const char *src, int line) {
  return s->line == line && memcmp(s->src, src, 16) == 0;
}

static int same(const bide_site *s, const char *src, int line) {
  return s->line == line && strcmp(s->src, src) == 0;
}

static int grow(bide_host *h) {
  uint32_t cap = h->sites_cap ? h->sites_cap * 2 : 64, i;
  void *p, *q;
  if (cap > BIDE_SITES_MAX + 1) return 0;
  p = bide__realloc(h, h->sites, h->sites_cap * sizeof *h->sites, cap * sizeof *h->sites);
  if (!p) return 0;
  h->sites = p;
  q = bide__realloc(h, h->site_index, h->sites_cap * sizeof(uint32_t), cap * sizeof(uint32_t));
  if (!q) { /* keep the capacities equal: give the larger one back */
    p = bide__realloc(h, h->sites, cap * sizeof *h->sites, h->sites_cap * sizeof *h->sites);
    if (p || !h->sites_cap) h->sites = p;
    return 0;
  }
  h->site_index = q;
  h->sites_cap = cap;
  memset(h->site_index, 0, cap * sizeof(uint32_t));
  if (h->sites_n == 0) h->sites_n = 1; /* 0 is "unknown" */
  for (i = 1; i < h->sites_n; i++) {
    uint32_t b = hash(h->sites[i].src, h->sites[i].line) & (cap - 1);
    h->sites[i].next = h->site_index[b];
    h->site_index[b] = i;
  }
  return 1;
}

static uint32_t intern(bide_host *h, const char *src, int line) {
  uint32_t x = hash(src, line), i;
  bide_site *s;
  if (h->sites_cap)
    for (i = h->site_index[x & (h->sites_cap - 1)]; i; i = h->sites[i].next)
      if (same(&h->sites[i], src, line)) return i;
  if (h->sites_n >= h->sites_cap && !grow(h)) return 0;
  i = h->sites_n++;
  s = &h->sites[i];
  snprintf(s->src, sizeof s->src, "%s", src);
  s->line = line;
  s->next = h->site_index[x & (h->sites_cap - 1)];
  h->site_index[x & (h->sites_cap - 1)] = i;
  return i;
}

uint32_t bide__site_line(bide_host *h, const lua_Debug *ar, int line) {
  uintptr_t key = (uintptr_t)ar->source >> 4;
  uint32_t *slot = &h->site_cache[(key ^ (uintptr_t)line) % CACHE];
  if (*slot && alike(&h->sites[*slot], ar->short_src, line)) return *slot;
  *slot = intern(h, ar->short_src, line);
  return *slot;
}

uint32_t bide__site_function(lua_State *L, bide_host *h, int idx) {
  lua_Debug ar;
  if (!lua_isfunction(L, idx)) return 0;
  lua_pushvalue(L, idx);
  lua_getinfo(L, ">S", &ar);
  return bide__site_line(h, &ar, ar.linedefined);
}

uint32_t bide__site_at(bide_host *h, lua_State *co, int level) {
  lua_Debug ar;
  for (; lua_getstack(co, level, &ar); level++) {
    lua_getinfo(co, "Sl", &ar);
    if (ar.currentline > 0) return bide__site_line(h, &ar, ar.currentline);
  }
  return 0;
}

/* The memo spares getinfo's "S", which formats the name of the source each time. The function on
 * top of L is popped. */
static uint32_t remember(lua_State *L, bide_host *h, lua_Debug *ar, bide_site_memo *m) {
  int i, line = ar->currentline;
  const void *fn = lua_topointer(L, -1);
  if (BIDE_UNLIKELY(m->fn != fn)) {
    memset(m->at, 0, sizeof m->at);
    m->fn = fn;
    lua_rawseti(L, LUA_REGISTRYINDEX, m->ref);
  } else {
    lua_pop(L, 1);
  }
  i = line % (int)(sizeof m->at / sizeof m->at[0]);
  if (BIDE_LIKELY(m->at[i].line == line)) return m->at[i].site;
  lua_getinfo(L, "S", ar);
  m->at[i].site = bide__site_line(h, ar, line);
  m->at[i].line = line;
  return m->at[i].site;
}

uint32_t bide__site_caller(lua_State *L, bide_host *h) {
  lua_Debug ar;
  int level;
  for (level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "fl", &ar);
    if (BIDE_LIKELY(ar.currentline > 0)) {
      uintptr_t key = (uintptr_t)lua_topointer(L, -1);
      return remember(L, h, &ar, &h->memo[(key >> 5) % 8]);
    }
    lua_pop(L, 1);
  }
  return 0;
}

void bide__sites_open(lua_State *L, bide_host *h) {
  int i;
  for (i = 0; i < 8; i++) {
    lua_pushboolean(L, 0);
    h->memo[i].ref = luaL_ref(L, LUA_REGISTRYINDEX);
  }
}

void bide__sites_forget(bide_host *h) {
  int i;
  for (i = 0; i < 8; i++) {
    if (!h->memo[i].fn) continue;
    h->memo[i].fn = NULL;
    lua_pushboolean(h->from, 0);
    lua_rawseti(h->from, LUA_REGISTRYINDEX, h->memo[i].ref);
  }
}

uint32_t bide__site_current(bide_host *h, lua_State *co) {
  return co ? bide__site_at(h, co, 0) : 0;
}

const char *bide__site_text(const bide_host *h, uint32_t id, char *buf, size_t size) {
  if (id == 0 || id >= h->sites_n) snprintf(buf, size, "?");
  else if (h->sites[id].line <= 0) snprintf(buf, size, "%s", h->sites[id].src);
  else snprintf(buf, size, "%s:%d", h->sites[id].src, h->sites[id].line);
  return buf;
}

void bide__sites_fini(bide_host *h) {
  bide__free(h, h->sites, h->sites_cap * sizeof *h->sites);
  bide__free(h, h->site_index, h->sites_cap * sizeof(uint32_t));
  h->sites = NULL;
  h->site_index = NULL;
  h->sites_n = h->sites_cap = 0;
}
