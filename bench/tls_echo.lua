-- SPDX-License-Identifier: MIT
-- TLS echo, 64 connections of 64 bytes in ping-pong: the server's CPU time per round trip.

local tls = require "driver.tls"

local CONNECTIONS = 64

local function round(ctx, server)
  local before = server:cpu()
  local load = ctx:program("echo_load", server.port, CONNECTIONS, ctx:scale(2000, 1000), "tls")
  local result = ctx:run(load)
  return { us = (server:cpu() - before) / result.round_trips * 1e6 }
end

return {
  rows = {
    { key = "us", name = "tls echo, round trip", unit = "us", ratio_at_most = 1.3,
      baseline = "C: epoll and OpenSSL" },
  },
  setup = function(ctx)
    ctx:need_bide("tls.listen")
    local cert, key = tls.certificate(ctx)
    return {
      bide = ctx:serve(ctx:bide("echo_server.lua", cert, key)),
      baseline = ctx:serve(ctx:program("tls_echo_server", cert, key)),
    }
  end,
  bide = function(ctx, state) return round(ctx, state.bide) end,
  baseline = function(ctx, state) return round(ctx, state.baseline) end,
}
