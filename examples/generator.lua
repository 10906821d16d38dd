-- SPDX-License-Identifier: MIT
-- Plain coroutines that wait: a generator that sleeps before each value, and a receiver that values
-- are sent into. Nothing here is special: coroutine.wrap and coroutine.yield are Lua's own idea.
local bide = require "bide"

--- Yields the squares of 1 to n; each takes a while to compute elsewhere.
local function squares(n)
  return coroutine.wrap(function()
    for i = 1, n do
      bide.sleep(0.02)
      coroutine.yield(i * i)
    end
  end)
end

--- A receiver: each value sent in is stored, which takes a while; it answers with the sum so far.
local function adder()
  local receiver = coroutine.wrap(function()
    local sum = 0
    while true do
      local value = coroutine.yield(sum)
      bide.sleep(0.01)
      sum = sum + value
    end
  end)
  receiver() -- runs to its first yield, ready to receive
  return receiver
end

local function main()
  -- Another task goes on while the generator waits.
  local ticks = 0
  local ticker = bide.spawn(function()
    while true do
      bide.sleep(0.005)
      ticks = ticks + 1
    end
  end)

  for square in squares(4) do
    print("generated", square)
  end

  local add = adder()
  for _, value in ipairs { 5, 10, 20 } do
    print("sent", value, "sum", add(value))
  end

  -- A generator that draws from a generator.
  local function evens(source)
    return coroutine.wrap(function()
      for value in source do
        if value % 2 == 0 then coroutine.yield(value) end
      end
    end)
  end
  for square in evens(squares(4)) do
    print("even", square)
  end

  ticker:cancel()
  print("others ran meanwhile", ticks > 0)
end

bide.run(main)
