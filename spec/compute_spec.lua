-- SPDX-License-Identifier: MIT
-- bide.compute: long computation gives way at the end of a slice, in mid-code, with right results.

local bide = require "bide"
local tasks = require "spec.support.tasks"

local function burn(n)
  local x = 0
  for i = 1, n do x = x + i end
  return x
end

local function spin()
  while true do end
end

-- Signals wait for system calls under the thread sanitizer: nothing is sliced there. The portable
-- build has no slices.
local build = os.getenv "BIDE_BUILD" or ""
local portable = build:find "portable" ~= nil
local sliced = not build:find "tsan" and not portable
local sliced_it = sliced and it or pending
local compute_it = portable and pending or it

--- Counts the turns of the loop until the task has ended.
local function turns_until(task)
  local n = 0
  while not task:done() do
    n = n + 1
    bide.sleep(0)
  end
  return n
end

describe("compute #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  sliced_it("lets others run, and goes on with the right result", function()
    local task = bide.compute(burn, 3e7)
    assert.is_true(turns_until(task) > 3)
    assert.equal(3e7 * (3e7 + 1) // 2, task:await())
  end)

  sliced_it("lets sleeping tasks wake in time", function()
    local task = bide.compute(spin)
    local waits = {}
    for i = 1, 30 do
      local start = bide.now()
      bide.sleep(0.005)
      waits[i] = bide.now() - start
    end
    task:cancel()
    tasks.raised(task.await, task)
    table.sort(waits)
    assert.is_true(waits[15] < 0.2, waits[15]) -- a busy machine takes its share of it
  end)

  sliced_it("gives way inside plain coroutines, at any depth", function()
    local function values()
      for i = 1, 3 do
        burn(3e6)
        coroutine.yield(i)
      end
    end
    local task = bide.compute(function()
      local outer = coroutine.wrap(function()
        for v in coroutine.wrap(values) do coroutine.yield(v * 10) end
      end)
      local list = {}
      for v in outer do list[#list + 1] = v end
      return table.concat(list, " ")
    end)
    assert.is_true(turns_until(task) > 1)
    assert.equal("10 20 30", task:await())
  end)

  sliced_it("shows a coroutine that was stopped in mid-code as normal", function()
    local co
    local task = bide.compute(function()
      co = coroutine.create(spin)
      coroutine.resume(co)
    end)
    repeat bide.sleep(0.005) until co
    assert.equal("normal", coroutine.status(co))
    local ok, err = coroutine.resume(co)
    assert.is_false(ok)
    assert.equal("cannot resume non-suspended coroutine", err)
    assert.is_false(pcall(coroutine.close, co))
    task:cancel()
    task:await()
    assert.equal("dead", coroutine.status(co))
  end)

  sliced_it("refuses to have its own thread resumed", function()
    local thread
    local task = bide.compute(function()
      thread = coroutine.running()
      spin()
    end)
    repeat bide.sleep(0.005) until thread
    assert.is_false((coroutine.resume(thread)))
    assert.is_false(pcall(coroutine.close, thread))
    task:cancel()
    tasks.raised(task.await, task)
  end)

  sliced_it("is reached by cancellation between any two instructions", function()
    local closed
    local task = bide.compute(function()
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      spin()
    end)
    bide.sleep(0.01)
    task:cancel "enough"
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.equal("cancelled", task:status())
    assert.is_true(closed)
  end)

  sliced_it("may catch its cancellation, which comes again", function()
    local caught = 0
    local task = bide.compute(function()
      for _ = 1, 2 do
        local ok, err = pcall(spin)
        if not ok and bide.is_cancelled(err) then caught = caught + 1 end
      end
      return caught
    end)
    bide.sleep(0.01)
    task:cancel()
    assert.equal(2, task:await())
  end)

  sliced_it("is reached by a deadline set inside it", function()
    local task = bide.compute(function() bide.timeout(0.02, spin) end)
    assert.equal("ETIMEDOUT", tasks.code(task.await, task))
  end)

  sliced_it("is not cancelled inside a shield", function()
    local task = bide.compute(function() return bide.shield(burn, 2e7) end)
    bide.sleep(0.005)
    task:cancel()
    assert.equal(2e7 * (2e7 + 1) // 2, task:await())
  end)

  sliced_it("gives right results beside a hook for lines", function()
    local lines = 0
    local task = bide.compute(function()
      debug.sethook(function() lines = lines + 1 end, "l")
      local n = 0
      for _ = 1, 300000 do
        n = n + 1
      end
      debug.sethook()
      return n
    end)
    assert.is_true(turns_until(task) > 1)
    assert.equal(300000, task:await())
    assert.is_true(lines > 300000)
  end)

  sliced_it("shares the time among several", function()
    local done = {}
    local list = {}
    for i = 1, 3 do
      list[i] = bide.compute(function()
        burn(1e7)
        done[i] = true -- not appended: a slice may end within that
      end)
    end
    assert.is_true(turns_until(list[1]) > 3)
    bide.gather(list)
    assert.same({ true, true, true }, done)
  end)

  compute_it("waits like any task, passes arguments and results, raises its error", function()
    local task = bide.compute(function(a, b)
      bide.sleep(0)
      return a + b, "second"
    end, 1, 2)
    assert.same({ 3, "second" }, { task:await() })
    task = bide.compute(function() error("wrong", 0) end)
    assert.equal("wrong", tasks.raised(task.await, task))
  end)

  compute_it("is cancelled before its first step without running", function()
    local ran
    local task = bide.compute(function() ran = true end)
    task:cancel()
    tasks.raised(task.await, task)
    assert.is_nil(ran)
  end)

  it("checks its argument", function()
    assert.matches("bad argument #1 to 'bide.compute'", tasks.raised(bide.compute, 1))
  end)
end)

describe("tasks that are not compute tasks", function()
  compute_it("are never switched in mid-code beside compute tasks", function()
    local other = bide.compute(spin)
    local inside, seen = false, false
    local checker = bide.daemon(function()
      while true do
        seen = seen or inside
        bide.sleep(0)
      end
    end)
    for _ = 1, 5 do
      inside = true
      burn(4e6)
      inside = false
      bide.sleep(0)
    end
    other:cancel()
    checker:cancel()
    assert.is_false(seen)
    tasks.raised(other.await, other)
  end)
end)
