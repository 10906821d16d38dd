-- SPDX-License-Identifier: MIT
-- Tasks, sleeps, errors through awaits, futures: what every script is made of.

local bide = require "bide"

bide.run(function()
  local tasks = {}
  for i = 1, 5 do
    tasks[i] = bide.spawn(function(n)
      bide.sleep(0)
      return n, tostring(n)
    end, i)
  end
  local sum = 0
  for i = 1, 5 do sum = sum + tasks[i]:await() end
  assert(sum == 15)

  local failing = bide.spawn(function() error("expected", 0) end)
  local ok, err = pcall(failing.await, failing)
  assert(not ok)
  if err ~= "expected" then error(err, 0) end

  local future = bide.future()
  bide.spawn(function() future:resolve("value") end)
  assert(future:await() == "value")
end)
