-- SPDX-License-Identifier: MIT
-- any: the first success decides.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

local function after(s, ...)
  local values = table.pack(...)
  return function()
    bide.sleep(s)
    return table.unpack(values, 1, values.n)
  end
end

local function failing(s, value)
  return function()
    bide.sleep(s)
    error(value, 0)
  end
end

describe("any #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("gives all results of the first success", virtual(function()
    assert.same(table.pack("b", nil, 2),
      table.pack(bide.any { after(3, "a"), failing(0, "x"), after(1, "b", nil, 2) }))
  end))

  it("cancels and joins the owned rest, and leaves what was handed in", virtual(function()
    local log = {}
    local task = bide.spawn(after(5, "ran on"))
    assert.equal("v", bide.any { task, tasks.waiter(log, "owned"), after(1, "v") })
    assert.same({ "owned" }, log)
    assert.equal("ran on", task:await())
  end))

  it("when all failed raises EALLFAILED with their errors in order", virtual(function()
    local a, b, c = {}, "text", {}
    local err = tasks.raised(bide.any, { failing(3, a), failing(1, b), failing(2, c) })
    assert.equal("EALLFAILED", err.code)
    assert.equal(3, #err.errors)
    assert.is_true(err.errors[1] == a and err.errors[2] == b and err.errors[3] == c)
  end))

  it("counts errors that are nil", virtual(function()
    local err = tasks.raised(bide.any, { failing(1, nil), failing(2, "x"), failing(3, nil) })
    assert.same({ nil, "x", n = 3 }, err.errors)
    assert.matches("all 3 failed: a nil; x; a nil", err.message)
  end))

  it("takes a cancelled member for a failure", virtual(function()
    local member = bide.spawn(bide.sleep, 100)
    bide.sleep(0)
    member:cancel()
    local err = tasks.raised(bide.any, { member })
    assert.equal("EALLFAILED", err.code)
    assert.equal(member, err.errors[1].task)
  end))

  it("bears with failures: they are not reported", virtual(function()
    assert.same({}, tasks.unhandled(function()
      bide.run(function() bide.any { failing(0, "x"), after(1, "v"), bide.spawn(error, "y") } end)
    end))
  end))

  it("of what has succeeded already does not wait", function()
    local future = bide.future()
    future:resolve "v"
    local ran = false
    local other = bide.spawn(function() ran = true end)
    assert.equal("v", bide.any { future })
    assert.is_false(ran)
    other:await()
  end)

  it("of nothing raises", function()
    assert.match("empty", tostring(tasks.raised(bide.any, {})))
  end)

  it("when its caller is cancelled cancels the owned ones and joins them", virtual(function()
    local log = {}
    local task = bide.spawn(function() bide.any { tasks.waiter(log, "a"), tasks.waiter(log,
      "b") } end)
    bide.sleep(1)
    task:cancel()
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.same({ "b", "a" }, log)
  end))
end)
