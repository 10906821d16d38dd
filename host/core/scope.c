/* SPDX-License-Identifier: MIT */
/* scope.c: the tree of cancellation scopes. See scope.h for the law. */
#include "host.h"

#include <assert.h>
#include <string.h>

void bide__scope_open(bide_scope *s, bide_scope *parent, bide_task *owner, int kind, int shield) {
  memset(s, 0, sizeof *s);
  s->kind = (uint8_t)kind;
  s->shield = (uint8_t)shield;
  s->owner = owner;
  s->parent = parent;
  if (!parent) return;
  s->run = parent->run;
  s->next = parent->child;
  if (s->next) s->next->prev = s;
  parent->child = s;
  if (!shield) s->eff = (uint8_t)(owner ? bide__refused_in(parent, owner) : parent->eff);
}

/* Moves a scope whose opener has gone, and which only ends its tasks, under another parent. */
static void adopt(bide_scope *parent, bide_scope *s) {
  assert(parent != NULL);
  s->parent->child = s->next;
  if (s->next) s->next->prev = NULL;
  s->parent = parent;
  s->prev = NULL;
  s->next = parent->child;
  if (s->next) s->next->prev = s;
  parent->child = s;
}

void bide__scope_close(bide_host *h, bide_scope *s) {
  assert(s->tasks == NULL);
  bide__heap_stop(&h->deadlines, &s->deadline);
  while (s->child) adopt(s->parent, s->child);
  if (s->parent) {
    if (s->prev) s->prev->next = s->next;
    else s->parent->child = s->next;
    if (s->next) s->next->prev = s->prev;
  }
  s->parent = s->next = s->prev = NULL;
}

void bide__scope_enter(bide_task *t, bide_scope *s) {
  bide__scope_remove_task(t);
  bide__scope_add_task(s, t);
}

void bide__scope_leave(bide_task *t, bide_scope *s) {
  assert(t->scope == s);
  bide__scope_remove_task(t);
  bide__scope_add_task(s->parent, t);
}

bide_scope *bide__scope_walk(bide_scope *s, const bide_scope *root, int down) {
  if (down && s->child) return s->child;
  while (s != root) {
    if (s->next) return s->next;
    s = s->parent;
  }
  return NULL;
}

void bide__scope_cancel_status(bide_host *h, bide_scope *root, int status) {
  bide_scope *s;
  bide_task *t;
  (void)h;
  if (root->eff) return; /* all beneath were told */
  root->eff = 1;
  for (s = bide__scope_walk(root, root, 1); s; s = bide__scope_walk(s, root, !s->shield))
    if (!s->shield) s->eff = 1;
  for (s = root; s; s = bide__scope_walk(s, root, s == root || !s->shield)) {
    if (s->shield && s != root) continue;
    for (t = s->tasks; t; t = t->snext) bide__task_interrupt(t, status);
  }
}

void bide__scope_cancel(bide_host *h, bide_scope *s) {
  s->cancelled = 1;
  bide__scope_cancel_status(h, s, UV_ECANCELED);
}

int bide__scope_is_origin(const bide_scope *s) {
  if (!s->cancelled) return 0;
  if (s->shield) return 1;
  return !(s->owner ? bide__refused_in(s->parent, s->owner) : s->parent->eff);
}

void bide__scope_unwind(bide_host *h, bide_task *t, bide_scope *base) {
  (void)h;
  while (t->scope != base && t->scope->owner == t) {
    bide_scope *s = t->scope;
    bide__scope_leave(t, s);
    if (s->drop) s->drop(s);
  }
}
