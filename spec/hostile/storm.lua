-- SPDX-License-Identifier: MIT
-- Everything cancels everything: tasks that cancel themselves, each other, their group, the task
-- that
-- joins them, in clean-up, while being cancelled.
local bide = require "bide"
local seed = 12345
local function random(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return seed // 65536 % n + 1
end

bide.on_unhandled(function() end)
local all = {}
local function victim() return #all > 0 and all[random(#all)] or bide.current() end
local budget = 4000

local act
local acts = {
  function() bide.sleep(0) end,
  function() bide.sleep(0.0002 * random(5)) end,
  function() victim():cancel(random(9)) end,
  function() bide.current():cancel() end,
  function() victim():await() end,
  function() bide.timeout(0.0001 * random(5), act) end,
  function() bide.timeout(0.001, victim()) end,
  function() bide.shield(act) end,
  function() bide.gather(act, act, victim()) end,
  function() bide.gather { act, k = act } end,
  function() bide.race { act, act } end,
  function() bide.any { act, victim() } end,
  function() bide.settle { act, act } end,
  function() bide.run(act) end,
  function() bide.group(function(g)
    all[#all + 1] = g:spawn(act)
    g:spawn(act)
    if random(2) == 1 then g:cancel() end
    act()
    g:spawn(act)
  end) end,
  function() all[#all + 1] = bide.spawn(act) end,
  function() all[#all + 1] = bide.daemon(act) end,
  function() local _ <close> = setmetatable({}, { __close = function() act() end }) act() end,
  function() coroutine.wrap(function() act() coroutine.yield() end)() end,
  function() error { random(9) } end,
  function() victim():on_done(act) end,
  function() if random(20) == 1 then collectgarbage() end end,
  function() all = {} end,
}
function act()
  budget = budget - 1
  if budget < 0 then return end
  for _ = 1, random(3) do acts[random(#acts)]() end
end

for _ = 1, 20 do
  budget = 400
  pcall(bide.run, function()
    for _ = 1, 30 do all[#all + 1] = bide.spawn(act) end
    pcall(bide.shield, bide.sleep, 0.001)
  end)
end
print "survived"
os.exit(0)
