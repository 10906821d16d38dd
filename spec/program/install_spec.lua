-- SPDX-License-Identifier: MIT
-- What `make install` puts in place is all that the program, C programs and a stock lua5.4 need.

local process = require "spec.support.process"

-- The plain build, whatever runs the specs: what is installed has no sanitizer in it.
local function make(...)
  local words = { "env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "-s", ... }
  return process.run(words, { seconds = 300 })
end

describe("an installed bide", function()
  local root, prefix

  setup(function()
    root = process.temporary_directory()
    prefix = root .. "/opt/bide"
    local result = make("install", "PREFIX=" .. prefix)
    assert.equal(0, result.status, result.err)
  end)
  teardown(function() process.remove(root) end)

  local function installed(path)
    local file <close> = io.open(prefix .. "/" .. path)
    return file ~= nil
  end

  it("has the program, both libraries, the header and the package files", function()
    for _, path in ipairs {
      "bin/bide", "lib/libbide.a", "lib/libbide.so", "lib/libbide.so.0", "include/bide.h",
      "lib/pkgconfig/bide.pc", "lib/cmake/bide/bide-config.cmake",
      "share/lua/5.4/bide/init.lua", "lib/lua/5.4/bide/core.so",
    } do
      assert.is_true(installed(path), path)
    end
  end)

  it("names no directory of the build in what it installs", function()
    local pc = process.read_file(prefix .. "/lib/pkgconfig/bide.pc")
    assert.matches("prefix=" .. prefix, pc, 1, true)
    assert.is_nil(pc:find "@")
  end)

  it("serves a program that is built by pkg-config alone", function()
    local env = { PKG_CONFIG_PATH = prefix .. "/lib/pkgconfig", LD_LIBRARY_PATH = prefix .. "/lib" }
    local line = ("cc -Wall -Wextra -Werror -o %s/minimal examples/embed/minimal.c "
      .. "$(pkg-config --cflags --libs bide)"):format(root)
    local built = process.run({ "sh", "-c", line }, { env = env })
    assert.equal(0, built.status, built.err)
    local result = process.run({ root .. "/minimal" }, { env = env, directory = "/" })
    assert.equal(0, result.status, result.err)
    assert.equal("", result.err)
    assert.equal("hello, world\n", result.out)
  end)

  it("serves a program that links the static library", function()
    local env = { PKG_CONFIG_PATH = prefix .. "/lib/pkgconfig" }
    local line = ("cc -o %s/static examples/embed/minimal.c $(pkg-config --cflags bide) "
      .. "%s/lib/libbide.a $(pkg-config --libs lua5.4 libuv libcares openssl zlib) "
      .. "-lpthread -ldl -lm"):format(root, prefix)
    local built = process.run({ "sh", "-c", line }, { env = env })
    assert.equal(0, built.status, built.err)
    assert.equal(0, process.run({ root .. "/static" }, { directory = "/" }).status)
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
    local line = ("nm -D --defined-only %s/lib/libbide.so"):format(prefix)
    local names = process.run({ "sh", "-c", line }).out
    for name in names:gmatch "%x+ %u ([^%s@]+)" do
      assert.is_true(name:find "^bide_[^_]" ~= nil or name:find "^luaopen_bide" ~= nil, name)
    end
    assert.matches(" bide_new", names, 1, true)
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
