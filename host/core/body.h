/* SPDX-License-Identifier: MIT */
/* body.h: a function run in the calling task inside a scope: timeout, shield, group. */
#ifndef BIDE_CORE_BODY_H
#define BIDE_CORE_BODY_H

#include "failed.h"

typedef struct bide_body {
  bide_scope scope; /* first; scope.kind is BIDE_SCOPE_BODY */
  bide_host *host;
  double after;  /* seconds, of a timeout */
  char what[96]; /* what its task waited for when the deadline came */
} bide_body;

/* A group's children and first error. Shared by the body's stack and the Lua handles `g`. */
typedef struct bide_group {
  bide_body body; /* first */
  bide_wait wait;
  bide_failed failed;
  uint32_t children; /* still running */
  int abort_status;
  unsigned char over;   /* nothing can be spawned any more */
  unsigned char orphan; /* the stack of the body is gone */
  unsigned char handle; /* the Lua handle still points here */
  unsigned char cut;    /* a child was cancelled from outside the group */
} bide_group;

/* timeout: stack index 1 the seconds, 2 the function, 3… its arguments. */
int bide__timeout(lua_State *L, bide_host *h, double s);
/* shield: 1 the function, 2… its arguments. */
int bide__shield(lua_State *L, bide_host *h);
/* group: 1 the function. */
int bide__group(lua_State *L, bide_host *h);
/* g:spawn: the group's handle at 1, function at 2, arguments. */
int bide__group_spawn(lua_State *L, bide_host *h);
int bide__group_cancel(lua_State *L, bide_host *h);
/* The scope of the children, if `w` is the wait for the end of a group; else NULL. */
bide_scope *bide__group_scope(bide_wait *w);
void bide__group_open(lua_State *L, bide_host *h);
/* A deadline around a wait of bide's own: puts the running task into a scope that is cancelled
 * after s seconds. NULL when there is no memory. */
bide_body *bide__body_enter(bide_host *h, double s);
/* Leaves and frees it; nonzero if the scope was cancelled by its deadline and by nothing else. */
int bide__body_leave(bide_body *b);
/* The scope of the nearest deadline that holds for the running task, or NULL. */
bide_scope *bide__nearest_deadline(const bide_host *h);

#endif
