-- SPDX-License-Identifier: MIT
-- The edge cases of timeouts, a row of the table each.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("a timeout #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("that expires while waiting cancels and joins, then raises", virtual(function()
    local log = {}
    local err = tasks.raised(bide.timeout, 1, function()
      bide.gather(function()
        local _ <close> = setmetatable({}, {
          __close = function()
            bide.shield(function()
              bide.sleep(3)
              log[#log + 1] = "child cleaned up"
            end)
          end,
        })
        bide.future():await()
      end)
    end)
    assert.equal("ETIMEDOUT", err.code)
    assert.equal(1, err.after)
    assert.same({ "child cleaned up" }, log)
  end))

  it("turns only the cancellation of its own deadline into ETIMEDOUT", virtual(function()
    local task = bide.spawn(function() bide.timeout(10, bide.sleep, 100) end)
    bide.sleep(1)
    task:cancel()
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.equal("cancelled", task:status())
  end))

  it("does not turn the ECANCELED of an awaited task into ETIMEDOUT", virtual(function()
    local other = bide.spawn(bide.sleep, 100)
    bide.spawn(function()
      bide.sleep(1)
      other:cancel()
    end)
    local err = tasks.raised(bide.timeout, 10, other)
    assert.equal("ECANCELED", err.code)
    assert.equal(other, err.task)
  end))

  it("loses to a completion in the same turn: a sleep of the same length", virtual(function()
    assert.equal("v", bide.timeout(1, function()
      bide.sleep(1)
      return "v"
    end))
  end))

  it("loses to a completion in the same turn: a future resolved then", virtual(function()
    local future = bide.future()
    local helper = bide.spawn(function()
      bide.sleep(1)
      future:resolve "v"
    end)
    bide.sleep(0)
    assert.equal("v", bide.timeout(1, future))
    helper:await()
  end))

  it("keeps a result that arrived before the cancel; the next wait raises", virtual(function()
    local future, got, code = bide.future(), nil, nil
    local task = bide.spawn(function()
      bide.timeout(10, function()
        got = future:await()
        code = tasks.code(bide.sleep, 0)
      end)
    end)
    bide.sleep(1)
    future:resolve "v"
    task:cancel()
    pcall(task.await, task)
    assert.equal("v", got)
    assert.equal("ECANCELED", code)
  end))

  it("of zero runs the body to its first wait", function()
    local log = {}
    local code = tasks.code(bide.timeout, 0, function()
      log[#log + 1] = "ran"
      bide.sleep(1)
      log[#log + 1] = "never"
    end)
    assert.equal("ETIMEDOUT", code)
    assert.same({ "ran" }, log)
  end)

  it("of zero gives what is ready at the first wait", function()
    local done = bide.future()
    done:resolve "ready"
    assert.equal("ready", bide.timeout(0, function() return done:await() end))
    assert.equal("body", bide.timeout(0, function() return "body" end))
  end)

  it("does not strike a body that never waits", function()
    local result = bide.timeout(0.001, function()
      local until_ = bide.now() + 0.005
      while bide.now() < until_ do end
      return "slow"
    end)
    assert.equal("slow", result)
  end)

  it("nested in an equal one: the outer raises", virtual(function()
    local inner_caught = false
    local err = tasks.raised(bide.timeout, 1, function()
      local ok, err = pcall(bide.timeout, 1, bide.sleep, 10)
      inner_caught = not ok and bide.is_timeout(err)
      error(err, 0)
    end)
    assert.equal("ETIMEDOUT", err.code)
    assert.is_false(inner_caught)
  end))

  it("nested in a shorter one: the inner is not reported as expired", virtual(function()
    local inner
    local err = tasks.raised(bide.timeout, 1, function()
      inner = tasks.raised(bide.timeout, 5, bide.sleep, 10)
      error(inner, 0)
    end)
    assert.equal("ECANCELED", inner.code)
    assert.equal(1, err.after)
  end))

  it("swallowed by the body: each later wait raises again", virtual(function()
    local codes = {}
    pcall(bide.timeout, 1, function()
      for i = 1, 3 do
        codes[i] = tasks.code(bide.sleep, 10)
      end
    end)
    assert.same({ "ECANCELED", "ECANCELED", "ECANCELED" }, codes)
  end))

  it("swallowed by the body: a plain return is returned", virtual(function()
    assert.equal("v", bide.timeout(1, function()
      pcall(bide.sleep, 10)
      return "v"
    end))
  end))

  it("whose clean-up raises something else raises that", virtual(function()
    local value = {}
    local err = tasks.raised(bide.timeout, 1, function()
      pcall(bide.sleep, 10)
      error(value)
    end)
    assert.equal(value, err)
    assert.equal("timeout", bide.details(err).during)
  end))

  it("whose close raises something else raises that", virtual(function()
    local value = {}
    local err = tasks.raised(bide.timeout, 1, function()
      local _ <close> = setmetatable({}, { __close = function() error(value) end })
      bide.sleep(10)
    end)
    assert.equal(value, err)
    assert.equal("timeout", bide.details(err).during)
  end))
end)
