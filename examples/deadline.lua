-- SPDX-License-Identifier: MIT
-- One deadline around everything beneath it: tasks, locks, channels. What is waited for when the
-- time is up is undone, clean-up runs, and one error says what happened.
local bide = require "bide"

local lock, updates = bide.lock(), bide.channel()

local function step(name, seconds)
  local _ <close> = setmetatable({}, { __close = function() print("cleaned up", name) end })
  bide.sleep(seconds)
  return name
end

local function job()
  local _ <close> = lock:acquire()
  print("first", bide.gather(function() return step("a", 0.001) end, function()
    return step("b", 0.002)
  end))
  bide.gather(
    function() step("slow", 60) end,
    function()
      bide.shield(bide.sleep, 0.01) -- not to be interrupted: the deadline waits for its end
      updates:recv() -- for what never comes
    end)
end

bide.run(function()
  local ok, err = pcall(bide.timeout, 0.1, job)
  print("in time", ok)
  print(err.code, ("after %g s"):format(err.after))
  print("the lock is held", lock:locked())
  print("somebody still receives", updates:try_send "late")
end)
