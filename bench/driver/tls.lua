-- SPDX-License-Identifier: MIT
-- A certificate for 127.0.0.1, made on the fly and gone with the context.

local process = require "driver.process"

local M = {}

---Paths of a self-signed certificate and its key (P-256, as the web uses).
function M.certificate(ctx)
  ctx:need("openssl")
  local cert, key = ctx.tmp .. "/cert.pem", ctx.tmp .. "/key.pem"
  local made = os.execute(process.quote_all({
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
    "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
    "-keyout", key, "-out", cert,
  }) .. " 2>/dev/null")
  if not made then error("openssl req failed", 0) end
  return cert, key
end

return M
