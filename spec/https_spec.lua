-- SPDX-License-Identifier: MIT
-- bide.http over TLS: the client, the server, what is told when it fails.

local bide = require "bide"
local certs = require "spec.support.certs"
local outside = require "spec.support.outside"

local http = bide.http

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "no error was raised")
  assert.equal(code, type(err) == "table" and err.code or err)
  return err
end

local function serve(name, handler, more)
  local opts = certs.server(name, more)
  opts.port = 0
  if opts.log == nil then opts.log = false end
  local server = http.serve(opts, handler or function(req) return "you asked for " .. req.path end)
  local _, port = server:address()
  return server, ("https://127.0.0.1:%d"):format(port), port
end

local function session(more)
  local opts = { ca = certs.path "ca.pem" }
  for k, v in pairs(more or {}) do opts[k] = v end
  return http.session(opts)
end

describe("https", function()
  it("gets, verified, over one kept connection", function()
    local server <close>, url = serve "good"
    local s <close> = session()
    for i = 1, 5 do
      local res = s:get(url .. "/" .. i)
      assert.equal("you asked for /" .. i, res.body)
      assert.matches("1 connections", tostring(s))
    end
    assert.equal("you asked for /x", http.get(url .. "/x", { ca = certs.path "ca.pem" }).body)
    assert.equal("you asked for /y", http.get(url:gsub("127.0.0.1", "localhost") .. "/y",
      { ca = certs.text "ca.pem" }).body)
    assert.truthy(server)
  end)

  it("carries bodies of all sizes both ways", function()
    local server <close>, url = serve("good", function(req) return req.body end)
    local s <close> = session()
    for _, n in ipairs { 0, 1, 16383, 16384, 16385, 100000, 3000000 } do
      local body = ("abcdefghij"):rep(n // 10 + 1):sub(1, n)
      assert.is_true(body == s:post(url, { body = body }).body)
    end
    local res <close> = s:post(url, { stream = true, body = ("z"):rep(500000) })
    local total = 0
    for piece in res:chunks() do total = total + #piece end
    assert.equal(500000, total)
    assert.truthy(server)
  end)

  it("serves many at once", function()
    local server <close>, url = serve("good", function(req)
      bide.sleep(0.001)
      return req.path
    end)
    local s <close> = session { limit_per_host = 8 }
    local list = {}
    for i = 1, 100 do list[i] = function() return s:get(url .. "/" .. i).body end end
    local bodies = bide.gather(list)
    for i = 1, 100 do assert.equal("/" .. i, bodies[i]) end
    assert.truthy(server)
  end)

  it("says why a server is not trusted, with its URL and phase", function()
    for name, reason in pairs { expired = "expired", unknown = "unknown_issuer",
      self = "self_signed",
      named = "wrong_host" } do
      local server <close>, url = serve(name)
      local err = raises("ETLS", http.get, url, { ca = certs.path "ca.pem" })
      assert.equal(reason, err.reason)
      assert.equal("tls", err.phase)
      assert.equal(url, err.url)
      if name == "named" then assert.same({ "c.example" }, err.names) end
      assert.equal(200, http.get(url, { verify = false }).status)
      assert.truthy(server)
    end
  end)

  it("never shares a connection between different options", function()
    local server <close>, url = serve "good"
    local s <close> = http.session()
    assert.equal(200, s:get(url, { verify = false }).status)
    raises("ETLS", s.get, s, url)
    assert.equal(200, s:get(url, { ca = certs.path "ca.pem" }).status)
    raises("ETLS", s.get, s, url, { ca = certs.path "other.pem" })
    assert.matches("2 connections", tostring(s))
    assert.truthy(server)
  end)

  it("reads a certificate again when its file has changed", function()
    local server <close>, url = serve "good"
    local process = require "spec.support.process"
    local path = certs.path "changing.pem"
    process.write_file(path, certs.text "other.pem")
    raises("ETLS", http.get, url, { ca = path })
    process.write_file(path, certs.text "ca.pem" .. "\n")
    bide.sleep(1.05) -- files are looked at once a second
    assert.equal(200, http.get(url, { ca = path }).status)
    assert.truthy(server)
  end)

  it("asks clients for certificates", function()
    local server <close>, url = serve("good", nil, { ca = certs.path "ca.pem" })
    assert.equal(200, http.get(url .. "/", { ca = certs.path "ca.pem",
      cert = certs.path "client.pem",
      key = certs.path "client.key" }).status)
    local ok, err = pcall(http.get, url .. "/", { ca = certs.path "ca.pem" })
    assert.is_false(ok)
    assert.is_true(err.code == "ETLS" and err.reason == "certificate_required"
      or err.code == "ECONNRESET"
      or err.code == "EPIPE", tostring(err))
    assert.truthy(server)
  end)

  it("offers http/1.1 alone", function()
    local seen
    local server <close> = bide.tls.listen("127.0.0.1", 0, function(s)
      seen = s:tls_info().alpn
      s:read_until "\r\n\r\n"
      s:write "HTTP/1.1 204 No Content\r\n\r\n"
    end, certs.server("good", { alpn = { "h2", "http/1.1" } }))
    local _, port = server:address()
    assert.equal(204, http.get("https://127.0.0.1:" .. port, { ca = certs.path "ca.pem" }).status)
    assert.equal("http/1.1", seen)
  end)

  describe("keeps to its limits of time:", function()
    it("a handshake that hangs is the tls phase's, or the whole's", function()
      local server <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
        bide.future():await()
        return s -- which until then is not garbage
      end, { daemon = true })
      local _, port = server:address()
      local url = "https://127.0.0.1:" .. port
      local err = raises("ETIMEDOUT", http.get, url, { timeout = { tls = 0.03 } })
      assert.equal("tls", err.phase)
      assert.matches("tls timeout", err.message)
      assert.equal("total", raises("ETIMEDOUT", http.get, url, { timeout = 0.03 }).phase)
      raises("ETIMEDOUT", bide.timeout, 0.02, http.get, url)
    end)
  end)

  it("refuses a body that was cut, when only the end of the stream ends it", function()
    local cut = bide.future()
    local server <close> = bide.tls.listen("127.0.0.1", 0, function(s)
      local path = s:read_line():match "GET (%S+)"
      s:read_until "\r\n\r\n"
      s:write "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"
      if path == "/cut" then bide.future():await() end
    end, certs.server "good")
    local _, port = server:address()
    local relay <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
      local up <close> = bide.tcp.connect("127.0.0.1", port)
      bide.race { function() bide.pipe_streams(s, up) end, function() cut:await() end }
    end, { daemon = true })
    local _, through = relay:address()
    local url, opts = "https://127.0.0.1:" .. through, { ca = certs.path "ca.pem", stream = true }
    assert.equal("all of it", http.get(url .. "/whole", { ca = opts.ca }).body)
    local res <close> = http.get(url .. "/cut", opts)
    assert.equal("all of it", res:read())
    cut:resolve()
    local err = raises("ETLS", res.read, res)
    assert.equal("truncated", err.reason)
  end)

  it("tells TLS on a plain port, and the reverse", function()
    local plain <close> = http.serve({ port = 0, daemon = true }, function() return "plain" end)
    local _, port = plain:address()
    assert.equal("not_tls", raises("ETLS", http.get, "https://127.0.0.1:" .. port).reason)
    local server <close>, _, secure = serve "good"
    local ok, err = pcall(http.get, "http://127.0.0.1:" .. secure)
    assert.is_false(ok)
    assert.is_true(err.code == "ECONNRESET" or err.code == "EPROTO", tostring(err))
    assert.truthy(server)
  end)

  describe("tells its log of a handshake that failed:", function()
    local function logged(more)
      local entries = {}
      more = more or {}
      more.log = function(entry) entries[#entries + 1] = entry end
      local server, url, port = serve("good", nil, more)
      return server, entries, url, port
    end

    local function wait_for(entries, n)
      while #entries < n do bide.sleep(0.001) end
      return entries[n]
    end

    it("a client that speaks no TLS, one that refuses, one that takes too long", function()
      local server <close>, entries, url, port = logged { handshake_timeout = 0.05 }
      local plain <close> = bide.tcp.connect("127.0.0.1", port)
      plain:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      local entry = wait_for(entries, 1)
      assert.equal("TLS handshake: the peer does not speak TLS", entry.reason)
      assert.is_nil(entry.status)
      local _, from = plain:local_address()
      assert.equal("127.0.0.1:" .. from, entry.peer)
      assert.equal(entry.peer .. ": closed: " .. entry.reason, entry.message)
      raises("ETLS", http.get, url, { ca = certs.path "other.pem" })
      assert.matches("TLS handshake: the peer refused: unknown CA", wait_for(entries, 2).reason)
      local slow <close> = bide.tcp.connect("127.0.0.1", port)
      slow:write "\22\3\1"
      assert.equal("TLS handshake: not complete in time", wait_for(entries, 3).reason)
      assert.truthy(server)
    end)

    it("but not of one that never began, and of no more than ten in a second", function()
      local server <close>, entries, url, port = logged()
      for _ = 1, 5 do bide.tcp.connect("127.0.0.1", port):close() end
      assert.equal(200, http.get(url, { verify = false }).status)
      assert.equal(0, #entries)
      for _ = 1, 15 do
        local s <close> = bide.tcp.connect("127.0.0.1", port)
        s:write "nonsense"
        pcall(s.read_all, s)
      end
      server:close()
      local told, left_out = 0, 0
      while told + left_out < 15 do
        bide.sleep(0.001)
        told, left_out = 0, 0
        for _, entry in ipairs(entries) do
          if entry.count then left_out = left_out + entry.count else told = told + 1 end
        end
      end
      assert.equal(10, told)
    end)
  end)

  it("drops the client's certificate when a redirect leads elsewhere", function()
    local seen
    local target <close> = bide.tls.listen("127.0.0.1", 0, function(s)
      seen = s:tls_info().peer ~= nil
      s:read_until "\r\n\r\n"
      s:write "HTTP/1.1 204 No Content\r\n\r\n"
    end, certs.server("good", { ca = certs.path "ca.pem", verify = "optional" }))
    local _, port = target:address()
    local server <close>, url = serve("good", function()
      return 302, { location = "https://127.0.0.1:" .. port .. "/" }
    end)
    assert.equal(204, http.get(url, { ca = certs.path "ca.pem", cert = certs.path "client.pem",
      key = certs.path "client.key" }).status)
    assert.is_false(seen)
    assert.truthy(server)
  end)

  it("checks its options", function()
    for message, f in pairs {
      ["option 'cert'"] = function() http.serve({ port = 0, key = "x" }, print) end,
      ["#2 to 'get' (option 'verify': boolean expected, got no)"] = function()
        http.get("https://127.0.0.1:1", { verify = "no" })
      end,
      ["#2 to 'get' (option 'ca': string expected, got 1)"] = function()
        http.get("https://127.0.0.1:1", { ca = 1 })
      end,
      ["#2 to 'get' (option 'key': without option 'cert')"] = function()
        http.get("https://127.0.0.1:1", { key = certs.path "good.key" })
      end,
    } do
      local ok, err = pcall(f)
      assert.is_false(ok)
      assert.matches(message, tostring(err), 1, true)
    end
    assert.equal("config", raises("ETLS", http.get, "https://127.0.0.1:1", {
      ca = "/nonexistent" }).reason)
    raises("ETLS", http.serve, { port = 0, cert = certs.path "good.pem",
      key = certs.path "client.key" }, print)
  end)

  describe("with others' implementations:", function()
    it("curl gets from our server, and verifies it", function()
      if not outside.has "curl" then return end
      local server <close>, _, port = serve "good"
      for _, flag in ipairs { "--tlsv1.3", "--tls-max 1.2", "--http1.1" } do
        local out,
          status = outside.run(("curl -sS %s --cacert %s https://localhost:%d/a "
          .. "https://localhost:%d/b")
          :format(flag, certs.path "ca.pem", port, port))
        assert.equal("you asked for /ayou asked for /b", out)
        assert.equal(0, status)
      end
      local _, status = outside.run("curl -sS https://localhost:" .. port)
      assert.equal(60, status)
      assert.truthy(server)
    end)

    it("our client gets from nginx", function()
      if not outside.has "nginx" then return end
      local port = outside.port()
      local body = ("nginx "):rep(50)
      local conf = certs.path "nginx.conf"
      require("spec.support.process").write_file(conf, ([[
daemon off; master_process off; pid nginx.pid; error_log error.log;
events { worker_connections 64; }
http { access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;
  uwsgi_temp_path tmp; scgi_temp_path tmp;
  server { listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s;
    location / { default_type text/plain; return 200 "%s"; } } }
]]):format(port, certs.path "good.pem", certs.path "good.key", body))
      local server <close> = outside.serve(("nginx -p @DIR@ -e error.log -c %s"):format(conf),
        function() return outside.listens(port) end)
      local s <close> = session()
      for _ = 1, 20 do assert.equal(body, s:get("https://127.0.0.1:" .. port).body) end
      assert.matches("1 connections", tostring(s))
      assert.truthy(server)
    end)
  end)
end)
