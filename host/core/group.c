/* SPDX-License-Identifier: MIT */
/* group.c: children that live no longer than a function (Trio's nursery, asyncio's TaskGroup).
 *
 * The body runs in the caller inside the group's scope, the children beneath it. The first child to
 * fail cancels the scope; failed children stay anchored in a list, by their `next`, until the group
 * has ended and their errors have been read. The struct is freed when body, children and the Lua
 * handle have all let go. */
#include "body.h"
#include "error.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

enum { BODY_HANDLER = 2 }; /* where the body's message handler stands; its results follow */

/* ---- lifetime ---- */

static void maybe_free(bide_group *g) {
  bide_host *h = g->body.host;
  if (!g->over || g->children || g->handle) return;
  bide__free(h, g, sizeof *g);
}

/* The body has ended and no child is left: the scope leaves the tree. */
static void close_group(bide_group *g) {
  bide_host *h = g->body.host;
  bide__failed_fini(h, &g->failed);
  bide__scope_close(h, &g->body.scope);
  g->over = 1;
}

static int on_child_ended(bide_scope *s, bide_task *t) {
  bide_group *g = bide_container(s, bide_group, body.scope);
  g->children--;
  if (g->orphan) {
    if (g->children == 0) {
      close_group(g);
      maybe_free(g);
    }
    return 0;
  }
  if (t->fut.state == BIDE_FAILED) {
    bide__failed_add(&g->failed, t);
    bide__scope_cancel(g->body.host, s);
  }
  if (t->fut.state == BIDE_CANCELLED && bide__scope_is_cut(s)) g->cut = 1;
  if (g->children == 0 && g->wait.task && !g->wait.set) bide__wake(&g->wait, g->abort_status);
  return t->fut.state == BIDE_FAILED;
}

static void orphan(bide_group *g) {
  bide__scope_cancel(g->body.host, &g->body.scope);
  g->orphan = 1;
  if (g->children == 0) {
    close_group(g);
    maybe_free(g);
  }
}

static void drop_scope(bide_scope *s) {
  orphan(bide_container(s, bide_group, body.scope));
}

static void abort_group(bide_wait *w, int status) {
  bide_group *g = bide_container(w, bide_group, wait);
  if (status == BIDE_EDEADLK && g->children) {
    w->aborted = 0;
    return;
  }
  g->abort_status = status;
  bide__scope_cancel(g->body.host, &g->body.scope);
  if (g->children == 0) bide__wake(w, status);
}

static void drop_wait(bide_wait *w) {
  orphan(bide_container(w, bide_group, wait));
}

static const bide_waitops group_ops = {"group", abort_group, NULL, drop_wait, 1};

bide_scope *bide__group_scope(bide_wait *w) {
  return w->ops == &group_ops ? &bide_container(w, bide_group, wait)->body.scope : NULL;
}

/* ---- the end ---- */

/* 1: handle; 2: message handler; 3…: the body's results, or its error. */
static int k_ended(lua_State *L, bide_host *h, bide_wait *w) {
  bide_group *g = bide_container(w, bide_group, wait);
  int status = w->status, failed = g->failed.first || g->failed.body,
      nres = lua_gettop(L) - BODY_HANDLER;
  if (failed) bide__failed_push(L, &g->failed, BODY_HANDLER + 1);
  else if (g->cut && status >= 0) status = UV_ECANCELED;
  close_group(g);
  maybe_free(g);
  if (failed) return lua_error(L);
  if (status < 0) return bide__raise_status(L, h, status, "group");
  return nres;
}

