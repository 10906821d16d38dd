-- SPDX-License-Identifier: MIT
-- What a kept-alive connection costs the HTTP server between two requests: memory with 10,000
-- less memory with none.

local idle = require "driver.idle"

return {
  rounds = 1,
  rows = {
    { key = "bytes", name = "idle http connection", unit = "B", at_most = 540,
      baseline = "C: libuv, looks for the blank line" },
  },
  setup = function(ctx) ctx:need_bide("http.serve") end,
  bide = function(ctx) return idle.round(ctx, ctx:bide("http_server.lua"), "http") end,
  baseline = function(ctx) return idle.round(ctx, ctx:program("http_server"), "http") end,
}
