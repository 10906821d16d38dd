-- SPDX-License-Identifier: MIT
-- One GiB over loopback into a sink: rate, and the sink's peak memory.

local function round(ctx, argv)
  local server <close> = ctx:serve(argv)
  local result = ctx:run(ctx:program("stream_source", server.port, ctx:scale(1024, 256)))
  return { rate = result.mb_per_s, peak = server:memory("VmHWM") * 1024 / 1e6 }
end

return {
  rows = {
    { key = "rate", name = "tcp stream, 1 GiB", unit = "MB/s", ratio_at_least = 0.9,
      baseline = "C: libuv sink" },
    { key = "peak", name = "tcp stream, peak memory", unit = "MB", at_most = 8,
      baseline = "C: libuv sink" },
  },
  setup = function(ctx) ctx:need_bide("tcp.listen") end,
  bide = function(ctx) return round(ctx, ctx:bide("tcp_sink.lua")) end,
  baseline = function(ctx) return round(ctx, ctx:program("tcp_sink")) end,
}
