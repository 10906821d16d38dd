-- SPDX-License-Identifier: MIT
-- Coroutines that wait are resumed and dropped by functions taken before bide was loaded: as a
-- module, those are Lua's own.
local create, resume, close, wrap = coroutine.create, coroutine.resume, coroutine.close,
  coroutine.wrap
local bide = require "bide"

bide.run(function()
  local gate = bide.future()
  local other = bide.spawn(function() bide.sleep(0) return 1 end)
  local waits = {
    function() bide.sleep(0.001) end,
    function() gate:await() end,
    function() bide.gather(function() bide.sleep(0.001) end, gate) end,
    function() bide.race { function() bide.sleep(1) end, gate } end,
    function() bide.group(function(g) g:spawn(bide.sleep, 0.001) bide.sleep(0.001) end) end,
    function() bide.timeout(0.001, bide.sleep, 1) end,
    function() bide.shield(bide.sleep, 0.001) end,
    function() bide.run(function() bide.spawn(bide.sleep, 0.001) bide.sleep(0.001) end) end,
    function()
      bide.timeout(1, function() bide.group(function(g) g:spawn(gate.await, gate) end) end)
    end,
  }
  for _, wait in ipairs(waits) do
    local co = create(wait)
    pcall(bide.timeout, 0.002, resume, co)
    pcall(close, co)
    pcall(bide.timeout, 0.002, function() wrap(wait)() end)
    collectgarbage()
  end
  for _, wait in ipairs(waits) do
    -- a task whose coroutine another task tries to resume and close
    local co = coroutine.create(wait)
    local task = bide.spawn(function() return coroutine.resume(co) end)
    bide.sleep(0)
    pcall(resume, co)
    pcall(close, co)
    collectgarbage()
    task:cancel()
    bide.sleep(0)
    pcall(coroutine.resume, co)
    pcall(task.await, task)
  end
  gate:resolve()
  other:await()
  bide.sleep(0.005)
end)
print "survived"
