-- SPDX-License-Identifier: MIT
-- The edge cases of cancellation, a row of the table each.
local bide = require "bide"
local tasks = require "spec.support.tasks"

local function waiting(f, ...)
  local task = bide.spawn(f, ...)
  bide.sleep(0)
  return task
end

describe("cancellation #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("is level-triggered: each further wait raises it again", function()
    local codes = {}
    local task = waiting(function()
      for i = 1, 5 do
        codes[i] = tasks.code(bide.sleep, 1)
      end
      bide.future():await()
    end)
    task:cancel()
    pcall(task.await, task)
    assert.same({ "ECANCELED", "ECANCELED", "ECANCELED", "ECANCELED", "ECANCELED" }, codes)
    assert.equal("cancelled", task:status())
  end)

  it("is level-triggered also for what is complete already", function()
    local done = bide.future()
    done:resolve(1)
    local code
    local task = waiting(function()
      pcall(bide.sleep, 1000)
      code = tasks.code(done.await, done)
    end)
    task:cancel()
    task:await()
    assert.equal("ECANCELED", code)
  end)

  it("holds per scope: what is cancelled inside does not reach beyond", function()
    local log = {}
    local task = waiting(function()
      pcall(bide.timeout, 0, function()
        log[#log + 1] = tasks.code(bide.sleep, 1)
        log[#log + 1] = tasks.code(bide.sleep, 1)
      end)
      bide.sleep(0)
      return "went on"
    end)
    assert.equal("went on", task:await())
    assert.same({ "ECANCELED", "ECANCELED" }, log)
  end)

  it("asked for twice has no more effect than once, and the first reason stays", function()
    local log = {}
    local task = waiting(function()
      local _ <close> = setmetatable({}, {
        __close = function()
          bide.shield(function()
            tasks.turns(3)
            log[#log + 1] = "cleaned"
          end)
        end,
      })
      bide.future():await()
    end)
    assert.is_true(task:cancel "first")
    bide.sleep(0)
    task:cancel "second"
    local err = tasks.raised(task.await, task)
    assert.same({ "cleaned" }, log)
    assert.equal("first", err.reason)
  end)

  it("swallowed by a catch-all loop cannot freeze the loop", function()
    local refused, others = 0, 0
    local stop = false
    local stubborn = waiting(function()
      while not stop do
        if not pcall(bide.sleep, 1000) then
          refused = refused + 1
        end
      end
    end)
    stubborn:cancel()
    for _ = 1, 10 do
      bide.sleep(0)
      others = others + 1
    end
    bide.sleep(0.002)
    stop = true
    stubborn:await()
    assert.equal(10, others)
    assert.is_true(refused > 1)
  end)

  it("swallowed altogether leaves a task done", function()
    local task = waiting(function()
      pcall(bide.sleep, 1000)
      return "swallowed"
    end)
    task:cancel()
    assert.equal("swallowed", task:await())
    assert.equal("done", task:status())
  end)

  it("turned into another error fails the task with that", function()
    local value = {}
    local task = waiting(function()
      pcall(bide.sleep, 1000)
      error(value)
    end)
    task:cancel()
    assert.equal(value, tasks.raised(task.await, task))
    assert.equal("failed", task:status())
  end)

  it("before the first step skips the body", function()
    local ran = false
    local task = bide.spawn(function() ran = true end)
    task:cancel()
    bide.sleep(0)
    assert.is_false(ran)
    assert.equal("cancelled", task:status())
  end)

  it("of a finished task gives false and changes nothing", function()
    local good, bad = bide.spawn(function() return 1 end), bide.spawn(error, "x")
    good:await()
    pcall(bad.await, bad)
    assert.is_false(good:cancel())
    assert.is_false(bad:cancel())
    assert.equal("done", good:status())
    assert.equal("failed", bad:status())
    assert.equal(1, good:await())
  end)

  it("of a task that was cancelled already and has ended gives false", function()
    local task = waiting(bide.sleep, 1000)
    assert.is_true(task:cancel())
    bide.sleep(0)
    assert.is_false(task:cancel())
  end)

  it("of itself takes effect at the next wait", function()
    local code
    local task = bide.spawn(function()
      bide.current():cancel()
      code = tasks.code(bide.sleep, 0)
    end)
    task:await()
    assert.equal("ECANCELED", code)
  end)

  it("keeps the result of what had completed; the next wait raises", function()
    local gate, got, code = bide.future(), nil, nil
    local task = waiting(function()
      got = gate:await()
      code = tasks.code(bide.sleep, 0)
    end)
    gate:resolve "kept"
    task:cancel()
    task:await()
    assert.equal("kept", got)
    assert.equal("ECANCELED", code)
  end)

  it("undoes what had not completed, though it completes a moment later", function()
    local gate, got = bide.future(), nil
    local task = waiting(function() got = gate:await() end)
    task:cancel()
    gate:resolve "late"
    pcall(task.await, task)
    assert.is_nil(got)
    assert.equal("cancelled", task:status())
  end)

  it("waits behind a shield: the body is not interrupted, the caller stays inside", function()
    local log = {}
    local task = waiting(function()
      bide.shield(function()
        tasks.turns(3)
        log[#log + 1] = "shielded body ended"
      end)
      log[#log + 1] = "after, before the next wait"
      bide.sleep(0)
      log[#log + 1] = "never"
    end)
    task:cancel()
    pcall(task.await, task)
    assert.same({ "shielded body ended", "after, before the next wait" }, log)
    assert.equal("cancelled", task:status())
  end)

end)
