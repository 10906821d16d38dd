-- SPDX-License-Identifier: MIT
-- var: variables of a task, copied at its spawn.
local bide = require "bide"
local tasks = require "spec.support.tasks"

describe("var #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("has its default until it is set", function()
    local a, b = bide.var "default", bide.var()
    assert.equal("default", a:get())
    assert.is_nil(b:get())
    a:set "other"
    assert.equal("other", a:get())
    assert.is_nil(b:get())
  end)

  it("set to nil or false is nil or false, not the default", function()
    local a = bide.var "default"
    a:set(nil)
    assert.is_nil(a:get())
    a:set(false)
    assert.is_false(a:get())
  end)

  it("of a spawned task begins as its spawner's", function()
    local a, b = bide.var(), bide.var "b"
    a:set(1)
    local task = bide.spawn(function() return a:get(), b:get() end)
    a:set(2)
    assert.same({ 1, "b" }, { task:await() })
    assert.equal(2, a:get())
  end)

  it("set in a task changes nothing elsewhere", function()
    local a = bide.var()
    a:set "mine"
    local function child(v)
      return function()
        local before = a:get()
        a:set(v)
        tasks.turns(1)
        return before .. a:get()
      end
    end
    local results = bide.gather { child "x", child "y", bide.spawn(child "z") }
    assert.same({ "minex", "miney", "minez", n = 3 }, results)
    assert.equal("mine", a:get())
  end)

  it("goes down through generations, and with waits and arguments in between", function()
    local a = bide.var()
    a:set "top"
    local function deep(n)
      if n == 0 then return a:get() end
      tasks.turns(1)
      return bide.spawn(deep, n - 1):await()
    end
    assert.equal("top", deep(5))
  end)

  it("is shared with the bodies of timeout, shield and group", function()
    local a = bide.var(0)
    bide.timeout(10, function() a:set(a:get() + 1) end)
    bide.shield(function() a:set(a:get() + 1) end)
    bide.group(function() a:set(a:get() + 1) end)
    assert.equal(3, a:get())
  end)

  it("is shared with the coroutines of the task", function()
    local a = bide.var(0)
    coroutine.wrap(function() a:set(1) end)()
    assert.equal(1, a:get())
  end)

  it("does not become the task's result", function()
    local a = bide.var()
    local task = bide.spawn(function() a:set "v" end)
    assert.equal(0, select("#", task:await()))
    local cancelled = bide.spawn(function()
      a:set "v"
      bide.sleep(100)
    end)
    tasks.turns(1)
    cancelled:cancel "reason"
    assert.equal("reason", tasks.raised(cancelled.await, cancelled).reason)
  end)

  it("outside a run has its default, and can't be set", function()
    local script = require "spec.support.script"
    local r = script.run [[
      local bide = require "bide"
      local a = bide.var "default"
      setmetatable({}, { __gc = function() print(a:get(), pcall(a.set, a, 1)) end })
    ]]
    assert.match("^default\tfalse\t", r.out)
  end)

  it("that nobody has any more is collected with its value, while the task lives", function()
    local values = setmetatable({}, { __mode = "k" })
    bide.spawn(function()
      for _ = 1, 10 do
        local value = {}
        values[value] = true
        bide.var():set(value)
      end
      collectgarbage()
      collectgarbage()
      assert.is_nil(next(values))
    end):await()
  end)

  it("takes no longer to set where there are many", function()
    local many = {}
    local function seconds(n)
      for i = #many + 1, n do
        many[i] = bide.var()
        many[i]:set(i)
      end
      local start = os.clock()
      for i = 1, 2000 do many[i % n + 1]:set(i) end
      return os.clock() - start
    end
    bide.spawn(function()
      seconds(10)
      local few = seconds(10)
      assert.is_true(seconds(4000) < 20 * few + 0.05)
    end):await()
  end)

  it("is collected with its last task", function()
    local weak = setmetatable({}, { __mode = "k" })
    bide.spawn(function()
      local a = bide.var()
      weak[a] = true
      a:set(a)
    end):await()
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("raises for another self", function()
    local a = bide.var()
    assert.match("'bide.Var.get'.*variable expected, got table", tasks.raised(a.get, {}))
    assert.match("variable expected, got bide.Lock", tasks.raised(a.set, bide.lock(), 1))
  end)
end)
