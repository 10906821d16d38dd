-- SPDX-License-Identifier: MIT
-- bide.tls: ends that are wrong, cut or malicious.

local bide = require "bide"
local tasks = require "spec.support.tasks"
local support = require "spec.support.tls"
local raises, refused, trusting = support.raises, support.refused, support.trusting
local serve, dial, echo = support.serve, support.dial, support.echo

describe("tls:", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("says what is wrong with the other end:", function()
    it("it does not speak TLS", function()
      local server <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
        s:read()
        s:write "SSH-2.0-nonsense\r\n"
      end, { daemon = true })
      local _, port = server:address()
      refused("not_tls", "127.0.0.1", port, trusting())
    end)

    it("it closes in the middle", function()
      local server <close> = bide.tcp.listen("127.0.0.1", 0, function(s) s:read() end, {
        daemon = true })
      local _, port = server:address()
      refused("closed", "127.0.0.1", port, trusting())
    end)

    it("it has no protocol in common", function()
      local server <close>, port = serve("good", echo, { alpn = { "x" } })
      refused("alpn", "127.0.0.1", port, trusting { alpn = { "y" } })
      dial(port):close()
      assert.truthy(server)
    end)

    it("it cuts the stream without close_notify", function()
      local cut = bide.future()
      local server <close>, port = serve("good", function(s)
        s:write "part"
        bide.future():await()
      end)
      local relay <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
        local up <close> = bide.tcp.connect("127.0.0.1", port)
        bide.race { function() bide.pipe_streams(s, up) end, function() cut:await() end }
      end, { daemon = true })
      local _, through = relay:address()
      local s <close> = dial(through)
      assert.equal("part", s:read())
      cut:resolve()
      local err = raises("ETLS", s.read_all, s)
      assert.equal("truncated", err.reason)
      assert.equal("truncated", raises("ETLS", s.read, s).reason)
      assert.truthy(server)
    end)
  end)

  it("survives garbage, and serves others meanwhile", function()
    local server <close>, port = serve "good"
    math.randomseed(7)
    for i = 1, 60 do
      local s <close> = bide.tcp.connect("127.0.0.1", port)
      local junk = {}
      for k = 1, i * 7 do junk[k] = string.char(math.random(0, 255)) end
      pcall(s.write, s, i % 3 == 0 and "\22\3\1\0\200" or "", table.concat(junk))
      pcall(s.shutdown, s)
      pcall(s.read_all, s)
    end
    local s <close> = dial(port)
    s:write "fine"
    assert.equal("fine", s:read_exactly(4))
    assert.truthy(server)
  end)

  -- A relay that lets `limit` bytes through in one direction, then cuts both ends.
  local function cutting(port, limit, to_client)
    return bide.tcp.listen("127.0.0.1", 0, function(s)
      local up <close> = bide.tcp.connect("127.0.0.1", port)
      local function copy(from, to, left)
        while left > 0 do
          local data = from:read(left)
          if not data then return end
          left = left - #data
          to:write(data)
        end
      end
      bide.race {
        function() copy(s, up, to_client and 1 << 30 or limit) end,
        function() copy(up, s, to_client and limit or 1 << 30) end,
      }
    end, { daemon = true })
  end

  for _, way in ipairs { { "server", true }, { "client", false } } do
    it("survives a cut behind each byte of the " .. way[1] .. "'s handshake", function()
      local server <close>, port = serve("good", function(s) pcall(echo, s) end)
      local n, done = 0, false
      while not done and n < 8000 do
        local relay <close> = cutting(port, n == 0 and 1 or n, way[2])
        local _, through = relay:address()
        local s, err = bide.try(dial, through, { timeout = 5 })
        if s then
          s:write "x"
          done = bide.try(s.read, s) == "x"
          s:close()
        else
          assert.matches("E%u+", err.code)
          assert.is_true(err.code == "ETLS" or err.code == "ECONNRESET" or err.code == "EPIPE",
            tostring(err))
        end
        n = n < 64 and n + 1 or n + 29
      end
      assert.is_true(done)
      assert.truthy(server)
    end)
  end
end)
