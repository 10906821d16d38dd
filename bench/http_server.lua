-- SPDX-License-Identifier: MIT
-- The HTTP server with a Lua handler: CPU time per request beside raw libuv, at 64 and at 1,000
-- connections.

local http = require "driver.http"

local function round(ctx, server)
  local few = http.load(ctx, server, 64, ctx:scale(3, 1))
  local many = http.load(ctx, server, 1000, ctx:scale(3, 1))
  return { few = few.us, many = many.us }
end

return {
  rows = {
    { key = "few", name = "http server, 64", unit = "us", ratio_at_most = 1.25,
      baseline = "C: libuv, looks for the blank line" },
    { key = "many", name = "http server, 1,000", unit = "us", ratio_at_most = 1.25,
      baseline = "C: libuv, looks for the blank line" },
  },
  setup = function(ctx)
    ctx:need("wrk")
    ctx:need_bide("http.serve")
    local state = {
      bide = ctx:serve(ctx:bide("http_server.lua")),
      baseline = ctx:serve(ctx:program("http_server")),
    }
    http.check_server(ctx, state.bide)
    http.check_server(ctx, state.baseline)
    return state
  end,
  bide = function(ctx, state) return round(ctx, state.bide) end,
  baseline = function(ctx, state) return round(ctx, state.baseline) end,
}
