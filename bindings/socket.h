/* SPDX-License-Identifier: MIT */
/* socket.h: shared by socket.c and socket_options.c. */
#ifndef BIDE_SOCKET_H
#define BIDE_SOCKET_H

#include "bindings.h"

/* The descriptor of the socket at 1, -1 when it is closed. */
int bide__check_fd(lua_State *L);
/* Pushes nil, the code and the text of errno. */
int bide__socket_failed(lua_State *L);
/* setoption(name, value), getoption(name), by LuaSocket's names. */
int bide__socket_setoption(lua_State *L);
int bide__socket_getoption(lua_State *L);

#endif
