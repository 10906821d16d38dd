/* SPDX-License-Identifier: MIT */
/* preload.h: the modules that are compiled in.
 *
 * The program and the library carry bide's Lua files as text, so that `require "bide"` needs no
 * path. The table is generated (host/program/embed_lua.sh) and constant; nothing here is owned.
 * The stock module does not use this: it finds its files through package.path. */
#ifndef BIDE_PRELOAD_H
#define BIDE_PRELOAD_H

#include <stddef.h>
#include <lua.h>

typedef struct bide__lua_file {
  const char *module; /* name for `require`, "bide.http" */
  const char *chunk;  /* chunk name, "=bide/http.lua" */
  size_t size;        /* bytes of text */
  const char *text;   /* NUL-terminated, NUL not counted in size */
} bide__lua_file;

/* Ends with an entry whose `module` is NULL. */
extern const bide__lua_file bide__lua_files[];

/* The one for the part that uses OpenSSL alone, which is found without the package library. */
void bide__preload_tls(lua_State *L);
/* Puts a loader for each compiled-in module, Lua and C, into package.preload, and replaces the
 * global `require` (if there is one) by one that may wait. May raise (memory): call it protected.
 * Leaves the stack as it was. */
void bide__preload(lua_State *L);

#endif
