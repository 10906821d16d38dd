-- SPDX-License-Identifier: MIT
-- TCP echo, 64 connections of 64 bytes in ping-pong: the server's CPU time per round trip.

local CONNECTIONS = 64

local function round(ctx, server)
  local before = server:cpu()
  local load = ctx:program("echo_load", server.port, CONNECTIONS, ctx:scale(2000, 1000))
  local result = ctx:run(load)
  return { us = (server:cpu() - before) / result.round_trips * 1e6 }
end

return {
  rounds = 5,
  rows = {
    { key = "us", name = "tcp echo, round trip", unit = "us", ratio_at_most = 1.2,
      baseline = "C: libuv" },
  },
  setup = function(ctx)
    ctx:need_bide("tcp.listen")
    return {
      bide = ctx:serve(ctx:bide("echo_server.lua")),
      baseline = ctx:serve(ctx:program("echo_server")),
    }
  end,
  bide = function(ctx, state) return round(ctx, state.bide) end,
  baseline = function(ctx, state) return round(ctx, state.baseline) end,
}
