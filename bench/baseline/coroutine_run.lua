-- SPDX-License-Identifier: MIT
-- coroutine_run.lua COUNT: what stock Lua pays to create a coroutine, run it and see it end.

local count = tonumber(arg[1])

local function empty() end

local start = os.clock()
for _ = 1, count do coroutine.resume(coroutine.create(empty)) end
local took = os.clock() - start
print(("ns %.2f"):format(took / count * 1e9))
