-- SPDX-License-Identifier: MIT
-- http_get of 1,024 bytes at 64 in flight from one nginx: CPU time of the client per request on
-- kept connections, and requests per second with a new connection each.

local http = require "driver.http"

local KEEP, NEW, IN_FLIGHT = 20000, 5000, 64

return {
  rows = {
    { key = "us", name = "http_get, keep-alive", unit = "us", ratio_at_most = 1.4,
      baseline = "wrk -t1 -c64, same nginx" },
    { key = "rate", name = "http_get, new connections", unit = "/s", ratio_at_least = 0.7,
      baseline = "wrk -t1 -c64, same nginx" },
  },
  setup = function(ctx)
    ctx:need("wrk")
    ctx:need_bide("http_get")
    return ("http://127.0.0.1:%d/"):format(http.nginx(ctx).port)
  end,
  bide = function(ctx, url)
    local keep = ctx:run(ctx:bide("http_client.lua", url, KEEP, IN_FLIGHT, "keep"))
    local new = ctx:run(ctx:bide("http_client.lua", url, NEW, IN_FLIGHT, "new"))
    return { us = keep.cpu / KEEP * 1e6, rate = new.per_second }
  end,
  baseline = function(ctx, url)
    local keep = http.wrk(ctx, url, IN_FLIGHT, 1)
    local new = http.wrk(ctx, url, IN_FLIGHT, 1, "Connection: close")
    return { us = keep.cpu / keep.requests * 1e6, rate = new.per_second }
  end,
}
