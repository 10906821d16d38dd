-- SPDX-License-Identifier: MIT
-- sort.lua COUNT: sorts that many random numbers, and tables by a field; CPU ns per element. Runs
-- unchanged in stock Lua.

local count = tonumber(arg[1])
local ROUNDS = 20

local function numbers(seed)
  local list = {}
  for i = 1, count do
    seed = (seed * 1103515245 + 12345) % 2147483648
    list[i] = seed
  end
  return list
end

local function objects(seed)
  local list = numbers(seed)
  for i, key in ipairs(list) do list[i] = { key = key } end
  return list
end

local function less(a, b) return a < b end

local function measure(name, make, before)
  local took, check = 0, before or less
  for round = 1, ROUNDS do
    local list = make(round)
    collectgarbage()
    local start = os.clock()
    table.sort(list, before)
    took = took + os.clock() - start
    for i = 2, count do assert(not check(list[i], list[i - 1])) end
  end
  print(("%s %.2f"):format(name, took / ROUNDS / count * 1e9))
end

measure("plain", numbers)
measure("compared", numbers, less)
measure("fields", objects, function(a, b) return a.key < b.key end)