static int k_body(lua_State *L, int status, lua_KContext ctx) {
  bide_group *g = (bide_group *)ctx;
  bide_host *h = g->body.host;
  bide_scope *s = &g->body.scope;
  if (status != LUA_OK && status != LUA_YIELD) {
    if (s->eff && bide__error_is_own_cancel(L, h, -1)) {
      /* no failure of the body's: it must not take the place of a child's error */
      g->cut |= (unsigned char)bide__scope_is_cut(s);
      lua_settop(L, BODY_HANDLER);
    } else {
      g->failed.body = 1;
      g->failed.body_first = g->failed.first == NULL;
    }
  }
  bide__scope_leave(h->current, s);
  s->kind = BIDE_SCOPE_OWNED;
  if (g->failed.body) bide__scope_cancel(h, s);
  if (g->children == 0) return bide__complete(L, h, &g->wait, 0, k_ended);
  return bide__suspend(L, h, &g->wait, &group_ops, k_ended);
}

int bide__group(lua_State *L, bide_host *h) {
  bide_group **handle, *g;
  int status;
  if (bide__checkpoint(L, h, "group")) return bide__refuse(L, h);
  lua_settop(L, 1);
  handle = lua_newuserdatauv(L, sizeof *handle, 0);
  *handle = NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->mt_group_ref);
  lua_setmetatable(L, -2);
  g = bide__alloc(h, sizeof *g);
  if (!g) return luaL_error(L, "not enough memory");
  memset(g, 0, sizeof *g);
  bide__failed_init(&g->failed);
  g->handle = 1;
  g->body.host = h;
  bide__scope_open(&g->body.scope, h->current->scope, h->current, BIDE_SCOPE_BODY, 0);
  g->body.scope.drop = drop_scope;
  g->body.scope.ended = on_child_ended;
  bide__scope_enter(h->current, &g->body.scope);
  *handle = g;
  lua_insert(L, 1);
  lua_pushcfunction(L, bide__body_handler);
  lua_insert(L, BODY_HANDLER);
  lua_pushvalue(L, 1); /* handle, handler, function, handle */
  status = lua_pcallk(L, 1, LUA_MULTRET, BODY_HANDLER, (lua_KContext)g, k_body);
  return k_body(L, status, (lua_KContext)g);
}

/* ---- the handle ---- */

static bide_group *check_group(lua_State *L, bide_host *h) {
  bide_group **handle = lua_touserdata(L, 1);
  int ok = handle && lua_getmetatable(L, 1);
  if (ok) {
    ok = lua_topointer(L, -1) == h->mt_group;
    lua_pop(L, 1);
  }
  if (!ok) bide__type_error(L, 1, "group");
  return *handle;
}

int bide__group_spawn(lua_State *L, bide_host *h) {
  bide_group *g = check_group(L, h);
  bide_scope *s;
  if (!h->current) return bide__not_running(L, h, "group:spawn");
  if (!g || g->over || g->orphan)
    return bide__error(L, h, "ECLOSED", "group:spawn",
                       "the group has ended (bide.spawn starts a task of the run)");
  s = &g->body.scope;
  if (s->eff) return bide__error(L, h, "ECLOSED", "group:spawn", "the group is cancelled");
  bide__spawn(L, h, lua_gettop(L) - 2, s, BIDE_TF_OWNED | (s->owner->fut.flags & BIDE_TF_DAEMON),
              bide__site_caller(L, h));
  g->children++;
  return 1;
}

int bide__group_cancel(lua_State *L, bide_host *h) {
  bide_group *g = check_group(L, h);
  if (!g || g->over || g->orphan || g->body.scope.cancelled) return 0;
  bide__scope_cancel(h, &g->body.scope);
  return 0;
}

static int l_group_gc(lua_State *L) {
  bide_group *g = check_group(L, bide__host_of(L));
  if (!g) return 0;
  *(bide_group **)lua_touserdata(L, 1) = NULL;
  g->handle = 0;
  maybe_free(g);
  return 0;
}

/* Finishes the metatable on top of the stack, whose methods the bindings have set. */
void bide__group_open(lua_State *L, bide_host *h) {
  lua_pushcfunction(L, l_group_gc);
  lua_setfield(L, -2, "__gc");
  h->mt_group = lua_topointer(L, -1);
  h->mt_group_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
