-- SPDX-License-Identifier: MIT
-- interval: ticks without drift.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("interval #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("ticks first after the interval, then at each multiple of it", virtual(function()
    local start = bide.now()
    for n in bide.interval(0.5) do
      assert.near(n * 0.5, bide.now() - start, 1e-6)
      if n == 10 then break end
    end
  end))

  it("does not drift by what the body takes", virtual(function()
    local start = bide.now()
    for n in bide.interval(1) do
      bide.sleep(0.7)
      if n == 100 then break end
    end
    assert.near(100.7, bide.now() - start, 1e-6)
  end))

  it("does not drift by fractions that have no exact value", virtual(function()
    local start = bide.now()
    for n in bide.interval(1 / 3) do
      if n == 3000 then break end
    end
    assert.near(1000, bide.now() - start, 1e-5)
  end))

  it("skips the ticks that were missed, and counts them", virtual(function()
    local start, seen = bide.now(), {}
    for n in bide.interval(1) do
      seen[#seen + 1] = n
      assert.near(n, bide.now() - start, 1e-6)
      if n == 2 then bide.sleep(3.5) end
      if n == 7 then break end
    end
    assert.same({ 1, 2, 6, 7 }, seen)
  end))

  it("does not miss a tick that falls on the moment it is asked for", virtual(function()
    local seen = {}
    for n in bide.interval(1) do
      seen[#seen + 1] = n
      if n == 3 then break end
      bide.sleep(1)
    end
    assert.same({ 1, 2, 3 }, seen)
  end))

  it("waits at least that long on the real clock", function()
    local start = bide.now()
    for n in bide.interval(0.005) do
      assert.is_true(bide.now() - start >= n * 0.005)
      if n >= 3 then break end
    end
  end)

  it("may be read by several tasks", virtual(function()
    local start = bide.now()
    local tick = bide.interval(1)
    bide.gather(tick, tick)
    assert.near(1, bide.now() - start, 1e-6)
  end))

  it("is cancelled like any wait, and goes on after a timeout", virtual(function()
    local tick = bide.interval(10)
    assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 4, tick))
    assert.equal(1, tick())
    local task = bide.spawn(tick)
    tasks.turns(1)
    task:cancel()
    assert.equal("ECANCELED", tasks.code(task.await, task))
  end))

  it("of math.huge never ticks", virtual(function()
    assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1e6, bide.interval(math.huge)))
  end))

  it("raises for what is no interval", function()
    assert.match("'bide.interval'.*more than 0", tasks.raised(bide.interval, 0))
    assert.match("'bide.interval'", tasks.raised(bide.interval, -1))
    assert.match("'bide.interval'", tasks.raised(bide.interval, 0 / 0))
    assert.match("seconds %(number%) expected, got string", tasks.raised(bide.interval, "1"))
  end)
end)
