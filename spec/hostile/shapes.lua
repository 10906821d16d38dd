-- SPDX-License-Identifier: MIT
-- Lists that change under the reader, lists with metatables, and huge or odd arguments.
local bide = require "bide"

bide.run(function()
  local function f() bide.sleep(0) return 1 end
  local lists = {
    setmetatable({}, { __index = function() return f end, __len = function() return 1e9 end }),
    setmetatable({ f, f }, { __index = error, __len = error, __pairs = error }),
    { [1] = f, [2 ^ 53] = f }, { [math.maxinteger] = f }, { [0] = f }, { [-1] = f }, { [1.5] = f },
    { [f] = f }, { [true] = f }, { f, [3] = f }, { n = f }, { n = 5, f },
    { [""] = f, ["\0"] = f, [("k"):rep(1e5)] = f },
  }
  for _, name in ipairs { "gather", "settle", "race", "any", "wait", "map", "as_completed" } do
    local combine = bide[name]
    for _, list in ipairs(lists) do
      if combine then pcall(combine, list) end
    end
  end
  local items = {}
  for i = 1, 100 do
    items[i] = function()
      items[i], items[i + 1], items[i * 7] = nil, false, f
      bide.sleep(0)
      return i
    end
  end
  pcall(bide.gather, items)
  for _, s in ipairs { 0, -0.0, 5e-324, 1e-12, math.mininteger, -1, 0 / 0 } do
    pcall(bide.sleep, s)
    pcall(bide.timeout, s, f)
    pcall(bide.timeout, s, bide.sleep, 0.001)
  end
  for _, s in ipairs { math.huge, 1e308, 2 ^ 63, math.maxinteger, 1e15, 1.8446744073e10 } do
    local task = bide.spawn(bide.sleep, s)
    bide.timeout(s, f)
    task:cancel()
    pcall(task.await, task)
  end
  local function results(n) return bide.spawn(function() return table.unpack({}, 1, n) end) end
  assert(select("#", results(200000):await()) == 200000)
  assert(bide.settle { results(200000) }[1].n == 200000)
  local future = bide.future()
  future:resolve(table.unpack({}, 1, 200000))
  assert(select("#", future:await()) == 200000)
  local task = bide.spawn(function(...) return select("#", ...) end, table.unpack({}, 1, 200000))
  assert(task:await() == 200000)
  task = bide.spawn(f)
  task:name(("n"):rep(1e6))
  assert(#task:name() > 0 and #tostring(task) > 0)
  task:await()
end)
print "survived"
