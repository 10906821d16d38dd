-- SPDX-License-Identifier: MIT
-- One gather over a million empty functions.

local COUNT = 1000000

return {
  rows = {
    { key = "ns", name = "gather of 1e6, each", unit = "ns", at_most = 700,
      baseline = "lua5.4: coroutine create + run + finish" },
  },
  setup = function(ctx) ctx:need_bide("gather") end,
  bide = function(ctx) return ctx:run(ctx:bide("gather.lua", COUNT)) end,
  baseline = function(ctx) return ctx:run(ctx:lua("coroutine_run.lua", COUNT)) end,
}
