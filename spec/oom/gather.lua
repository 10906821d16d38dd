-- SPDX-License-Identifier: MIT
-- Combinators and cancellation: children that are owned must be joined even when memory runs out.

local bide = require "bide"

local function after(n, value)
  return function()
    for _ = 1, n do bide.sleep(0) end
    return value
  end
end

bide.run(function()
  local a, b = bide.gather(after(1, "a"), after(2, "b"))
  assert(a == "a" and b == "b")
  local named = bide.gather { x = after(1, 1), y = after(2, 2) }
  assert(named.x + named.y == 3)
  assert(bide.race { after(50, "slow"), after(1, "fast") } == "fast")

  local ok, err = pcall(bide.timeout, 0.001, bide.sleep, 60)
  assert(not ok)
  if not bide.is_timeout(err) then error(err, 0) end

  local closed = false
  local task = bide.spawn(function()
    local guard <close> = setmetatable({}, { __close = function() closed = true end })
    bide.sleep(60)
    return guard
  end)
  bide.sleep(0)
  task:cancel()
  ok, err = pcall(task.await, task)
  assert(not ok)
  if not bide.is_cancelled(err) then error(err, 0) end
  assert(closed)
end)
