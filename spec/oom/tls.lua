-- SPDX-License-Identifier: MIT
-- TLS: a server and its clients, a handshake that fails, a tunnel through a proxy. The certificate
-- is made once, for all attempts.
local bide = require "bide"

local PEM = "build/log/oom.pem"
if not io.open(PEM) then
  os.execute(([[mkdir -p build/log && openssl req -x509 -newkey ec -nodes -days 3650 -subj /CN=x \
    -pkeyopt ec_paramgen_curve:prime256v1 -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -keyout %s.new -out %s.new >/dev/null 2>&1 && mv %s.new %s]]):gsub("%%s", PEM))
end

local server <close> = bide.http.serve({ port = 0, cert = PEM, log = function() end },
  function(req) return req.path end)
local _, port = server:address()
local base = "https://localhost:" .. port

local function check(what)
  if not what then error("not enough memory", 0) end
  return what
end

-- What memory the other side lacks is a broken connection, a silence, or an answer of 500 or 503.
local broken = { ECONNRESET = true, EPIPE = true, EPROTO = true, ETIMEDOUT = true, ETLS = true,
  ECONNREFUSED = true, EPROXY = true }
local function attempt(f)
  local results = table.pack(pcall(f))
  if results[1] then return table.unpack(results, 2) end
  local err = results[2]
  check(type(err) ~= "table" or not broken[err.code])
  error(err, 0)
end

local opts = { ca = PEM, timeout = 2 }
attempt(function()
  bide.gather(function() return bide.http_get(base .. "/a", opts) end,
    function() return bide.http_get(base .. "/b", opts) end)
  check(bide.http_get(base .. "/c", opts).body == "/c")
end)

attempt(function()
  local ok, err = pcall(bide.http_get, base, { timeout = 2 })
  check(not ok and type(err) == "table" and err.reason == "self_signed")
end)

attempt(function()
  local s <close> = bide.tls.connect("localhost", port, { ca = PEM, timeout = 2 })
  s:write "GET /d HTTP/1.0\r\n\r\n"
  s:shutdown()
  check(s:read_all():find "/d" and s:tls_info().peer)
end)

attempt(function()
  local proxy <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
    s:read_until "\r\n\r\n"
    local up <close> = bide.tcp.connect("127.0.0.1", port)
    s:write "HTTP/1.1 200 OK\r\n\r\n"
    pcall(bide.pipe_streams, s, up)
  end, { daemon = true })
  local _, at = proxy:address()
  local session <close> = bide.http.session { ca = PEM, timeout = 2,
    proxy = "http://u:p@127.0.0.1:" .. at }
  check(session:get(base .. "/e").status == 200)
end)
