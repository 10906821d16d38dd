-- SPDX-License-Identifier: MIT
-- What specs of tasks share: the check that nothing is left behind, the virtual clock, and the ways
-- to look at an error. A spec file says `before_each(tasks.mark) after_each(tasks.check)`.
local bide = require "bide"
local testing = require "bide.core".testing

local M = {}

local marked

-- The portable build has a handle for each socket, also for one that is about to close.
local counted = { "tasks", "timers", "alarms", "deadlines", "requests" }
if not (os.getenv "BIDE_BUILD" or ""):find "portable" then counted[#counted + 1] = "handles" end

--- Notes what lives now: the runner itself is a task.
function M.mark()
  marked = testing.counts()
end

--- Fails unless exactly as much lives as was noted: every task, handle and timer of the spec is
--- gone.
function M.check()
  local now = testing.counts()
  for _, name in ipairs(counted) do
    if now[name] > marked[name] then
      error(("%d %s left behind"):format(now[name] - marked[name], name), 0)
    end
  end
end

--- A spec body under the virtual clock: time jumps to the next timer when no task is ready. The
--- body is a run of its own, so that nothing is timed any more when the clock is switched back.
function M.virtual(f)
  return function()
    testing.virtual(true)
    local ok, err = pcall(bide.run, f)
    testing.virtual(false)
    if not ok then error(err, 0) end
  end
end

--- How many to use where many are meant: n, or few in the build that collects garbage at each step,
--- in which the work grows with the square, and in the one whose sanitizer takes each switch of
--- coroutines for a call that never returns.
function M.many(n)
  local build = os.getenv "BIDE_BUILD" or ""
  return math.min(n, build:match "gc$" and 60 or build:match "tsan$" and 500 or n)
end

--- Calls f and returns the error it raised; fails when it returned.
function M.raised(f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then
    error(("expected an error, got %d results"):format(results.n - 1), 2)
  end
  return results[2]
end

--- The code of the error that f raised, or the error itself when it has none.
function M.code(f, ...)
  local err = M.raised(f, ...)
  return type(err) == "table" and err.code or err
end

--- Lets every task that is ready now run, n times over.
function M.turns(n)
  for _ = 1, n or 1 do
    bide.sleep(0)
  end
end

--- A function that waits until it is cancelled and notes in `log` that it was.
function M.waiter(log, name)
  return function()
    local _ <close> = setmetatable({}, { __close = function() log[#log + 1] = name end })
    bide.future():await()
  end
end

--- Runs f with the handler of unhandled errors replaced; returns a list of {err=, task=,
--- traceback=}.
function M.unhandled(f)
  local seen = {}
  local before = bide.on_unhandled(function(err, task, traceback)
    seen[#seen + 1] = { err = err, task = task, traceback = traceback }
  end)
  local _restore <close> = setmetatable({}, { __close = function() bide.on_unhandled(before) end })
  f()
  return seen
end

return M
