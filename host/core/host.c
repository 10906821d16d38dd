/* SPDX-License-Identifier: MIT */
/* host.c: making a host and taking it down. Teardown has one order, in bide__host_close. */
#include "host.h"
#include "error.h"
#include "failure.h"
#include "run.h"
#include "sched.h"
#include "slice.h"
#include "stop.h"
#include "thread.h"
#include "trace.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char host_key = 0; /* its address is the key in the registry */

/* ---- memory ---- */

/* Nobody would free what a finalizer brings about after teardown. */
void *bide__alloc(bide_host *h, size_t size) {
  void *p = BIDE_UNLIKELY(h->dead) ? NULL : h->alloc(h->alloc_ud, NULL, 0, size);
  if (p) h->held += size;
  return p;
}

void *bide__realloc(bide_host *h, void *p, size_t osize, size_t nsize) {
  void *q = NULL;
  if (BIDE_LIKELY(!h->dead)) q = h->alloc(h->alloc_ud, p, p ? osize : 0, nsize);
  if (q || nsize == 0) h->held += nsize - (p ? osize : 0);
  return q;
}

void bide__free(bide_host *h, void *p, size_t size) {
  if (!p) return;
  h->held -= size;
  h->alloc(h->alloc_ud, p, size, 0);
}

uint32_t bide__slot_peek(bide_host *h, bide_slots *s) {
  uint32_t cap;
  void *p;
  if (s->nfree) return s->free[s->nfree - 1];
  if (s->top < s->cap) return s->top + 1;
  cap = s->cap ? s->cap * 2 : 32;
  if (cap < s->cap) return 0;
  p = bide__realloc(h, s->free, s->cap * sizeof *s->free, cap * sizeof *s->free);
  if (!p) return 0;
  s->free = p;
  s->cap = cap;
  return s->top + 1;
}

void bide__slot_take(bide_slots *s) {
  if (s->nfree) s->nfree--;
  else s->top++;
}

static void slots_fini(bide_host *h, bide_slots *s) {
  bide__free(h, s->free, s->cap * sizeof *s->free);
  memset(s, 0, sizeof *s);
}

char *bide__read_buffer(bide_host *h) {
  if (!h->read_buffer) h->read_buffer = bide__alloc(h, BIDE_READ_BUFFER);
  return h->read_buffer;
}

uint64_t bide__now_ns(const bide_host *h) {
  return h->virtual_clock ? h->vnow : uv_hrtime();
}

double bide__coarse_age(const bide_host *h, uint32_t then) {
  int32_t ms = (int32_t)((uint32_t)(bide__now_ns(h) / 1000000) - then);
  return ms > 0 ? ms / 1e3 : 0;
}

void bide__report(bide_host *h, const char *message) {
  if (h->report) h->report(h->report_ud, message);
  else fprintf(stderr, "%s\n", message);
}

/* ---- tenants ---- */

void bide__tenant_add(bide_host *h, bide_tenant *t) {
  t->next = h->tenants.next;
  t->prev = &h->tenants;
  t->next->prev = t;
  h->tenants.next = t;
}

void bide__tenant_remove(bide_tenant *t) {
  if (!t->next) return;
  t->next->prev = t->prev;
  t->prev->next = t->next;
  t->next = t->prev = NULL;
}

/* ---- open ---- */

bide_host *bide__host_of(lua_State *L) {
  bide_host *h;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
  h = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return h;
}

