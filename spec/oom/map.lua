-- SPDX-License-Identifier: MIT
-- map, as_completed, wait, interval.

local bide = require "bide"

bide.run(function()
  local function double(x)
    bide.sleep(0)
    return x * 2
  end
  local list = bide.map({ 1, 2, 3, 4, 5 }, double, { limit = 2 })
  assert(list[5] == 10 and list.n == 5)

  local i = 0
  assert(bide.map(function()
    bide.sleep(0)
    i = i + 1
    return i <= 4 and i or nil
  end, double, { collect = false }) == 4)

  local sum = 0
  for _, ok, v in bide.as_completed { function() return 1 end, function() return double(1) end } do
    assert(ok, v)
    sum = sum + v
  end
  assert(sum == 3)
  local function never() bide.future():await() end
  local iterator, state, none, closing = bide.as_completed { never, function() return "v" end }
  do
    local _ <close> = closing
    local index, ok, err = iterator(state)
    assert(ok, err)
    assert(none == nil and index == 2)
  end

  local future, task = bide.future(), bide.spawn(double, 1)
  local ended, pending = bide.wait({ future, task }, { count = 1, timeout = 10 })
  assert(ended[1] == task and pending[1] == future)

  for n in bide.interval(1e-6) do
    if n > 1 then break end
  end
end)
