/* SPDX-License-Identifier: MIT */
/* embed_files.c: what a sandboxed script may read: loadfile, dofile and require for the files
 * beneath the host's root. They do what Lua's do, but take text only. A file is opened by
 * bide__file_open (core/policy.h), which decides; closed before any of its code runs. Blocks, as
 * Lua's do. Owns nothing. */
#include "core/error.h"
#include "core/policy.h"
#include "embed.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>
#include <unistd.h>

typedef struct source {
  int fd, error;
  unsigned char begun; /* past what may stand before the code */
  char buf[4096];
} source;

static size_t fill(source *s, size_t have) {
  ssize_t n;
  do n = read(s->fd, s->buf + have, sizeof s->buf - have);
  while (n < 0 && errno == EINTR);
  if (n < 0) s->error = uv_translate_sys_error(errno);
  return n > 0 ? (size_t)n : 0;
}

/* A byte order mark, and a first line that begins with '#', but for its end. */
static const char *skip_head(source *s, size_t *n) {
  const char *p = s->buf, *end;
  while (*n < 4) {
    size_t more = fill(s, *n);
    if (!more) break;
    *n += more;
  }
  end = p + *n;
  if (*n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) p += 3;
  if (p < end && *p == '#') {
    while (!(p = memchr(p, '\n', (size_t)(end - p)))) {
      size_t more = fill(s, 0);
      p = s->buf;
      end = p + more;
      if (!more) break;
    }
  }
  *n = (size_t)(end - p);
  return p;
}

static const char *next_part(lua_State *L, void *ud, size_t *n) {
  source *s = ud;
  const char *p = s->buf;
  (void)L;
  *n = fill(s, 0);
  if (!s->begun && *n) p = skip_head(s, n);
  s->begun = 1;
  return *n ? p : NULL;
}

/* Pushes the function, or the message: LUA_OK or not. May raise before the file is opened. */
static int load_beneath(lua_State *L, bide_host *h, const char *path) {
  source s = {0};
  const char *name = lua_pushfstring(L, "@%s", path);
  int status;
  s.fd = bide__file_open(h, path);
  if (s.fd < 0) {
    lua_pushfstring(L, "cannot open %s: %s", path, bide__code_text(s.fd));
    status = LUA_ERRFILE;
  } else {
    status = lua_load(L, next_part, &s, name, "t");
    close(s.fd);
  }
  if (status == LUA_OK && s.error) {
    lua_pop(L, 1);
    lua_pushfstring(L, "cannot read %s: %s", path, bide__code_text(s.error));
    status = LUA_ERRFILE;
  }
  lua_remove(L, -2);
  return status;
}

/* A Lua string with a zero byte in it would name another file. */
static const char *check_path(lua_State *L, int arg) {
  size_t n;
  const char *path = luaL_checklstring(L, arg, &n);
  luaL_argcheck(L, strlen(path) == n, arg, "path contains a zero byte");
  return path;
}

static int l_loadfile(lua_State *L) {
  bide_host *h = lua_touserdata(L, lua_upvalueindex(1));
  int env = !lua_isnone(L, 3);
  const char *path = check_path(L, 1);
  if (load_beneath(L, h, path) != LUA_OK) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (env) {
    lua_pushvalue(L, 3);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  }
  return 1;
}

static int k_done(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L) - 1;
}

static int l_dofile(lua_State *L) {
  bide_host *h = lua_touserdata(L, lua_upvalueindex(1));
  const char *path = check_path(L, 1);
  lua_settop(L, 1);
  if (load_beneath(L, h, path) != LUA_OK) return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 0, k_done);
  return k_done(L, LUA_OK, 0);
}

/* A searcher of package.searchers: "a.b" is a/b.lua, or a/b/init.lua. */
static int l_search(lua_State *L) {
  static const char *const shapes[] = {"%s.lua", "%s/init.lua"};
  bide_host *h = lua_touserdata(L, lua_upvalueindex(1));
  const char *name = luaL_gsub(L, check_path(L, 1), ".", "/");
  size_t i;
  for (i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    const char *path = lua_pushfstring(L, shapes[i], name);
    int fd = bide__file_open(h, path);
    if (fd < 0) continue;
    close(fd);
    if (load_beneath(L, h, path) != LUA_OK)
      return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", lua_tostring(L, 1),
                        path, lua_tostring(L, -1));
    lua_insert(L, -2);
    return 2;
  }
  lua_pushfstring(L, "no file '%s.lua'\n\tno file '%s/init.lua'", name, name);
  return 1;
}

void bide__sandbox_files(lua_State *L, bide_host *h) {
  static const luaL_Reg functions[] = {
      {"loadfile", l_loadfile}, {"dofile", l_dofile}, {NULL, NULL}};
  lua_pushglobaltable(L);
  lua_pushlightuserdata(L, h);
  luaL_setfuncs(L, functions, 1);
  lua_pop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, l_search, 1);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 3);
}
