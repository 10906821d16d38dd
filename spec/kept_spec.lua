-- SPDX-License-Identifier: MIT
-- What keeps a task that nobody refers to: its thread, and the registry from its first stop on.
local bide = require "bide"
local tasks = require "spec.support.tasks"

--- Collects what can be collected, and overwrites what was freed.
local function collect()
  collectgarbage()
  collectgarbage()
  local junk = {}
  for i = 1, 200 do junk[i] = { i, tostring(i):rep(20) } end
  return junk
end

describe("a task that nobody refers to #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  -- A thread is in the pool from here on.
  before_each(function() bide.spawn(function() end):await() end)

  it("is kept until it has begun, with its arguments", function()
    local got = {}
    for i = 1, 20 do
      bide.spawn(function(...) got[i] = { ... } end, i, { i })
      bide.spawn(function() got[-i] = i end)
    end
    collect()
    repeat bide.sleep(0) until got[-20]
    for i = 1, 20 do
      assert.same({ i, { i } }, got[i])
      assert.equal(i, got[-i])
    end
  end)

  it("is kept while it runs without waiting", function()
    local handle
    bide.spawn(function()
      collect()
      handle = bide.current()
      collect()
    end)
    bide.sleep(0)
    assert.equal("done", handle:status())
  end)

  it("is kept while it waits, however deep in calls and coroutines it stands", function()
    local done = 0
    local function deep(n, f)
      if n == 0 then return f() end
      if n % 7 == 0 then return (coroutine.wrap(deep)(n - 1, f)) end
      return (deep(n - 1, f))
    end
    for _, n in ipairs { 1, 2, 3, 4, 5, 8, 31, 64, 100 } do
      bide.spawn(deep, n, function()
        bide.sleep(0.001)
        collect()
        bide.sleep(0.001)
        done = done + 1
      end)
    end
    collect()
    repeat
      bide.sleep(0)
      collect()
    until done == 9
  end)

  it("is the same handle wherever it asks for it", function()
    local function handles(n)
      if n == 0 then return { bide.current() } end
      local list = handles(n - 1)
      list[#list + 1] = bide.current()
      list[#list + 1] = coroutine.wrap(bide.current)()
      return list
    end
    local task
    task = bide.spawn(function()
      local list = handles(20)
      for _, handle in ipairs(list) do assert.equal(task, handle) end
      bide.sleep(0)
      assert.equal(task, bide.current())
      return #list
    end)
    assert.equal(41, task:await())
  end)

  it("is found by others before it begins, and can be cancelled there", function()
    local began = false
    bide.spawn(function() began = true end)
    collect()
    local function find(list)
      for _, entry in ipairs(list) do
        local found = entry.status == "new" and entry.task or find(entry.children)
        if found then return found end
      end
    end
    local found = find(bide.tasks())
    assert.is_truthy(found)
    found:cancel "enough"
    collect()
    assert.equal("ECANCELED", tasks.code(found.await, found))
    assert.is_false(began)
  end)

  it("is awaited by the one that it spawned itself", function()
    local outer
    outer = bide.spawn(function()
      local inner = bide.spawn(function()
        collect()
        return bide.current()
      end)
      collect()
      local handle = inner:await()
      assert.equal(inner, handle)
      return bide.current()
    end)
    assert.equal(outer, outer:await())
  end)

  it("tells its error when it fails without a wait", function()
    local reports = {}
    local before = bide.on_unhandled(function(err, task, traceback)
      reports[#reports + 1] = { err, task:status(), traceback }
    end)
    bide.run(function()
      bide.spawn(function()
        collect()
        error "lost"
      end)
    end)
    bide.on_unhandled(before)
    assert.equal(1, #reports)
    assert.matches("lost", reports[1][1])
    assert.equal("failed", reports[1][2])
    assert.matches("kept_spec", reports[1][3])
  end)

  it("keeps its locals from its spawn on", function()
    local var, got = bide.var "none", {}
    var:set "outer"
    local ended = 0
    for i = 1, 5 do
      bide.spawn(function()
        collect()
        got[i] = var:get()
        var:set(i)
        bide.sleep(0)
        got[-i] = var:get()
        ended = ended + 1
      end)
    end
    var:set "later"
    repeat bide.sleep(0) until ended == 5
    for i = 1, 5 do
      assert.equal("outer", got[i])
      assert.equal(i, got[-i])
    end
  end)
end)
