-- SPDX-License-Identifier: MIT
-- race: the first to end decides.
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

describe("race #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("gives all results of the first to end", virtual(function()
    local start = bide.now()
    assert.same(table.pack("b", nil, 2), table.pack(bide.race { after(3, "a"), after(1, "b", nil,
      2), after(2, "c") }))
    assert.near(1, bide.now() - start, 1e-6)
  end))

  it("raises the error of the first to end, untouched", virtual(function()
    local value = {}
    assert.equal(value, tasks.raised(bide.race, { after(3, "a"), function() error(value) end }))
  end))

  it("prefers a first failure to a later success", virtual(function()
    assert.equal("x", tasks.raised(bide.race, {
      after(2, "success"),
      function()
        bide.sleep(1)
        error("x", 0)
      end,
    }))
  end))

  it("of one gives that", function()
    assert.same({ 1, 2 }, { bide.race { after(0, 1, 2) } })
  end)

  it("takes tasks, futures and functions", virtual(function()
    local future = bide.future()
    local task = bide.spawn(after(5, "task"))
    local resolver = bide.spawn(function()
      bide.sleep(1)
      future:resolve "future"
    end)
    assert.equal("future", bide.race { task, future, after(3, "function") })
    bide.await(task, resolver)
  end))

  it("cancels and joins the owned rest", virtual(function()
    local log = {}
    assert.equal("v", bide.race { tasks.waiter(log, "a"), after(1, "v"), tasks.waiter(log, "b") })
    assert.same({ "b", "a" }, log)
  end))

  it("waits for the clean-up of the losers", virtual(function()
    local cleaned = false
    bide.race {
      after(1),
      function()
        local _ <close> = setmetatable({}, {
          __close = function()
            bide.shield(function()
              bide.sleep(5)
              cleaned = true
            end)
          end,
        })
        bide.sleep(100)
      end,
    }
    assert.is_true(cleaned)
  end))

  it("leaves what was handed in untouched", virtual(function()
    local task = bide.spawn(after(5, "ran on"))
    assert.equal("v", bide.race { task, after(1, "v") })
    assert.equal("pending", task:status())
    assert.equal("ran on", task:await())
  end))

  it("with both ready gives the lowest index", function()
    local a, b = bide.future(), bide.future()
    b:resolve "b"
    a:resolve "a"
    assert.equal("a", bide.race { a, b })
    assert.equal("b", bide.race { b, a })
  end)

  it("with both ready in one turn gives the lowest index", virtual(function()
    assert.equal("a", bide.race { after(1, "a"), after(1, "b") })
  end))

  it("of what has ended already does not wait", function()
    local future = bide.future()
    future:resolve "v"
    local ran = false
    local other = bide.spawn(function() ran = true end)
    assert.equal("v", bide.race { future })
    assert.is_false(ran)
    other:await()
  end)

  it("of nothing raises", function()
    assert.match("empty", tostring(tasks.raised(bide.race, {})))
  end)

  it("does not lose the error of a loser: it stands in details", virtual(function()
    local loser = {}
    local seen = tasks.unhandled(function()
      bide.run(function()
        bide.race {
          after(1, "v"),
          function()
            pcall(bide.sleep, 100)
            error(loser)
          end,
        }
      end)
    end)
    assert.is_true(#seen == 0 or seen[1].err == loser)
  end))

  it("when its caller is cancelled cancels the owned ones and joins them", virtual(function()
    local log = {}
    local task = bide.spawn(function() bide.race { tasks.waiter(log, "a"), tasks.waiter(log,
      "b") } end)
    bide.sleep(1)
    task:cancel()
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.same({ "b", "a" }, log)
  end))

  it("many times on one long-lived task does not grow memory", function()
    local forever = bide.spawn(bide.sleep, math.huge)
    local quick = bide.future()
    quick:resolve()
    local function races(n)
      for _ = 1, n do
        local future = bide.future()
        bide.spawn(future.resolve, future, 1)
        bide.race { forever, future }
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    races(tasks.many(1000))
    local before = races(tasks.many(1000))
    local later = races(tasks.many(20000))
    assert.is_true(later - before < 64, ("%.0f KB more"):format(later - before))
    forever:cancel()
    pcall(forever.await, forever)
  end)
end)
