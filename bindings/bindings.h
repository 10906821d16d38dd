/* SPDX-License-Identifier: MIT */
/* bindings.h: what Lua sees. One file per library; each `bide__open_X` pushes the table of library
 * X (or adds to the table on top of the stack, where it says so). Every function has the host's
 * userdata as its first upvalue. */
#ifndef BIDE_BINDINGS_H
#define BIDE_BINDINGS_H

#include "core/host.h"

/* The module bide.core; raises when the host cannot be made. */
int luaopen_bide_core(lua_State *L);

/* Pushes a new table with the functions of `reg`, each with the host as its upvalue. The host's
 * userdata is at index `host`. */
void bide__new_lib(lua_State *L, int host, const luaL_Reg *reg);
/* Adds functions to the table on top of the stack. */
void bide__add_lib(lua_State *L, int host, const luaL_Reg *reg);
/* A new metatable: __index with `methods`, __name, protected by __metatable. Pushes it. */
void bide__new_metatable(lua_State *L, int host, const char *name, const luaL_Reg *methods,
                         const luaL_Reg *metamethods);

/* The table of functions on top of the stack becomes package.loaded[name]: there Lua itself looks
 * for the name of a function that was called by pcall, for argument errors. */
void bide__name_functions(lua_State *L, const char *name);

/* Raises an argument error unless the value at arg can be called. */
void bide__check_callable(lua_State *L, int arg);

/* Each pushes the table of a library that is a field of the module. */
void bide__open_tcp(lua_State *L, int host);
void bide__open_unix(lua_State *L, int host);
void bide__open_dns(lua_State *L, int host);
void bide__open_http(lua_State *L, int host);
void bide__open_udp(lua_State *L, int host);
void bide__open_tls(lua_State *L, int host);

/* These add to the table of the module on top of the stack; `host` is the index of the host. */
void bide__open_tasks(lua_State *L, int host);       /* spawn, await, sleep, …; tasks, futures */
void bide__open_combine(lua_State *L, int host);     /* gather, race, timeout, group, … */
void bide__open_channel(lua_State *L, int host);     /* channel, select */
void bide__open_sync(lua_State *L, int host);        /* lock, semaphore, event, condition */
void bide__open_var(lua_State *L, int host);         /* var */
void bide__open_iterate(lua_State *L, int host);     /* interval, as_completed, map, wait */
void bide__open_errors(lua_State *L, int host);      /* Error, try, details, … */
void bide__open_core_errors(lua_State *L, int host); /* bide.core only: raise */
void bide__open_coroutine(lua_State *L, int host); /* replaces functions of the coroutine library */
void bide__open_inspect(lua_State *L, int host);   /* tasks, dump */
void bide__open_testing(lua_State *L, int host);   /* the field `testing` */
void bide__open_socket(lua_State *L, int host);    /* the field `socket` */
void bide__open_libs(lua_State *L, int host);      /* the fields tcp, http, …: see libs.c */

#endif
