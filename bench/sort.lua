-- SPDX-License-Identifier: MIT
-- table.sort, whose comparator may wait in bide, with comparators that do not.

local COUNT = 100000

return {
  rounds = 5,
  rows = {
    { key = "plain", name = "table.sort, no comparator", unit = "ns", ratio_at_most = 1.2,
      baseline = "lua5.4: table.sort" },
    { key = "compared", name = "table.sort, a < b", unit = "ns", ratio_at_most = 1.2,
      baseline = "lua5.4: table.sort" },
    { key = "fields", name = "table.sort, a.key < b.key", unit = "ns", ratio_at_most = 1.2,
      baseline = "lua5.4: table.sort" },
  },
  bide = function(ctx) return ctx:run(ctx:bide("sort.lua", ctx:scale(COUNT, COUNT // 10))) end,
  baseline = function(ctx)
    return ctx:run(ctx:lua("../bide/sort.lua", ctx:scale(COUNT, COUNT // 10)))
  end,
}
