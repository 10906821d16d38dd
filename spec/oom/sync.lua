-- SPDX-License-Identifier: MIT
-- Channels, select, locks, conditions, events, variables.

local bide = require "bide"

bide.run(function()
  local ch, buffered = bide.channel(), bide.channel(20)
  local lock, condition, event = bide.lock(), bide.condition(), bide.event()
  local var = bide.var "default"
  var:set "v"

  bide.group(function(g)
    g:spawn(function()
      for i = 1, 12 do
        ch:send(i)
        buffered:send(i)
      end
      ch:close()
    end)
    g:spawn(function()
      local sum = 0
      for v in ch do sum = sum + v end
      assert(sum == 78 and var:get() == "v")
      event:set()
    end)
    g:spawn(function()
      lock:with(bide.sleep, 0)
      event:wait()
      condition:with(function() condition:notify() end)
    end)
    local held <close> = lock:acquire()
    local _ <close> = condition:acquire()
    held:release()
    condition:wait()
  end)
  assert(#buffered == 12)

  local index, value = bide.select { { ch }, { buffered }, timeout = 1 }
  assert(index == 1 and value == nil)
  local quiet = bide.channel()
  assert(bide.select { { quiet }, { quiet, "v" }, timeout = 0 } == nil)
  local guard = bide.semaphore(2):acquire()
  guard:release()
end)
