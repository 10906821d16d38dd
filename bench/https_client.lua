-- SPDX-License-Identifier: MIT
-- https beside plain http: CPU time of the client per GET of 1,024 bytes at 64 in flight on kept
-- connections. Ours with TLS beside ours without, and beside C with OpenSSL; the connections are
-- made before the clock starts. (The second row tells what of the first is OpenSSL's.)

local http = require "driver.http"
local tls = require "driver.tls"

local COUNT, IN_FLIGHT = 50000, 64

local function bide(ctx, scheme, port, ...)
  local url = ("%s://127.0.0.1:%d/"):format(scheme, port)
  return ctx:run(ctx:bide("http_client.lua", url, COUNT, IN_FLIGHT, "keep", ...)).us
end

local function raw(ctx, ...) return ctx:run(ctx:program("get_client", ...)).us end

return {
  rows = {
    { key = "us", name = "https_get, keep-alive", unit = "us", ratio_at_most = 1.5,
      baseline = "bide: http_get without TLS" },
    { key = "floor", name = "https_get, keep-alive", unit = "us", ratio_at_most = 1.4,
      baseline = "C: epoll and OpenSSL, same nginx" },
    { key = "openssl", name = "the same in C, epoll and OpenSSL", unit = "us",
      baseline = "C: epoll without TLS" },
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
    local us = bide(ctx, "https", state.secure, state.cert)
    return { us = us, floor = us, openssl = raw(ctx, state.secure, COUNT, IN_FLIGHT, state.cert) }
  end,
  baseline = function(ctx, state)
    return { us = bide(ctx, "http", state.plain),
      floor = raw(ctx, state.secure, COUNT, IN_FLIGHT, state.cert),
      openssl = raw(ctx, state.plain, COUNT, IN_FLIGHT) }
  end,
}
