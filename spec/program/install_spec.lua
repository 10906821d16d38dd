-- SPDX-License-Identifier: MIT
-- What `make install` puts in place is all that the program, C programs and a stock lua5.4 need.

local process = require "spec.support.process"
local installed = require "spec.support.installed"
local make = installed.make

describe("an installed bide", function()
  local bide, root, prefix

  setup(function()
    bide = installed.install()
    root, prefix = bide.root, bide.prefix
  end)
  teardown(function() bide:remove() end)

  it("has the program, both libraries, the header and the package files", function()
    for _, path in ipairs {
      "bin/bide", "lib/libbide.a", "lib/libbide.so", "lib/libbide.so.0", "include/bide.h",
      "lib/pkgconfig/bide.pc", "lib/cmake/bide/bide-config.cmake",
      "lib/cmake/bide/bide-config-version.cmake",
      "share/lua/5.4/bide/init.lua", "lib/lua/5.4/bide/core.so", "share/man/man1/bide.1",
    } do
      assert.is_true(bide:has(path), path)
    end
  end)

  it("names no directory of the build in what it installs", function()
    local pc = process.read_file(prefix .. "/lib/pkgconfig/bide.pc")
    assert.matches("prefix=" .. prefix, pc, 1, true)
    assert.is_nil(pc:find "@")
  end)

  it("has one version everywhere, and a soname", function()
    local version = bide:sh("pkg-config --modversion bide"):match "[^\n]+"
    assert.matches('BIDE_VERSION%s+"' .. version .. '"',
      process.read_file(prefix .. "/include/bide.h"))
    assert.matches("^bide " .. version .. " ", bide:sh("%s/bin/bide -v", prefix))
    assert.matches("SONAME%)%s+Library soname: %[libbide%.so%.0%]",
      bide:sh("readelf -d %s/lib/libbide.so.%s", prefix, version))
    bide:build "examples/embed/minimal.c"
    assert.matches("NEEDED%)[^\n]+%[libbide%.so%.0%]", bide:sh("readelf -d %s/minimal", root))
  end)

  it("has a header that is clean C and C++", function()
    local file = root .. "/header.c"
    process.write_file(file, "#include <bide.h>\n#include <bide.h>\n"
      .. "bide_options options = BIDE_OPTIONS;\n"
      .. "int main(void) { return bide_version()[0] == 0; }\n")
    local flags = "-Wall -Wextra -pedantic -Werror -D_POSIX_C_SOURCE=200809L" -- for uv.h
    for _, compiler in ipairs {
      "gcc -std=c99", "gcc -std=c11", "clang -std=c11", "clang -std=c17",
      "g++ -x c++ -std=c++11", "g++ -x c++ -std=c++20", "clang++ -x c++ -std=c++11",
      "clang++ -x c++ -std=c++17",
    } do
      -- as a system's header nothing in it would be warned of
      bide:sh("%s %s -I%s/include $(pkg-config --cflags lua5.4 libuv) -fsyntax-only %s", compiler,
        flags, prefix, file)
    end
  end)

  it("serves a program in C++", function()
    local file = root .. "/program.cpp"
    process.write_file(file, [[
#include <bide.h>
#include <cstdio>
#include <cstring>
#include <lua.hpp>
static int l_twice(lua_State *L) {
  bide_future *f = bide_future_new(L);
  bide_resolve_integer(f, 2 * luaL_checkinteger(L, 1));
  return bide_await(L, f);
}
int main() {
  bide_options options = BIDE_OPTIONS;
  options.libs = "string";
  bide_host *host = bide_new(&options);
  lua_register(bide_lua(host), "twice", l_twice);
  const char *script = "require 'bide'.sleep(0) return twice(21)";
  int status = bide_load_string(host, script, std::strlen(script), "=script");
  if (status == 0) status = bide_call(host, 0, 1);
  std::printf("%d %d\n", status, static_cast<int>(lua_tointeger(bide_lua(host), -1)));
  bide_free(host);
}
]])
    bide:sh("g++ -Wall -Wextra -pedantic -Werror -o %s/cpp %s $(pkg-config --cflags --libs bide)",
      root, file)
    assert.same({ status = 0, out = "0 42\n", err = "" }, bide:run(root .. "/cpp"))
  end)

  it("serves a program that links it statically, beside names like its own", function()
    -- a directory without the shared library, so that the linker has no choice
    local lib = root .. "/static"
    bide:sh("mkdir %s && cp %s/lib/libbide.a %s", lib, prefix, lib)
    local file = root .. "/clash.c"
    process.write_file(file, "int task_new, scope, wake, h1_parse, buf, signals, here, names;\n")
    bide:sh("cc -o %s/static_minimal examples/embed/minimal.c %s "
      .. "$(pkg-config --define-variable=libdir=%s --static --cflags --libs bide)", root, file, lib)
    assert.is_nil(bide:sh("readelf -d %s/static_minimal", root):find "libbide")
    assert.same({ status = 0, out = "hello, world\n", err = "" },
      bide:run(root .. "/static_minimal"))
  end)

  it("serves a CMake project", function()
    local dir = root .. "/project"
    bide:sh("mkdir %s && cp examples/embed/minimal.c %s", dir, dir)
    process.write_file(dir .. "/CMakeLists.txt", [[
cmake_minimum_required(VERSION 3.16)
project(minimal C)
find_package(bide 0.1 REQUIRED)
add_executable(shared minimal.c)
target_link_libraries(shared bide::bide)
add_executable(static minimal.c)
target_link_libraries(static bide::static)
find_package(bide 9.0 QUIET)
if(bide_FOUND)
  message(FATAL_ERROR "a version that is not there was found")
endif()
]])
    bide:sh("cd %s && CMAKE_PREFIX_PATH=%s cmake -S . -B build && cmake --build build", dir, prefix)
    for _, name in ipairs { "shared", "static" } do
      assert.same({ status = 0, out = "hello, world\n", err = "" },
        bide:run(dir .. "/build/" .. name))
    end
    assert.matches("libbide.so.0", bide:sh("readelf -d %s/build/shared", dir), 1, true)
  end)

  it("serves a stock lua5.4, without mapping OpenSSL into it", function()
    local env = {
      LUA_PATH = prefix .. "/share/lua/5.4/?.lua;" .. prefix .. "/share/lua/5.4/?/init.lua",
      LUA_CPATH = prefix .. "/lib/lua/5.4/?.so",
    }
    local code = [[
      local bide = require "bide"
      print(bide.run(function() bide.sleep(0) return "ran" end))
      for line in io.lines "/proc/self/maps" do
        if line:find "libssl" or line:find "libcrypto" then print(line) end
      end
    ]]
    local result = process.run({ "lua5.4", "-e", code }, { env = env, directory = "/" })
    assert.same({ status = 0, out = "ran\n", err = "" }, result)
  end)

  it("exports from the library its own names alone", function()
    local names = bide:sh("nm -D --defined-only %s/lib/libbide.so", prefix)
    for name in names:gmatch "%x+ %u ([^%s@]+)" do
      assert.is_true(name:find "^bide_[^_]" ~= nil or name:find "^luaopen_bide" ~= nil, name)
    end
    assert.matches(" bide_new", names, 1, true)
  end)

  it("exports from the library all that the header declares", function()
    local names = bide:sh("nm -D --defined-only %s/lib/libbide.so", prefix)
    local n = 0
    for declared in process.read_file(prefix .. "/include/bide.h"):gmatch "\nBIDE_API (.-);" do
      local name = declared:match "([%w_]+)%("
      assert.is_truthy(names:find(" " .. name .. "\n", 1, true), name)
      n = n + 1
    end
    assert.is_true(n > 35)
  end)

  it("has in the static library no name but with its prefix", function()
    local n = 0
    local names = bide:sh("nm -g --defined-only %s/lib/libbide.a", prefix)
    for name in names:gmatch "%x+ %u ([^%s]+)" do
      assert.is_true(name:find "^bide_" ~= nil or name:find "^luaopen_bide" ~= nil, name)
      n = n + 1
    end
    assert.is_true(n > 100)
  end)

  -- What may be written to after loading. `signals`: who uses a signal, since its disposition is
  -- the process's (under a mutex); `once`: the library of DNS is initialised; `here`: a thread's.
  it("has no mutable state of the process's but what is listed", function()
    local allowed = { signals = true, once = true, here = true }
    local found = {}
    local symbols = bide:sh("objdump -t %s/lib/libbide.so", prefix)
    for line in symbols:gmatch "[^\n]+" do
      local section, size, name = line:match "%s(%.[%w.]+)\t(%x+)%s+([%w_.]+)$"
      local writable = section == ".data" or section == ".bss" or section == ".tdata"
        or section == ".tbss"
      if writable and tonumber(size, 16) > 0 then found[name:match "^[%w_]+"] = true end
    end
    found.completed = nil -- the compiler's own
    assert.same(allowed, found)
  end)

  it("installs under DESTDIR what PREFIX names, and uninstalls all of it", function()
    local stage = root .. "/stage"
    assert.equal(0, make("install", "PREFIX=/usr", "DESTDIR=" .. stage).status)
    local pc = process.read_file(stage .. "/usr/lib/pkgconfig/bide.pc")
    assert.matches("prefix=/usr\n", pc, 1, true)
    assert.equal(0, make("uninstall", "PREFIX=/usr", "DESTDIR=" .. stage).status)
    local left = process.run { "find", stage, "-not", "-type", "d" }
    assert.equal("", left.out)
  end)
end)
