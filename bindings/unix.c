/* SPDX-License-Identifier: MIT */
/* unix.c: bide.unix: connect and listen at a path. A path that begins with a NUL byte is a name in
 * Linux's abstract space. */
#include "dial.h"
#include "server.h"
#include "core/error.h"

typedef struct place {
  const char *path;
  size_t len;
} place;

static place check_path(lua_State *L) {
  struct sockaddr_un un;
  socklen_t size;
  place p;
  if (lua_type(L, 1) != LUA_TSTRING) bide__type_error(L, 1, "path (string)");
  p.path = lua_tolstring(L, 1, &p.len);
  int status = bide__unix_address(p.path, p.len, &un, &size);
  if (status == UV_ENAMETOOLONG)
    luaL_argerror(
        L, 1, lua_pushfstring(L, "path of at most %d bytes expected", (int)sizeof un.sun_path - 1));
  luaL_argcheck(L, !status, 1, "path that is not empty and has no NUL inside expected");
  return p;
}

/* connect(path, {timeout=}) → stream */
static int l_connect(lua_State *L) {
  static const char *const names[] = {"timeout", NULL};
  bide_host *h = bide__host(L);
  bide_dial d;
  check_path(L);
  lua_settop(L, 2);
  bide__check_options(L, 2, names);
  bide__dial_options(L, 2, &d);
  if (bide__checkpoint(L, h, "connect")) return bide__refuse(L, h);
  return bide__dial_unix(L, h, &d);
}

static int open_unix(bide_host *h, const void *where, const bide_listen_options *o,
                     void (*on_conn)(bide_listener *l, bide_conn *c), void *user,
                     bide_listener **out) {
  const place *p = where;
  return bide__listen_unix(h, p->path, p->len, o, on_conn, user, out);
}

static const bide_server_kind unix_kind = {"listen", open_unix};

/* listen(path, handler, {mode=, …}) → server */
static int l_listen(lua_State *L) {
  static const char *const names[] = {BIDE_SERVER_OPTIONS, "mode", NULL};
  bide_host *h = bide__host(L);
  bide_listen_options o;
  int is_daemon;
  place p = check_path(L);
  bide__check_callable(L, 2);
  lua_settop(L, 3);
  bide__check_options(L, 3, names);
  bide__server_options(L, 3, &o, &is_daemon);
  o.mode = (int)bide__opt_integer(L, 3, "mode", 0, 1, 0777);
  if (bide__checkpoint(L, h, "listen")) return bide__refuse(L, h);
  int status = bide__server_start(L, h, &unix_kind, &p, &o, is_daemon, 2);
  if (!status) {
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    return 1;
  }
  bide__error_push_status(L, h, status, "listen", p.path);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "path");
  return lua_error(L);
}

void bide__open_unix(lua_State *L, int host) {
  static const luaL_Reg functions[] = {{"connect", l_connect}, {"listen", l_listen}, {NULL, NULL}};
  bide__open_streams(L, host);
  bide__open_servers(L, host);
  bide__new_lib(L, host, functions);
}
