/* SPDX-License-Identifier: MIT */
/* coroutine.c: bide's own resume, wrap, close, yield, status, isyieldable, running.
 *
 * Outside a task they do what Lua's do. Inside one, a coroutine that waits passes the wait
 * outwards: its resumer sees the sentinel on top of its stack, yields in turn, and continues it
 * when the task is woken. While it waits it is `normal` to everybody else. A wait d coroutines deep
 * costs d resumes.
 *
 * A scope (timeout, group, shield) that was entered inside a coroutine must be left before the
 * coroutine yields to its resumer: yield refuses; what foreign code does all the same is unwound.
 */
#include "bindings.h"
#include "core/body.h"
#include "core/error.h"
#include "core/slice.h"
#include "core/stop.h"
#include "core/trace.h"

#include <lualib.h>
#include <string.h>

enum { CLOSE_DEPTH_MAX = 150 }; /* Lua 5.4.4 itself crashes on deep chains of close */
/* So many coroutines inside one another run under a pcall of their own, which takes a level more of
 * the 200 that Lua's C stack has. */
enum { PROTECTED_DEPTH = 40 };

static lua_State *check_co(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (!co) bide__type_error(L, 1, "thread");
  return co;
}

/* ---- resume ---- */

enum { R_WAITS = -2, R_ERROR = -1 };

/* Moves the outcome of a resume to L. Returns the count of results, R_ERROR with the error on top,
 * or R_WAITS. */
static int outcome(lua_State *L, bide_host *h, lua_State *co, int status, int nres) {
  if (BIDE_LIKELY(status == LUA_OK || status == LUA_YIELD)) {
    if (status == LUA_YIELD && bide__is_waiting(co)) return R_WAITS;
    if (BIDE_UNLIKELY(h->current && h->current->fut.preempted)) return R_WAITS;
    if (!lua_checkstack(L, nres + 1)) {
      lua_pop(co, nres);
      lua_pushliteral(L, "too many results to resume");
      return R_ERROR;
    }
    lua_xmove(co, L, nres);
    return nres;
  }
  lua_xmove(co, L, 1);
  return R_ERROR;
}

/* Resumes `co` from L with what is on its stack. `scope`: the task's scope when it was first
 * resumed. */
static int resume_in(lua_State *L, bide_host *h, lua_State *co, int narg, bide_scope *scope) {
  bide_task *t = h->current;
  lua_State *top = h->top;
  lua_State *running = h->running;
  bide_scope *base = h->co_base;
  int nres = 0, status, r;
  if (L == top && lua_isyieldable(L)) h->top = co;
  h->co_base = scope;
  if (BIDE_UNLIKELY(h->guard)) bide__guard(h, co);
  h->running = co;
  h->co_depth++;
  status = lua_resume(co, L, narg, &nres);
  h->co_depth--;
  h->running = running;
  if (BIDE_UNLIKELY(h->guard)) bide__guard(h, L);
  h->top = top;
  h->co_base = base;
  r = outcome(L, h, co, status, nres);
  if (r != R_WAITS && t && h->current == t && t->scope != scope) bide__scope_unwind(h, t, scope);
  return r;
}

/* It waits, or its task was stopped in mid-code in it: its resumer alone can go on with it. */
static int is_held(const bide_host *h, lua_State *co) {
  return bide__is_waiting(co) || (BIDE_UNLIKELY(h->preempted) && bide__is_preempted(co));
}

/* With `narg` values from L, and `more` that stand on the stack of `co` already. */
static int first_resume(lua_State *L, bide_host *h, lua_State *co, int narg, int more) {
  if (BIDE_UNLIKELY(is_held(h, co))) {
    lua_pushliteral(L, "cannot resume non-suspended coroutine");
    return R_ERROR;
  }
  if (BIDE_UNLIKELY(!lua_checkstack(co, narg))) {
    lua_pushliteral(L, "too many arguments to resume");
    return R_ERROR;
  }
  lua_xmove(L, co, narg);
  return resume_in(L, h, co, narg + more, h->current ? h->current->scope : NULL);
}

/* The task goes on: so does `co`, unless foreign code (a stock coroutine.close) has dropped its
 * stack and with it the continuation. The scope was kept as the context of the continuation. */
static int go_on(lua_State *L, bide_host *h, lua_State *co, lua_KContext ctx) {
  if (BIDE_UNLIKELY(h->current->fut.preempted) &&
      (bide__is_preempted(co) || !bide__is_waiting(co))) {
    bide__preempted_resume(h, h->current, co);
  } else if (lua_status(co) == LUA_YIELD && bide__is_waiting(co)) {
    lua_pop(co, 1);
  } else {
    h->delivering = 0;
    bide__wait_dropped(h->current);
  }
  return resume_in(L, h, co, 0, (bide_scope *)ctx);
}

