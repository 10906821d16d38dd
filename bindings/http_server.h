/* SPDX-License-Identifier: MIT */
/* http_server.h: what the files behind `bide.http.serve` share. */
#ifndef BIDE_BINDINGS_HTTP_SERVER_H
#define BIDE_BINDINGS_HTTP_SERVER_H

#include "http.h"
#include "http/server.h"

/* Tells about requests that were refused: calls the function at `fn` in tasks, or, when it is nil,
 * reports. Never raises; in a task. */
void bide__http_tell(lua_State *L, bide_httplib *lib, bide_hserver *s, int fn);
/* What it runs protected. */
int bide__http_spawn_log(lua_State *L);

#endif
