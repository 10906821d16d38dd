-- SPDX-License-Identifier: MIT
-- What a connection costs whose handler waits in read(): memory with 10,000 less memory with none.

local idle = require "driver.idle"

return {
  rounds = 1,
  rows = {
    { key = "bytes", name = "idle tcp connection", unit = "B", at_most = 1800,
      baseline = "C: libuv" },
  },
  setup = function(ctx) ctx:need_bide("tcp.listen") end,
  bide = function(ctx) return idle.round(ctx, ctx:bide("echo_server.lua"), "quiet") end,
  baseline = function(ctx) return idle.round(ctx, ctx:program("echo_server"), "quiet") end,
}
