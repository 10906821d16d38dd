-- SPDX-License-Identifier: MIT
-- Groups, shields and waits inside plain coroutines.

local bide = require "bide"

bide.run(function()
  local done = 0
  bide.group(function(g)
    for _ = 1, 3 do
      g:spawn(function()
        bide.sleep(0)
        done = done + 1
      end)
    end
  end)
  assert(done == 3)

  assert(bide.shield(function()
    bide.sleep(0)
    return "kept"
  end) == "kept")

  local generator = coroutine.wrap(function()
    for i = 1, 3 do
      bide.sleep(0)
      coroutine.yield(i)
    end
  end)
  local sum = 0
  for value in generator do sum = sum + value end
  assert(sum == 6)
end)
