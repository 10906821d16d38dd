-- SPDX-License-Identifier: MIT
-- spawn.lua COUNT BATCH: spawns empty tasks BATCH at a time and awaits each.

local bide = require "bide"

local count, batch = tonumber(arg[1]), tonumber(arg[2])

local function empty() end

local function one_by_one()
  for _ = 1, count do bide.spawn(empty):await() end
end

local function in_batches()
  local tasks = {}
  for _ = 1, count // batch do
    for i = 1, batch do tasks[i] = bide.spawn(empty) end
    for i = 1, batch do tasks[i]:await() end
  end
end

local start = os.clock()
bide.run(batch == 1 and one_by_one or in_batches)
local took = os.clock() - start
print(("ns %.2f"):format(took / count * 1e9))
