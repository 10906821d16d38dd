-- SPDX-License-Identifier: MIT
-- What peers of a stream do: reset it, half-close it, send for ever.

local bide = require "bide"
local tcp = bide.tcp

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(code, type(err) == "table" and err.code or err, tostring(err))
  return err
end

---Two ends of one connection: near and far.
local function pair()
  local far = bide.future()
  local server = tcp.listen("127.0.0.1", 0, function(s) far:resolve(s:detach()) end)
  local _, port = server:address()
  local near = tcp.connect("127.0.0.1", port)
  local other = far:await()
  server:close()
  return near, other
end

---Closes with a reset: by bytes that were never read.
local function reset(near, far)
  near:write("unread")
  bide.sleep(0)
  far:close()
end
describe("a peer", function()
  local a, b
  before_each(function() bide.run(function() a, b = pair() end) end)
  after_each(function()
    bide.run(function()
      a:close()
      b:close()
    end)
  end)

  it("that resets makes reads fail, again and again, and says who it was", function()
    reset(a, b)
    local err = raises("ECONNRESET", a.read, a)
    assert.equal("read", err.op)
    assert.matches("^read 127%.0%.0%.1:%d+: connection reset by peer %(ECONNRESET%)$",
      tostring(err))
    assert.equal("number", type(err.port))
    raises("ECONNRESET", a.read_line, a)
  end)

  it("may reset at any byte of an exchange", function()
    local message = "PING 1\nPONG 2\n"
    for cut = 0, #message do
      local x, y = pair()
      local seen = bide.spawn(function()
        local n = 0
        for line in x:lines() do n = n + #line end
        return n
      end)
      y:write(message:sub(1, cut))
      bide.sleep(0)
      x:write("unread")
      bide.sleep(0)
      y:close()
      local ok, err = pcall(seen.await, seen)
      if not ok then assert.equal("ECONNRESET", err.code) end
      x:close()
    end
  end)

  it("that half-closes can still be written to", function()
    b:shutdown()
    assert.is_nil(a:read())
    a:write(("x"):rep(200000))
    a:shutdown()
    assert.equal(200000, #b:read_all())
  end)

  it("that sends for ever does not stop others", function()
    local sent = 0
    local flood = bide.spawn(function()
      while true do
        b:write(("x"):rep(65536))
        sent = sent + 65536
      end
    end)
    local sink = bide.spawn(a.read_all, a)
    bide.sleep(0)
    for _ = 1, 20 do
      local before = sent
      bide.sleep(0)
      assert.truthy(sent - before <= 1 << 20)
    end
    for _, t in ipairs { flood, sink } do
      t:cancel()
      pcall(t.await, t)
    end
  end)
end)
