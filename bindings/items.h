/* SPDX-License-Identifier: MIT */
/* items.h: the items of a combinator: functions and awaitables, as arguments or as a list.
 *
 * They are copied into a table of their own (index 1 of the stack once begun), so that what the
 * caller does to his list meanwhile changes nothing; string keys go to a table of keys, and their
 * items behind those at positions, so that a join sees 1…n. */
#ifndef BIDE_ITEMS_H
#define BIDE_ITEMS_H

#include "bindings.h"

/* Stack indices. KEYS: a list of the string keys, or nil when there are none. */
enum { BIDE_ITEMS = 1, BIDE_KEYS = 2 };

/* The arguments as items: the stack becomes (items, nil). Returns how many. */
uint32_t bide__collect_args(lua_State *L);
/* The list at 1 as items: the stack becomes (items, keys or nil). Returns how many; *listed: of
 * them at positions. */
uint32_t bide__collect_list(lua_State *L, uint32_t *listed);
/* Is the value at idx a list (and not an item that is a table, one that can be called)? */
int bide__is_list(lua_State *L, int idx);

#endif
