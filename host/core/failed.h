/* SPDX-License-Identifier: MIT */
/* failed.h: the children of a scope that have failed, kept anchored until their errors have been
 * read: the first is raised, the others become its details. */
#ifndef BIDE_CORE_FAILED_H
#define BIDE_CORE_FAILED_H

#include "host.h"

typedef struct bide_failed {
  bide_task *first, **tail;
  unsigned char body;       /* what runs in the scope itself has raised an error of its own */
  unsigned char body_first; /* … before any child did */
} bide_failed;

void bide__failed_init(bide_failed *f);
/* In a scope's `ended`, which then returns nonzero: keeps `t`, in the order of ending. */
void bide__failed_add(bide_failed *f, bide_task *t);
/* Pushes the error to raise. `body`: index of the body's error, if there is one. Never raises: an
 * error on the way (memory) is the one to raise then. */
void bide__failed_push(lua_State *L, bide_failed *f, int body);
/* Pops a list of failed tasks, to stand behind the error at `err`, which took the place of theirs:
 * when somebody asks for its details, their errors become its `others` and are seen. If nobody does
 * they are reported, as those that no waiter received. May raise (memory). */
void bide__failed_behind(lua_State *L, bide_host *h, int err);
/* Puts those behind the error at `from` behind that at `to`. May raise. */
void bide__failed_pass(lua_State *L, bide_host *h, int from, int to);
/* Details are asked for: those in the table at `details` become its `others`. May raise. */
void bide__failed_tell(lua_State *L, bide_host *h, int details);
/* Lets go of them. */
void bide__failed_fini(bide_host *h, bide_failed *f);

#endif
