-- SPDX-License-Identifier: MIT
-- Properties in which time is involved are shown under both clocks: the same body, once with the
-- virtual one and once with the real one. A body never relies on two real timers firing in a
-- certain turn of the loop: times are 1 for "soon" and 1000 for "never", and `meet` makes moments
-- one.
local bide = require "bide"
local tasks = require "spec.support.tasks"

local M = {}

local REAL_UNIT = 0.004

--- Under the real clock: holds the loop until `units` are past, so that whatever was to come
--- meanwhile comes in one turn. Under the virtual one equal times are equal: nothing to do.
local function hold(units)
  local past = bide.now() + units * REAL_UNIT
  while bide.now() < past do end
end

--- `it` for such properties: both(title, body), body(s, meet): `s` is the unit in seconds.
function M.both(it)
  return function(title, body)
    it(title .. " (virtual clock)", tasks.virtual(function() body(1, function() end) end))
    it(title .. " (real clock)", function()
      bide.run(body, REAL_UNIT, hold)
    end)
  end
end

return M
