-- SPDX-License-Identifier: MIT
-- gather.lua COUNT: one gather over that many empty functions.

local bide = require "bide"

local count = tonumber(arg[1])

local function empty() end

local list = {}
for i = 1, count do list[i] = empty end
local start = os.clock()
local results = bide.run(function() return bide.gather(list) end)
local took = os.clock() - start
assert(results.n == count)
print(("ns %.2f"):format(took / count * 1e9))
