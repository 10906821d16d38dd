/* SPDX-License-Identifier: MIT */
/* body.c: timeout and shield. The body runs under a pcall with continuation in its scope; whatever
 * way it ends, the scope is left and closed first. */
#include "body.h"
#include "error.h"
#include "limit.h"
#include "trace.h"

#include <stdio.h>
#include <string.h>

static void body_free(bide_body *b) {
  bide_host *h = b->host;
  bide__scope_close(h, &b->scope);
  bide__free(h, b, sizeof *b);
}

static void drop_body(bide_scope *s) {
  body_free(bide_container(s, bide_body, scope));
}

static bide_body *open_body(bide_host *h, int shield) {
  bide_task *t = h->current;
  bide_body *b = bide__alloc(h, sizeof *b);
  if (!b) return NULL;
  b->host = h;
  b->what[0] = '\0';
  bide__scope_open(&b->scope, t->scope, t, BIDE_SCOPE_BODY, shield);
  b->scope.drop = drop_body;
  bide__scope_enter(t, &b->scope);
  return b;
}

/* ---- timeout ---- */

bide_body *bide__body_enter(bide_host *h, double s) {
  bide_body *b = open_body(h, 0);
  if (!b) return NULL;
  b->after = s;
  b->scope.turn = h->turn;
  if (bide__heap_start(h, &h->deadlines, &b->scope.deadline,
                       bide__deadline_ns(bide__now_ns(h), s)) == 0)
    return b;
  bide__body_leave(b);
  return NULL;
}

int bide__body_leave(bide_body *b) {
  int expired = b->scope.expired && bide__scope_is_origin(&b->scope);
  bide__scope_leave(b->host->current, &b->scope);
  body_free(b);
  return expired;
}

static void push_timeout(lua_State *L, bide_host *h, const bide_body *b) {
  char after[32];
  snprintf(after, sizeof after, "%g", b->after);
  if (b->what[0])
    bide__error_push(L, h, "ETIMEDOUT", "timeout", "after %s s, waiting in %s", after, b->what);
  else bide__error_push(L, h, "ETIMEDOUT", "timeout", "after %s s", after);
  lua_pushnumber(L, b->after);
  lua_setfield(L, -2, "after");
}

static int k_timeout(lua_State *L, int status, lua_KContext ctx) {
  bide_body *b = (bide_body *)ctx;
  bide_host *h = b->host;
  bide_body copy = *b;
  int origin = bide__scope_is_origin(&b->scope);
  bide__scope_leave(h->current, &b->scope);
  body_free(b);
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
  if (origin && bide__error_is_own_cancel(L, h, -1)) {
    push_timeout(L, h, &copy);
    bide__failed_pass(L, h, -2, -1);
  } else if (copy.scope.expired && status != LUA_ERRMEM) {
    bide__details(L, h, -1, 1);
    lua_pushliteral(L, "timeout");
    lua_setfield(L, -2, "during");
    lua_pop(L, 1);
  }
  return lua_error(L);
}

int bide__timeout(lua_State *L, bide_host *h, double s) {
  bide_body *b;
  int status;
  if (bide__checkpoint(L, h, "timeout")) return bide__refuse(L, h);
  b = bide__body_enter(h, s);
  if (!b) return bide__timer_error(L, h, "timeout");
  lua_pushcfunction(L, bide__body_handler); /* in the place of the seconds */
  lua_replace(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, (lua_KContext)b, k_timeout);
  return k_timeout(L, status, (lua_KContext)b);
}

bide_scope *bide__nearest_deadline(const bide_host *h) {
  bide_scope *s, *nearest = NULL;
  for (s = h->current->scope; s; s = s->parent) {
    if (s->deadline.pos && (!nearest || bide__heap_when(&h->deadlines, &s->deadline) <=
                                            bide__heap_when(&h->deadlines, &nearest->deadline)))
      nearest = s;
    if (s->shield) break;
  }
  return nearest;
}

/* ---- shield ---- */

static int k_shield(lua_State *L, int status, lua_KContext ctx) {
  bide_body *b = (bide_body *)ctx;
  bide__scope_leave(b->host->current, &b->scope);
  body_free(b);
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
  return lua_error(L);
}

int bide__shield(lua_State *L, bide_host *h) {
  bide_body *b;
  int status;
  (void)bide__checkpoint(L, h, "shield"); /* runs even when a cancellation is pending */
  b = open_body(h, 1);
  if (!b) return luaL_error(L, "not enough memory");
  lua_pushcfunction(L, bide__body_handler);
  lua_insert(L, 1);
  status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, (lua_KContext)b, k_shield);
  return k_shield(L, status, (lua_KContext)b);
}
