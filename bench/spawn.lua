-- SPDX-License-Identifier: MIT
-- A task's whole life: spawn and await one that does nothing, one by one and a thousand at a time.

local COUNT, BATCH = 1000000, 1000

local function ns_of(result) return result.ns end

return {
  rounds = 5,
  rows = {
    { key = "single", name = "spawn + await", unit = "ns", ratio_at_most = 1.0,
      baseline = "lua5.4: coroutine create + run + finish" },
    { key = "batch", name = "spawn 1,000, await all", unit = "ns", ratio_at_most = 1.0,
      baseline = "lua5.4: coroutine create + run + finish" },
  },
  bide = function(ctx)
    local count = ctx:scale(COUNT, COUNT // 4)
    return {
      single = ns_of(ctx:run(ctx:bide("spawn.lua", count, 1))),
      batch = ns_of(ctx:run(ctx:bide("spawn.lua", count, BATCH))),
    }
  end,
  baseline = function(ctx)
    local ns = ns_of(ctx:run(ctx:lua("coroutine_run.lua", ctx:scale(COUNT, COUNT // 4))))
    return { single = ns, batch = ns }
  end,
}
