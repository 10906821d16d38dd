-- SPDX-License-Identifier: MIT
-- sleep, now: time as a task sees it.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("sleep #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("suspends for at least the time asked for", function()
    local start = bide.now()
    bide.sleep(0.02)
    assert.is_true(bide.now() - start >= 0.02)
  end)

  it("returns nothing", function()
    assert.equal(0, select("#", bide.sleep(0)))
    assert.equal(0, select("#", bide.sleep(0.001)))
  end)

  it("takes as long as asked under the virtual clock", virtual(function()
    local start = bide.now()
    bide.sleep(3600)
    assert.near(3600, bide.now() - start, 1e-6)
  end))

  it("takes fractions, down to a nanosecond", virtual(function()
    local start = bide.now()
    bide.sleep(0.25)
    assert.near(0.25, bide.now() - start, 1e-6)
    bide.sleep(1e-9)
    assert.is_true(bide.now() - start < 0.2501)
  end))

  it("of many tasks takes as long as the longest", virtual(function()
    local start = bide.now()
    local all = {}
    for i = 1, 100 do
      all[i] = bide.spawn(bide.sleep, i)
    end
    bide.await(table.unpack(all))
    assert.near(100, bide.now() - start, 1e-6)
  end))

  it("wakes in the order of time, and at the same time in the order of going to sleep",
    virtual(function()
    local log = {}
    local function nap(name, s)
      return bide.spawn(function()
        bide.sleep(s)
        log[#log + 1] = name
      end)
    end
    bide.await(nap("a", 3), nap("b", 1), nap("c", 2), nap("d", 1), nap("e", 1))
    assert.equal("b d e c a", table.concat(log, " "))
  end))

  it("of forever ends by cancellation alone", virtual(function()
    local task = bide.spawn(bide.sleep, math.huge)
    bide.sleep(1e9)
    assert.equal("pending", task:status())
    task:cancel()
    assert.equal("ECANCELED", tasks.code(task.await, task))
  end))

  it("takes times far beyond the clock's range as forever", virtual(function()
    local task = bide.spawn(bide.sleep, 1e300)
    bide.sleep(1e6)
    assert.equal("pending", task:status())
    task:cancel()
    pcall(task.await, task)
  end))

  it("is undone by a cancellation: no timer is left", function()
    local task = bide.spawn(bide.sleep, 1000)
    bide.sleep(0)
    task:cancel()
    pcall(task.await, task)
  end)

  describe("of zero", function()
    it("lets every task that is ready run first", function()
      local log = {}
      for i = 1, 5 do
        bide.spawn(function() log[#log + 1] = i end)
      end
      bide.sleep(0)
      assert.same({ 1, 2, 3, 4, 5 }, log)
    end)

    it("lets a task that this one wakes run first", function()
      local gate, ran = bide.future(), false
      local task = bide.spawn(function()
        gate:await()
        ran = true
      end)
      bide.sleep(0)
      gate:resolve()
      bide.sleep(0)
      assert.is_true(ran)
      task:await()
    end)

    it("in a loop does not keep timers from firing", function()
      local fired = false
      local task = bide.spawn(function()
        bide.sleep(0.005)
        fired = true
      end)
      local limit = bide.now() + 5
      while not fired and bide.now() < limit do
        bide.sleep(0)
      end
      assert.is_true(fired)
      task:await()
    end)

    it("takes no time under the virtual clock", virtual(function()
      local start = bide.now()
      tasks.turns(10)
      assert.equal(start, bide.now())
    end))
  end)

  it("of many tasks at random times wakes them in order", virtual(function()
    local seed = 20260101
    local function random()
      seed = (seed * 1103515245 + 12345) % 2147483648
      return seed / 2147483648
    end
    local last, ordered, n = 0, true, 0
    local all = {}
    local many = tasks.many(2000)
    for i = 1, many do
      local s = random() * 100
      all[i] = bide.spawn(function()
        local due = bide.now() + s
        bide.sleep(s)
        ordered = ordered and due >= last - 1e-6
        last, n = due, n + 1
      end)
    end
    for _, task in ipairs(all) do
      task:await()
    end
    assert.is_true(ordered)
    assert.equal(many, n)
  end))

  it("half of which are cancelled wakes the other half", virtual(function()
    local woken, all, n = 0, {}, tasks.many(1000)
    for i = 1, n do
      all[i] = bide.spawn(function()
        bide.sleep(1 + i % 7)
        woken = woken + 1
      end)
    end
    bide.sleep(0)
    for i = 1, n, 2 do
      all[i]:cancel()
    end
    bide.sleep(10)
    assert.equal(n // 2, woken)
  end))
end)

describe("now #core", function()
  it("grows and is read fresh", function()
    local a = bide.now()
    local b
    repeat
      b = bide.now()
    until b ~= a
    assert.is_true(b > a)
  end)

  it("stands still under the virtual clock while code runs", virtual(function()
    local a = bide.now()
    local x = 0
    for i = 1, 1e6 do
      x = x + i
    end
    assert.equal(a, bide.now())
  end))
end)
