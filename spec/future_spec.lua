-- SPDX-License-Identifier: MIT
-- Futures: a result that is not there yet, filled once.
local bide = require "bide"
local tasks = require "spec.support.tasks"

describe("a future #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("is pending until it is filled", function()
    local future = bide.future()
    assert.equal("pending", future:status())
    assert.is_false(future:done())
    assert.equal("EPENDING", tasks.code(future.result, future))
  end)

  it("is filled once: resolve gives true the first time and false after", function()
    local future = bide.future()
    assert.is_true(future:resolve(1))
    assert.is_false(future:resolve(2))
    assert.is_false(future:reject "x")
    assert.is_false(future:cancel())
    assert.equal("done", future:status())
    assert.equal(1, future:await())
  end)

  it("keeps the error it was rejected with, untouched", function()
    for _, value in ipairs { {}, "text", 42, false, io.stdout } do
      local future = bide.future()
      assert.is_true(future:reject(value))
      assert.is_false(future:reject(1))
      assert.is_false(future:resolve(1))
      assert.equal("failed", future:status())
      assert.is_true(rawequal(value, tasks.raised(future.await, future)))
    end
  end)

  it("can be rejected with nil", function()
    local future = bide.future()
    future:reject(nil)
    assert.same(table.pack(false, nil), table.pack(pcall(future.await, future)))
  end)

  it("gives all that it was resolved with, nils included", function()
    local future = bide.future()
    future:resolve(nil, 2, nil)
    assert.same(table.pack(nil, 2, nil), table.pack(future:await()))
    assert.same(table.pack(nil, 2, nil), table.pack(future:result()))
    assert.same(table.pack(nil, 2, nil), table.pack(bide.await(future)))
  end)

  it("gives nothing when it was resolved with nothing", function()
    local future = bide.future()
    future:resolve()
    assert.equal(0, select("#", future:await()))
  end)

  it("takes a future as a value like any other", function()
    local inner, outer = bide.future(), bide.future()
    outer:resolve(inner)
    assert.equal(inner, outer:await())
  end)

  it("wakes its waiters in the order in which they came", function()
    local future, log = bide.future(), {}
    local last
    for i = 1, 4 do
      last = bide.spawn(function()
        local value = future:await()
        log[#log + 1] = i .. value
      end)
    end
    bide.sleep(0)
    future:resolve "v"
    assert.same({}, log)
    last:await()
    assert.same({ "1v", "2v", "3v", "4v" }, log)
  end)

  it("hands the same error to all its waiters", function()
    local future, value, got = bide.future(), {}, {}
    local last
    for i = 1, 3 do
      last = bide.spawn(function() got[i] = tasks.raised(future.await, future) end)
    end
    bide.sleep(0)
    future:reject(value)
    last:await()
    assert.is_true(got[1] == value and got[2] == value and got[3] == value)
  end)

  it("fails its waiters when it is cancelled, which are not cancelled by that", function()
    local future = bide.future()
    local task = bide.spawn(function() future:await() end)
    bide.sleep(0)
    assert.is_true(future:cancel())
    assert.is_false(future:cancel())
    assert.equal("cancelled", future:status())
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.equal("failed", task:status())
  end)

  it("may be resolved before anybody waits", function()
    local future = bide.future()
    future:resolve(7)
    assert.equal(7, bide.spawn(function() return future:await() end):await())
  end)

  it("outlives a waiter that was cancelled", function()
    local future = bide.future()
    local gone = bide.spawn(function() future:await() end)
    local stays = bide.spawn(function() return future:await() end)
    bide.sleep(0)
    gone:cancel()
    bide.sleep(0)
    assert.equal("pending", future:status())
    future:resolve "v"
    assert.equal("v", stays:await())
    assert.equal("cancelled", gone:status())
  end)

  it("runs on_done when it is filled and when it had been filled", function()
    local future, log = bide.future(), {}
    future:on_done(function(f) log[#log + 1] = f:status() end)
    future:resolve()
    tasks.turns(2)
    future:on_done(function(f) log[#log + 1] = f == future end)
    tasks.turns(2)
    assert.same({ "done", true }, log)
  end)

  it("that nobody fills and nobody awaits is collected", function()
    local weak = setmetatable({ [bide.future()] = true }, { __mode = "k" })
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("carries a hundred thousand hand-overs", function()
    local n, sum = tasks.many(100000), 0
    local box = bide.future()
    local consumer = bide.spawn(function()
      for _ = 1, n do
        local value, following = box:await()
        sum = sum + value
        box = following
      end
    end)
    for i = 1, n do
      local following = bide.future()
      local before = box
      before:resolve(i, following)
      bide.sleep(0)
      assert(box == following)
    end
    consumer:await()
    assert.equal(n * (n + 1) // 2, sum)
  end)
end)
