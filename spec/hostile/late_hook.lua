-- SPDX-License-Identifier: MIT
-- A coroutine that was made in the moment when the end of a slice had been marked on its maker, and
-- that a finalizer starts when the state closes, after bide has: by Lua's own resume, if there is
-- one.
local resume = coroutine.resume
local kept = {}
local _last = setmetatable({}, { __gc = function()
  for _, co in ipairs(kept) do resume(co) end
  print "survived"
end })
local bide = require "bide"

bide.run(function()
  local computing = bide.compute(function()
    local create, gethook, clock = coroutine.create, debug.gethook, os.clock
    local made, start = {}, clock()
    local function lua() return 1 end
    while not kept[3] and clock() - start < 2 do
      for i = 1, 1000 do made[i] = create(lua) end
      for i = 1, 1000 do if gethook(made[i]) then kept[#kept + 1] = made[i] end end
    end
  end)
  bide.spawn(function()
    while not computing:done() do bide.sleep(0) end
  end)
end)
os.exit(0, true)
