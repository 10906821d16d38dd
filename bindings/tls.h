/* SPDX-License-Identifier: MIT */
/* tls.h: the TLS module's entry: what `require "bide.openssl"` calls. */
#ifndef BIDE_BINDINGS_TLS_H
#define BIDE_BINDINGS_TLS_H

#include <lua.h>

int luaopen_bide_openssl(lua_State *L);

#endif
