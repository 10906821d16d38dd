-- SPDX-License-Identifier: MIT
-- event: a flag that tasks wait for.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("event #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("wakes all who wait, in the order of asking", function()
    local event, order = bide.event(), {}
    local list = {}
    for i = 1, 4 do
      list[i] = bide.spawn(function()
        event:wait()
        order[#order + 1] = i
      end)
    end
    tasks.turns(1)
    assert.same({}, order)
    event:set()
    bide.gather(list)
    assert.same({ 1, 2, 3, 4 }, order)
  end)

  it("does not hold up who waits once it is set", function()
    local event, ran = bide.event(), false
    event:set()
    event:set()
    local other = bide.spawn(function() ran = true end)
    assert.equal(0, select("#", event:wait()))
    assert.is_false(ran)
    other:await()
  end)

  it("tells whether it is set", function()
    local event = bide.event()
    assert.is_false(event:is_set())
    event:set()
    assert.is_true(event:is_set())
    assert.match("bide.Event.*%(set%)", tostring(event))
    event:clear()
    assert.is_false(event:is_set())
  end)

  it("cleared before they run has woken them all the same", function()
    local event = bide.event()
    local task = bide.spawn(event.wait, event)
    tasks.turns(1)
    event:set()
    event:clear()
    task:await()
    assert.is_false(event:is_set())
    assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 0, event.wait, event))
  end)

  it("set before a cancellation has woken; the next wait raises", function()
    local event, woken, code = bide.event(), false, nil
    local task = bide.spawn(function()
      event:wait()
      woken = true
      code = tasks.code(event.wait, event)
    end)
    tasks.turns(1)
    event:set()
    task:cancel()
    pcall(task.await, task)
    assert.is_true(woken)
    assert.equal("ECANCELED", code)
  end)

  it("forgets who is cancelled", function()
    local event = bide.event()
    local a, b = bide.spawn(event.wait, event), bide.spawn(event.wait, event)
    tasks.turns(1)
    a:cancel()
    event:set()
    b:await()
    tasks.turns(1)
    assert.equal("cancelled", a:status())
  end)

  it("set on the deadline wins", virtual(function()
    local event = bide.event()
    bide.spawn(function()
      bide.sleep(1)
      event:set()
    end)
    bide.timeout(1, event.wait, event)
  end))

  it("that nobody can set is a deadlock", function()
    local event = bide.event()
    local err = tasks.raised(bide.run, function() event:wait() end)
    assert.equal("EDEADLK", err.code)
    assert.match("event wait", err.message)
  end)

  it("raises for another self", function()
    local event = bide.event()
    for _, name in ipairs { "set", "clear", "is_set", "wait" } do
      assert.match("'bide.Event." .. name .. "'.*event expected, got table",
        tasks.raised(event[name], {}))
    end
  end)
end)
