-- SPDX-License-Identifier: MIT
-- Waits whose stack is dropped by a coroutine.close from before bide was loaded: the task goes on,
-- nothing is left, nothing is touched that is gone.

local process = require "spec.support.process"

local code = [==[
local stock = { close = coroutine.close, create = coroutine.create }
local bide = require "bide"
local tcp = bide.tcp

local function pair()
  local far = bide.future()
  local server = tcp.listen("127.0.0.1", 0, function(s) far:resolve(s:detach()) end)
  local near = tcp.connect(server:address())
  local other = far:await()
  server:close()
  return near, other
end

local waits = {
  await = function() bide.future():await() end,
  sleep = function() bide.sleep(60) end,
  read = function(a) a:read() end,
  read_line = function(a) a:read_line() end,
  write = function(a) a:write(("x"):rep(30000000)) end,
  close = function(a)
    pcall(bide.timeout, 0.01, a.write, a, ("x"):rep(30000000))
    a:close()
  end,
  connect = function(_, port) tcp.connect("127.0.0.1", port) end,
  recv = function()
    local u <close> = bide.udp.bind("127.0.0.1", 0)
    u:recv()
  end,
  resolve = function()
    local silent_server <close> = bide.udp.bind("127.0.0.1", 0)
    local _, port = silent_server:address()
    bide.dns.servers { "127.0.0.1:" .. port }
    bide.dns.resolve "slow.example.com"
  end,
  server = function() tcp.listen("127.0.0.1", 0, print, { daemon = true }):wait() end,
}

---A port whose backlog is full: connecting to it hangs.
local function silent()
  local server = tcp.listen("127.0.0.1", 0, function(s) s:read() end,
    { backlog = 1, max_connections = 1 })
  local _, port = server:address()
  for _ = 1, 8 do
    if not pcall(tcp.connect, "127.0.0.1", port, { timeout = 0.02 }) then break end
  end
  return server, port
end

local wait = waits[arg[1]]
bide.run(function()
  local a, b = pair()
  local server, port = silent()
  local co
  local task = bide.spawn(function()
    co = stock.create(function() wait(a, port) end)
    local ok, err = coroutine.resume(co)
    assert(not ok and err == "cannot resume dead coroutine", err)
    bide.sleep(0)
    return "went on"
  end)
  bide.sleep(arg[1] == "close" and 0.03 or 0)
  assert(stock.close(co))
  b:write("data\n")
  bide.sleep(0.01)
  task:cancel() -- ends the wait that is still there
  local ok, err = pcall(task.await, task)
  assert(ok and err == "went on" or bide.is_cancelled(err), err)
  b:close()
  server:close()
end)
collectgarbage()
print "fine"
]==]

local lua = process.build .. "/lua/"
local env = { LUA_PATH = lua .. "?.lua;" .. lua .. "?/init.lua", LUA_CPATH = lua .. "?.so" }

---A build with sanitizers does not load into a stock lua5.4.
local function loads()
  return process.run({ "lua5.4", "-lbide", "-e", "" }, { env = env }).status == 0
end

describe("a dropped wait", function()
  for _, name in ipairs { "await", "sleep", "read", "read_line", "write", "close", "connect",
    "recv", "resolve", "server" } do
    it("in " .. name .. " lets its task go on", function()
      if not loads() then return end
      local directory = process.temporary_directory()
      process.write_file(directory .. "/script.lua", code)
      local result = process.run({ "lua5.4", directory .. "/script.lua", name }, { env = env })
      process.remove(directory)
      assert.equal("fine\n", result.out, result.err)
    end)
  end
end)
