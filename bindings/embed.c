/* SPDX-License-Identifier: MIT */
/* embed.c: bide.h for C programs: hosts, and running scripts in them. C futures are in
 * embed_future.c, posting from other threads in embed_post.c. */
#include "bide.h"
#include "bindings.h"
#include "core/error.h"
#include "core/failure.h"
#include "core/run.h"
#include "core/sched.h"
#include "core/slab.h"
#include "embed.h"
#include "preload.h"
#include "stock.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *bide_version(void) {
  return BIDE_VERSION;
}

/* ---- making and freeing ---- */

/* Under a sanitizer every block is to be malloc's, so that it can be watched. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static void *plain_alloc(void *ud, void *p, size_t osize, size_t nsize) {
  (void)ud;
  (void)osize;
  if (nsize == 0) {
    free(p);
    return NULL;
  }
  return realloc(p, nsize);
}
enum { USE_SLAB = 0 };
#else
#define plain_alloc bide__slab_alloc
enum { USE_SLAB = 1 };
#endif

static lua_State *new_state(bide_options *o) {
  lua_State *L;
  bide_slab *slab = NULL;
  if (!o->alloc) {
    if (USE_SLAB && !(slab = bide__slab_new())) return NULL;
    o->alloc = plain_alloc;
    o->alloc_ud = slab;
  }
  L = lua_newstate(o->alloc, o->alloc_ud);
  if (!L && slab) bide__slab_free(slab);
  return L;
}

static void close_state(lua_State *L) {
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  if (!USE_SLAB || alloc != bide__slab_alloc) {
    lua_close(L);
    return;
  }
  bide__slab_closing(ud);
  lua_close(L);
  bide__slab_free(ud);
}

static void open_libs(lua_State *L, const bide_options *o) {
  if (!o->no_libs) {
    luaL_openlibs(L);
    return;
  }
  luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
  luaL_requiref(L, LUA_COLIBNAME, luaopen_coroutine, 1);
  lua_pop(L, 2);
}

static int open_host(lua_State *L) {
  const bide_options *o = lua_touserdata(L, 1);
  bide_host *h;
  open_libs(L, o);
  h = bide__host_open(L, o->loop);
  h->report = o->report;
  h->report_ud = o->report_ud;
  h->own_state = 1;
  luaL_requiref(L, "bide.core", luaopen_bide_core, 0);
  bide__preload_tls(L);
  if (!o->no_libs) bide__preload(L);
  bide__replace_stock(L);
  if (bide__post_open(h) != 0) return luaL_error(L, "cannot make the host's wake-up handle");
  lua_pushlightuserdata(L, h);
  return 1;
}

bide_host *bide_new(const bide_options *options) {
  bide_options o = BIDE_OPTIONS;
  lua_State *L;
  bide_host *h;
  if (options) memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
  L = new_state(&o);
  if (!L) return NULL;
  lua_pushcfunction(L, open_host);
  lua_pushlightuserdata(L, &o);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    close_state(L);
    return NULL;
  }
  h = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return h;
}

void bide_free(bide_host *h) {
  lua_State *L;
  if (!h) return;
  L = h->main;
  bide__host_close(h);
  close_state(L);
}

lua_State *bide_lua(bide_host *h) {
  return h->main;
}
uv_loop_t *bide_loop(bide_host *h) {
  return h->loop;
}
bide_host *bide_host_of(lua_State *L) {
  return bide__host_of(L);
}
int bide_unhandled(bide_host *h) {
  return h->unhandled;
}

/* ---- loading ---- */

/* Protected: luaL_loadfile makes the chunk's name before it calls the compiler. */
static int load_file(lua_State *L) {
  if (luaL_loadfile(L, lua_touserdata(L, 1)) != LUA_OK) return lua_error(L);
  return 1;
}

int bide_load_file(bide_host *h, const char *path) {
  lua_pushcfunction(h->main, load_file);
  lua_pushlightuserdata(h->main, (void *)path);
  return lua_pcall(h->main, 1, 1, 0) == LUA_OK ? 0 : BIDE_ERROR;
}

