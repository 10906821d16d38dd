-- SPDX-License-Identifier: MIT
-- Every combinator takes a hundred thousand members (under a sanitizer fewer), and a waiter leaves
-- its place in constant time.
local bide = require "bide"
local tasks = require "spec.support.tasks"

local slow = (os.getenv "BIDE_BUILD" or ""):match "[at]san$"
local N = tasks.many(slow and 20000 or 100000)

--- N times what make(i) gives.
local function list_of(make)
  local list = {}
  for i = 1, N do list[i] = make(i) end
  return list
end

local function ends_at_once() return "v" end

--- A function that waits for `gate`.
local function waiting_for(gate)
  return function() return gate:await() end
end

local function count(list)
  local n = 0
  for _, ok, value in bide.as_completed(list) do
    n = n + (ok and value == "v" and 1 or 0)
  end
  return n
end

--- What each gives of N members whose result is "v".
local calls = {
  gather = function(list)
    local results = bide.gather(list)
    assert.equal("v", results[N])
    return results.n
  end,
  settle = function(list)
    local entries = bide.settle(list)
    assert.equal("v", entries[N][1])
    return entries.n
  end,
  race = function(list)
    assert.equal("v", bide.race(list))
    return N
  end,
  any = function(list)
    assert.equal("v", bide.any(list))
    return N
  end,
  as_completed = count,
  map = function(list)
    return bide.map(list, function(f) return f() end, { limit = math.huge }).n
  end,
  group = function(list)
    local n = 0
    bide.group(function(g)
      for i = 1, N do
        g:spawn(function()
          list[i]()
          n = n + 1
        end)
      end
    end)
    return n
  end,
  wait = function(list)
    for i = 1, N do list[i] = bide.spawn(list[i]) end
    return #bide.wait(list)
  end,
}

describe("a hundred thousand members #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  for name, call in pairs(calls) do
    it("work in " .. name, function()
      assert.equal(N, call(list_of(function() return ends_at_once end)))
    end)

    it("work in " .. name .. " when all of them wait", function()
      local gate = bide.future()
      local opener = bide.spawn(function()
        bide.sleep(0)
        gate:resolve "v"
      end)
      assert.equal(N, call(list_of(function() return waiting_for(gate) end)))
      opener:await()
    end)
  end

  it("work when they are awaitables that are handed in, and are let go at once", function()
    local gate, winner = bide.future(), bide.future()
    local list = list_of(function() return bide.spawn(waiting_for(gate)) end)
    list[N] = winner
    tasks.turns(1)
    winner:resolve "first"
    assert.equal("first", bide.race(list))
    assert.equal("first", bide.any(list))
    assert.equal(1, #bide.wait(list, { count = 1 }))
    for _, _, value in bide.as_completed(list) do
      assert.equal("first", value)
      if N > 0 then break end
    end
    gate:resolve "v"
    assert.equal(N, bide.settle(list).n)
  end)

  it("are ten thousand as arguments", function()
    local list, n = {}, math.min(N, 10000)
    for i = 1, n do list[i] = ends_at_once end
    assert.equal(n, select("#", bide.gather(table.unpack(list))))
    local awaited = {}
    for i = 1, n do awaited[i] = bide.spawn(ends_at_once) end
    assert.equal(n, select("#", bide.await(table.unpack(awaited))))
  end)
end)

describe("a waiter among tens of thousands #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  local waits = {
    ["a future"] = function(o) o.future:await() end,
    ["a task"] = function(o) o.task:await() end,
    ["a race for a task"] = function(o) bide.race { o.task, o.future } end,
    ["a channel"] = function(o) o.channel:recv() end,
    ["two channels"] = function(o) bide.select { { o.channel }, { o.other } } end,
    ["a lock"] = function(o) o.lock:acquire() end,
    ["an event"] = function(o) o.event:wait() end,
  }
  for name, wait in pairs(waits) do
    -- a search through the queue would take n * n / 4 steps: here some ten seconds
    it("for " .. name .. " leaves its place in constant time", function()
      local n = tasks.many(slow and 10000 or 40000)
      local o = { future = bide.future(), channel = bide.channel(), other = bide.channel(),
        lock = bide.lock(), event = bide.event() }
      local _ <close> = o.lock:acquire()
      o.task = bide.spawn(function() o.future:await() end)
      local list = {}
      for i = 1, n do list[i] = bide.spawn(wait, o) end
      tasks.turns(1)
      local start = os.clock()
      for i = 1, n do -- from the middle outwards: far from either end
        local at = n // 2 + (i % 2 == 0 and i // 2 or -(i // 2))
        list[math.max(1, math.min(n, at))]:cancel()
      end
      assert.is_true(os.clock() - start < 2)
      for i = 1, n do list[i]:cancel() end
      bide.settle(list)
      o.future:resolve()
      o.task:await()
    end)
  end
end)
