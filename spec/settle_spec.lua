-- SPDX-License-Identifier: MIT
-- settle: nothing decides, of each it is told what came of it.
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

describe("settle #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("tells of each what came of it, in order, with all values", virtual(function()
    local value = {}
    assert.same({
      { ok = true, n = 3, "a", nil, 3 }, { ok = false, err = value }, { ok = true, n = 0 }, n = 3,
    }, bide.settle { after(2, "a", nil, 3), failing(1, value), after(0) })
  end))

  it("keeps string keys", virtual(function()
    local entries = bide.settle { user = after(1, "ada"), posts = failing(1, "x") }
    assert.same({ ok = true, n = 1, "ada" }, entries.user)
    assert.same({ ok = false, err = "x" }, entries.posts)
    assert.equal(0, entries.n)
  end))

  it("of nothing gives an empty table without waiting", function()
    local ran = false
    local other = bide.spawn(function() ran = true end)
    assert.same({ n = 0 }, bide.settle {})
    assert.is_false(ran)
    other:await()
  end)

  it("cancels nothing when one fails", virtual(function()
    local start = bide.now()
    local entries = bide.settle { failing(0, "x"), after(5, "v") }
    assert.near(5, bide.now() - start, 1e-6)
    assert.equal("v", entries[2][1])
  end))

  it("has its entries unwrapped: the values, or the error raised", virtual(function()
    local value = {}
    local entries = bide.settle { after(0, 1, nil, 3, nil), failing(0, value), failing(0, nil) }
    assert.same(table.pack(1, nil, 3, nil), table.pack(bide.unwrap(entries[1])))
    assert.equal(value, tasks.raised(bide.unwrap, entries[2]))
    assert.same(table.pack(false, nil), table.pack(pcall(bide.unwrap, entries[3])))
  end))

  it("tells of a cancelled member by an ECANCELED that names it", virtual(function()
    local member = bide.spawn(bide.sleep, 100)
    bide.sleep(0)
    member:cancel()
    local entry = bide.settle({ member })[1]
    assert.is_false(entry.ok)
    assert.equal("ECANCELED", entry.err.code)
    assert.equal(member, entry.err.task)
  end))

  it("raises when its caller is cancelled, after the owned ones have ended", virtual(function()
    local log = {}
    local task = bide.spawn(function() bide.settle { tasks.waiter(log, "a"), after(0, 1) } end)
    bide.sleep(1)
    task:cancel()
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.equal("cancelled", task:status())
    assert.same({ "a" }, log)
  end))
end)
