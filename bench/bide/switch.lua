-- SPDX-License-Identifier: MIT
-- switch.lua TASKS TURNS: that many tasks, each giving way that often.

local bide = require "bide"

local tasks, turns = tonumber(arg[1]), tonumber(arg[2])
local done = 0

local function worker()
  for _ = 1, turns do bide.sleep(0) end
  done = done + 1
end

local start = os.clock()
bide.run(function()
  for _ = 1, tasks do bide.spawn(worker) end
end)
local took = os.clock() - start
assert(done == tasks)
print(("ns %.2f"):format(took / (tasks * turns) * 1e9))
