/* SPDX-License-Identifier: MIT */
/* print.c: see print.h. Owns nothing. */
#include "print.h"

#include <errno.h>
#include <stdio.h>

#include <lauxlib.h>
#include <uv.h>

#include <bide.h>

int l_print(lua_State *L) {
  int n = lua_gettop(L), i;
  for (i = 1; i <= n; i++) {
    size_t size;
    const char *s = luaL_tolstring(L, i, &size);
    if (i > 1) fputc('\t', stdout);
    fwrite(s, 1, size, stdout);
    lua_pop(L, 1);
  }
  fputc('\n', stdout);
  if (fflush(stdout) == 0) return 0;
  i = uv_translate_sys_error(errno);
  clearerr(stdout); /* told here, once */
  return bide_raise(L, uv_err_name(i), "print", uv_strerror(i));
}
