-- SPDX-License-Identifier: MIT
-- Waits for channels, locks, events and children whose stack is dropped by a coroutine.close from
-- before bide was loaded: whether what they wait for comes, they are cancelled, or their objects
-- are collected, the task goes on, the objects go on working, and nothing is touched that is gone.

local process = require "spec.support.process"

local code = [==[
local stock = { close = coroutine.close, create = coroutine.create }
local bide = require "bide"
local function never() bide.future():await() end
local waits = {
  recv = function(o) o.ch:recv() end,
  send = function(o) o.ch:send(1) end,
  own_recv = function() bide.channel():recv() end,
  own_send = function() bide.channel():send {} end,
  select = function(o) bide.select { { o.ch }, { o.c2, 1 } } end,
  select_timeout = function(o) bide.select { { o.ch }, { o.c2, 1 }, timeout = 60 } end,
  lock = function(o) o.lock:acquire() end,
  with = function(o) o.lock:with(print) end,
  own_lock = function()
    local lock = bide.lock()
    local _ <close> = lock:acquire()
    lock:acquire()
  end,
  event = function(o) o.event:wait() end,
  own_event = function() bide.event():wait() end,
  condition = function(o) o.cond:with(o.cond.wait, o.cond) end,
  own_condition = function()
    local cond = bide.condition()
    cond:with(cond.wait, cond)
  end,
  map = function() bide.map({ 1, 2 }, never) end,
  map_slot = function() bide.map({ 1, 2 }, never, { limit = 1 }) end,
  map_iterator = function()
    local first = true
    bide.map(function()
      if not first then never() end
      first = false
      return 1
    end, never)
  end,
  as_completed = function()
    for _ in bide.as_completed { never, never } do error "no" end
  end,
  as_completed_close = function()
    local function slow()
      pcall(never)
      bide.shield(bide.sleep, 0.05)
    end
    for _ in bide.as_completed { function() end, slow } do break end
  end,
  wait = function(o) bide.wait({ o.f }, { timeout = 60 }) end,
  interval = function() bide.interval(60)() end,
}
for name, wait in pairs(waits) do
  for variant = 1, 3 do
    local ok, err = pcall(bide.run, function()
      local o = { ch = bide.channel(), c2 = bide.channel(), lock = bide.lock(),
        event = bide.event(), cond = bide.condition(), f = bide.future() }
      local g = o.lock:acquire()
      local co
      local task = bide.spawn(function()
        co = stock.create(wait)
        coroutine.resume(co, o)
        bide.sleep(0)
        return "went on"
      end)
      bide.sleep(name == "as_completed_close" and 0.01 or 0)
      bide.sleep(0)
      stock.close(co)
      co = nil
      collectgarbage()
      collectgarbage()
      if variant == 1 then -- what it waited for comes
        if not o.ch:try_send("x") then o.ch:try_recv() end
        g:release()
        o.event:set()
        o.f:resolve()
        o.cond:with(o.cond.notify_all, o.cond)
      elseif variant == 2 then
        task:cancel()
      end
      bide.sleep(0)
      collectgarbage()
      collectgarbage()
      task:cancel()
      pcall(task.await, task)
      g:release()
      -- the objects still work
      local receiver = bide.spawn(function() return o.ch:recv() end)
      bide.sleep(0)
      o.ch:send(7)
      assert(receiver:await() == 7)
      o.lock:acquire():release()
    end)
    assert(ok, ("%s, %d: %s"):format(name, variant, err))
  end
end
print "fine"
]==]

local lua = process.build .. "/lua/"
local env = { LUA_PATH = lua .. "?.lua;" .. lua .. "?/init.lua", LUA_CPATH = lua .. "?.so" }

describe("dropped waits of synchronisation", function()
  it("let their tasks go on", function()
    -- a build with sanitizers does not load into a stock lua5.4
    if process.run({ "lua5.4", "-lbide", "-e", "" }, { env = env }).status ~= 0 then return end
    local directory = process.temporary_directory()
    process.write_file(directory .. "/script.lua", code)
    local result = process.run({ "lua5.4", directory .. "/script.lua" }, { env = env })
    process.remove(directory)
    assert.equal("", result.err)
    assert.equal("fine\n", result.out)
  end)
end)
