-- SPDX-License-Identifier: MIT
-- bide.http: https through a proxy (CONNECT): what it is asked, who hears of the credentials, and
-- proxies that refuse, hang or lie.

local bide = require "bide"
local certs = require "spec.support.certs"

local http = bide.http

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "no error was raised")
  assert.equal(code, type(err) == "table" and err.code or err)
  return err
end

local function port_of(server) return select(2, server:address()) end

---An https server that answers with the request's headers, and its port.
local function serve()
  local opts = certs.server("good", { port = 0 })
  local server = http.serve(opts, function(req)
    local lines = {}
    for name, value in pairs(req.headers) do lines[#lines + 1] = name .. ": " .. value end
    return req.method .. " " .. req.target .. "\n" .. table.concat(lines, "\n")
  end)
  return server, port_of(server)
end

---A proxy whose handler gets the stream and the head of the request; its URL.
local function proxy(handler)
  local server = bide.tcp.listen("127.0.0.1", 0, function(s)
    handler(s, s:read_until "\r\n\r\n" .. "\r\n")
  end, { daemon = true })
  return server, "http://127.0.0.1:" .. port_of(server)
end

---A proxy that does as it is asked, wherever the name leads, and keeps the heads it has seen.
local function honest(port, seen)
  return proxy(function(s, head)
    seen[#seen + 1] = head
    local up <close> = bide.tcp.connect("127.0.0.1", port)
    s:write "HTTP/1.1 200 Connection established\r\nVia: 1.1 here\r\n\r\n"
    pcall(bide.pipe_streams, s, up) -- the client may leave as it likes
  end)
end

local function opts_of(url, more)
  local opts = { proxy = url, ca = certs.path "ca.pem" }
  for k, v in pairs(more or {}) do opts[k] = v end
  return opts
end

describe("https through a proxy", function()
  it("asks for a tunnel, and verifies the server at its end", function()
    local server <close>, port = serve()
    local seen = {}
    local through <close>, url = honest(port, seen)
    local res = http.get("https://a.example:8443/x?y", opts_of(url))
    assert.matches("^GET /x%?y\n", res.body) -- the origin's form, as without a proxy
    assert.matches("host: a.example:8443", res.body, 1, true)
    assert.equal("CONNECT a.example:8443 HTTP/1.1\r\nhost: a.example:8443\r\n"
      .. "user-agent: bide\r\n", seen[1])
    assert.matches("^CONNECT localhost:443 ", (http.get("https://localhost/", opts_of(url))
      and seen[2]))
    assert.equal("wrong_host", raises("ETLS", http.get, "https://c.example/", opts_of(url)).reason)
    assert.truthy(server)
    assert.truthy(through)
  end)

  it("keeps its connection, apart from those of other proxies and of none", function()
    local server <close>, port = serve()
    local one, two = {}, {}
    local a <close>, url_a = honest(port, one)
    local b <close>, url_b = honest(port, two)
    local s <close> = http.session { ca = certs.path "ca.pem" }
    local target = "https://localhost:" .. port
    for _ = 1, 3 do
      s:get(target, { proxy = url_a })
      s:get(target, { proxy = url_b })
      s:get(target)
    end
    assert.equal(1, #one)
    assert.equal(1, #two)
    assert.matches("3 connections", tostring(s))
    assert.truthy(server and a and b)
  end)

  it("tells the proxy its credentials, and nobody else", function()
    local server <close>, port = serve()
    local seen = {}
    local through <close>, url = honest(port, seen)
    local with = url:gsub("//", "//u:p%%41@")
    local s <close> = http.session { ca = certs.path "ca.pem" }
    assert.is_nil(s:get("https://localhost/", { proxy = with }).body:find("proxy-", 1, true))
    assert.matches("\r\nproxy%-authorization: Basic dTpwQQ==\r\n", seen[1])
    local own = { ["Proxy-Authorization"] = "Bearer t" }
    assert.is_nil(s:get("https://localhost/", { proxy = url, headers = own }).body:find "Bearer")
    assert.matches("\r\nproxy%-authorization: Bearer t\r\n", seen[2])
    assert.is_nil(s:get("https://localhost/", { proxy = url }).body:find "Bearer")
    assert.is_nil(seen[3]:find("proxy-authorization", 1, true)) -- nor over the tunnel of another
    for _, bad in ipairs { "a\r\nb: c", "a\0" } do
      local _, err = pcall(s.get, s, "https://localhost/", { proxy = url,
        headers = { ["proxy-authorization"] = bad } })
      assert.matches("invalid character in the value", tostring(err))
    end
    local _, err = pcall(s.get, s, "https://localhost/", { proxy = url,
      headers = { ["proxy-authorization"] = ("x"):rep(5000) } })
    assert.matches("too long", tostring(err))
    assert.equal(3, #seen)
    assert.truthy(server and through)
  end)

  it("keeps the credentials from the server when a redirect leads to https", function()
    local server <close>, port = serve()
    local seen = {}
    local through <close>, url = proxy(function(s, head)
      seen[#seen + 1] = head
      if not head:find "^CONNECT" then
        s:write "HTTP/1.1 301 Moved\r\nLocation: https://localhost/\r\nContent-Length: 0\r\n\r\n"
        return
      end
      local up <close> = bide.tcp.connect("127.0.0.1", port)
      s:write "HTTP/1.1 200 OK\r\n\r\n"
      pcall(bide.pipe_streams, s, up)
    end)
    local res = http.get("http://localhost/", opts_of((url:gsub("//", "//u:p@"))))
    assert.is_nil(res.body:find("proxy-", 1, true))
    for i = 1, 2 do assert.matches("\r\nproxy%-authorization: Basic dTpw\r\n", seen[i]) end
    assert.truthy(server and through)
  end)

  it("carries bodies and streams as without one", function()
    local opts = certs.server("good", { port = 0 })
    local server <close> = http.serve(opts, function(req) return req.body end)
    local through <close>, url = honest(port_of(server), {})
    local body = ("0123456789"):rep(50000)
    assert.is_true(body == http.post("https://localhost/", opts_of(url, { body = body })).body)
    local n = 0
    local fed = function()
      n = n + 1
      return n <= 10 and ("x"):rep(1000) or nil
    end
    local res <close> = http.post("https://localhost/", opts_of(url, { body = fed, stream = true }))
    local total = 0
    for piece in res:chunks() do total = total + #piece end
    assert.equal(10000, total)
    assert.truthy(through)
  end)

  describe("that", function()
    -- What the proxy answers, → code, pattern of the message.
    local cases = {
      ["refuses"] = { "HTTP/1.1 407 Give me more\r\nProxy-Authenticate: Basic\r\n"
        .. "Content-Length: 3\r\n\r\nno!", "EPROXY", "127.0.0.1:%d+: 407 Proxy Auth" },
      ["cannot connect"] = { "HTTP/1.0 502 x\r\n\r\n", "EPROXY", "502 Bad Gateway" },
      ["redirects"] = { "HTTP/1.1 302 x\r\nLocation: http://other/\r\n\r\n", "EPROXY", "302" },
      ["switches protocols"] = { "HTTP/1.1 101 x\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n",
        "EPROXY", "101" },
      ["speaks first behind its answer"] = { "HTTP/1.1 200 OK\r\n\r\n\22\3\3", "EPROTO",
        "before the TLS handshake" },
      ["sends a body with its 200"] = { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "EPROTO",
        "before the TLS handshake" },
      ["closes without a word"] = { "", "ECONNRESET", "" },
      ["closes in the middle"] = { "HTTP/1.1 200 O", "EPROTO", "ended early" },
      ["speaks no HTTP"] = { "SSH-2.0-x\r\n\r\n", "EPROTO", "" },
      ["floods with headers"] = { "HTTP/1.1 200 OK\r\n" .. ("a: b\r\n"):rep(101), "EPROTO",
        "too many headers" },
      ["sends an endless header"] = { "HTTP/1.1 200 OK\r\na: " .. ("b"):rep(9000), "EPROTO",
        "too long" },
      ["floods with informational answers"] = { ("HTTP/1.1 100 Continue\r\n\r\n"):rep(17), "EPROTO",
        "informational" },
    }
    for what, case in pairs(cases) do
      it(what .. " is told as such, and its connection closed", function()
        local closed = bide.event()
        local through <close>, url = proxy(function(s)
          s:write(case[1])
          s:shutdown()
          pcall(s.read_all, s)
          closed:set()
        end)
        local session <close> = http.session { ca = certs.path "ca.pem" }
        local err = raises(case[2], session.get, session, "https://localhost/", { proxy = url })
        assert.matches(case[3], err.message)
        assert.equal("connect", err.phase)
        assert.same({ "https://localhost/", "localhost", 443, url:match "//(.*)" },
          { err.url, err.host, err.port, err.proxy })
        assert.matches("https://localhost/: proxy " .. err.proxy .. ": ", err.message, 1, true)
        assert.equal(case[2] == "EPROXY" and tonumber(case[1]:match " (%d+)") or nil, err.status)
        closed:wait()
        assert.matches(" 0 connections", tostring(session))
        assert.truthy(through)
      end)
    end

    it("cannot be reached is named, as for plain http", function()
      local server = bide.tcp.listen("127.0.0.1", 0, print)
      local port = port_of(server)
      server:close()
      for scheme, default in pairs { http = 80, https = 443 } do
        local url = scheme .. "://a.example/"
        local err = raises("ECONNREFUSED", http.get, url, { proxy = "http://127.0.0.1:" .. port })
        assert.equal(("%s: proxy 127.0.0.1:%d: connection refused"):format(url, port), err.message)
        assert.same({ "a.example", default, "127.0.0.1:" .. port, url },
          { err.host, err.port, err.proxy, err.target })
      end
    end)

    it("sends a byte at a time is heard out, within the limit of the connect phase", function()
      local server <close>, port = serve()
      local slow = true
      local through <close>, url = proxy(function(s)
        local up <close> = bide.tcp.connect("127.0.0.1", port)
        local answer = "HTTP/1.1 103 Early\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
        for i = 1, #answer do
          if not pcall(s.write, s, answer:sub(i, i)) then return end
          bide.sleep(slow and 0 or 0.01)
        end
        pcall(bide.pipe_streams, s, up)
      end)
      assert.equal(200, http.get("https://localhost/", opts_of(url)).status)
      slow = false
      local session <close> = http.session()
      local err = raises("ETIMEDOUT", session.get, session, "https://localhost/",
        opts_of(url, { timeout = { connect = 0.05 } }))
      assert.equal("connect", err.phase)
      assert.equal("total", raises("ETIMEDOUT", session.get, session, "https://localhost/",
        opts_of(url, { timeout = 0.05 })).phase)
      assert.matches(" 0 connections", tostring(session))
      assert.truthy(server and through)
    end)

    it("hangs is left when the call is cancelled, or its session closed", function()
      local asked, left = bide.channel(8), bide.channel(8)
      local through <close>, url = proxy(function(s)
        asked:send(true)
        pcall(s.read, s)
        left:send(true)
      end)
      local session = http.session()
      local task = bide.spawn(session.get, session, "https://localhost/", { proxy = url })
      asked:recv()
      task:cancel()
      raises("ECANCELED", task.await, task)
      assert.is_true(left:recv())
      assert.matches(" 0 connections", tostring(session))
      session:close()
      assert.truthy(through)
    end)
  end)

  it("leaves a proxy that is asked by a URL of https alone", function()
    local _, err = pcall(http.get, "https://localhost/", { proxy = "https://127.0.0.1:1" })
    assert.matches("option 'proxy': http URL expected", tostring(err))
  end)
end)
