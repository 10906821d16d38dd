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

/* ---- the caller's site ----
 *
 * lua_getinfo costs more than all else that a spawn does with its caller. So the sites of calls are
 * remembered by the address of the calling instruction, which only Lua's private CallInfo tells.
 * What is read of it (fields_of) is tried out when the host opens, on calls of which the answer is
 * known; where it does not come out right, every call asks lua_getinfo. The functions that are
 * remembered are anchored, so that an address means their instruction and no other. */

/* The head of a CallInfo, as in all of Lua 5.4 so far. */
typedef struct call_fields {
  void *func, *top, *previous, *next;
  const char *pc; /* of the next instruction; in a C function anything */
  void *rest[2];
  int u2;
  short nresults;
  unsigned short status;
} call_fields;

enum { CALL_IS_C = 2, STATEMENT = 8, TRIES = 3 }; /* a call without arguments: two instructions */

static const call_fields *fields_of(const lua_Debug *ar) {
  return (const call_fields *)(const void *)ar->i_ci;
}

/* Upvalue: where to put the address of the call; no address when this is not seen as a call of C by
 * Lua. */
static int probe(lua_State *L) {
  const char **at = lua_touserdata(L, lua_upvalueindex(1));
  lua_Debug own, caller;
  if (!lua_getstack(L, 0, &own) || !lua_getstack(L, 1, &caller)) return 0;
  while (*at) at++;
  if ((fields_of(&own)->status & CALL_IS_C) && !(fields_of(&caller)->status & CALL_IS_C))
    *at = fields_of(&caller)->pc;
  return 0;
}

static int fields_hold(lua_State *L) {
  const char *at[TRIES + 1] = {NULL};
  if (luaL_loadstring(L, "local f = ... f() f() f()") != LUA_OK) return lua_error(L);
  lua_pushlightuserdata(L, at);
  lua_pushcclosure(L, probe, 1);
  lua_call(L, 1, 0);
  return at[2] && at[1] - at[0] == STATEMENT && at[2] - at[1] == STATEMENT;
}

static bide_callsite *call_slot(bide_host *h, const char *pc) {
  return &h->calls[((uintptr_t)pc >> 2) % BIDE_CALLS];
}

/* Asks Lua where the function of `ar` stands: 0 when it is not a Lua function. */
static uint32_t ask(lua_State *L, bide_host *h, lua_Debug *ar) {
  uint32_t site = 0;
  bide_callsite *call;
  lua_getinfo(L, h->calls_ref ? "fSl" : "Sl", ar);
  if (ar->currentline > 0) site = bide__site_line(h, ar, ar->currentline);
  if (!h->calls_ref) return site;
  if (site) {
    call = call_slot(h, fields_of(ar)->pc);
    call->pc = fields_of(ar)->pc;
    call->site = site;
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->calls_ref);
    lua_insert(L, -2);
    lua_rawseti(L, -2, call - h->calls + 1);
  }
  lua_pop(L, 1);
  return site;
}

uint32_t bide__site_caller(lua_State *L, bide_host *h) {
  lua_Debug ar;
  uint32_t site;
  int level;
  for (level = 1; lua_getstack(L, level, &ar); level++) {
    if (BIDE_LIKELY(h->calls_ref) && !(fields_of(&ar)->status & CALL_IS_C)) {
      const bide_callsite *call = call_slot(h, fields_of(&ar)->pc);
      if (BIDE_LIKELY(call->pc == fields_of(&ar)->pc)) return call->site;
    }
    if ((site = ask(L, h, &ar)) != 0) return site;
  }
  return 0;
}

void bide__sites_open(lua_State *L, bide_host *h) {
  if (!fields_hold(L)) return;
  lua_createtable(L, BIDE_CALLS, 0);
  h->calls_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  bide__sites_forget(h);
}

void bide__sites_forget(bide_host *h) {
  int i;
  if (!h->calls_ref) return;
  lua_rawgeti(h->from, LUA_REGISTRYINDEX, h->calls_ref);
  for (i = 0; i < BIDE_CALLS; i++) {
    h->calls[i].pc = NULL;
    lua_pushboolean(h->from, 0);
    lua_rawseti(h->from, -2, i + 1);
  }
  lua_pop(h->from, 1);
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
  memset(h->site_cache, 0, sizeof h->site_cache); /* finalizers of lua_close still ask */
}
