-- SPDX-License-Identifier: MIT
-- What a benchmark is given: where things are, and how to start programs and servers.
-- Owns the temporary directory and every server started; all end when the context is closed.

local process = require "driver.process"

local M = {}

local Context = {}
Context.__index = Context

-- The server under test and the load on it each get a core of their own.
local SERVER_CORE, LOAD_CORE = 0, 1

local Skip = { __tostring = function(e) return e.message end }

---Why a benchmark cannot run here, as an error that is no failure.
function M.is_skip(err) return getmetatable(err) == Skip end

local function paths()
  return os.getenv("BENCH_BUILD") or "build/bench", os.getenv("BIDE") or "build/bin/bide"
end

---Ends the driver when what it needs has not been built.
function M.check()
  local build, bide = paths()
  for _, program in ipairs({ build .. "/launch", bide }) do
    if not os.execute("test -x " .. process.quote(program)) then
      io.stderr:write("bench/run: ", program, " is not there: `make bench` builds it\n")
      os.exit(1)
    end
  end
end

---@param dir string the directory of this file's parent
---@param quick boolean fewer rounds, smaller loads
function M.new(dir, quick)
  local build, bide = paths()
  local tmp = process.temporary_directory(build)
  local ctx = { dir = dir, build = build, bide_path = bide, quick = quick, tmp = tmp, servers = {} }
  return setmetatable(ctx, Context)
end

function Context:__close()
  for _, server in ipairs(self.servers) do server:stop() end
  os.execute("rm -rf " .. process.quote(self.tmp))
end

---Ends this benchmark with a reason, without failing the whole.
function Context:skip(reason) -- luacheck: ignore 212
  error(setmetatable({ message = reason }, Skip))
end

---Skips unless a program is installed.
function Context:need(program)
  if not os.execute("command -v " .. program .. " >/dev/null 2>&1") then
    self:skip("needs " .. program)
  end
end

---Skips unless bide has the function (`tcp.listen`).
function Context:need_bide(path)
  local code = "local v = require 'bide' for k in ('" .. path .. "'):gmatch('[^.]+') do " ..
    "v = type(v) == 'table' and v[k] or nil end os.exit(v ~= nil)"
  local file <close> = assert(io.open(self.tmp .. "/need.lua", "w"))
  file:write(code)
  file:flush()
  local command = process.quote_all({ self.bide_path, self.tmp .. "/need.lua" })
  if not os.execute(command .. " >/dev/null 2>&1") then
    self:skip("bide." .. path .. " is not there")
  end
end

---`small` when quick, else `full`.
function Context:scale(full, small) return self.quick and small or full end

---The command line of a bide program in bench/bide/.
function Context:bide(file, ...) return { self.bide_path, self.dir .. "/bide/" .. file, ... } end

---The command line of a baseline in plain Lua, in bench/baseline/.
function Context:lua(file, ...) return { "lua5.4", self.dir .. "/baseline/" .. file, ... } end

---The command line of a C program of bench/.
function Context:program(name, ...) return { self.build .. "/" .. name, ... } end

---Runs a program on the load's core; see process.run.
function Context:run(argv) return process.run(self, argv, LOAD_CORE) end

---Starts a server on the other core; it ends with the context at the latest.
function Context:serve(argv)
  local server = process.serve(self, argv, SERVER_CORE)
  self.servers[#self.servers + 1] = server
  return server
end

return M
