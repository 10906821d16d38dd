-- SPDX-License-Identifier: MIT
-- Depth: coroutines, pcalls, runs, groups, timeouts and shields nested until something says no.
local bide = require "bide"

local function nest(call)
  local depth = 0
  local function inner()
    depth = depth + 1
    if depth % 50 == 0 then bide.sleep(0) end
    if depth < 400 then return call(inner) end
    bide.sleep(0)
    return "bottom"
  end
  return pcall(inner)
end

bide.run(function()
  nest(function(f) return coroutine.wrap(f)() end)
  nest(function(f) return select(2, assert(pcall(f))) end)
  nest(function(f) return bide.run(f) end)
  nest(function(f) return bide.group(f) end)
  nest(function(f) return bide.timeout(10, f) end)
  nest(function(f) return bide.shield(f) end)
  nest(function(f) return bide.try(f) end)
  nest(function(f) return bide.gather(f) end)
  nest(function(f) return bide.race { f } end)
  nest(function(f) return bide.spawn(f):await() end)
  nest(function(f) return setmetatable({}, { __index = f }).x end)
  nest(function(f) return xpcall(f, f) end)
  nest(function(f) local _ <close> = setmetatable({}, { __close = f }) end)
  nest(function(f) return string.gsub("x", "x", f) end)
  nest(function(f) return coroutine.wrap(function() return bide.timeout(10, f) end)() end)
  do
    local function forever() return 1 + forever() end
    pcall(bide.spawn(forever).await, bide.spawn(forever))
    pcall(bide.group, function(g) g:spawn(forever) forever() end)
    pcall(bide.timeout, 1, forever)
    pcall(bide.gather, forever, forever)
    pcall(coroutine.wrap(forever))
  end
  bide.on_unhandled(function() end)
end)
print "survived"
os.exit(0) -- errors that nobody took are not the point
