-- SPDX-License-Identifier: MIT
-- Random trees of tasks for two minutes (BIDE_STRESS_SECONDS), from a seed of the day's or from
-- BIDE_STRESS_SEED; and the counts of the long run.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local tree = require "spec.stress.tree"

local function flat(n, f)
  f(n // 10)
  collectgarbage()
  collectgarbage()
  local before = collectgarbage "count"
  f(n)
  collectgarbage()
  collectgarbage()
  assert.is_true(collectgarbage "count" - before < 64)
end

describe("for long", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("random trees of tasks end in order, lose nothing, leave nothing", function()
    local seed = tonumber(os.getenv "BIDE_STRESS_SEED") or os.time() * 1000
    print(("first seed %d"):format(seed))
    print(("%d trees"):format(tree.grow(seed, tonumber(os.getenv "BIDE_STRESS_SECONDS") or 120)))
  end)

  it("a million races against one long-lived task leave memory flat", function()
    local long = bide.spawn(function() bide.future():await() end)
    flat(1000000, function(n)
      for _ = 1, n do bide.race { long, function() end } end
    end)
    long:cancel()
    pcall(long.await, long)
  end)

  it("a million items of an iterator run in flat memory", function()
    local i, half = 0, nil
    local n = 1000000
    local function bytes()
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    local before = bytes()
    assert.equal(n, bide.map(function()
      i = i + 1
      if i == n // 2 then half = bytes() end
      if i <= n then return i end
    end, function() bide.sleep(0) end, { limit = 100, collect = false }))
    assert.is_true(half - before < 512)
  end)

  it("a million values through a channel leave memory flat", function()
    flat(1000000, function(n)
      local ch = bide.channel()
      bide.spawn(function()
        for v = 1, n do ch:send(v) end
        ch:close()
      end)
      local sum = 0
      for v in ch do sum = sum + v end
      assert.equal(n * (n + 1) // 2, sum)
    end)
  end)
end)
