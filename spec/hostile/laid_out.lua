-- SPDX-License-Identifier: MIT
-- The thread of a task that has not begun, known from an earlier task that it served: closed and
-- resumed by functions that were taken before bide was loaded; as a module, those are Lua's own.
local running, close, resume, yield = coroutine.running, coroutine.close, coroutine.resume,
  coroutine.yield
local bide = require "bide"

local function values(...) return ... end

--- The thread that the next task with arguments is likely to get.
local function next_thread()
  local thread
  bide.spawn(function() thread = running() end, 1):await()
  return thread
end

local harms = {
  close = close,
  resume = resume,
  pass = function(thread) resume(thread, 1, nil, {}) end,
  twice = function(thread) resume(thread) resume(thread) end,
  often = function(thread) for _ = 1, 9 do resume(thread, print) end end,
  both = function(thread) resume(thread) close(thread) end,
}

local ends = {
  awaited = function(task) return pcall(task.await, task) end,
  noticed = function(task) bide.wait { task } return pcall(task.await, task) end,
  cancelled = function(task) task:cancel() return pcall(task.await, task) end,
  gathered = function(task) return pcall(bide.gather, task, function() end) end,
}

bide.run(function()
  bide.on_unhandled(function(err) print("unhandled", err) end)
  for name, harm in pairs(harms) do
    for how, finish in pairs(ends) do
      for _, last in ipairs { 1, values, yield, error, bide.sleep } do
        local thread = next_thread()
        local task = bide.spawn(values, 1, 2, last)
        pcall(harm, thread)
        finish(task)
        assert(task:done(), name .. " " .. how)
        for i = 1, 5 do
          assert(select(2, bide.spawn(values, i, "x"):await()) == "x", name .. " " .. how)
        end
        collectgarbage "step"
      end
    end
    -- one that waits for the end of another, and is given up
    local thread = next_thread()
    local future = bide.future()
    future:on_done(values)
    pcall(harm, thread)
    future:cancel()
    bide.sleep(0)
    -- in the pool
    harm(next_thread())
    assert(bide.spawn(values, 1):await() == 1)
  end

  -- suspended in mid-code, in a coroutine
  for _, inner in ipairs { false, true } do
    local thread, co
    local task = bide.compute(function()
      thread = running()
      co = coroutine.create(function() while true do co = running() end end)
      coroutine.resume(co)
    end)
    bide.sleep(0.03)
    pcall(close, inner and co or thread)
    task:cancel()
    pcall(task.await, task)
    assert(task:done())
  end
end)
print "survived"