static int resumed(lua_State *L, int r) {
  if (r == R_ERROR) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushboolean(L, 1);
  lua_insert(L, -(r + 1));
  return r + 1;
}

static int k_resume(lua_State *L, int status, lua_KContext ctx) {
  bide_host *h = bide__host(L);
  int r;
  (void)status;
  if (!h->delivering) return bide__wait_on(L, ctx, k_resume);
  h->top = L;
  r = go_on(L, h, lua_tothread(L, 1), ctx);
  return r == R_WAITS ? bide__wait_yield(L, ctx, k_resume) : resumed(L, r);
}

static int l_resume(lua_State *L) {
  bide_host *h = bide__host(L);
  lua_State *co = check_co(L);
  bide_scope *scope = h->current ? h->current->scope : NULL;
  int r = first_resume(L, h, co, lua_gettop(L) - 1, 0);
  return r == R_WAITS ? bide__wait_yield(L, (lua_KContext)scope, k_resume) : resumed(L, r);
}

/* ---- wrap ----
 *
 * Inside a task the function of a wrapped coroutine runs under a pcall: when an error leaves it,
 * its to-be-closed variables close in the living coroutine, and may wait. (The wrap function would
 * close them itself, as Lua's does, but across that Lua cannot yield.) With resume they stay
 * pending, for the coroutine is then dead but not closed, as in Lua. */

enum { WRAP_THREAD = 2, WRAP_FUNCTION = 3 }; /* upvalues of a wrap function */

static int k_body(lua_State *co, int status, lua_KContext ctx) {
  (void)ctx;
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(co);
  return lua_gettop(co) - 1;
}

/* (message handler, function, arguments…) */
static int body_main(lua_State *co) {
  return k_body(co, lua_pcallk(co, lua_gettop(co) - 2, LUA_MULTRET, 1, 0, k_body), 0);
}

/* Puts the pcall beneath the function of `co`, if that has not begun; returns how many arguments
 * the pcall has by then. */
static int protect_body(const bide_host *h, lua_State *co) {
  lua_Debug ar;
  if (!h->current || h->co_depth >= PROTECTED_DEPTH || lua_status(co) != LUA_OK) return 0;
  if (lua_gettop(co) != 1 || lua_getstack(co, 0, &ar)) return 0;
  lua_pushcfunction(co, body_main);
  lua_insert(co, 1);
  lua_pushcfunction(co, bide__body_handler);
  lua_insert(co, 2);
  return 2;
}

/* What could not begin (too deep, too many arguments) can be called again, as in Lua: its function
 * alone stands on its stack then, which until the beginning the wrap function keeps, too. */
static void began(lua_State *L, lua_State *co, int has_begun) {
  if (has_begun) {
    lua_pushnil(L);
    lua_replace(L, lua_upvalueindex(WRAP_FUNCTION));
  } else {
    lua_settop(co, 0);
    lua_pushvalue(L, lua_upvalueindex(WRAP_FUNCTION));
    lua_xmove(L, co, 1);
  }
}

static int is_memory_error(lua_State *L, int status) {
  return status == LUA_ERRMEM || strcmp(lua_tostring(L, -1), "not enough memory") == 0;
}

/* An error in the coroutine: close it. Its frames are kept for the traceback. */
static int close_failed(lua_State *L, bide_host *h, lua_State *co) {
  int status;
  bide__push_dead_frames(L, h, co);
  lua_insert(L, -2);
  h->close_depth++;
  status = bide_closethread(co, L);
  h->close_depth--;
  if (status != LUA_OK) {
    lua_pop(L, 1);
    lua_xmove(co, L, 1);
  }
  return status;
}

static int wrapped(lua_State *L, bide_host *h, lua_State *co, int r) {
  int status, failed;
  if (BIDE_LIKELY(r >= 0)) return r;
  status = lua_status(co);
  failed = status != LUA_OK && status != LUA_YIELD;
  if (failed) status = close_failed(L, h, co);
  if (lua_type(L, -1) == LUA_TSTRING && !is_memory_error(L, status)) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  if (failed) bide__keep_dead_frames(L, h);
  return lua_error(L);
}

