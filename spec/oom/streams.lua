-- SPDX-License-Identifier: MIT
-- streams.lua: servers, connections, queued writes, datagrams, names, while memory runs out.

local bide = require "bide"

-- A server without memory drops its connection: what its client sees of it.
local function need(ok)
  if not ok then error("not enough memory: the other side went away", 0) end
end

local function starved(f)
  local ok, err = pcall(f)
  local code = not ok and type(err) == "table" and err.code
  if not ok then error((code == "ECONNRESET" or code == "EPIPE") and need(false) or err, 0) end
end

bide.run(function()
  local big = ("x"):rep(3000000)
  local server <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
    for line in s:lines() do s:write(line, "\n", big) end
  end)
  local host, port = server:address()
  starved(function()
    local s <close> = bide.tcp.connect("localhost", port, { family = 4 })
    s:write("hello", "\n")
    need(s:read_line() == "hello")
    need(#(s:read_exactly(#big) or "") == #big)
    s:shutdown()
    assert(s:read_all() == "")
  end)
  pcall(bide.timeout, 0.001, function()
    local s <close> = bide.tcp.connect(host, port)
    s:read()
  end)
  bide.timeout(20, function()
    local a <close> = bide.udp.bind("127.0.0.1", 0)
    local waiting = bide.spawn(a.recv, a)
    a:send("datagram", a:address())
    assert(waiting:await() == "datagram")
    assert(bide.dns.resolve("localhost")[1] == "127.0.0.1")
  end)
end)
