-- SPDX-License-Identifier: MIT
-- Grows random trees of tasks for so many seconds of processor time, and looks at what is left.
-- BIDE_STRESS_SEED repeats one tree: the seed of one that failed stands in the error.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local testing = require "bide.core".testing
local tree = require "spec.stress.tree"

local BATCH, WARM, KILOBYTES = 20, 200, 64

--- Errors that nobody receives are part of it (those of a race's losers), but only those that a
--- tree raises itself, or bide's.
local function watch(f)
  local strange
  local before = bide.on_unhandled(function(err, _, traceback)
    if type(err) ~= "table" then strange = tostring(err) .. (traceback or "") end
  end)
  local _ <close> = setmetatable({}, { __close = function() bide.on_unhandled(before) end })
  f()
  if strange then error(strange, 0) end
end

local function grow(seed)
  local ok, err = pcall(watch, function() bide.run(tree.grow, seed) end)
  if not ok then error(("seed %d: %s"):format(seed, tostring(err)), 0) end
end

local function bytes()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

--- Raises when memory, tasks, timers or handles have grown since then.
local function compare(warm, counts)
  local now, grown = testing.counts(), bytes() - warm
  if grown > KILOBYTES then error(("memory has grown by %d KB"):format(grown // 1), 0) end
  for _, name in ipairs { "tasks", "timers", "alarms", "deadlines", "handles" } do
    if now[name] ~= counts[name] then
      error(("%s: %d were %d"):format(name, now[name], counts[name]), 0)
    end
  end
end

return function(seconds)
  local only = tonumber(os.getenv "BIDE_STRESS_SEED" or "")
  if only then return tasks.virtual(function() grow(only) end)() end
  local first, n, till = os.time() * 1000, 0, os.clock() + seconds
  local warm, counts
  repeat
    tasks.virtual(function()
      for _ = 1, BATCH do
        n = n + 1
        grow(first + n)
      end
    end)()
    if n == WARM then
      warm, counts = bytes(), testing.counts()
    end
  until os.clock() > till
  if warm then compare(warm, counts) end
  return n
end
