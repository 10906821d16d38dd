-- SPDX-License-Identifier: MIT
-- Finalizers that use bide: from within a run, from within each other, and when the state closes.
local bide = require "bide"

local function bomb(f)
  setmetatable({}, { __gc = function() pcall(f) end })
end

local kept = {}
bide.run(function()
  local gate = bide.future()
  local acts = {
    function() bide.sleep(0) end,
    function() bide.sleep(1) end,
    function() kept[#kept + 1] = bide.spawn(function() bide.sleep(0) end) end,
    function() bide.gather(print, gate) end,
    function() gate:await() end,
    function() bide.run(function() bide.sleep(0) end) end,
    function() bide.group(function(g) g:spawn(bide.sleep, 0) end) end,
    function() bide.timeout(0.001, bide.sleep, 1) end,
    function() bide.shield(bide.sleep, 0) end,
    function() bide.current():cancel() end,
    function() coroutine.wrap(function() bide.sleep(0) end)() end,
    function() collectgarbage() end,
    function() error {} end,
  }
  for round = 1, 3 do
    for _, act in ipairs(acts) do
      bomb(act)
      pcall(bide.spawn(function()
        bomb(act)
        for _ = 1, 50 do local _ = { {} } end
        collectgarbage "step"
        pcall(bide.sleep, 0)
      end).await, bide.spawn(function() end))
    end
    pcall(collectgarbage)
    pcall(bide.shield, bide.sleep, 0.001)
    if round == 3 then gate:resolve() end
  end
  for _, act in ipairs(acts) do bomb(act) end
  for _, act in ipairs(acts) do kept[#kept + 1] = setmetatable({},
    { __gc = function() pcall(act) end }) end
end)
for _ = 1, 5 do
  kept[#kept + 1] = setmetatable({}, { __gc = function()
    pcall(bide.run, function() bide.sleep(0) end)
    pcall(bide.spawn, print)
    local future = bide.future()
    pcall(future.resolve, future, 1)
    pcall(future.await, future)
  end })
end
print "survived"
os.exit(0, true)
