-- SPDX-License-Identifier: MIT
-- Several runs in a row. The loop lives as long as the Lua state, a run as long as its tasks: each
-- bide.run returns when its main function and all that it spawned have ended.
local bide = require "bide"

local function after(seconds, value)
  return function()
    bide.sleep(seconds)
    return value
  end
end

--- A run with a gather of its own; what it returns, bide.run returns.
local function total(...)
  local items = {}
  for i, value in ipairs { ... } do
    items[i] = after(0.01 * i, value)
  end
  local sum = 0
  for _, value in ipairs(bide.gather(items)) do
    sum = sum + value
  end
  return sum
end

print("first run", bide.run(total, 1, 2, 3))
print("second run", bide.run(total, 10, 20, 30))

-- An error of main comes out of bide.run; the tasks of that run have ended by then.
local ok, err = pcall(bide.run, function()
  bide.gather(after(60, "never"), function() error("it went wrong", 0) end)
end)
print("third run", ok, err)

-- And the next run starts afresh.
print("fourth run", bide.run(function()
  return bide.race { after(60, "slow"), after(0.01, "quick") }
end))

-- A run inside a run is a child of the task that calls it.
print("fifth run", bide.run(function()
  return bide.run(total, 100, 200) + bide.run(total, 1, 2)
end))
