-- SPDX-License-Identifier: MIT
-- One million sleeps of one second at once: wall time of the whole program, and memory of each.

local COUNT = 1000000

local function figures(result)
  return {
    wall = result.wall,
    bytes = (result.rss_peak_kb - result.rss_before_kb) * 1024 / COUNT,
  }
end

return {
  rows = {
    { key = "wall", name = "1e6 sleeps of 1 s", unit = "s", ratio_at_most = 1.6,
      baseline = "C: 1e6 uv_timer_t" },
    { key = "bytes", name = "memory of a sleeping task", unit = "B", at_most = 1400,
      baseline = "C: 1e6 uv_timer_t" },
  },
  bide = function(ctx) return figures(ctx:run(ctx:bide("sleepers.lua", COUNT))) end,
  baseline = function(ctx) return figures(ctx:run(ctx:program("sleepers", COUNT))) end,
}
