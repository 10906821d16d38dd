-- SPDX-License-Identifier: MIT
-- semaphore: so many permits, given in the order of asking, none lost, none made.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("semaphore #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("lets so many in at a time", virtual(function()
    local semaphore, inside, most = bide.semaphore(3), 0, 0
    local list, start = {}, bide.now()
    for i = 1, 10 do
      list[i] = function()
        local _ <close> = semaphore:acquire()
        inside = inside + 1
        most = math.max(most, inside)
        bide.sleep(1)
        inside = inside - 1
      end
    end
    bide.gather(list)
    assert.equal(3, most)
    assert.near(4, bide.now() - start, 1e-6)
    assert.equal(3, semaphore:available())
  end))

  it("gives permits in the order of asking", function()
    local semaphore, order = bide.semaphore(2), {}
    local a, b = semaphore:acquire(), semaphore:acquire()
    local list = {}
    for i = 1, 4 do
      list[i] = bide.spawn(function()
        local _ <close> = semaphore:acquire()
        order[#order + 1] = i
      end)
    end
    tasks.turns(1)
    assert.equal(0, semaphore:available())
    b:release()
    a:release()
    bide.gather(list)
    assert.same({ 1, 2, 3, 4 }, order)
  end)

  it("has its permits back whatever becomes of those who ask", virtual(function()
    local semaphore = bide.semaphore(2)
    local list = {}
    for i = 1, 50 do
      list[i] = bide.spawn(function()
        bide.timeout(i % 7, function()
          local _ <close> = semaphore:acquire()
          bide.sleep(i % 3)
          if i % 5 == 0 then error "x" end
        end)
      end)
      if i % 4 == 0 then list[i - 1]:cancel() end
    end
    bide.settle(list)
    assert.equal(2, semaphore:available())
  end))

  it("runs a function with a permit", function()
    local semaphore = bide.semaphore(1)
    assert.equal(0, semaphore:with(function() return semaphore:available() end))
    assert.equal(1, semaphore:available())
  end)

  it("whose guard is collected while held has the permit back and tells", function()
    local semaphore = bide.semaphore(2)
    local seen = tasks.unhandled(function()
      bide.spawn(function() semaphore:acquire() end):await()
      collectgarbage()
      collectgarbage()
      tasks.turns(2)
    end)
    assert.equal("ELOST", seen[1].err.code)
    assert.equal("semaphore", seen[1].err.op)
    assert.equal(2, semaphore:available())
  end)

  it("raises for a number of permits that is none", function()
    for _, n in ipairs { 0, -1, 1.5, math.huge, 2 ^ 40 } do
      assert.match("'bide.semaphore'.*integer from 1", tasks.raised(bide.semaphore, n))
    end
    for _, n in ipairs { "1", {}, true } do
      assert.match("integer", tasks.raised(bide.semaphore, n))
    end
    assert.match("got no value", tasks.raised(bide.semaphore))
  end)

  it("keeps memory flat", function()
    local semaphore = bide.semaphore(2)
    local function round()
      local list = {}
      for i = 1, tasks.many(300) do
        list[i] = bide.spawn(function()
          local _ <close> = semaphore:acquire()
          tasks.turns(1)
        end)
        if i % 3 == 0 then list[i]:cancel() end
      end
      bide.settle(list)
    end
    round()
    round()
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    round()
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 16)
  end)
end)
