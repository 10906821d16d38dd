-- SPDX-License-Identifier: MIT
-- table.sort, whose comparator may wait in bide, with comparators that do not. As many elements as
-- the caches hold: with more it is the allocators' layout that is measured.

local COUNT = 20000

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
  bide = function(ctx) return ctx:run(ctx:bide("sort.lua", ctx:scale(COUNT, COUNT // 4))) end,
  baseline = function(ctx)
    return ctx:run(ctx:lua("../bide/sort.lua", ctx:scale(COUNT, COUNT // 4)))
  end,
}
