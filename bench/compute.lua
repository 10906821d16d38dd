-- SPDX-License-Identifier: MIT
-- Slices: how long requests wait beside a task that computes without end, and what slices cost a
-- loop that nobody need interrupt.

local UNIT = { us = 1e-3, ms = 1, s = 1e3 }

-- The 99th percentile, in milliseconds, of 64 busy connections. The server is there only meanwhile:
-- it takes a core.
local function p99(ctx, ...)
  local server = ctx:serve(ctx:bide("compute_server.lua", ...))
  local argv = { "wrk", "-t1", "-c64", "-d" .. ctx:scale(5, 2) .. "s", "--latency",
    ("http://127.0.0.1:%d/"):format(server.port) }
  local out = ctx:run(argv).out
  server:stop()
  local number, unit = out:match("99%%%s+([%d.]+)(%a+)")
  if out:find("Non%-2xx") or out:find("Socket errors") then error("wrk: " .. out, 0) end
  return assert(tonumber(number), out) * UNIT[unit]
end

local function loop(ctx, option)
  local script = ctx.dir .. "/bide/tight_loop.lua"
  return ctx:run(option and { ctx.bide_path, option, script } or { ctx.bide_path, script }).ns
end

return {
  rounds = 5,
  rows = {
    { key = "p99", name = "p99 beside compute", unit = "ms", at_most = 25,
      baseline = "the same server alone" },
    { key = "ns", name = "tight loop, --slice=10", unit = "ns", ratio_at_most = 1.05,
      baseline = "without --slice" },
  },
  setup = function(ctx)
    ctx:need("wrk")
    ctx:need_bide("compute")
  end,
  bide = function(ctx) return { p99 = p99(ctx, "compute"), ns = loop(ctx, "--slice=10") } end,
  baseline = function(ctx) return { p99 = p99(ctx), ns = loop(ctx) } end,
}
