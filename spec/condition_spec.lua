-- SPDX-License-Identifier: MIT
-- condition: waiting, with the lock released meanwhile, until somebody who holds it notifies.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

--- A task that waits for the condition and then calls f with the lock held.
local function waiter(condition, f)
  local task = bide.spawn(function()
    local _ <close> = condition:acquire()
    condition:wait()
    return f and f()
  end)
  tasks.turns(1)
  return task
end

describe("condition #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("releases the lock while it waits and holds it again after", function()
    local lock = bide.lock()
    local condition = bide.condition(lock)
    local task = waiter(condition, function() return lock:locked() end)
    assert.is_false(lock:locked())
    condition:with(condition.notify, condition)
    assert.is_true(task:await())
    assert.is_false(lock:locked())
  end)

  it("wakes as many as are notified, in the order of waiting", function()
    local condition, order = bide.condition(), {}
    local list = {}
    for i = 1, 5 do
      list[i] = waiter(condition, function() order[#order + 1] = i end)
    end
    condition:with(condition.notify, condition)
    tasks.turns(2)
    assert.same({ 1 }, order)
    condition:with(condition.notify, condition, 2)
    tasks.turns(3)
    assert.same({ 1, 2, 3 }, order)
    condition:with(condition.notify, condition, 0)
    condition:with(condition.notify_all, condition)
    bide.gather(list)
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)

  it("notified they go on one by one: each holds the lock alone", virtual(function()
    local condition, inside = bide.condition(), 0
    local list, start = {}, bide.now()
    for i = 1, 3 do
      list[i] = waiter(condition, function()
        inside = inside + 1
        assert.equal(1, inside)
        bide.sleep(1)
        inside = inside - 1
      end)
    end
    condition:with(condition.notify_all, condition)
    bide.gather(list)
    assert.near(3, bide.now() - start, 1e-6)
  end))

  it("forgets a notification that nobody waits for", function()
    local condition = bide.condition()
    condition:with(condition.notify, condition)
    local task = waiter(condition)
    assert.equal("pending", task:status())
    condition:with(condition.notify, condition)
    task:await()
  end)

  it("waits for what a function says", function()
    local condition, items = bide.condition(), {}
    local function take()
      local _ <close> = condition:acquire()
      condition:wait_for(function() return #items > 0 end)
      return table.remove(items, 1)
    end
    local a, b = bide.spawn(take), bide.spawn(take)
    tasks.turns(1)
    for i = 1, 2 do
      condition:with(function()
        items[#items + 1] = i
        condition:notify_all()
      end)
      tasks.turns(3)
    end
    assert.same({ 1, 2 }, { a:await(), b:await() })
    items[1] = "there"
    assert.equal("there", take())
    assert.equal("x", tasks.raised(condition.with, condition, function()
      condition:wait_for(function() error("x", 0) end)
    end))
  end)

  it("must be held to wait and to notify", function()
    local condition = bide.condition()
    local function refused()
      for _, name in ipairs { "wait", "notify", "notify_all" } do
        local err = tasks.raised(condition[name], condition)
        assert.equal("EPERM", err.code)
        assert.equal(name, err.op)
      end
      assert.equal("EPERM", tasks.code(condition.wait_for, condition, print))
    end
    refused()
    local other = bide.spawn(function() condition:with(bide.sleep, 0) end)
    tasks.turns(1)
    refused()
    other:await()
  end)

  describe("and cancellation:", function()
    it("the lock is held again when the cancellation is raised", virtual(function()
      local lock = bide.lock()
      local condition = bide.condition(lock)
      local held
      local task = bide.spawn(function()
        local _ <close> = condition:acquire()
        local ok, err = pcall(condition.wait, condition)
        held = lock:locked()
        assert.is_false(ok)
        error(err, 0)
      end)
      tasks.turns(1)
      local guard = lock:acquire()
      task:cancel()
      bide.sleep(5)
      assert.equal("pending", task:status())
      guard:release()
      pcall(task.await, task)
      assert.is_true(held)
      assert.equal("cancelled", task:status())
      assert.is_false(lock:locked())
    end))

    it("a timed out wait holds the lock again too", virtual(function()
      local condition = bide.condition()
      local _ <close> = condition:acquire()
      assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, condition.wait, condition))
      condition:notify()
    end))

    it("one cancelled before it is notified passes the notification on", function()
      local condition = bide.condition()
      local a, b = waiter(condition), waiter(condition)
      a:cancel()
      condition:with(condition.notify, condition)
      b:await()
      assert.equal("cancelled", a:status())
    end)

    it("one notified before it is cancelled goes on; its next wait raises", function()
      local condition, code = bide.condition(), nil
      local task = waiter(condition, function()
        code = tasks.code(bide.sleep, 1)
        return "went on"
      end)
      condition:with(function()
        condition:notify()
        task:cancel()
      end)
      assert.equal("went on", task:await())
      assert.equal("ECANCELED", code)
    end)

    it("of a waiter frees its place", function()
      local condition = bide.condition()
      for _ = 1, 10 do
        local task = waiter(condition)
        task:cancel()
        pcall(task.await, task)
      end
      condition:with(condition.notify_all, condition)
    end)
  end)

  it("that nobody can notify is a deadlock", function()
    local err = tasks.raised(bide.run, function()
      local condition = bide.condition()
      condition:with(condition.wait, condition)
    end)
    assert.equal("EDEADLK", err.code)
    assert.match("condition wait", err.message)
  end)

  it("whose lock is never given back is a deadlock, not a hang", function()
    local err = tasks.raised(bide.run, function()
      local condition = bide.condition()
      local task = waiter(condition)
      local _ <close> = condition:acquire()
      condition:notify()
      task:await()
    end)
    assert.equal("EDEADLK", err.code)
  end)

  it("whose guard is released during the wait raises EBADF when notified", function()
    local condition = bide.condition()
    local guard
    local task = bide.spawn(function()
      guard = condition:acquire()
      condition:wait()
    end)
    tasks.turns(1)
    guard:release()
    condition:with(condition.notify, condition)
    assert.equal("EBADF", tasks.code(task.await, task))
    condition:with(function() end)
  end)

  it("raises for wrong arguments", function()
    local condition = bide.condition()
    assert.match("'bide.condition'.*lock expected, got table", tasks.raised(bide.condition, {}))
    assert.match("lock expected, got bide.Semaphore",
      tasks.raised(bide.condition, bide.semaphore(1)))
    assert.match("condition expected, got bide.Lock", tasks.raised(condition.wait, bide.lock()))
    assert.match("function expected", tasks.raised(condition.wait_for, condition, 1))
    assert.match("0 or more", tasks.raised(condition.notify, condition, -1))
  end)
end)
