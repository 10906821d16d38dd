-- SPDX-License-Identifier: MIT
-- shield: what a cancellation must not interrupt.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("shield #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("gives the function's results, with arguments passed on", function()
    assert.same(table.pack(1, nil, 3), table.pack(bide.shield(function(...) return ... end, 1,
      nil, 3)))
  end)

  it("raises the function's error untouched", function()
    local value = {}
    assert.equal(value, tasks.raised(bide.shield, error, value))
  end)

  it("runs in the calling task", function()
    assert.equal(bide.current(), bide.shield(bide.current))
  end)

  it("lets the body end when a cancel arrives, then the next wait raises", virtual(function()
    local log = {}
    local task = bide.spawn(function()
      log[1] = bide.shield(function()
        bide.sleep(5)
        return "ended"
      end)
      log[2] = tasks.code(bide.sleep, 0)
    end)
    bide.sleep(1)
    task:cancel()
    task:await()
    assert.same({ "ended", "ECANCELED" }, log)
  end))

  it("holds back deadlines from outside", virtual(function()
    local log = {}
    local start = bide.now()
    local code = tasks.code(bide.timeout, 1, function()
      bide.shield(bide.sleep, 5)
      log[1] = "ended"
      bide.sleep(1)
    end)
    assert.equal("ETIMEDOUT", code)
    assert.same({ "ended" }, log)
    assert.near(5, bide.now() - start, 1e-6)
  end))

  it("does not hold back deadlines set inside it", virtual(function()
    local start = bide.now()
    assert.equal("ETIMEDOUT", tasks.code(bide.shield, bide.timeout, 1, bide.sleep, 5))
    assert.near(1, bide.now() - start, 1e-6)
  end))

  it("runs even when the caller is cancelled already", virtual(function()
    local log = {}
    local task = bide.spawn(function()
      bide.current():cancel()
      log[1] = bide.shield(function()
        bide.sleep(1)
        return "ran"
      end)
      bide.sleep(0)
    end)
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.same({ "ran" }, log)
  end))

  it("shields what the combinators inside it own", virtual(function()
    local log = {}
    local task = bide.spawn(function()
      bide.shield(function()
        bide.gather(function()
          bide.sleep(3)
          log[#log + 1] = "child ended"
        end)
      end)
    end)
    bide.sleep(1)
    task:cancel()
    pcall(task.await, task)
    assert.same({ "child ended" }, log)
  end))

  it("inside a child of a cancelled gather holds the gather up", virtual(function()
    local start = bide.now()
    local err = tasks.raised(bide.gather, function()
      bide.sleep(1)
      error("x", 0)
    end, function()
      bide.shield(bide.sleep, 4)
    end)
    assert.equal("x", err)
    assert.near(4, bide.now() - start, 1e-6)
  end))

  it("does not stop a scope inside it from being cancelled", virtual(function()
    local log = {}
    bide.shield(function()
      bide.group(function(g)
        g:spawn(tasks.waiter(log, "child"))
        bide.sleep(1)
        g:cancel()
      end)
    end)
    assert.same({ "child" }, log)
  end))

  it("nested in a shield is as one", virtual(function()
    local log = {}
    local task = bide.spawn(function()
      bide.shield(function()
        bide.shield(bide.sleep, 2)
        bide.sleep(2)
        log[1] = "both ended"
      end)
      bide.sleep(0)
      log[2] = "never"
    end)
    bide.sleep(1)
    task:cancel()
    pcall(task.await, task)
    assert.same({ "both ended" }, log)
  end))

  it("does not keep the loop from others", virtual(function()
    local ran = false
    local task = bide.spawn(bide.shield, bide.sleep, 5)
    local other = bide.spawn(function()
      bide.sleep(1)
      ran = true
    end)
    bide.sleep(2)
    assert.is_true(ran)
    bide.await(task, other)
  end))
end)