int bide_load_string(bide_host *h, const char *chunk, size_t size, const char *name) {
  return luaL_loadbuffer(h->main, chunk, size, name) == LUA_OK ? 0 : BIDE_ERROR;
}

/* ---- one call, to its end ---- */

static int call_run(lua_State *L) {
  return bide__run_call(L, bide__host_of(L), lua_gettop(L) - 1);
}

static int push_traceback(lua_State *L) {
  bide__details(L, bide__host_of(L), 1, 0);
  if (!lua_istable(L, -1) || lua_getfield(L, -1, "traceback") != LUA_TSTRING)
    lua_pushliteral(L, "");
  return 1;
}

int bide_call(bide_host *h, int nargs, int nresults) {
  lua_State *L = h->main;
  int status;
  h->interrupted = 0;
  lua_pushcfunction(L, call_run);
  lua_insert(L, -(nargs + 2));
  status = lua_pcall(L, nargs + 1, nresults, 0);
  if (status == LUA_OK) return 0;
  lua_pushcfunction(L, push_traceback);
  lua_pushvalue(L, -2);
  lua_pcall(L, 1, 1, 0);
  return h->interrupted ? UV_ECANCELED : BIDE_ERROR;
}

/* ---- tasks beside a caller's own loop ---- */

static int spawn_protected(lua_State *L) {
  bide_host *h = bide__host_of(L);
  bide__spawn(L, h, lua_gettop(L) - 1, &h->base->root, 0, 0);
  return 1;
}

int bide_spawn(bide_host *h, int nargs) {
  lua_State *L = h->main;
  if (h->closed) return UV_ECANCELED;
  if (bide__run_base(h) != 0) return UV_ENOMEM;
  lua_pushcfunction(L, spawn_protected);
  lua_insert(L, -(nargs + 2));
  if (lua_pcall(L, nargs + 1, 1, 0) != LUA_OK) return BIDE_ERROR;
  bide__sched_prime(h);
  return 0;
}

int bide_run(bide_host *h, uv_run_mode mode) {
  if (h->in_loop || h->closed) return UV_EINVAL;
  bide__sched_prime(h);
  h->in_loop = 1;
  if (mode != UV_RUN_DEFAULT) uv_run(h->loop, mode);
  else
    while (h->base && h->base->live) {
      h->stop_at_rest = 1;
      if (!uv_run(h->loop, UV_RUN_DEFAULT) && h->base->live && bide__deadlock(h) == 0) break;
      bide__sched_prime(h);
    }
  h->stop_at_rest = 0;
  h->in_loop = 0;
  if (h->base && !h->base->live) bide__report_lost(h, h->base);
  return h->base ? (int)h->base->live : 0;
}

void bide_cancel(bide_host *h) {
  bide__run_interrupt(h);
}

/* ---- being told of the end ---- */

typedef struct done_link {
  bide_link link;
  bide_host *host;
  bide_fut *fut;
  bide_done_fn fn;
  void *arg;
} done_link;

static void on_ended(bide_link *link) {
  done_link d = *bide_container(link, done_link, link);
  bide__free(d.host, bide_container(link, done_link, link), sizeof d);
  d.fn(d.host, d.fut->state == BIDE_DONE, d.arg);
}

int bide_on_done(bide_host *h, int idx, bide_done_fn fn, void *arg) {
  bide_fut *f = bide__tofuture(h->main, h, idx);
  done_link *d;
  if (!f) return UV_EINVAL;
  if (f->state != BIDE_PENDING) {
    fn(h, f->state == BIDE_DONE, arg);
    return 0;
  }
  d = bide__alloc(h, sizeof *d);
  if (!d) return UV_ENOMEM;
  d->host = h;
  d->fut = f;
  d->fn = fn;
  d->arg = arg;
  bide__link(f, &d->link, on_ended);
  return 0;
}
