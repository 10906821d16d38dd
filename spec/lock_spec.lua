-- SPDX-License-Identifier: MIT
-- lock: held by one at a time, in the order of asking, and never lost.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("lock #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("is held by one at a time", virtual(function()
    local lock, inside, most = bide.lock(), 0, 0
    local function f()
      local _ <close> = lock:acquire()
      inside = inside + 1
      most = math.max(most, inside)
      bide.sleep(1)
      inside = inside - 1
    end
    local start = bide.now()
    bide.gather(f, f, f)
    assert.equal(1, most)
    assert.near(3, bide.now() - start, 1e-6)
    assert.is_false(lock:locked())
  end))

  it("is given in the order of asking; nobody can overtake", function()
    local lock, order = bide.lock(), {}
    local first = lock:acquire()
    local list = {}
    for i = 1, 5 do
      list[i] = bide.spawn(function()
        local _ <close> = lock:acquire()
        order[#order + 1] = i
      end)
    end
    tasks.turns(1)
    first:release()
    do
      local _ <close> = lock:acquire()
      order[#order + 1] = "late"
    end
    bide.gather(list)
    assert.same({ 1, 2, 3, 4, 5, "late" }, order)
  end)

  it("is acquired at once when it is free", function()
    local lock, ran = bide.lock(), false
    local other = bide.spawn(function() ran = true end)
    lock:acquire():release()
    assert.is_false(ran)
    other:await()
  end)

  it("is released by its guard, once", function()
    local lock = bide.lock()
    local guard = lock:acquire()
    assert.is_true(lock:locked())
    guard:release()
    guard:release()
    assert.is_false(lock:locked())
    local _ <close> = lock:acquire()
    guard:release()
    assert.is_true(lock:locked())
  end)

  it("is released at the end of a <close> variable, also by an error", function()
    local lock = bide.lock()
    assert.equal("x", tasks.raised(function()
      local _ <close> = lock:acquire()
      error("x", 0)
    end))
    assert.is_false(lock:locked())
  end)

  describe("with", function()
    it("calls a function and gives all its results", function()
      local lock = bide.lock()
      assert.same(table.pack("a", nil, 2, nil), table.pack(lock:with(function(...)
        assert.is_true(lock:locked())
        tasks.turns(1)
        return ...
      end, "a", nil, 2, nil)))
      assert.is_false(lock:locked())
      assert.equal(0, select("#", lock:with(function() end)))
    end)

    it("releases when the function raises", function()
      local lock, value = bide.lock(), {}
      assert.equal(value, tasks.raised(lock.with, lock, function() error(value) end))
      assert.equal(value, tasks.raised(lock.with, lock, function()
        tasks.turns(1)
        error(value)
      end))
      assert.is_false(lock:locked())
    end)

    it("releases when it is cancelled inside", function()
      local lock = bide.lock()
      local task = bide.spawn(lock.with, lock, bide.sleep, 100)
      tasks.turns(1)
      task:cancel()
      lock:with(function() end)
      assert.equal("cancelled", task:status())
    end)
  end)

  describe("and cancellation:", function()
    it("a waiter that is cancelled leaves the queue", function()
      local lock, got = bide.lock(), {}
      local guard = lock:acquire()
      local list = {}
      for i = 1, 3 do
        list[i] = bide.spawn(function()
          local _ <close> = lock:acquire()
          got[#got + 1] = i
        end)
      end
      tasks.turns(1)
      list[2]:cancel()
      guard:release()
      bide.settle(list)
      assert.same({ 1, 3 }, got)
      assert.is_false(lock:locked())
    end)

    it("given before the cancellation it is held; the next wait raises", function()
      local lock, held, code = bide.lock(), false, nil
      local guard = lock:acquire()
      local task = bide.spawn(function()
        local _ <close> = lock:acquire()
        held = true
        code = tasks.code(bide.sleep, 1)
      end)
      tasks.turns(1)
      guard:release()
      task:cancel()
      assert.is_true(lock:locked())
      pcall(task.await, task)
      assert.is_true(held)
      assert.equal("ECANCELED", code)
      assert.is_false(lock:locked())
    end)

    it("the last waiter cancelled leaves the lock free", function()
      local lock = bide.lock()
      local guard = lock:acquire()
      local task = bide.spawn(lock.acquire, lock)
      tasks.turns(1)
      task:cancel()
      pcall(task.await, task)
      guard:release()
      assert.is_false(lock:locked())
    end)

    it("a lock that is released on the deadline is acquired", virtual(function()
      local lock = bide.lock()
      bide.spawn(function()
        local _ <close> = lock:acquire()
        bide.sleep(1)
      end)
      tasks.turns(1)
      bide.timeout(1, lock.acquire, lock):release()
    end))

    it("a timeout tells since where it is held", virtual(function()
      local lock = bide.lock()
      local _ <close> = lock:acquire()
      local err = tasks.raised(bide.timeout, 1, lock.acquire, lock)
      assert.equal("ETIMEDOUT", err.code)
      assert.match("lock %(held since .*lock_spec.lua:%d+%)", err.message)
    end))
  end)

  it("acquired twice by one task is a deadlock with its place", function()
    local err = tasks.raised(bide.run, function()
      local lock = bide.lock()
      local _ <close> = lock:acquire()
      local _ <close> = lock:acquire()
    end)
    assert.equal("EDEADLK", err.code)
    assert.match("lock %(held since", err.message)
  end)

  it("whose guard is collected while held is an unhandled error and is released", function()
    local lock = bide.lock()
    local seen = tasks.unhandled(function()
      bide.spawn(function() lock:acquire() end):await()
      assert.is_true(lock:locked())
      collectgarbage()
      collectgarbage()
      assert.is_false(lock:locked())
      tasks.turns(2)
    end)
    assert.equal(1, #seen)
    assert.equal("ELOST", seen[1].err.code)
    assert.match("acquired at .*lock_spec.lua:%d+ was collected", seen[1].err.message)
  end)

  it("whose guard is collected goes to the next who waits", function()
    local lock = bide.lock()
    local seen = tasks.unhandled(function()
      bide.spawn(function() lock:acquire() end):await()
      local task = bide.spawn(function()
        local _ <close> = lock:acquire()
        return "got it"
      end)
      tasks.turns(1)
      collectgarbage()
      collectgarbage()
      assert.equal("got it", task:await())
      tasks.turns(2)
    end)
    assert.equal(1, #seen)
  end)

  it("raises for wrong arguments", function()
    local lock = bide.lock()
    assert.match("lock or semaphore expected, got table", tasks.raised(lock.acquire, {}))
    assert.match("'bide.Lock.with'.*function expected, got number",
      tasks.raised(lock.with, lock, 1))
    local _ <close> = lock:acquire()
    assert.match("guard expected, got bide.Lock", tasks.raised(_.release, lock))
  end)

  it("tells in tostring whether it is held, and its guard where", function()
    local lock = bide.lock()
    assert.match("bide.Lock.*free", tostring(lock))
    local guard = lock:acquire()
    assert.match("bide.Lock.*held", tostring(lock))
    assert.match("held, acquired at .*lock_spec.lua", tostring(guard))
    guard:release()
    assert.match("released", tostring(guard))
  end)
end)
