-- SPDX-License-Identifier: MIT
-- map: one function over many items, so many at a time.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

--- An iterator of 1…n.
local function upto(n)
  local i = 0
  return function()
    i = i + 1
    if i <= n then return i end
  end
end

describe("map #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("gives the first result of each in order, with n", virtual(function()
    local results = bide.map({ 3, 1, 2 }, function(x, i)
      bide.sleep(x)
      return x * 10 + i, "second"
    end)
    assert.same({ 31, 12, 23, n = 3 }, results)
  end))

  it("keeps nil results: n counts", function()
    local results = bide.map({ 1, 2, 3 }, function(x) return x == 2 and x or nil end)
    assert.same({ nil, 2, nil, n = 3 }, results)
  end)

  it("of nothing is an empty table, at once", function()
    assert.same({ n = 0 }, bide.map({}, print))
    assert.same({ n = 0 }, bide.map(upto(0), print))
    assert.equal(0, bide.map({}, print, { collect = false }))
  end)

  it("takes a list with n, holes as nil", function()
    local results = bide.map({ 1, nil, 3, n = 4 }, function(x, i) return x or -i end)
    assert.same({ 1, -2, 3, -4, n = 4 }, results)
  end)

  it("takes the items of a list through its metatable", function()
    local squares = setmetatable({ n = 3 }, { __index = function(_, i) return i * i end })
    assert.same({ 1, 4, 9, n = 3 }, bide.map(squares, function(x) return x end))
  end)

  it("takes an iterator", function()
    assert.same({ 2, 4, 6, n = 3 }, bide.map(upto(3), function(x) return x * 2 end))
  end)

  it("takes anything that can be called: a channel", virtual(function()
    local ch = bide.channel()
    bide.spawn(function()
      for i = 1, 5 do
        bide.sleep(1)
        ch:send(i)
      end
      ch:close()
    end)
    assert.same({ 1, 4, 9, 16, 25, n = 5 }, bide.map(ch, function(x) return x * x end))
  end))

  it("runs at most `limit` at a time, 16 unless told", virtual(function()
    for limit, expected in pairs { [1] = 1, [4] = 4, [100] = 50, [math.huge] = 50, [0] = 16 } do
      local inside, most = 0, 0
      bide.map(upto(50), function()
        inside = inside + 1
        most = math.max(most, inside)
        bide.sleep(1)
        inside = inside - 1
      end, limit > 0 and { limit = limit } or nil)
      assert.equal(expected, most)
    end
  end))

  it("draws from the iterator only as places come free", virtual(function()
    local drawn = 0
    local function source()
      drawn = drawn + 1
      if drawn <= 20 then return drawn end
    end
    bide.map(source, function(i)
      assert.is_true(drawn <= i + 4)
      bide.sleep(1)
    end, { limit = 4 })
    assert.equal(21, drawn)
  end))

  it("lets the iterator wait, and runs meanwhile", virtual(function()
    local start, i = bide.now(), 0
    bide.map(function()
      bide.sleep(1)
      i = i + 1
      if i <= 5 then return i end
    end, function() bide.sleep(2) end)
    assert.near(7, bide.now() - start, 1e-6)
  end))

  it("starts the next as soon as any has ended", virtual(function()
    local start = bide.now()
    bide.map({ 10, 1, 1, 1, 1, 1 }, bide.sleep, { limit = 2 })
    assert.near(10, bide.now() - start, 1e-6)
  end))

  describe("when one fails", function()
    it("cancels and joins the rest, then raises the error untouched", virtual(function()
      local log, value = {}, {}
      assert.equal(value, tasks.raised(bide.map, { 1, 2, 3, 4, 5 }, function(x)
        if x == 3 then
          bide.sleep(1)
          error(value)
        end
        local _ <close> = setmetatable({}, {
          __close = function()
            bide.shield(bide.sleep, 2)
            log[#log + 1] = x
          end,
        })
        bide.sleep(100)
      end, { limit = 4 }))
      table.sort(log)
      assert.same({ 1, 2, 4 }, log)
    end))

    it("draws no more", virtual(function()
      local drawn = 0
      tasks.raised(bide.map, function()
        drawn = drawn + 1
        return drawn
      end, function(x)
        bide.sleep(1)
        if x == 2 then error "x" end
        bide.sleep(100)
      end, { limit = 3 })
      assert.equal(3, drawn)
    end))

    it("ends a wait of the iterator", virtual(function()
      local start, first = bide.now(), true
      assert.equal("x", tasks.raised(bide.map, function()
        if first then
          first = false
          return 1
        end
        bide.sleep(100)
      end, function()
        bide.sleep(1)
        error("x", 0)
      end))
      assert.near(1, bide.now() - start, 1e-6)
    end))

    it("has the other errors as details", virtual(function()
      local err = tasks.raised(bide.map, { "a", "b", "c" }, function(x)
        local ok = pcall(bide.sleep, x == "b" and 1 or 100)
        error({ x, ok })
      end)
      assert.same({ "b", true }, err)
      local others = bide.details(err).others
      assert.equal(2, #others)
    end))

    it("counts the cancellation of one from outside as failure", virtual(function()
      local task
      local code = tasks.code(bide.map, { 1, 2 }, function(x)
        if x == 1 then
          task = bide.current()
          bide.sleep(100)
        end
        bide.sleep(1)
        task:cancel()
      end)
      assert.equal("ECANCELED", code)
    end))
  end)

  it("when the iterator fails cancels and joins, then raises that", virtual(function()
    local log, i = {}, 0
    local value = {}
    assert.equal(value, tasks.raised(bide.map, function()
      i = i + 1
      if i <= 2 then return i end
      bide.sleep(1)
      error(value)
    end, function(x)
      local _ <close> = setmetatable({}, { __close = function() log[#log + 1] = x end })
      bide.sleep(100)
    end))
    assert.same({ 2, 1 }, log)
  end))

  describe("cancelled", function()
    it("cancels and joins all", virtual(function()
      local log = {}
      local task = bide.spawn(bide.map, upto(3), function(x) tasks.waiter(log, x)() end)
      bide.sleep(1)
      task:cancel()
      pcall(task.await, task)
      assert.equal("cancelled", task:status())
      assert.same({ 3, 2, 1 }, log)
    end))

    it("while it waits for a place does the same", virtual(function()
      local log = {}
      local task = bide.spawn(bide.map, upto(9), function(x) tasks.waiter(log, x)() end,
        { limit = 2 })
      bide.sleep(1)
      task:cancel()
      pcall(task.await, task)
      assert.same({ 2, 1 }, log)
    end))

    it("while the iterator waits does the same", virtual(function()
      local log, first = {}, true
      local task = bide.spawn(bide.map, function()
        if not first then bide.sleep(100) end
        first = false
        return 1
      end, function(x) tasks.waiter(log, x)() end)
      bide.sleep(1)
      task:cancel()
      pcall(task.await, task)
      assert.equal("cancelled", task:status())
      assert.same({ 1 }, log)
    end))

    it("and a child fails over that, raises the child's error, wherever it stands",
      virtual(function()
      for _, limit in ipairs { 1, 2 } do -- waits for a place, or for the end
        local value = {}
        local task = bide.spawn(bide.map, { 1, 2 }, function(i)
          pcall(bide.sleep, 100)
          if i == 1 then error(value) end
        end, { limit = limit })
        bide.sleep(1)
        task:cancel()
        assert.equal(value, tasks.raised(task.await, task))
      end
    end))

    it("before it begins starts nothing", function()
      local ran = false
      local task = bide.spawn(function()
        bide.current():cancel()
        bide.map({ 1 }, function() ran = true end)
      end)
      pcall(task.await, task)
      assert.is_false(ran)
    end)

    it("by a timeout raises ETIMEDOUT", virtual(function()
      assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, bide.map, { 1 }, function()
        bide.sleep(100)
      end))
    end))
  end)

  it("nests", function()
    local results = bide.map({ 1, 2, 3 }, function(x)
      return table.concat(bide.map({ 1, 2 }, function(y) return x * y end), " ")
    end, { limit = 2 })
    assert.same({ "1 2", "2 4", "3 6", n = 3 }, results)
  end)

  it("runs a hundred thousand of a list", function()
    local list, n = {}, tasks.many(100000)
    for i = 1, n do list[i] = i end
    local results = bide.map(list, function(x) return x + 1 end)
    assert.equal(n, results.n)
    assert.equal(n + 1, results[n])
    assert.equal(2, results[1])
  end)

  it("runs any number of an iterator in flat memory without collecting", function()
    local function bytes()
      collectgarbage()
      collectgarbage()
      return collectgarbage "count"
    end
    local n, half = tasks.many(20000), nil
    local before = bytes()
    local count = bide.map(upto(n), function(i)
      if i == n // 2 then half = bytes() end
    end, { collect = false })
    assert.equal(n, count)
    assert.is_true(half - before < 64)
  end)

  it("tells its caller in the traceback", function()
    local err = tasks.raised(bide.map, { 1 }, function() error "x" end)
    local traceback = bide.details(err).traceback
    assert.match("awaited by task", traceback)
    assert.match("map", traceback)
  end)

  it("raises for wrong arguments", function()
    assert.match("'bide.map'.*list or iterator.*got number", tasks.raised(bide.map, 1, print))
    assert.match("function expected, got nil", tasks.raised(bide.map, {}, nil))
    assert.match("unknown option 'limits'", tasks.raised(bide.map, {}, print, { limits = 1 }))
    assert.match("'limit'.*got 0", tasks.raised(bide.map, {}, print, { limit = 0 }))
    assert.match("'limit'.*got 1.5", tasks.raised(bide.map, {}, print, { limit = 1.5 }))
    assert.match("'collect'", tasks.raised(bide.map, {}, print, { collect = 1 }))
  end)
end)
