/* SPDX-License-Identifier: MIT */
/* socket.h: shared by the files socket*.c: sockets as the system has them, for bide.socket. */
#ifndef BIDE_SOCKET_H
#define BIDE_SOCKET_H

#include "bindings.h"
#include "net/socket.h"

typedef struct bide_socket_ud {
  void *socket; /* bide_socket, owned; NULL once closed */
} bide_socket_ud;

/* The socket at idx, open or not; NULL when it is something else. */
bide_socket_ud *bide__test_socket(lua_State *L, int idx);
/* The descriptor of the socket at 1, -1 when it is closed. */
int bide__check_fd(lua_State *L);
/* Pushes nil, the code and the text of a status; of errno. */
int bide__socket_fail(lua_State *L, int status);
int bide__socket_failed(lua_State *L);

/* socket_options.c: setoption(name, value), getoption(name), by LuaSocket's names. */
int bide__socket_setoption(lua_State *L);
int bide__socket_getoption(lua_State *L);

/* socket_wait.c */
int bide__socket_select(lua_State *L);
int bide__socket_ready(lua_State *L);
int bide__socket_breathe(lua_State *L);

/* socket_stream.c */
int bide__socket_stream(lua_State *L);
int bide__socket_stream_fd(lua_State *L);
int bide__socket_tls_context(lua_State *L);
int bide__socket_secure(lua_State *L);

#endif
