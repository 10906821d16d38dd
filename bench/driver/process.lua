-- SPDX-License-Identifier: MIT
-- Programs and servers, by way of tools/launch.c: their figures, CPU time and memory.
-- Invariant: every program is bounded in time, and none outlives the driver.

local M = {}

local RUN_LIMIT, SERVE_LIMIT, READY_LIMIT = 60, 240, 10

local serial = 0

function M.quote(s) return "'" .. tostring(s):gsub("'", "'\\''") .. "'" end

function M.quote_all(list)
  local out = {}
  for i, s in ipairs(list) do out[i] = M.quote(s) end
  return table.concat(out, " ")
end

---A new directory under `parent` (its whole path), where a clean finds it even when we were killed.
function M.temporary_directory(parent)
  local command = "cd " .. M.quote(parent) .. [[ && mktemp -d "$PWD"/tmp.XXXXXX]]
  local p <close> = assert(io.popen(command))
  return (assert(p:read("l"), "mktemp -d"))
end

function M.pause() os.execute("sleep 0.02") end

local function read_file(path)
  local f <close> = io.open(path, "r")
  return f and f:read("a") or ""
end

---The `name value` lines of a text, numbers as numbers.
function M.figures(text)
  local out = {}
  for name, value in text:gmatch("([%a_]+) ([%d.]+)\n") do out[name] = tonumber(value) end
  return out
end

local function command(ctx, mode, core, limit, argv)
  serial = serial + 1
  local base = ("%s/%d"):format(ctx.tmp, serial)
  local launch = { ctx.build .. "/launch", mode, base .. ".report", base .. ".out", core, limit }
  table.move(argv, 1, #argv, #launch + 1, launch)
  return M.quote_all(launch), base .. ".report", base .. ".out"
end

---Runs a program to its end on a core; an error when it fails.
---The result has what the program printed (`out`, and each figure by its name), and `wall`, `cpu`
---(seconds) and `rss_kb` of the whole process.
function M.run(ctx, argv, core)
  local line, report, output = command(ctx, "run", core, RUN_LIMIT, argv)
  os.execute(line)
  local out = read_file(output)
  local result = M.figures(out)
  for name, value in pairs(M.figures(read_file(report))) do result[name] = value end
  result.out = out
  if result.status ~= 0 then
    error(("%s: status %s\n%s"):format(table.concat(argv, " "), result.status, out), 0)
  end
  return result
end

local Server = {}
Server.__index = Server

-- Does anybody listen on the port? Where the kernel does not tell, it is taken for granted.
local function listens(port)
  local file <close> = io.open "/proc/net/tcp"
  return not file or file:read("a"):find((":%04X 00000000:0000 0A"):format(port), 1, true)
end

---Starts a server and waits until it has printed `port N` (or `argv.port` answers for it).
---The result has `pid` and `port`.
function M.serve(ctx, argv, core)
  local line, report, output = command(ctx, "serve", core, SERVE_LIMIT, argv)
  local server = setmetatable({ build = ctx.build }, Server)
  server.pipe = assert(io.popen(line, "w"))
  local deadline = os.time() + READY_LIMIT
  repeat
    M.pause()
    local r, out = M.figures(read_file(report)), M.figures(read_file(output))
    server.pid, server.ready = r.pid, out.ready
    server.port = out.port or argv.port
    if r.status or os.time() > deadline then
      server:stop()
      error(("%s: did not start\n%s"):format(table.concat(argv, " "), read_file(output)), 0)
    end
  until server.pid and (server.ready or out.port or argv.port and listens(argv.port))
  return server
end

---CPU seconds of all its threads so far.
function Server:cpu()
  local p <close> = assert(io.popen(M.quote_all({ self.build .. "/launch", "cpu", self.pid })))
  return assert(M.figures(p:read("a")).cpu, "the server has ended")
end

---VmRSS or VmHWM in kB.
function Server:memory(field)
  local text = read_file("/proc/" .. self.pid .. "/status")
  return assert(tonumber(text:match(field .. ":%s*(%d+)")), "the server has ended")
end

function Server:descriptors()
  local p <close> = assert(io.popen("ls /proc/" .. self.pid .. "/fd | wc -l", "r"))
  return p:read("n") or 0
end

---Waits until it uses no more CPU (0.1 s without any, 10 s at most).
function Server:settle()
  local last, still = self:cpu(), 0
  for _ = 1, 400 do
    M.pause()
    local t = self:cpu()
    still = t == last and still + 1 or 0
    last = t
    if still == 5 then return end
  end
  error("the server does not come to rest", 0)
end

Server.__close = function(self) self:stop() end

---Ends it; it is gone on return.
function Server:stop()
  if self.pipe then self.pipe:close() end
  self.pipe = nil
end

return M
