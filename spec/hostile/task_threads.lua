-- SPDX-License-Identifier: MIT
-- The threads of tasks in the hands of user code: resumed, closed, yielded from, kept after the
-- end.
local resume, close = coroutine.resume, coroutine.close
local bide = require "bide"

bide.run(function()
  local threads = {}
  local function keep(f)
    return function(...)
      threads[#threads + 1] = coroutine.running()
      return f(...)
    end
  end
  local all = {
    bide.spawn(keep(bide.sleep), 0.002),
    bide.spawn(keep(function() bide.future():await() end)),
    bide.spawn(keep(function() error "x" end)),
    bide.spawn(keep(function() return 1 end)),
    bide.spawn(keep(function() bide.gather(keep(bide.sleep, 0), keep(function() end)) end)),
  }
  bide.sleep(0)
  threads[#threads + 1] = coroutine.running()
  for _ = 1, 3 do
    for _, thread in ipairs(threads) do
      for _, f in ipairs { resume, close, coroutine.resume, coroutine.close, coroutine.status,
        debug.traceback } do
        if f ~= close or coroutine.status(thread) ~= "suspended" then pcall(f, thread) end
      end
      pcall(coroutine.wrap(function() coroutine.close(thread) end))
    end
    bide.sleep(0)
    collectgarbage()
  end
  for _, task in ipairs(all) do
    task:cancel()
    pcall(task.await, task)
  end
end)
print "survived"