static int new_table_ref(lua_State *L, const char *mode) {
  lua_newtable(L);
  if (mode) {
    lua_newtable(L);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
  }
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static int l_host_gc(lua_State *L) {
  bide__host_close(lua_touserdata(L, 1));
  return 0;
}

static void open_tables(lua_State *L, bide_host *h) {
  h->reasons_ref = new_table_ref(L, NULL);
  h->names_ref = new_table_ref(L, "k");
  h->c_names_ref = new_table_ref(L, "k");
  lua_pushboolean(L, 0);
  h->scratch_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  h->kept_ref = new_table_ref(L, "v");
  h->origins_ref = new_table_ref(L, "k");
  lua_pushboolean(L, 0);
  h->kept_origin_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  h->unhandled_ref = LUA_NOREF;
  bide__error_open(L, h);
  bide__failure_open(L, h);
  bide__sites_open(L, h);
  bide__slots_reserve(L, h, 64);
}

/* In a process that was started without one of the first three (`<&-`) the next descriptor would
 * get its number, and libuv asserts that it closes none of these. */
int bide__loop_init(uv_loop_t *loop) {
  int held[3], n = 0, fd, rc;
  for (fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && (held[n] = open("/", O_RDONLY | O_CLOEXEC)) >= 0) n++;
  rc = uv_loop_init(loop);
  while (n > 0) close(held[--n]);
  return rc;
}

static void open_loop(lua_State *L, bide_host *h, uv_loop_t *loop) {
  int rc;
  h->loop = loop;
  if (!loop) {
    h->loop = bide__alloc(h, sizeof *h->loop);
    if (!h->loop) luaL_error(L, "not enough memory");
    if ((rc = bide__loop_init(h->loop)) != 0) {
      bide__free(h, h->loop, sizeof *h->loop);
      h->loop = NULL;
      luaL_error(L, "bide: cannot make a loop: %s", bide__code_text(rc));
    }
    h->own_loop = 1;
  }
  if ((rc = bide__sched_open(h)) != 0)
    luaL_error(L, "bide: cannot open the loop's handles: %s", bide__code_text(rc));
  h->opened = 1;
}

bide_host *bide__host_open(lua_State *L, uv_loop_t *loop) {
  bide_host *h;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &host_key);
  if ((h = lua_touserdata(L, -1)) != NULL) return h;
  lua_pop(L, 1);
  h = lua_newuserdatauv(L, sizeof *h, 0);
  memset(h, 0, sizeof *h);
  h->alloc = lua_getallocf(L, &h->alloc_ud);
  h->tenants.next = h->tenants.prev = &h->tenants;
  h->pool_max = BIDE_THREAD_POOL_MAX;
  h->max_tasks = h->max_timers = h->max_sockets = UINT32_MAX;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  h->main = h->from = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushcfunction(L, l_host_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, -2);
  open_tables(L, h);
  open_loop(L, h, loop);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &host_key);
  return h;
}

/* ---- close ---- */

static void close_tenants(bide_host *h) {
  while (h->tenants.next != &h->tenants) {
    bide_tenant *t = h->tenants.next;
    bide__tenant_remove(t);
    t->close(t);
  }
}

static void close_loop(bide_host *h) {
  if (h->opened) bide__sched_close(h);
  while (h->closing_handles > 0) uv_run(h->loop, UV_RUN_ONCE);
  if (!h->own_loop) return;
  while (uv_loop_close(h->loop) == UV_EBUSY) uv_run(h->loop, UV_RUN_ONCE);
  bide__free(h, h->loop, sizeof *h->loop);
}

static void free_memory(bide_host *h) {
  bide__slicer_close(h);
  bide__heap_fini(h, &h->timers);
  bide__heap_fini(h, &h->alarms);
  bide__heap_fini(h, &h->deadlines);
  bide__thread_pool_fini(h);
  slots_fini(h, &h->slots);
  bide__failures_fini(h);
  slots_fini(h, &h->failure_slots);
  bide__sites_fini(h);
  bide__free(h, h->deadlock, h->deadlock_size);
  bide__free(h, h->read_buffer, BIDE_READ_BUFFER);
  h->deadlock = h->read_buffer = NULL;
}

static void close_parts(bide_host *h) {
  int in_use = h->in_loop || h->current;
  lua_checkstack(h->main, LUA_MINSTACK * 2);
  h->from = h->main;
  if (h->opened && !in_use) bide__end_tasks(h);
  if (h->base && !h->live_tasks) bide__run_base_close(h);
  bide__report_lost(h, NULL);
  close_tenants(h);
  /* In lua_close inside a task (os.exit) the loop is in use further up, where nobody returns to. */
  if (!in_use) close_loop(h);
}

void bide__host_close(bide_host *h) {
  if (h->closed) return;
  h->closed = h->guard = 1;
  if (h->loop) close_parts(h); /* else it was never opened whole */
  h->dead = 1;
  free_memory(h);
}
