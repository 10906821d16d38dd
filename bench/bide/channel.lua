-- SPDX-License-Identifier: MIT
-- channel.lua COUNT: hands that many values from one task to another, each received before the
-- next is sent.

local bide = require "bide"

local count = tonumber(arg[1])
local channel = bide.channel()

local function sender()
  for i = 1, count do channel:send(i) end
  channel:close()
end

local start, sum = os.clock(), 0
bide.run(function()
  bide.spawn(sender)
  for v in channel do sum = sum + v end
end)
local took = os.clock() - start
assert(sum == count * (count + 1) // 2)
print(("ns %.2f"):format(took / count * 1e9))
