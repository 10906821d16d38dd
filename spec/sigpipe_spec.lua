-- SPDX-License-Identifier: MIT
-- Writes to an end that has gone are errors, never the end of the process: in each a process of its
-- own, in which SIGPIPE means what it means by default.

local certs = require "spec.support.certs"
local script = require "spec.support.script"

-- Writes until it fails, and tells how; `peer` is a stream whose other end closes at once.
local WRITE = [[
local bide = require "bide"
local cert, key, dir = %q, %q, %q
local function write_on(peer)
  local ok, err = pcall(peer.read, peer) -- its end: the first write is answered by a reset
  repeat
    ok, err = pcall(peer.write, peer, ("x"):rep(10000))
    bide.sleep(0.001)
  until not ok
  print(err.code)
end
local function leave(s) s:close() end
]]

local cases = {
  tcp = [[
    local server <close> = bide.tcp.listen("127.0.0.1", 0, leave, { daemon = true })
    local s <close> = bide.tcp.connect(server:address())
    write_on(s)]],
  unix = [[
    local server <close> = bide.unix.listen(dir .. "/pipe.sock", leave, { daemon = true })
    local s <close> = bide.unix.connect(dir .. "/pipe.sock")
    write_on(s)]],
  ["a TLS client"] = [[
    local opts = { cert = cert, key = key, daemon = true }
    local server <close> = bide.tls.listen("127.0.0.1", 0, leave, opts)
    local host, port = server:address()
    local s <close> = bide.tls.connect(host, port, { verify = false })
    write_on(s)]],
  ["a TLS server"] = [[
    local gone = bide.future()
    local opts = { cert = cert, key = key, daemon = true }
    local server <close> = bide.tls.listen("127.0.0.1", 0, function(s)
      s:write "hello"
      write_on(s)
      gone:resolve()
    end, opts)
    local host, port = server:address()
    local s = bide.tls.connect(host, port, { verify = false })
    s:read(1)
    s:close()
    gone:await()]],
  ["a TLS handshake"] = [[
    local server <close> = bide.tcp.listen("127.0.0.1", 0, function(s) s:close() end,
      { daemon = true })
    local host, port = server:address()
    for _ = 1, 20 do
      local ok, err = pcall(bide.tls.connect, host, port)
      assert(not ok and (err.code == "ETLS" or err.code:find "^E%u+"), tostring(err))
    end
    print "EPIPE"]],
  ["an https client"] = [[
    local opts = { cert = cert, key = key, daemon = true }
    local server <close> = bide.tls.listen("127.0.0.1", 0, function(s) s:read(1) end, opts)
    local host, port = server:address()
    local ok, err = pcall(bide.http.post, ("https://%s:%d/"):format(host, port),
      { verify = false, body = function() bide.sleep(0) return ("x"):rep(10000) end })
    print(not ok and (err.code == "EPIPE" and "EPIPE" or "ECONNRESET"))]],
}

describe("SIGPIPE #core ends no process:", function()
  for what, body in pairs(cases) do
    it(what, function()
      local dir = certs.path("good.pem"):match "^(.*)/"
      local head = WRITE:format(certs.path "good.pem", certs.path "good.key", dir)
      local run = script.run(head .. "bide.run(function()\n" .. body .. "\nend) print 'alive'")
      assert.equal("", run.err)
      assert.matches("^E%u+\nalive\n$", run.out)
      assert.equal(0, run.status)
    end)
  end
end)
