-- SPDX-License-Identifier: MIT
-- luacheck: ignore 512 (loops that are left at once are what is looked at)
-- as_completed: results in the order in which they come.
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

local function fails(s, err)
  return function()
    bide.sleep(s)
    error(err, 0)
  end
end

local function all(list)
  local got = {}
  local iterator, state, _, closing = bide.as_completed(list)
  local _ <close> = closing
  while true do
    local entry = table.pack(iterator(state))
    if entry[1] == nil then return got end
    got[#got + 1] = entry
  end
end

describe("as_completed #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("gives index, ok and all values in the order of completion", virtual(function()
    local got = {}
    local list = { after(3, "a"), after(1, "b", nil, 2), after(2) }
    for index, ok, a, b, c in bide.as_completed(list) do
      got[#got + 1] = table.pack(index, ok, a, b, c)
    end
    assert.same({
      { 2, true, "b", nil, 2, n = 5 },
      { 3, true, nil, nil, nil, n = 5 },
      { 1, true, "a", nil, nil, n = 5 },
    }, got)
  end))

  it("gives failures with ok=false and the error, untouched, and goes on", virtual(function()
    local value, got = {}, {}
    for index, ok, err in bide.as_completed { fails(1, value), after(2, "v") } do
      got[#got + 1] = { index, ok, err }
    end
    assert.same({ { 1, false, value }, { 2, true, "v" } }, got)
    assert.equal(value, got[1][3])
  end))

  it("has string keys as index", virtual(function()
    local got = {}
    local list = { user = after(2, "u"), after(1, "first"), posts = after(3) }
    for key, _, v in bide.as_completed(list) do
      got[#got + 1] = { key, v }
    end
    assert.same({ { 1, "first" }, { "user", "u" }, { "posts" } }, got)
  end))

  it("gives what has ended already first, in order", virtual(function()
    local a, b = bide.future(), bide.future()
    b:resolve "b"
    a:resolve "a"
    local order = {}
    for index in bide.as_completed { after(0), b, a } do order[#order + 1] = index end
    assert.same({ 2, 3, 1 }, order)
  end))

  it("gives the same awaitable twice when it stands there twice", function()
    local future = bide.future()
    future:resolve "v"
    local n = 0
    for _, ok, v in bide.as_completed { future, future } do
      assert.is_true(ok)
      assert.equal("v", v)
      n = n + 1
    end
    assert.equal(2, n)
  end)

  it("of nothing ends at once", function()
    for _ in bide.as_completed {} do error "no" end
  end)

  it("keeps results that come while the body is busy", virtual(function()
    local order = {}
    for index in bide.as_completed { after(1), after(2), after(3) } do
      order[#order + 1] = index
      bide.sleep(10)
    end
    assert.same({ 1, 2, 3 }, order)
  end))

  it("counts a cancelled member as a failure", function()
    local task = bide.spawn(bide.sleep, 100)
    tasks.turns(1)
    task:cancel()
    for _, ok, err in bide.as_completed { task } do
      assert.is_false(ok)
      assert.equal("ECANCELED", err.code)
      assert.equal(task, err.task)
    end
  end)

  describe("left early", function()
    it("by break cancels and joins the rest", virtual(function()
      local log = {}
      for index in bide.as_completed { tasks.waiter(log, "a"), after(1), tasks.waiter(log, "b") } do
        assert.equal(2, index)
        break
      end
      assert.same({ "b", "a" }, log)
    end))

    it("waits for clean-up that waits", virtual(function()
      local start, cleaned = bide.now(), false
      for _ in bide.as_completed {
        after(1),
        function()
          local _ <close> = setmetatable({}, {
            __close = function()
              bide.shield(bide.sleep, 5)
              cleaned = true
            end,
          })
          bide.sleep(100)
        end,
      } do break end
      assert.is_true(cleaned)
      assert.near(6, bide.now() - start, 1e-6)
    end))

    it("by return and by error does the same", virtual(function()
      local log = {}
      local function f()
        for _, _, v in bide.as_completed { after(1, "v"), tasks.waiter(log, 1) } do return v end
      end
      assert.equal("v", f())
      assert.equal("x", tasks.raised(function()
        for _ in bide.as_completed { after(1, "v"), tasks.waiter(log, 2) } do error("x", 0) end
      end))
      assert.same({ 1, 2 }, log)
    end))

    it("leaves what was handed in untouched", virtual(function()
      local task = bide.spawn(after(5, "ran on"))
      for _ in bide.as_completed { task, after(1) } do break end
      assert.equal("pending", task:status())
      assert.equal("ran on", task:await())
    end))

    it("by cancellation of the caller in the iterator cancels and joins", virtual(function()
      local log = {}
      local task = bide.spawn(function()
        for _ in bide.as_completed { tasks.waiter(log, "a"), tasks.waiter(log, "b") } do
          log[#log + 1] = "never"
        end
      end)
      bide.sleep(1)
      task:cancel()
      pcall(task.await, task)
      assert.equal("cancelled", task:status())
      assert.same({ "b", "a" }, log)
    end))

    it("by cancellation of the caller in the body does the same", virtual(function()
      local log = {}
      local task = bide.spawn(function()
        for _ in bide.as_completed { after(1), tasks.waiter(log, "a") } do bide.sleep(100) end
      end)
      bide.sleep(2)
      task:cancel()
      pcall(task.await, task)
      assert.same({ "a" }, log)
      assert.equal("cancelled", task:status())
    end))

    it("cancelled while it joins it still joins, then raises", virtual(function()
      local cleaned, went_on = false, false
      local task = bide.spawn(function()
        for _ in bide.as_completed {
          after(1),
          function()
            pcall(bide.sleep, 100)
            bide.shield(bide.sleep, 5)
            cleaned = true
          end,
        } do break end
        went_on = true
      end)
      bide.sleep(2)
      task:cancel()
      pcall(task.await, task)
      assert.is_true(cleaned)
      assert.is_false(went_on)
      assert.equal("cancelled", task:status())
    end))
  end)

  it("under a timeout raises ETIMEDOUT after joining", virtual(function()
    local log = {}
    assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, function()
      for _ in bide.as_completed { tasks.waiter(log, "a") } do log[2] = "never" end
    end))
    assert.same({ "a" }, log)
  end))

  it("refuses a second reader", virtual(function()
    local next_one, state, _, closing = bide.as_completed { after(1, "v") }
    local _ <close> = closing
    local task = bide.spawn(next_one, state)
    tasks.turns(1)
    assert.equal("EBUSY", tasks.code(next_one, state))
    task:await()
  end))

  it("closed by another task gives its reader the end", virtual(function()
    local next_one, state, _, closing = bide.as_completed { after(100) }
    local task = bide.spawn(next_one, state)
    tasks.turns(1)
    do local _ <close> = closing end
    assert.equal(0, select("#", task:await()))
    assert.equal(0, select("#", next_one(state)))
  end))

  it("never closed but collected cancels the rest", virtual(function()
    local log = {}
    local kept = table.pack(bide.as_completed { tasks.waiter(log, "a") })
    tasks.turns(1)
    for i = 1, kept.n do kept[i] = nil end
    collectgarbage()
    collectgarbage()
    bide.sleep(1)
    assert.same({ "a" }, log)
  end))

  it("handed out of a timeout goes on", virtual(function()
    local next_one, state, _, closing = bide.timeout(5, bide.as_completed, { after(10, "v") })
    local _ <close> = closing
    assert.same({ 1, true, "v" }, { next_one(state) })
  end))

  it("runs a hundred thousand", function()
    local list, n, sum = {}, tasks.many(100000), 0
    for i = 1, n do
      list[i] = function() return i end
    end
    for index, ok, v in bide.as_completed(list) do
      assert(ok and v == index)
      sum = sum + v
    end
    assert.equal(n * (n + 1) // 2, sum)
  end)

  it("raises for wrong arguments before anything is started", function()
    local started = false
    local function f() started = true end
    assert.match("'bide.as_completed'.*table expected", tasks.raised(bide.as_completed, f))
    assert.match("task or function expected, got number",
      tasks.raised(bide.as_completed, { f, 1 }))
    assert.match("hole", tasks.raised(bide.as_completed, { f, [3] = f }))
    tasks.turns(1)
    assert.is_false(started)
  end)

  it("gives every result to the plain use of its functions", virtual(function()
    assert.same({ { 2, true, "b", n = 3 }, { 1, true, n = 2 } }, all { after(2), after(1, "b") })
  end))
end)
