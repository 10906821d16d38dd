-- SPDX-License-Identifier: MIT
-- Lua's own close, taken before bide was loaded, drops the stacks of suspended tasks.
local close = coroutine.close
local bide = require "bide"

bide.run(function()
  local function drop(f)
    local thread
    local task = bide.spawn(function()
      thread = coroutine.running()
      f()
    end)
    bide.sleep(0)
    pcall(close, thread)
    collectgarbage()
    task:cancel()
    bide.sleep(0)
    pcall(bide.timeout, 0.01, task)
  end
  drop(function() bide.sleep(0.001) end)
  drop(function() bide.future():await() end)
  drop(function() bide.gather(function() bide.sleep(0.001) end) end)
  drop(function() bide.group(function(g) g:spawn(bide.sleep, 0.001) end) end)
  drop(function() bide.timeout(0.001, bide.sleep, 1) end)
  drop(function() bide.shield(bide.sleep, 0.001) end)
  drop(function() bide.run(bide.sleep, 0.001) end)
  bide.sleep(0.01)
end)
print "survived"
