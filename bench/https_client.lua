-- SPDX-License-Identifier: MIT
-- https beside plain http, both ours: CPU time of the client per http_get of 1,024 bytes at 64 in
-- flight on kept connections.

local http = require "driver.http"
local tls = require "driver.tls"

local COUNT, IN_FLIGHT = 20000, 64

local function round(ctx, ...)
  local result = ctx:run(ctx:bide("http_client.lua", ...))
  return { us = result.cpu / COUNT * 1e6 }
end

return {
  rows = {
    { key = "us", name = "https_get, keep-alive", unit = "us", ratio_at_most = 1.5,
      baseline = "bide: http_get without TLS" },
  },
  setup = function(ctx)
    ctx:need_bide("tls.connect")
    local cert, key = tls.certificate(ctx)
    local plain = http.nginx(ctx)
    local directives = ("ssl_certificate %s; ssl_certificate_key %s;"):format(cert, key)
    local secure = http.nginx(ctx, directives)
    return { cert = cert, plain = plain.port, secure = secure.port }
  end,
  bide = function(ctx, state)
    local url = ("https://127.0.0.1:%d/"):format(state.secure)
    return round(ctx, url, COUNT, IN_FLIGHT, "keep", state.cert)
  end,
  baseline = function(ctx, state)
    return round(ctx, ("http://127.0.0.1:%d/"):format(state.plain), COUNT, IN_FLIGHT, "keep")
  end,
}
