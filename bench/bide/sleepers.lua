-- SPDX-License-Identifier: MIT
-- sleepers.lua COUNT: that many tasks, each sleeping for one second, all at once.

local bide = require "bide"

local count = tonumber(arg[1])

local function status_kb(field)
  local f <close> = assert(io.open("/proc/self/status"))
  return assert(tonumber(f:read("a"):match(field .. ":%s*(%d+)")))
end

local before, done = status_kb("VmRSS"), 0

local function sleeper()
  bide.sleep(1)
  done = done + 1
end

bide.run(function()
  for _ = 1, count do bide.spawn(sleeper) end
end)
assert(done == count)
print(("rss_before_kb %d\nrss_peak_kb %d"):format(before, status_kb("VmHWM")))
