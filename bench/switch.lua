-- SPDX-License-Identifier: MIT
-- A switch between tasks: 1,000 tasks, each giving way 1,000 times.

local TASKS, TURNS = 1000, 1000

return {
  rounds = 5,
  rows = {
    { key = "ns", name = "switch, sleep(0)", unit = "ns", ratio_at_most = 1.3,
      baseline = "lua5.4: coroutine.wrap, resume + yield" },
  },
  bide = function(ctx) return ctx:run(ctx:bide("switch.lua", TASKS, ctx:scale(TURNS, 500))) end,
  baseline = function(ctx)
    return ctx:run(ctx:lua("coroutine_pair.lua", TASKS * ctx:scale(TURNS, 500)))
  end,
}