static int k_wrap(lua_State *L, int status, lua_KContext ctx) {
  bide_host *h = bide__host(L);
  lua_State *co = lua_tothread(L, lua_upvalueindex(WRAP_THREAD));
  int r;
  (void)status;
  if (!h->delivering) return bide__wait_on(L, ctx, k_wrap);
  h->top = L;
  r = go_on(L, h, co, ctx);
  return r == R_WAITS ? bide__wait_yield(L, ctx, k_wrap) : wrapped(L, h, co, r);
}

static int l_wrap_call(lua_State *L) {
  bide_host *h = bide__host(L);
  lua_State *co = lua_tothread(L, lua_upvalueindex(WRAP_THREAD));
  bide_scope *scope = h->current ? h->current->scope : NULL;
  int more = protect_body(h, co), r = first_resume(L, h, co, lua_gettop(L), more);
  if (more) began(L, co, r != R_ERROR || lua_status(co) != LUA_OK);
  else if (r != R_ERROR && !lua_isnil(L, lua_upvalueindex(WRAP_FUNCTION))) began(L, co, 1);
  return r == R_WAITS ? bide__wait_yield(L, (lua_KContext)scope, k_wrap) : wrapped(L, h, co, r);
}

static int l_wrap(lua_State *L) {
  lua_State *co;
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, l_wrap_call, 3);
  return 1;
}

/* ---- yield ---- */

static int l_yield(lua_State *L) {
  bide_host *h = bide__host(L);
  bide_task *t = h->current;
  if (t && L == t->L)
    return luaL_error(L, "attempt to yield from outside a coroutine (a task waits with bide's "
                         "functions; bide.sleep(0) lets others run)");
  if (t && L == h->top && h->co_base && t->scope != h->co_base)
    return luaL_error(L,
                      "attempt to yield across a bide.timeout, bide.shield or bide.group that the "
                      "coroutine is inside of");
  return lua_yield(L, lua_gettop(L));
}

static int l_isyieldable(lua_State *L) {
  const bide_host *h = bide__host(L);
  lua_State *co = lua_isnone(L, 1) ? L : check_co(L);
  lua_pushboolean(L, lua_isyieldable(co) && !(h->current && co == h->current->L));
  return 1;
}

/* ---- status, close, running ---- */

enum { CO_RUN, CO_DEAD, CO_SUSPENDED, CO_NORMAL };
static const char *const status_names[] = {"running", "dead", "suspended", "normal"};

static int co_status(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (L == co) return CO_RUN;
  if (is_held(bide__host(L), co)) return CO_NORMAL;
  switch (lua_status(co)) {
  case LUA_YIELD: return CO_SUSPENDED;
  case LUA_OK:
    if (lua_getstack(co, 0, &ar)) return CO_NORMAL;
    return lua_gettop(co) == 0 ? CO_DEAD : CO_SUSPENDED;
  default: return CO_DEAD;
  }
}

static int l_status(lua_State *L) {
  lua_pushstring(L, status_names[co_status(L, check_co(L))]);
  return 1;
}

static int l_close(lua_State *L) {
  bide_host *h = bide__host(L);
  lua_State *co = check_co(L), *running = h->running;
  int status = co_status(L, co);
  if (status != CO_DEAD && status != CO_SUSPENDED)
    return luaL_error(L, "cannot close a %s coroutine", status_names[status]);
  if (h->close_depth >= CLOSE_DEPTH_MAX) return luaL_error(L, "C stack overflow");
  h->close_depth++;
  if (BIDE_UNLIKELY(h->guard)) bide__guard(h, co);
  h->running = co;
  status = bide_closethread(co, L);
  h->running = running;
  if (BIDE_UNLIKELY(h->guard)) bide__guard(h, L);
  h->close_depth--;
  if (status == LUA_OK) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushboolean(L, 0);
  lua_xmove(co, L, 1);
  return 2;
}

static int l_running(lua_State *L) {
  bide_host *h = bide__host(L);
  int ismain = lua_pushthread(L);
  if (h->current && L == h->current->L) h->current->fut.flags |= BIDE_TF_SEEN;
  lua_pushboolean(L, ismain);
  return 2;
}

static const luaL_Reg functions[] = {
    {"resume", l_resume},           {"wrap", l_wrap},     {"yield", l_yield},
    {"isyieldable", l_isyieldable}, {"status", l_status}, {"close", l_close},
    {"running", l_running},         {NULL, NULL},
};

/* Puts them into the coroutine table, if the state has one, and into the field `coroutine`. */
void bide__open_coroutine(lua_State *L, int host) {
  bide__new_lib(L, host, functions);
  lua_setfield(L, -2, "coroutine");
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_COLIBNAME) == LUA_TTABLE) bide__add_lib(L, host, functions);
  lua_pop(L, 2);
}
