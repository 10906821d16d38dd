-- SPDX-License-Identifier: MIT
-- A value handed from task to task through a channel of capacity 0.

local COUNT = 1000000

return {
  rounds = 5,
  rows = {
    { key = "ns", name = "channel hand-over", unit = "ns", at_most = 400,
      baseline = "lua5.4: coroutine.wrap, resume + yield" },
  },
  setup = function(ctx) ctx:need_bide("channel") end,
  bide = function(ctx) return ctx:run(ctx:bide("channel.lua", ctx:scale(COUNT, COUNT // 2))) end,
  baseline = function(ctx)
    return ctx:run(ctx:lua("coroutine_pair.lua", ctx:scale(COUNT, COUNT // 2)))
  end,
}
