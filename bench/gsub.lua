-- SPDX-License-Identifier: MIT
-- string.gsub, whose callback may wait in bide, with callbacks that do not.

local COUNT = 2000000

return {
  rounds = 5,
  rows = {
    { key = "words", name = "gsub, a function per word", unit = "ns", ratio_at_most = 1.2,
      baseline = "lua5.4: string.gsub" },
    { key = "bytes", name = "gsub, a function per byte", unit = "ns", ratio_at_most = 1.2,
      baseline = "lua5.4: string.gsub" },
    { key = "text", name = "gsub, a string per word", unit = "ns", ratio_at_most = 1.2,
      baseline = "lua5.4: string.gsub" },
  },
  bide = function(ctx) return ctx:run(ctx:bide("gsub.lua", ctx:scale(COUNT, COUNT // 10))) end,
  baseline = function(ctx)
    return ctx:run(ctx:lua("../bide/gsub.lua", ctx:scale(COUNT, COUNT // 10)))
  end,
}
