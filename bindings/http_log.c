/* SPDX-License-Identifier: MIT */
/* http_log.c: tells about refused requests: a line of the host's report, or a call of a function.
 *
 * Runs in the dispatcher, a task, for a function needs memory and is run in a task of its own. */
#include "http_server.h"
#include "core/task.h"

#include <stdio.h>

enum { TEXT = BIDE_HS_LOG_METHOD * 4 + BIDE_HS_LOG_TARGET * 4 + 256 };

static void set_text(lua_State *L, const char *name, const char *text) {
  if (!text || !text[0]) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

/* Pushes {message=, status=, reason=, peer=, method=, target=, count=}. */
static void push_entry(lua_State *L, const bide_hsline *line) {
  char text[TEXT];
  lua_createtable(L, 0, 6);
  set_text(L, "message", bide__hsline_text(line, text, sizeof text));
  set_text(L, "reason", line->reason);
  set_text(L, "peer", line->peer);
  set_text(L, "method", line->method);
  set_text(L, "target", line->target);
  if (line->status) {
    lua_pushinteger(L, line->status);
    lua_setfield(L, -2, "status");
  }
  if (line->count) {
    lua_pushinteger(L, (lua_Integer)line->count);
    lua_setfield(L, -2, "count");
  }
}

/* Runs protected: (function, line, site). */
int bide__http_spawn_log(lua_State *L) {
  bide_host *h = bide__host(L);
  const bide_hsline *line = lua_touserdata(L, 2);
  bide_task *self = h->current;
  uint32_t site = (uint32_t)lua_tointeger(L, 3);
  lua_settop(L, 1);
  push_entry(L, line);
  bide__spawn(L, h, 1, self->scope, self->fut.flags & BIDE_TF_DAEMON, site);
  return 0;
}

static void report(bide_host *h, const bide_hsline *line) {
  char text[TEXT], full[TEXT + 32];
  snprintf(full, sizeof full, "bide: http server: %s", bide__hsline_text(line, text, sizeof text));
  bide__report(h, full);
}

void bide__http_tell(lua_State *L, bide_httplib *lib, bide_hserver *s, int fn) {
  bide_hsline *line;
  while ((line = bide__hslog_next(s)) != NULL) {
    if (lua_isnil(L, fn)) {
      report(lib->http.host, line);
    } else {
      lua_rawgeti(L, LUA_REGISTRYINDEX, lib->log_ref);
      lua_pushvalue(L, fn);
      lua_pushlightuserdata(L, line);
      lua_pushinteger(L, s->site);
      if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1); /* no memory: the line is lost */
    }
    bide__hslog_free(s, line);
  }
}
