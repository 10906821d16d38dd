/* SPDX-License-Identifier: MIT */
/* name.h: what tasks and C functions are called in messages. A name is given by task:name(s), or
 * stands for the function of the task: file:line, or the C function's place in package.loaded. */
#ifndef BIDE_CORE_NAME_H
#define BIDE_CORE_NAME_H

#include "host.h"

/* The name of the task at idx: given, or file:line of its function, or the name of a C function.
 * May raise (memory). */
const char *bide__task_name(lua_State *L, bide_host *h, int idx, char *buf, size_t size);
/* Names the task or the C function at idx. May raise (memory). */
void bide__name_value(lua_State *L, bide_host *h, int idx, const char *name);
/* The name of a living task. Never raises, runs no finalizer; uses the stack of the thread that
 * drives the loop. */
const char *bide__living_name(const bide_task *t, char *buf, size_t size);
/* The site where the function of a living task is defined. Raises nothing. */
uint32_t bide__task_site(bide_host *h, const bide_task *t);
/* Pushes the name of the C function of `ar` (of thread co) or returns 0. */
int bide__push_function_name(lua_State *L, lua_State *co, lua_Debug *ar);

#endif
