-- SPDX-License-Identifier: MIT
-- bide.tls: ends that are wrong, cut or malicious.

local bide = require "bide"
local certs = require "spec.support.certs"
local outside = require "spec.support.outside"
local tasks = require "spec.support.tasks"
local support = require "spec.support.tls"
local tls = bide.tls
local raises, refused, trusting = support.raises, support.refused, support.trusting
local serve, dial, echo = support.serve, support.dial, support.echo
local pair, both = support.pair, support.both

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

  it("takes no cut of a response for its end, wherever it is", function()
    local body = ("0123456789"):rep(20)
    local server <close> = bide.http.serve(certs.server("good", { port = 0, log = false }),
      function() return body end)
    local _, port = server:address()
    local whole
    do -- how many bytes there are on the way to the client
      local n = 0
      local relay <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
        local up <close> = bide.tcp.connect("127.0.0.1", port)
        bide.spawn(pcall, function()
          for data in function() return s:read() end do up:write(data) end
        end)
        for data in function() return up:read() end do
          n = n + #data
          s:write(data)
        end
      end, { daemon = true })
      local _, through = relay:address()
      local res = bide.http.get("https://127.0.0.1:" .. through, trusting { headers = {
        connection = "close" } })
      assert.equal(body, res.body)
      whole = n
    end
    local right = 0
    for n = whole - 400, whole - 1, 3 do
      local relay <close> = cutting(port, n, true)
      local _, through = relay:address()
      local res, err = bide.try(bide.http.get, "https://127.0.0.1:" .. through,
        trusting { headers = { connection = "close" } })
      if res then -- all of it was there, but for the close_notify
        assert.equal(body, res.body)
        right = right + 1
      else
        assert.matches("^E", err.code)
      end
    end
    assert.is_true(right < 20, right .. " of them")
  end)

  -- What a relay may do to the bytes from the server to the client.
  local function tampering(port, change)
    return bide.tcp.listen("127.0.0.1", 0, function(s)
      local up <close> = bide.tcp.connect("127.0.0.1", port)
      local function copy(from, to, f)
        for data in function() return from:read() end do to:write(f(data)) end
      end
      pcall(bide.race, {
        function() copy(s, up, function(data) return data end) end,
        function() copy(up, s, change) end,
      })
    end, { daemon = true })
  end

  ---A connection whose handshake is through, and whose bytes from the server go through change.
  local function tampered(port, change)
    local open = false
    local relay = tampering(port, function(data) return open and change(data) or data end)
    local _, through = relay:address()
    local s = dial(through)
    s:write "x"
    assert.equal("x", s:read()) -- tickets have come, too
    open = true
    return s, relay
  end

  for what, case in pairs {
    ["a bit that was changed"] = { "bad_record", function(data)
      return data:sub(1, -2) .. string.char(data:byte(-1) ~ 1)
    end },
    ["a record too long"] = { "protocol", function()
      return "\23\3\3\255\255" .. ("x"):rep(70000)
    end },
    ["a record of no kind"] = { "protocol", function() return "\99\3\3\0\1x" end },
    ["plain text"] = { "protocol", function() return "HTTP/1.1 200 OK\r\n\r\n" end },
    ["a record twice"] = { "bad_record", function(data) return data .. data end, "y" },
  } do
    it("ends at " .. what, function()
      local server <close>, port = serve("good", function(s) pcall(echo, s) end)
      local s, relay = tampered(port, case[2])
      local _ <close> = both(s, relay)
      s:write "y"
      if case[3] then assert.equal(case[3], s:read()) end
      local err = raises("ETLS", s.read, s)
      assert.equal(case[1], err.reason)
      raises("ETLS", s.read, s) -- for good
      raises("ETLS", s.write, s, "z")
      assert.truthy(server)
    end)
  end

  it("waits for no more of a handshake than a bounded length", function()
    local server <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
      s:read()
      -- a ServerHello that says it has 16 MiB, and never ends
      s:write("\22\3\3\64\0\2\255\255\255", ("x"):rep(16380))
      while true do s:write("\22\3\3\64\0", ("x"):rep(16384)) end
    end, { daemon = true })
    local _, port = server:address()
    local ok, err = pcall(tls.connect, "127.0.0.1", port, trusting { timeout = 5 })
    assert.is_false(ok)
    assert.equal("ETLS", err.code)
  end)

  it("refuses a chain of more certificates than anybody needs", function()
    local process = require "spec.support.process"
    local path = certs.path "long.pem"
    process.write_file(path, certs.text "good.pem" .. certs.text("ca.pem"):rep(300))
    local server <close> = tls.listen("127.0.0.1", 0, echo, { cert = path,
      key = certs.path "good.key", daemon = true })
    local _, port = server:address()
    refused("protocol", "127.0.0.1", port, trusting())
  end)

  it("shows a name of a certificate that is made to confuse as it is safe", function()
    local server <close>, port = serve "odd"
    local err = refused("wrong_host", "127.0.0.1", port, trusting())
    assert.is_nil(err.message:find "[%c\127-\255]")
    assert.is_true(#err.message < 800)
    assert.is_true(#err.names <= 16)
    assert.truthy(server)
  end)

  it("takes a stream in records of one byte each", function()
    local a, b = pair()
    local _ <close> = both(a, b)
    local n = 5000
    bide.spawn(function()
      for i = 1, n do a:write(string.char(i % 251)) end
      a:shutdown()
    end)
    local got = b:read_all()
    assert.equal(n, #got)
    for i = 1, n do assert.equal(i % 251, got:byte(i)) end
  end)

  describe("from openssl's own tools:", function()
    it("a flood of new keys, answered in bounds", function()
      local server <close>, port = serve("good", function(s)
        s:write("got ", s:read_line(), "\n")
      end)
      local out = outside.run(("(for i in $(seq 100); do echo K; sleep 0.003; done; echo hello; "
        .. "sleep 0.5) | openssl s_client -tls1_3 -connect 127.0.0.1:%d"):format(port))
      assert.matches("KEYUPDATE.*KEYUPDATE.*KEYUPDATE", out)
      assert.matches("got hello", out, 1, true)
      assert.truthy(server)
    end)

    it("a flood of sessions, of which a few are kept", function()
      local port = outside.port()
      local server <close> = outside.serve(("openssl s_server -rev -quiet -tls1_3 "
        .. "-num_tickets 200 -accept 127.0.0.1:%d -cert %s -key %s"):format(port,
        certs.path "good.pem", certs.path "good.key"), function() return outside.listens(port) end)
      for i = 1, 6 do
        local s <close> = dial(port)
        s:write "abc\n"
        assert.equal("cba", s:read_line())
        assert.equal(i > 1, s:tls_info().resumed)
      end
      assert.truthy(server)
    end)
  end)
end)
