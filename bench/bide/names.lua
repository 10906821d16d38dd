-- SPDX-License-Identifier: MIT
-- names.lua PORT COUNT: COUNT names looked up at once, every other one met with silence, while a
-- task wakes each millisecond.

local bide = require "bide"

bide.dns.servers { "127.0.0.1:" .. arg[1] }

local began, worst, n, sum, last = bide.now(), 0, 0, 0, 0

local ticker = bide.daemon(function()
  while true do
    local before = bide.now()
    bide.sleep(0.001)
    worst = math.max(worst, bide.now() - before - 0.001)
  end
end)

local function look_up(name)
  if not bide.try(bide.dns.resolve, name, { timeout = math.huge }) then return end
  local took = bide.now() - began
  n, sum, last = n + 1, sum + took, math.max(last, took)
end

bide.group(function(g)
  for i = 0, tonumber(arg[2]) - 1 do
    g:spawn(look_up, (i % 2 == 1 and "silent%d.test." or "good%d.test."):format(i))
  end
end)
ticker:cancel()

local file <close> = io.open "/proc/self/status"
print(("found %d\nmean %.2f\nlast %.2f\nall %.2f\nlate %.1f\nmemory %d"):format(n, sum / n, last,
  bide.now() - began, worst * 1e3, file:read "a":match "VmHWM:%s+(%d+)"))
