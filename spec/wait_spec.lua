-- SPDX-License-Identifier: MIT
-- wait: which of several awaitables have ended.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

--- Tasks that end after these times.
local function ending(...)
  local list = {}
  for i, s in ipairs { ... } do list[i] = bide.spawn(bide.sleep, s) end
  return list
end

local function indices(list, of)
  local result = {}
  for i, x in ipairs(of) do
    for k, y in ipairs(list) do
      if x == y then result[i] = k end
    end
  end
  return result
end

describe("wait #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("waits for all: two lists in input order", virtual(function()
    local list, start = ending(3, 1, 2), bide.now()
    local ended, pending = bide.wait(list)
    assert.same({ 1, 2, 3 }, indices(list, ended))
    assert.same({}, pending)
    assert.near(3, bide.now() - start, 1e-6)
  end))

  it("waits for as many as `count` says", virtual(function()
    local list = ending(3, 1, 2)
    local ended, pending = bide.wait(list, { count = 2 })
    assert.same({ 2, 3 }, indices(list, ended))
    assert.same({ 1 }, indices(list, pending))
    bide.wait(list)
  end))

  it("waits no longer than the timeout, and then returns", virtual(function()
    local list, start = ending(3, 1, 2), bide.now()
    local ended, pending = bide.wait(list, { timeout = 2.5 })
    assert.same({ 2, 3 }, indices(list, ended))
    assert.same({ 1 }, indices(list, pending))
    assert.near(2.5, bide.now() - start, 1e-6)
    assert.is_nil(bide.deadline())
    bide.wait(list)
  end))

  it("with a timeout of 0 looks once", virtual(function()
    local list = ending(1, 0)
    local ended, pending = bide.wait(list, { timeout = 0 })
    assert.equal(1, #ended + #pending - 1)
    bide.wait(list)
  end))

  it("a completion on the deadline counts", virtual(function()
    local list = ending(1)
    assert.equal(1, #bide.wait(list, { timeout = 1 }))
  end))

  it("cancels nothing and raises no member's error", virtual(function()
    local failed = bide.spawn(error, "x")
    local cancelled, running = table.unpack(ending(50, 100))
    cancelled:cancel()
    local ended, pending = bide.wait({ failed, cancelled, running }, { count = 2 })
    assert.same({ failed, cancelled }, ended)
    assert.same({ running }, pending)
    assert.equal("pending", running:status())
    pcall(failed.await, failed)
    running:cancel()
  end))

  it("looking is not waiting: an error nobody awaits is reported all the same", function()
    local seen = tasks.unhandled(function()
      bide.run(function() bide.wait { bide.spawn(error, "x") } end)
    end)
    assert.equal(1, #seen)
  end)

  it("of what has ended already returns at once", function()
    local future, ran = bide.future(), false
    future:resolve()
    local other = bide.spawn(function() ran = true end)
    assert.same({ future }, (bide.wait { future }))
    assert.same({ future, future }, (bide.wait { future, future }))
    assert.is_false(ran)
    other:await()
  end)

  it("counts the same awaitable in each of its places", virtual(function()
    local task = ending(1)[1]
    local ended = bide.wait({ task, bide.future(), task }, { count = 2 })
    assert.same({ task, task }, ended)
  end))

  it("cancelled raises and cancels nothing", virtual(function()
    local list = ending(10)
    for _, opts in ipairs { {}, { timeout = 5 } } do
      local task = bide.spawn(bide.wait, list, opts)
      bide.sleep(1)
      task:cancel()
      assert.equal("ECANCELED", tasks.code(task.await, task))
    end
    assert.equal("pending", list[1]:status())
    assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, bide.wait, list, { timeout = 5 }))
    bide.wait(list)
  end))

  it("raises for wrong arguments", function()
    local future = bide.future()
    assert.match("'bide.wait'.*empty", tasks.raised(bide.wait, {}))
    assert.match("table expected", tasks.raised(bide.wait, future))
    assert.match("item 2: future or task expected, got a function",
      tasks.raised(bide.wait, { future, print }))
    assert.match("string keys", tasks.raised(bide.wait, { a = future }))
    assert.match("'count'", tasks.raised(bide.wait, { future }, { count = 2 }))
    assert.match("'count'", tasks.raised(bide.wait, { future }, { count = 0 }))
    assert.match("'timeout'", tasks.raised(bide.wait, { future }, { timeout = -1 }))
    assert.match("unknown option 'n'", tasks.raised(bide.wait, { future }, { n = 1 }))
  end)

  it("a thousand times for one long task leaves memory flat", virtual(function()
    local long = bide.spawn(bide.sleep, 1e9)
    local function round()
      for _ = 1, tasks.many(1000) do bide.wait({ long }, { timeout = 1 }) end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    round()
    local before = round()
    assert.is_true(round() - before < 16)
    long:cancel()
  end))
end)
