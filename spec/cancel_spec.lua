-- SPDX-License-Identifier: MIT
-- Cancellation of tasks: what it reaches, what it leaves alone, what it undoes.
local bide = require "bide"
local tasks = require "spec.support.tasks"

local function waiting(f)
  local task = bide.spawn(f or function() bide.future():await() end)
  bide.sleep(0)
  return task
end

describe("cancelling a task #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("raises ECANCELED at the wait where it stands", function()
    local err
    local task = waiting(function()
      err = tasks.raised(bide.sleep, 1000)
      error(err, 0)
    end)
    assert.is_true(task:cancel())
    pcall(task.await, task)
    assert.equal("ECANCELED", err.code)
    assert.is_true(bide.is_cancelled(err))
    assert.equal("cancelled", task:status())
  end)

  it("returns at once and runs nothing of it yet", function()
    local log = {}
    local task = waiting(tasks.waiter(log, "closed"))
    task:cancel()
    assert.same({}, log)
    assert.equal("pending", task:status())
    bide.sleep(0)
    assert.same({ "closed" }, log)
    assert.equal("cancelled", task:status())
  end)

  it("gives its awaiter an ECANCELED that names the task", function()
    local task = waiting()
    task:cancel()
    local err = tasks.raised(task.await, task)
    assert.equal("ECANCELED", err.code)
    assert.equal(task, err.task)
  end)

  it("fails a task that awaited it, which was not cancelled itself", function()
    local inner = waiting()
    local outer = waiting(function() inner:await() end)
    inner:cancel()
    assert.equal(inner, tasks.raised(outer.await, outer).task)
    assert.equal("failed", outer:status())
    assert.equal("cancelled", inner:status())
  end)

  it("does not reach a task that it merely awaits", function()
    local gate = bide.future()
    local inner = waiting(function() return gate:await() end)
    local outer = waiting(function() return inner:await() end)
    outer:cancel()
    bide.sleep(0)
    assert.equal("cancelled", outer:status())
    assert.equal("pending", inner:status())
    gate:resolve "v"
    assert.equal("v", inner:await())
  end)

  it("does not reach the tasks that it spawned", function()
    local gate, child = bide.future(), nil
    local parent = waiting(function()
      child = bide.spawn(function() return gate:await() end)
      bide.future():await()
    end)
    parent:cancel()
    tasks.turns(2)
    assert.equal("cancelled", parent:status())
    assert.equal("pending", child:status())
    gate:resolve(1)
    assert.equal(1, child:await())
  end)

  it("runs to-be-closed variables in order, innermost first", function()
    local log = {}
    local task = waiting(function()
      local a <close> = setmetatable({}, { __close = function() log[#log + 1] = "outer" end })
      local b <close> = setmetatable({}, { __close = function() log[#log + 1] = "inner" end })
      bide.future():await()
      return a, b
    end)
    task:cancel()
    bide.sleep(0)
    assert.same({ "inner", "outer" }, log)
  end)

  it("hands to-be-closed variables the cancellation", function()
    local got
    local task = waiting(function()
      local _ <close> = setmetatable({}, { __close = function(_, err) got = err end })
      bide.future():await()
    end)
    task:cancel()
    bide.sleep(0)
    assert.is_true(bide.is_cancelled(got))
  end)

  it("lets clean-up in a shield wait", function()
    local log = {}
    local task = waiting(function()
      local _ <close> = setmetatable({}, {
        __close = function()
          bide.shield(function()
            bide.sleep(0.001)
            log[#log + 1] = "cleaned"
          end)
        end,
      })
      bide.future():await()
    end)
    task:cancel()
    pcall(task.await, task)
    assert.same({ "cleaned" }, log)
    assert.equal("cancelled", task:status())
  end)

  it("of itself takes effect at its next wait", function()
    local log = {}
    local task = bide.spawn(function()
      log[1] = bide.current():cancel()
      log[2] = "goes on"
      bide.sleep(0)
      log[3] = "never"
    end)
    pcall(task.await, task)
    assert.same({ true, "goes on" }, log)
    assert.equal("cancelled", task:status())
  end)

  it("of itself before it returns changes nothing: it is done", function()
    local task = bide.spawn(function()
      bide.current():cancel()
      return "result"
    end)
    assert.equal("result", task:await())
    assert.equal("done", task:status())
  end)

  it("is no unhandled error", function()
    local seen = tasks.unhandled(function()
      bide.run(function()
        local task = bide.spawn(bide.sleep, 1000)
        bide.sleep(0)
        task:cancel()
      end)
    end)
    assert.same({}, seen)
  end)

  it("keeps the reason", function()
    local task = waiting()
    task:cancel "shutting down"
    local err = tasks.raised(task.await, task)
    assert.equal("shutting down", err.reason)
  end)

  it("reaches a wait inside nested coroutines and pcalls", function()
    local log = {}
    local task = waiting(function()
      coroutine.wrap(function()
        local ok, err = pcall(function()
          coroutine.wrap(function() bide.future():await() end)()
        end)
        log[1], log[2] = ok, bide.is_cancelled(err)
      end)()
    end)
    task:cancel()
    tasks.turns(2)
    assert.same({ false, true }, log)
  end)

  it("takes effect even when its function never waited before", function()
    local ran = false
    local task = bide.spawn(function() ran = true end)
    assert.is_true(task:cancel())
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.is_false(ran)
  end)

  it("a thousand times over leaves nothing", function()
    local all, n = {}, tasks.many(1000)
    for i = 1, n do
      all[i] = bide.spawn(bide.sleep, 1000 + i)
    end
    bide.sleep(0)
    for i = 1, n do
      all[i]:cancel()
    end
    for i = 1, n do
      pcall(all[i].await, all[i])
      assert(all[i]:status() == "cancelled")
    end
  end)

  it("is told from other errors by is_cancelled", function()
    assert.is_false(bide.is_cancelled "ECANCELED")
    assert.is_false(bide.is_cancelled { code = "ECANCELED" })
    assert.is_false(bide.is_cancelled(nil))
    assert.is_false(bide.is_cancelled(tasks.raised(bide.timeout, 0, bide.future())))
  end)
end)
