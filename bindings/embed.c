/* SPDX-License-Identifier: MIT */
/* embed.c: bide.h for C programs: making and freeing hosts, running a script in one to its end.
 * What is refused among the options is in embed_options.c, tasks beside a caller's own loop in
 * embed_drive.c, C functions that wait in embed_future.c, calls from other threads in embed_post.c,
 * the sandbox in embed_sandbox.c. */
#include "bindings.h"
#include "core/error.h"
#include "core/limit.h"
#include "core/policy.h"
#include "core/run.h"
#include "core/slab.h"
#include "core/slice.h"
#include "core/stop.h"
#include "core/thread.h"
#include "embed.h"
#include "preload.h"
#include "stock.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

const char *bide_version(void) {
  return BIDE_VERSION;
}

/* ---- a loop of the host's own ---- */

/* It outlives the state, whose finalizers may close what C code has put there. */
static uv_loop_t *new_loop(int *status) {
  uv_loop_t *loop = malloc(sizeof *loop);
  *status = loop ? bide__loop_init(loop) : UV_ENOMEM;
  if (*status == 0) return loop;
  free(loop);
  return NULL;
}

static void close_left(uv_handle_t *handle, void *arg) {
  (void)arg;
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void free_loop(uv_loop_t *loop) {
  if (!loop) return;
  if (uv_loop_close(loop) == UV_EBUSY) {
    uv_walk(loop, close_left, NULL);
    while (uv_loop_close(loop) == UV_EBUSY) uv_run(loop, UV_RUN_ONCE);
  }
  free(loop);
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

/* The slab and the meter in front of it are not in the state that they serve. */
static lua_State *new_state(bide_options *o) {
  lua_State *L = NULL;
  bide_slab *slab = NULL;
  bide_meter *meter = NULL;
  if (!o->alloc) {
    if (USE_SLAB && !(slab = bide__slab_new())) return NULL;
    o->alloc = plain_alloc;
    o->alloc_ud = slab;
  }
  if (o->memory_limit && (meter = malloc(sizeof *meter)) != NULL)
    *meter = (bide_meter){.alloc = o->alloc, .ud = o->alloc_ud, .limit = o->memory_limit};
  if (meter) L = lua_newstate(bide__meter_alloc, meter);
  else if (!o->memory_limit) L = lua_newstate(o->alloc, o->alloc_ud);
  if (L) return L;
  free(meter);
  if (slab) bide__slab_free(slab);
  return NULL;
}

static bide_meter *meter_of(lua_State *L) {
  void *ud;
  return lua_getallocf(L, &ud) == bide__meter_alloc ? ud : NULL;
}

static void close_state(lua_State *L) {
  bide_meter *meter = meter_of(L);
  void *ud;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  if (meter) {
    alloc = meter->alloc;
    ud = meter->ud;
  }
  if (!USE_SLAB || alloc != bide__slab_alloc) {
    lua_close(L);
  } else {
    bide__slab_closing(ud);
    lua_close(L);
    bide__slab_free(ud);
  }
  free(meter);
}

/* `always`: bide cannot be reached without them. */
static const struct {
  const char *name;
  lua_CFunction open;
  int always;
} std_libs[] = {
    {LUA_GNAME, luaopen_base, 1},          {LUA_LOADLIBNAME, luaopen_package, 1},
    {LUA_COLIBNAME, luaopen_coroutine, 1}, {LUA_TABLIBNAME, luaopen_table, 0},
    {LUA_IOLIBNAME, luaopen_io, 0},        {LUA_OSLIBNAME, luaopen_os, 0},
    {LUA_STRLIBNAME, luaopen_string, 0},   {LUA_MATHLIBNAME, luaopen_math, 0},
    {LUA_UTF8LIBNAME, luaopen_utf8, 0},    {LUA_DBLIBNAME, luaopen_debug, 0},
};
enum { STD_LIBS = sizeof std_libs / sizeof std_libs[0] };

/* Is it one of the words of `names`? */
static int is_named(const char *names, const char *name) {
  size_t size = strlen(name), n;
  for (; *names; names += n) {
    names += strspn(names, " ");
    n = strcspn(names, " ");
    if (n == size && memcmp(names, name, n) == 0) return 1;
  }
  return 0;
}

static void check_libs(lua_State *L, const char *names) {
  size_t n;
  int i;
  for (; *names; names += n) {
    names += strspn(names, " ");
    n = strcspn(names, " ");
    for (i = 0; i < STD_LIBS; i++)
      if (strlen(std_libs[i].name) == n && memcmp(std_libs[i].name, names, n) == 0) break;
    if (n > 0 && i == STD_LIBS) luaL_error(L, "bide: no standard library is named '%s'", names);
  }
}

static void open_libs(lua_State *L, const bide_options *o) {
  int i;
  if (o->libs) check_libs(L, o->libs);
  for (i = 0; i < STD_LIBS; i++) {
    if (o->libs && !std_libs[i].always && !is_named(o->libs, std_libs[i].name)) continue;
    luaL_requiref(L, std_libs[i].name, std_libs[i].open, 1);
    lua_pop(L, 1);
  }
}

/* Lua takes time quadratic in the depth to unwind pcalls: enough for honest recursion. */
enum { SANDBOX_DEPTH = 16000 };

static uint32_t limit(unsigned max) {
  return max ? max : UINT32_MAX;
}

/* What the options ask for beyond the defaults; before any script runs. */
static void set_limits(lua_State *L, bide_host *h, const bide_options *o) {
  int rc = 0;
  h->meter = meter_of(L);
  /* Kept threads are nothing that a collection could free: a sixteenth of the memory at most. */
  while (h->meter && h->pool_max > 16 && h->pool_max > o->memory_limit / 24576) h->pool_max /= 2;
  h->max_tasks = limit(o->max_tasks);
  h->max_timers = limit(o->max_timers);
  h->max_sockets = limit(o->max_sockets);
  h->max_depth = o->max_depth ? o->max_depth : o->sandbox ? SANDBOX_DEPTH : 0;
  if (h->max_depth) bide__depth_open(h);
  if (o->cpu_slice > 0 || o->cpu_budget > 0 || o->interruptible)
    rc = bide__slicer_open(h, o->cpu_slice, o->signal);
  if (rc != 0) luaL_error(L, "cannot have the timer signal: %s", bide__code_text(rc));
  bide__slicer_budget(h, o->cpu_budget);
  h->signal = o->signal;
  if (bide__charge(h, sizeof(uv_loop_t)) != 0) luaL_error(L, "not enough memory");
}

/* A heap is collected when it has doubled, and a small one is doubled, and so marked as a whole,
 * every few hundred tasks. Memory that is never touched makes it look larger: the collector comes
 * after BALLAST bytes more, and no page is used for it. Not where memory is counted. */
enum { BALLAST = 256 << 10 };

static void load_ballast(lua_State *L) {
  void *ud;
  if (!USE_SLAB || lua_getallocf(L, &ud) != bide__slab_alloc) return;
  lua_newuserdatauv(L, BALLAST, 0);
  luaL_ref(L, LUA_REGISTRYINDEX);
}

static int open_host(lua_State *L) {
  const bide_options *o = lua_touserdata(L, 1);
  bide_host *h;
  load_ballast(L);
  open_libs(L, o);
  h = bide__host_open(L, o->loop);
  bide__collector_watch(L);
  h->report = o->report;
  h->report_ud = o->report_ud;
  h->own_state = 1;
  h->policy = lua_touserdata(L, 2);
  luaL_requiref(L, "bide.core", luaopen_bide_core, 0);
  bide__preload_tls(L);
  bide__preload(L);
  bide__replace_stock(L);
  if (bide__post_open(h) != 0) return luaL_error(L, "cannot make the host's wake-up handle");
  set_limits(L, h, o);
  if (o->sandbox) bide__sandbox(L, h);
  if (o->sandbox && o->root) bide__sandbox_files(L, h);
  lua_pushlightuserdata(L, h);
  return 1;
}

/* The message of the error on top; some of those beneath begin with our name. */
static void report_error(lua_State *L, const bide_options *o) {
  const char *text =
      lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "the host cannot be made";
  bide__options_refuse(o, "%s", strncmp(text, "bide: ", 6) == 0 ? text + 6 : text);
}

static bide_host *make(bide_options *o, struct bide_policy *policy) {
  lua_State *L = new_state(o);
  bide_host *h;
  struct bide_post *post;
  if (!L) {
    bide__options_refuse(o, "not enough memory for a Lua state");
    return NULL;
  }
  /* Nothing made here is garbage soon: collecting it would only take time. */
  lua_gc(L, LUA_GCSTOP);
  lua_pushcfunction(L, open_host);
  lua_pushlightuserdata(L, o);
  lua_pushlightuserdata(L, policy);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) {
    h = lua_touserdata(L, -1);
    lua_pop(L, 1);
    lua_gc(L, LUA_GCRESTART);
    return h;
  }
  report_error(L, o);
  h = bide__host_of(L);
  post = h ? h->post : NULL;
  close_state(L);
  bide__post_free(post);
  return NULL;
}

/* 0 or why there is none, which is then reported. */
static int open_policy(const bide_options *o, struct bide_policy **policy) {
  int status = 0;
  if (!o->sandbox) return 0;
  *policy = bide__policy_new(o->network, o->root, &status);
  if (status == UV_ENOMEM) bide__options_refuse(o, "not enough memory");
  else if (status != 0)
    bide__options_refuse(o, "the root '%.200s' cannot be opened: %s", o->root,
                         bide__code_text(status));
  return status;
}

bide_host *bide_new(const bide_options *options) {
  bide_options o = BIDE_OPTIONS;
  struct bide_policy *policy = NULL;
  uv_loop_t *own = NULL;
  bide_host *h = NULL;
  int status;
  if (bide__options_take(&o, options) != 0 || open_policy(&o, &policy) != 0) return NULL;
  if (!o.loop) {
    o.loop = own = new_loop(&status);
    if (!own) bide__options_refuse(&o, "a loop cannot be made: %s", bide__code_text(status));
  }
  if (o.loop) h = make(&o, policy);
  if (h) {
    h->embed_loop = own;
    return h;
  }
  bide__policy_free(policy);
  free_loop(own);
  return NULL;
}

void bide_free(bide_host *h) {
  lua_State *L;
  struct bide_post *post;
  struct bide_policy *policy;
  uv_loop_t *own;
  if (!h) return;
  L = h->main;
  own = h->embed_loop;
  post = h->post;
  policy = (struct bide_policy *)(uintptr_t)h->policy;
  bide__host_close(h);
  close_state(L);
  free_loop(own);
  bide__post_free(post);
  bide__policy_free(policy);
}

size_t bide_memory(const bide_host *h) {
  return h->meter ? h->meter->used : 0;
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

/* Bytecode is not checked by Lua: whoever chooses it can do anything. */
static const char *mode_of(const bide_host *h) {
  return h->policy ? "t" : NULL;
}

/* Protected: luaL_loadfilex makes the chunk's name before it calls the compiler. */
static int load_file(lua_State *L) {
  const char *path = lua_touserdata(L, 1);
  if (luaL_loadfilex(L, path, mode_of(bide__host_of(L))) != LUA_OK) return lua_error(L);
  return 1;
}

int bide_load_file(bide_host *h, const char *path) {
  if (!h->current) bide__meter_relieve(h);
  lua_pushcfunction(h->main, load_file);
  lua_pushlightuserdata(h->main, (void *)path);
  return lua_pcall(h->main, 1, 1, 0) == LUA_OK ? 0 : BIDE_ERROR;
}

int bide_load_string(bide_host *h, const char *chunk, size_t size, const char *name) {
  if (!h->current) bide__meter_relieve(h);
  return luaL_loadbufferx(h->main, chunk, size, name, mode_of(h)) == LUA_OK ? 0 : BIDE_ERROR;
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
  bide__stop_reset(h);
  if (!h->current) bide__meter_relieve(h);
  lua_pushcfunction(L, call_run);
  lua_insert(L, -(nargs + 2));
  status = lua_pcall(L, nargs + 1, nresults, 0);
  if (status == LUA_OK) return 0;
  lua_pushcfunction(L, push_traceback);
  lua_pushvalue(L, -2);
  lua_pcall(L, 1, 1, 0);
  if (h->stopped) return BIDE_STOPPED;
  return h->interrupted ? UV_ECANCELED : BIDE_ERROR;
}
