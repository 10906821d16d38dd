-- SPDX-License-Identifier: MIT
-- bide.pipe_streams: both directions, their ends, and slow sides.

local bide = require "bide"
local tcp = bide.tcp

---A proxy in front of a server with this handler; returns a stream through it, and a future of what
---pipe_streams returned.
local function proxied(handler)
  local counts = bide.future()
  local back = tcp.listen("127.0.0.1", 0, handler, { daemon = true })
  local front = tcp.listen("127.0.0.1", 0, function(s)
    local onward <close> = tcp.connect(back:address())
    local r = table.pack(pcall(bide.pipe_streams, s, onward))
    counts:resolve(table.unpack(r, 1, r.n))
  end, { daemon = true })
  return tcp.connect(front:address()), counts
end

describe("pipe_streams", function()
  it("copies both ways until both have ended", function()
    local s <close>, counts = proxied(function(s)
      for line in s:lines() do s:write(line:upper(), "\n") end
      s:write("bye")
    end)
    s:write("one\n")
    assert.equal("ONE", s:read_line())
    s:write("two\n")
    assert.equal("TWO", s:read_line())
    s:shutdown()
    assert.equal("bye", s:read_all())
    assert.same({ true, 8, 11 }, { counts:await() })
  end)

  it("hands an end on and lets the other side go on", function()
    local s <close> = proxied(function(s)
      assert.equal("question", s:read_all())
      s:write(("answer"):rep(100000))
    end)
    s:write("question")
    s:shutdown()
    assert.equal(600000, #s:read_all())
  end)

  it("slows a fast side down to a slow one", function()
    local sent = 0
    local s <close> = proxied(function(s)
      for _ = 1, 500 do
        s:write(("x"):rep(65536))
        sent = sent + 65536
      end
    end)
    for _ = 1, 300 do bide.sleep(0) end
    assert.truthy(sent < 500 * 65536)
    assert.equal(500 * 65536, #s:read_all())
  end)

  it("ends both directions when one side fails", function()
    local s <close>, counts = proxied(function(s)
      s:write("x")
      s:read_exactly(1)
    end)
    assert.equal("x", s:read())
    s:write("yz")
    assert.is_nil(s:read())
    s:close()
    local ok, err = counts:await()
    if not ok then assert.truthy(err.code == "ECONNRESET" or err.code == "EPIPE") end
  end)

  it("refuses what is no stream", function()
    local ok, err = pcall(bide.pipe_streams, 1, 2)
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'bide.pipe_streams' %(stream expected, got number%)", err)
  end)
end)
