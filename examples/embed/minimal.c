/* SPDX-License-Identifier: MIT */
/* minimal.c: an asynchronous script inside a C program.
 *
 *     cc -o minimal minimal.c $(pkg-config --cflags --libs bide)
 */
#include <stdio.h>
#include <string.h>

#include <bide.h>
#include <lauxlib.h>

static const char script[] = "local bide = require 'bide'\n"
                             "local name = ...\n"
                             "local function slowly(text)\n"
                             "  return function() bide.sleep(0.05) return text end\n"
                             "end\n"
                             "local a, b = bide.gather(slowly 'hello', slowly(name))\n"
                             "return a .. ', ' .. b\n";

int main(void) {
  bide_host *host = bide_new(NULL);
  if (!host) {
    fputs("no memory\n", stderr);
    return 1;
  }
  lua_State *L = bide_lua(host);
  int status = bide_load_string(host, script, strlen(script), "=script");
  if (status == 0) {
    lua_pushstring(L, "world");
    status = bide_call(host, 1, 1);
  }
  if (status == 0) printf("%s\n", lua_tostring(L, -1));
  else fprintf(stderr, "the script failed: %s\n", luaL_tolstring(L, 1, NULL));
  bide_free(host);
  return status == 0 ? 0 : 1;
}
