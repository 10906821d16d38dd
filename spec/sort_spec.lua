-- SPDX-License-Identifier: MIT
-- table.sort in the program: Lua's, but for comparators that may wait.
local bide = require "bide"
local process = require "spec.support.process"

local in_program = os.getenv "BIDE_MODE" == "program"
if not in_program then return end -- the module leaves Lua's own alone

local function waiting_less(a, b)
  bide.sleep(0)
  return a < b
end

--- The numbers 1 to n in an order that looks random.
local function shuffled(n)
  local list = {}
  for i = 1, n do list[i] = (i * 7919) % (n + 1) end
  return list
end

local function sorted_upto(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

-- Prints what sorting does to many lists, in Lua's way to the last comparison.
local everything = [[
  local function show(ok, ...) print(ok, ...) end
  local function try(f, ...) show(pcall(f, ...)) end
  for n = 0, 120 do
    local list, calls, seen = {}, 0, 0
    for i = 1, n do list[i] = (i * 7919) % (n // 2 + 1) end
    table.sort(list, function(a, b)
      calls, seen = calls + 1, (seen * 31 + a * 7 + b) % 1000003
      return a < b
    end)
    print(n, calls, seen, table.concat(list, " "))
    for i = 1, n do list[i] = tostring((i * 31) % 50) end
    table.sort(list)
    print(table.concat(list, " "))
  end
  for _, list in ipairs { 1, "x", { 1, "x" }, { {}, {} }, { 1, nil, 3 }, { true, false } } do
    try(table.sort, list)
  end
  try(table.sort)
  try(table.sort, { 1, 2 }, {})
  try(table.sort, {}, 1)
  try(table.sort, { 2, 1 }, nil, "ignored")
  try(function() table.sort({ 1, 2, 3, 4, 5, 6 }, function() return true end) end)
  try(function() table.sort({ 3, 2, 1 }, function() error "raised" end) end)
  try(table.sort, setmetatable({}, { __len = function() return math.maxinteger end }))
  try(table.sort, setmetatable({}, { __len = function() return -1 end }))
  try(table.sort, setmetatable({}, { __len = function() return "x" end }))
  local log, raw = {}, { 5, 2, 8, 1, 9, 3 }
  local proxy = setmetatable({}, {
    __len = function() return #raw end,
    __index = function(_, i) log[#log + 1] = "get" .. i return raw[i] end,
    __newindex = function(_, i, v) log[#log + 1] = "set" .. i raw[i] = v end,
  })
  table.sort(proxy)
  print(table.concat(raw, " "), table.concat(log, " "))
]]

describe("table.sort in the program #core", function()
  it("does what Lua's does: order, comparisons, accesses, errors", function()
    local stock = process.run { "lua5.4", "-e", everything }
    assert.equal(0, stock.status)
    assert.same(stock, process.bide("-e", everything))
  end)

  it("waits in the comparator, at every length", function()
    for _, n in ipairs { 2, 3, 4, 5, 17, 150 } do
      local list = shuffled(n)
      table.sort(list, waiting_less)
      assert.same(sorted_upto(n), list)
    end
  end)

  it("waits in the elements' __lt", function()
    local ordered = { __lt = function(a, b)
      bide.sleep(0)
      return a.value < b.value
    end }
    local list = shuffled(40)
    for i = 1, 40 do list[i] = setmetatable({ value = list[i] }, ordered) end
    table.sort(list)
    for i = 1, 40 do assert.equal(i, list[i].value) end
  end)

  it("lets other tasks run meanwhile, which may sort too", function()
    local a, b = shuffled(30), shuffled(31)
    bide.gather(function() table.sort(a, waiting_less) end,
      function() table.sort(b, waiting_less) end)
    assert.same(sorted_upto(30), a)
    assert.same(sorted_upto(31), b)
  end)

  it("sorts while a comparator sorts", function()
    local list = shuffled(9)
    table.sort(list, function(x, y)
      local inner = { y, x }
      table.sort(inner, waiting_less)
      return x ~= y and inner[1] == x
    end)
    assert.same(sorted_upto(9), list)
  end)

  it("waits inside a plain coroutine, which may also yield", function()
    local list = shuffled(12)
    local next_pair = coroutine.wrap(function()
      table.sort(list, function(a, b)
        bide.sleep(0)
        coroutine.yield(a, b)
        return a < b
      end)
    end)
    local pairs_seen = 0
    while next_pair() do pairs_seen = pairs_seen + 1 end
    assert.is_true(pairs_seen > 11)
    assert.same(sorted_upto(12), list)
  end)

  it("raises what the comparator raises after a wait, the value untouched", function()
    local value = {}
    local ok, err = pcall(table.sort, { 3, 1, 2 }, function()
      bide.sleep(0)
      error(value)
    end)
    assert.is_false(ok)
    assert.equal(value, err)
  end)

  it("finds a comparator that is no order, also when it waits", function()
    local ok, err = pcall(table.sort, shuffled(20), function()
      bide.sleep(0)
      return true
    end)
    assert.is_false(ok)
    assert.matches("invalid order function for sorting", err)
  end)

  it("is left by a cancellation in the middle", function()
    local list, comparisons = shuffled(50), 0
    local task
    task = bide.spawn(function()
      table.sort(list, function(a, b)
        comparisons = comparisons + 1
        if comparisons == 20 then task:cancel() end
        return waiting_less(a, b)
      end)
    end)
    local _, err = pcall(task.await, task)
    assert.is_true(bide.is_cancelled(err))
    assert.equal(task, err.task)
    assert.equal(20, comparisons)
  end)

  it("cannot wait while it reads or writes elements, and says so", function()
    local list = setmetatable({}, {
      __len = function() return 2 end,
      __index = function() bide.sleep(0) end,
      __newindex = function() end,
    })
    local ok, err = pcall(table.sort, list)
    assert.is_false(ok)
    assert.equal("ENOYIELD", err.code)
    assert.matches("table.sort", err.message, 1, true)
  end)

  it("survives a list that changes its length while it is sorted", function()
    local list = shuffled(100)
    pcall(table.sort, list, function(a, b)
      list[#list] = nil
      bide.sleep(0)
      return (a or 0) < (b or 0)
    end)
  end)
end)
