-- SPDX-License-Identifier: MIT
-- bide.udp: datagrams, their addresses and limits.

local bide = require "bide"
local script = require "spec.support.script"
local udp = bide.udp

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(code, type(err) == "table" and err.code or err, tostring(err))
  return err
end

local function bound()
  local s = udp.bind("127.0.0.1", 0)
  return s, select(2, s:address())
end

describe("udp", function()
  it("carries datagrams whole, in order, with their sender", function()
    local a <close>, a_port = bound()
    local b <close>, b_port = bound()
    for i = 1, 10 do a:send("message " .. i, "127.0.0.1", b_port) end
    for i = 1, 10 do
      local data, host, port, truncated = b:recv()
      assert.equal("message " .. i, data)
      assert.equal("127.0.0.1", host)
      assert.equal(a_port, port)
      assert.is_false(truncated)
    end
  end)

  it("waits for a datagram, and carries empty ones", function()
    local a <close>, a_port = bound()
    local b <close> = bound()
    local waiting = bide.spawn(a.recv, a)
    bide.sleep(0)
    assert.equal("pending", waiting:status())
    b:send("", "localhost", a_port)
    assert.equal("", (waiting:await()))
  end)

  it("leaves a task that it has woken free to sleep, though nothing else is left", function()
    local result = script.run [[
      local bide = require "bide"
      bide.run(function()
        local a, b = bide.udp.bind("127.0.0.1", 0), bide.udp.bind("127.0.0.1", 0)
        for _, wait in ipairs { function() bide.sleep(0.01) end,
          function() bide.dns.resolve "127.0.0.1" end,
          function() pcall(bide.timeout, 0.01, a.recv, a) end } do
          bide.spawn(function() b:send("x", a:address()) end)
          a:recv()
          wait()
        end
      end)
    ]]
    assert.same({ status = 0, out = "", err = "" }, result)
  end)

  it("tells when a datagram was longer than asked for", function()
    local a <close>, port = bound()
    local b <close> = bound()
    b:send("0123456789", "127.0.0.1", port)
    b:send("0123456789", "127.0.0.1", port)
    local data, _, _, truncated = a:recv(4)
    assert.equal("0123", data)
    assert.is_true(truncated)
    data, _, _, truncated = a:recv(10)
    assert.equal("0123456789", data)
    assert.is_false(truncated)
  end)

  it("takes the largest datagram, and refuses a larger one", function()
    local a <close>, port = bound()
    local b <close> = bound()
    local big = ("x"):rep(65507)
    b:send(big, "127.0.0.1", port)
    assert.equal(big, (a:recv()))
    local err = raises("EMSGSIZE", b.send, b, big .. "x", "127.0.0.1", port)
    assert.equal(("send 127.0.0.1:%d: message too long (EMSGSIZE)"):format(port), tostring(err))
  end)

  it("loses nothing when a recv is cancelled", function()
    local a <close>, port = bound()
    local b <close> = bound()
    raises("ETIMEDOUT", bide.timeout, 0.01, a.recv, a)
    b:send("kept", "127.0.0.1", port)
    local reader = bide.spawn(a.recv, a)
    reader:cancel()
    pcall(reader.await, reader)
    assert.equal("kept", (a:recv()))
  end)

  it("lets one task at a time wait in recv", function()
    local a <close>, port = bound()
    local b <close> = bound()
    local first = bide.spawn(a.recv, a)
    bide.sleep(0)
    raises("EBUSY", a.recv, a)
    b:send("x", "127.0.0.1", port)
    assert.equal("x", (first:await()))
  end)

  it("sends without an address once it is connected, and hears of refusals", function()
    local a <close>, port = bound()
    local b <close>, b_port = bound()
    b:connect("127.0.0.1", port)
    assert.equal(port, select(2, b:peer()))
    b:send("to the peer")
    assert.equal("to the peer", (a:recv()))
    a:close()
    b:send("nobody")
    local err = raises("ECONNREFUSED", b.recv, b)
    assert.equal(("recv 127.0.0.1:%d: connection refused (ECONNREFUSED)"):format(port),
      tostring(err))
    b:connect()
    assert.is_nil(b:peer())
    raises("EDESTADDRREQ", b.send, b, "nowhere")
    assert.truthy(b_port)
  end)

  it("keeps many senders apart", function()
    local a <close>, port = bound()
    local b <close> = bound()
    local sends = {}
    for i = 1, 100 do sends[i] = function() b:send(tostring(i), "127.0.0.1", port) end end
    bide.gather(sends)
    local seen = {}
    for _ = 1, 100 do seen[a:recv()] = true end
    for i = 1, 100 do assert.is_true(seen[tostring(i)]) end
  end)

  it("wakes its reader at close, and refuses everything afterwards", function()
    local a = bound()
    local waiting = bide.spawn(a.recv, a)
    bide.sleep(0)
    a:close()
    a:close()
    local err = raises("EBADF", waiting.await, waiting)
    assert.equal("recv: the socket is closed (EBADF)", tostring(err))
    raises("EBADF", a.recv, a)
    raises("EBADF", a.send, a, "x", "127.0.0.1", 9)
    raises("EBADF", a.address, a)
  end)

  it("speaks IPv4 on a socket of both families", function()
    local ok, six = pcall(udp.bind, "::", 0)
    if not ok then return end
    local _, port = six:address()
    local four <close>, four_port = bound()
    four:send("from four", "127.0.0.1", port)
    local data, host, from = six:recv()
    assert.equal("from four", data)
    assert.equal("127.0.0.1", host)
    assert.equal(four_port, from)
    six:send("back", host, from)
    assert.equal("back", (four:recv()))
    six:close()
  end)

  it("joins a multicast group on loopback", function()
    local a <close> = udp.bind("0.0.0.0", 0, { reuse_address = true })
    local _, port = a:address()
    a:join("239.255.0.1", "127.0.0.1")
    local b <close> = bound()
    b:multicast_loop(true):multicast_ttl(0)
    local ok = pcall(b.send, b, "to all", "239.255.0.1", port)
    if ok then
      local got, data = pcall(bide.timeout, 0.2, a.recv, a)
      if got then assert.equal("to all", data) end
    end
    a:leave("239.255.0.1", "127.0.0.1")
    raises("EADDRNOTAVAIL", a.leave, a, "239.255.0.1", "127.0.0.1")
  end)

  it("sends to a broadcast address only when allowed", function()
    local a <close> = bound()
    local err = raises("EACCES", a.send, a, "x", "255.255.255.255", 9)
    assert.equal("send", err.op)
    a:broadcast(true)
    a:ttl(1)
  end)

  it("refuses wrong arguments as Lua does", function()
    local a <close> = bound()
    local function wrong(text, f, ...)
      local ok, err = pcall(f, ...)
      assert.is_false(ok)
      assert.equal("string", type(err), tostring(err))
      assert.truthy(err:find(text, 1, true), err)
    end
    wrong("host name", udp.bind, nil, 0)
    wrong("IP address, localhost or '*'", udp.bind, "example.org", 0)
    wrong("port", udp.bind, "127.0.0.1", 70000)
    wrong("unknown option", udp.bind, "127.0.0.1", 0, { reuse = true })
    wrong("number of bytes above 0", a.recv, a, 0)
    wrong("port from 1", a.send, a, "x", "127.0.0.1", 0)
    wrong("string", a.send, a, {}, "127.0.0.1", 1)
    wrong("IP address expected", a.join, a, "group")
    wrong("udp socket expected", a.recv, 5)
    wrong("0 to 255", a.ttl, a, 256)
  end)

  it("says which address is taken", function()
    local a <close>, port = bound()
    local err = raises("EADDRINUSE", udp.bind, "127.0.0.1", port)
    assert.equal("bind", err.op)
    assert.truthy(a)
  end)
end)
