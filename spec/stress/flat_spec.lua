-- SPDX-License-Identifier: MIT
-- What is repeated for ever leaves memory flat. (By the million: tree_stress.lua.)
local bide = require "bide"
local tasks = require "spec.support.tasks"

local function flat(f)
  local n = tasks.many(5000)
  f(n // 2)
  collectgarbage()
  collectgarbage()
  local before = collectgarbage "count"
  f(n)
  collectgarbage()
  collectgarbage()
  assert.is_true(collectgarbage "count" - before < 16)
end

describe("memory stays flat #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("over races against one long-lived task", function()
    local long = bide.spawn(function() bide.future():await() end)
    flat(function(n)
      for _ = 1, n do bide.race { long, function() end } end
    end)
    long:cancel()
    pcall(long.await, long)
  end)

  it("over loops of as_completed that are left early", function()
    local long = bide.spawn(function() bide.future():await() end)
    local function never() bide.future():await() end
    flat(function(n)
      for _ = 1, n // 4 do
        local list = { long, function() end, never }
        for index in bide.as_completed(list) do
          if index == 2 then break end
        end
      end
    end)
    long:cancel()
    pcall(long.await, long)
  end)

  it("over events that are waited for under timeouts", tasks.virtual(function()
    local event = bide.event()
    flat(function(n)
      for _ = 1, n // 4 do pcall(bide.timeout, 1, event.wait, event) end
    end)
  end))

  it("over locks that are asked for under timeouts", tasks.virtual(function()
    local lock = bide.lock()
    local _ <close> = lock:acquire()
    flat(function(n)
      for _ = 1, n // 4 do pcall(bide.timeout, 1, lock.acquire, lock) end
    end)
  end))
end)
