-- SPDX-License-Identifier: MIT
rockspec_format = "3.0"
package = "bide"
version = "scm-1"
-- Asked by `luarocks install` alone, and bide has no public address yet: `luarocks make` builds the
-- checkout that it is called in.
source = {
  url = "git+https://bide.example/bide.git",
}
description = {
  summary = "Async Lua: tasks, timers, sockets and HTTP on libuv",
  detailed = "Scripts that read top to bottom; whatever waits suspends only its own task.",
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua ~> 5.4" }
external_dependencies = {
  LIBUV = { header = "uv.h" },
  CARES = { header = "ares.h" },
  OPENSSL = { header = "openssl/ssl.h" },
  ZLIB = { header = "zlib.h" },
}
build = {
  type = "make",
  build_target = "module",
  install_target = "install-module",
  build_variables = {
    BUILD = "build/rock",
    WERROR = "",
    CFLAGS = "$(CFLAGS)",
    LUA_INCDIR = "$(LUA_INCDIR)",
  },
  install_variables = {
    BUILD = "build/rock",
    WERROR = "",
    CFLAGS = "$(CFLAGS)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    LUADIR = "$(LUADIR)",
    LUACDIR = "$(LIBDIR)",
  },
}
