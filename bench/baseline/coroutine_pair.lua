-- SPDX-License-Identifier: MIT
-- coroutine_pair.lua COUNT: what stock Lua pays for a resume and a yield that hands over a value.

local count = tonumber(arg[1])

local producer = coroutine.wrap(function()
  for i = 1, count do coroutine.yield(i) end
end)

local start, last = os.clock(), nil
for _ = 1, count do last = producer() end
local took = os.clock() - start
assert(last == count)
print(("ns %.2f"):format(took / count * 1e9))
