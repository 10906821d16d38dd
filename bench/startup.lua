-- SPDX-License-Identifier: MIT
-- Start-up: from fork to the end of an empty script.

local function times(ctx, program)
  return ctx:run(ctx:program("launch", "times", ctx:scale(200, 60), program, "/dev/null"))
end

return {
  rounds = 5,
  quick_rounds = 3,
  rows = {
    { key = "ms", name = "start-up, empty script", unit = "ms", ratio_at_most = 1.5,
      baseline = "lua5.4" },
  },
  bide = function(ctx) return times(ctx, ctx.bide_path) end,
  baseline = function(ctx) return times(ctx, "lua5.4") end,
}
