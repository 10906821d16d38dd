-- SPDX-License-Identifier: MIT
-- A bide that `make install` has put under a temporary prefix, and C programs that are built
-- against it by what is installed alone. It is the plain build, whatever runs the specs: what is
-- installed has no sanitizer in it.
local assert = require "luassert"
local process = require "spec.support.process"

local M = {}
M.__index = M

function M.make(...)
  local words = { "env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "-s", ... }
  return process.run(words, { seconds = 300 })
end

--- Installs into a new directory; `remove` it.
function M.install()
  local root = process.temporary_directory()
  local prefix = root .. "/opt/bide"
  local result = M.make("install", "PREFIX=" .. prefix)
  assert.equal(0, result.status, result.err)
  return setmetatable({
    root = root,
    prefix = prefix,
    env = { PKG_CONFIG_PATH = prefix .. "/lib/pkgconfig", LD_LIBRARY_PATH = prefix .. "/lib" },
  }, M)
end

function M:remove() process.remove(self.root) end

function M:has(path)
  local file <close> = io.open(self.prefix .. "/" .. path)
  return file ~= nil
end

--- Runs a shell command that must succeed; returns what it printed.
function M:sh(line, ...)
  local r = process.run({ "sh", "-c", line:format(...) }, { env = self.env, seconds = 120 })
  assert.equal(0, r.status, line .. "\n" .. r.err .. r.out)
  return r.out
end

--- Builds a C file; `libraries` are names of pkg-config. Returns the program's path.
function M:build(source, libraries)
  local program = self.root .. "/" .. source:match "([^/]+)%.c$"
  self:sh("cc -Wall -Wextra -Wpedantic -Werror -o %s %s $(pkg-config --cflags --libs %s)", program,
    source, libraries or "bide")
  return program
end

--- Runs a program somewhere else; returns what it did.
function M:run(program, ...)
  return process.run({ program, ... }, { env = self.env, directory = "/" })
end

return M
