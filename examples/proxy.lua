-- SPDX-License-Identifier: MIT
-- A TCP proxy. `pipe_streams` copies both ways and reads no faster than the other side takes, so a
-- slow client slows its server down instead of filling memory.
--
--     bide examples/proxy.lua                             shows it, with a reader that is slow
--     bide examples/proxy.lua PORT TARGET_HOST TARGET_PORT
--
-- With a certificate behind these (PEM files: CERT KEY) it ends TLS and speaks plainly to the
-- target.
local bide = require "bide"

local function forwarder(host, port)
  return function(client)
    local ok, target = bide.try(bide.tcp.connect, host, port)
    if not ok then
      io.stderr:write("proxy: ", tostring(target), "\n")
      return
    end
    local upstream <close> = ok
    bide.try(bide.pipe_streams, client, upstream) -- a reset of either side ends both
  end
end

local function listen(port, forward, cert, key)
  if not cert then return bide.tcp.listen("127.0.0.1", port, forward) end
  return bide.tls.listen("127.0.0.1", port, forward, { cert = cert, key = key })
end

--- A server that sends as fast as it is read, and counts.
local function source(total)
  local sent = { bytes = 0 }
  local server = bide.tcp.listen("127.0.0.1", 0, function(stream)
    local piece = ("x"):rep(65536)
    while sent.bytes < total and bide.try(stream.write, stream, piece) do
      sent.bytes = sent.bytes + #piece
    end
  end, { daemon = true })
  return sent, server:address()
end

bide.run(function(port, target_host, target_port, cert, key)
  if target_host then
    local server <close> = listen(tonumber(port), forwarder(target_host, tonumber(target_port)),
      cert, key)
    return server:wait()
  end
  local total = 256 << 20
  local sent, host, at = source(total)
  local proxy <close> = listen(0, forwarder(host, at))
  local reader <close> = bide.tcp.connect(proxy:address())
  reader:read_exactly(65536)
  local before
  repeat -- the reader is slow: what is under way fills up, and then no more is sent
    before = sent.bytes
    bide.sleep(0.2)
  until sent.bytes == before
  print("held back", before < total)
  local n = 65536
  for _ = 1, 64 do n = n + #reader:read_exactly(1 << 20) end
  print("went on", sent.bytes > before)
end, ...)
