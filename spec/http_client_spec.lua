-- SPDX-License-Identifier: MIT
-- bide.http_get and its kin: what is sent, what comes back, how long it may take. Redirects, kept
-- connections, streams and sessions have files of their own in spec/http.
local bide = require "bide"
local process = require "spec.support.process"
local raw = require "spec.support.http"
local tasks = require "spec.support.tasks"
local http, mirror = bide.http, raw.mirror

local function body_of(text) return text:match("\n\n(.*)$") end

describe("bide.http", function()
  describe("gives a response with", function()
    it("status, reason, headers, body, url, version, elapsed", function()
      local base = raw.answering("HTTP/1.1 418 Short and stout\r\nX-A: 1\r\n" ..
        "Content-Length: 3\r\nx-a: 2\r\n\r\ntea")
      local res = bide.http_get(base .. "/x#f")
      assert.equal(418, res.status)
      assert.equal("Short and stout", res.reason)
      assert.equal("tea", res.body)
      assert.equal(base .. "/x#f", res.url)
      assert.equal("1.1", res.version)
      assert.is_true(res.elapsed > 0 and res.elapsed < 5)
      assert.equal("1", res.headers["X-a"])
      assert.same({ "1", "2" }, res.headers:all("X-A"))
      assert.is_nil(res.headers.none)
      local list = {}
      for name, value in pairs(res.headers) do list[#list + 1] = name .. value end
      assert.same({ "x-a1", "content-length3", "x-a2" }, list)
      assert.equal(res.headers, res.headers)
    end)

    it("json() decoded", function()
      local base = raw.serve(function() return '{"a": [1, "b"]}' end)
      assert.equal("b", bide.http_get(base):json().a[2])
      base = raw.serve(function() return "{" end)
      local err = raw.error_of(function() bide.http_get(base):json() end)
      assert.equal("EPROTO", err.code)
      assert.matches("^response body: not JSON: Expected", err.message)
    end)

    it("a status of 404 or 500 as any other", function()
      local base = raw.serve(function() return 404, nil, "not here" end)
      assert.equal(404, bide.http_get(base).status)
    end)

    it("nothing that can be changed", function()
      local res = bide.http_get((mirror()))
      assert.has_error(function() res.body = 1 end)
      assert.has_error(function() res.headers.x = 1 end)
    end)
  end)

  describe("sends", function()
    it("every method by its function", function()
      local base = mirror()
      for _, method in ipairs { "get", "post", "put", "patch", "delete", "options" } do
        local res = http[method](base .. "/p?q")
        assert.equal(method:upper() .. " /p?q", res.body:match("^[^\n]*"))
      end
      assert.equal("", http.head(base).body)
      assert.equal("PURGE /", http.request { url = base, method = "PURGE" }.body:match("^[^\n]*"))
    end)

    it("the method that the options name instead", function()
      local base = mirror()
      local session <close> = http.session {}
      assert.matches("^PURGE /\n", http.get(base, { method = "PURGE" }).body)
      assert.matches("^PUT /\n", session:post(base, { method = "PUT", body = "x" }).body)
      assert.error_matches(function() http.get(base, { method = "G T" }) end, "#2 .*'method'")
      assert.error_matches(function() session:get(base, { url = base }) end, "#2 .*'url'")
    end)

    it("headers given as a map or as a list, and its own unless given", function()
      local base = mirror()
      local text = http.get(base, { headers = { ["X-One"] = 1, ["User-Agent"] = "me" } }).body
      assert.matches("\nx%-one: 1\n", text)
      assert.matches("\nuser%-agent: me\n", text)
      assert.matches("\naccept: %*/%*\n", text)
      text = http.get(base, { headers = { { "X-B", "1" }, { "X-A", "2" }, { "X-B", "3" } } }).body
      assert.matches("\nx%-b: 1\nx%-a: 2\nx%-b: 3\n", text)
      text = http.get(base, { headers = { Host = "other" } }).body
      assert.matches("\nhost: other\n", text)
      assert.equal(1, select(2, text:gsub("\nhost:", "")))
    end)

    it("a query appended to the URL", function()
      local base = mirror()
      local function target(url, query)
        return http.get(base .. url, { query = query }).body:match("^GET ([^\n]*)")
      end
      assert.equal("/?a=1%202&b=x&b=%C3%A4", target("", { a = "1 2", b = { "x", "ä" } }))
      assert.equal("/p?z=0&b=2&a=1", target("/p?z=0#frag", { { "b", 2 }, { "a", 1 } }))
      assert.equal("/?raw", target("/", "raw"))
      assert.equal("/", target("/", {}))
    end)

    it("bodies: string, json, form, multipart", function()
      local base = mirror()
      local text = http.post(base, { body = "a\0b" }).body
      assert.equal("a\0b", body_of(text))
      assert.matches("\ncontent%-length: 3\n", text)
      text = http.post(base, { json = { a = { 1, 2 } } }).body
      assert.equal('{"a":[1,2]}', body_of(text))
      assert.matches("\ncontent%-type: application/json\n", text)
      text = http.post(base, { form = { a = "1 &", b = true } }).body
      assert.equal("a=1+%26&b=true", body_of(text))
      assert.matches("\ncontent%-type: application/x%-www%-form%-urlencoded\n", text)
      text = http.post(base, { multipart = { { "a", "1" }, { "f", { data = "x",
        filename = 'q"\r\n' } } } }).body
      local boundary = text:match("boundary=([^\n]+)")
      assert.equal("--" .. boundary .. '\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--'
        .. boundary .. '\r\ncontent-disposition: form-data; name="f"; filename="q%22%0D%0A"\r\n'
        .. "content-type: application/octet-stream\r\n\r\nx\r\n--" .. boundary .. "--\r\n",
          body_of(text))
      assert.matches("\ncontent%-length: 0\n", http.post(base).body)
    end)

    it("bodies that a function gives, chunked or of announced length", function()
      local base = mirror()
      local function source(...)
        local parts = { ... }
        return function() bide.sleep(0) return table.remove(parts, 1) end
      end
      local text = http.post(base, { body = source("ab", "", "cde") }).body
      assert.equal("abcde", body_of(text))
      assert.matches("\ntransfer%-encoding: chunked\n", text)
      text = http.put(base, { body = source("ab", "cd"),
        headers = { ["content-length"] = 4 } }).body
      assert.equal("abcd", body_of(text))
      assert.matches("\ncontent%-length: 4\n", text)
      assert.has_error(function()
        http.put(base, { body = source("ab"), headers = { ["content-length"] = 4 } })
      end)
      assert.equal("mine", raw.error_of(http.put, base, { body = function() error("mine", 0) end }))
    end)

    it("the whole URL to a proxy, which answers for the others", function()
      local proxy = mirror()
      local text = http.get("http://example.org:81/a?b#c", { proxy = proxy }).body
      assert.matches("^GET http://example.org:81/a%?b\nhost: example.org:81\n", text)
      text = http.get("http://example.org/", { proxy = (proxy:gsub("//", "//u:p%%41@")) }).body
      assert.matches("\nproxy%-authorization: Basic dTpwQQ==\n", text)
      assert.error_matches(function() http.get(proxy, { proxy = "https://x" }) end, "'proxy'")
    end)

    it("credentials", function()
      local base = mirror()
      assert.matches("\nauthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n",
        http.get(base, { auth = { "Aladdin", "open sesame" } }).body)
      local res = http.get((base:gsub("//", "//Aladdin:open%%20sesame@")) .. "/?a@b")
      assert.matches("\nauthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n", res.body)
      assert.equal(base .. "/?a@b", res.url)
      local err = raw.error_of(http.get, "http://user:secret@127.0.0.1:1/")
      assert.is_nil(tostring(err):find("secret", 1, true))
      assert.equal("http://127.0.0.1:1/", err.url)
      res = http.get((base:gsub("//", "//a@b:c@")))
      assert.matches("\nauthorization: Basic YUBiOmM=\n", res.body)
      assert.equal(base, res.url)
      res = http.get((base:gsub("//", "//u:p@")), { auth = { bearer = "t0ken" } })
      assert.matches("\nauthorization: Bearer t0ken\n", res.body)
      assert.is_nil(res.body:find("Basic", 1, true))
      assert.is_nil(http.get(base .. "/x@y:z@").body:find("authorization", 1, true))
      assert.matches("\nauthorization: Bearer t0ken\n", http.get(base,
        { auth = { bearer = "t0ken" } }).body)
    end)
  end)

  it("tells in an error where it wanted to go", function()
    local base, server = raw.raw_server(function(stream)
      raw.read_head(stream)
      stream:write "HTTP/1.1 302 x\r\nLocation: /\r\n\r\n"
    end)
    local port = tonumber(base:match "%d+$")
    local session = http.session {}
    local loop = raw.error_of(session.get, session, base .. "/a", { redirects = 1 })
    assert.same({ "ELOOP", "127.0.0.1", port }, { loop.code, loop.host, loop.port })
    server:close()
    local err = raw.error_of(session.get, session, base .. "/a")
    assert.same({ "ECONNREFUSED", base .. "/a", "127.0.0.1", port, "connect" },
      { err.code, err.url, err.host, err.port, err.phase })
    assert.is_nil(err.proxy)
    err = raw.error_of(http.get, "https://[::1]:1/")
    assert.same({ "::1", 1 }, { err.host, err.port })
    session:close()
    err = raw.error_of(session.get, session, "http://a.example/")
    assert.same({ "EBADF", "a.example", 80 }, { err.code, err.host, err.port })
  end)

  describe("times out by phase:", function()
    local silent
    before_each(function()
      silent = raw.raw_server(function(stream) stream:read_all() end)
    end)

    it("total", function()
      local err = raw.error_of(http.get, silent, { timeout = 0.03 })
      assert.same({ "ETIMEDOUT", "total", silent }, { err.code, err.phase, err.url })
      assert.is_true(bide.is_timeout(err))
    end)

    it("headers", function()
      assert.equal("headers", raw.error_of(http.get, silent,
        { timeout = { headers = 0.03 } }).phase)
    end)

    it("total, also while the function that gives the body waits", function()
      local closed
      local began = bide.now()
      local err = raw.error_of(http.post, silent, { timeout = 0.03, body = function()
        local _ <close> = setmetatable({}, { __close = function() closed = true end })
        bide.sleep(30)
      end })
      assert.same({ "ETIMEDOUT", "total" }, { err.code, err.phase })
      assert.is_true(closed and bide.now() - began < 10)
      err = raw.error_of(http.post, silent, { timeout = 0.03, body = function()
        if not pcall(bide.sleep, 30) then error("own", 0) end
      end })
      assert.equal("own", err)
    end)

    it("headers, from the end of a body that takes longer to send", function()
      local base = mirror()
      local timeout = { headers = 0.1 }
      local n = 0
      local res = http.post(base, { timeout = timeout, body = function()
        n = n + 1
        bide.sleep(0.04)
        return n < 6 and "x" or nil
      end })
      assert.equal("xxxxx", body_of(res.body))
      base = raw.raw_server(function(stream)
        raw.read_head(stream)
        for _ = 1, 24 do -- some of the last ones in the kernel's buffers
          stream:read_exactly(1000000)
          bide.sleep(0.05)
        end
        stream:write "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"
      end)
      timeout.headers = 1
      assert.equal("late", http.post(base, { timeout = timeout, body = ("x"):rep(24000000) }).body)
      base = raw.raw_server(function(stream) raw.read_head(stream) bide.sleep(30) end)
      for phase, seconds in pairs { headers = { headers = 0.1 }, read = { read = 0.1 } } do
        local err = raw.error_of(http.post, base, { timeout = seconds, body = ("x"):rep(24000000) })
        assert.equal(phase, err.phase)
      end
    end)

    it("headers, also when they come byte by byte", function()
      local base = raw.raw_server(function(stream)
        raw.read_head(stream)
        stream:write("HTTP/1.1 200 OK\r\nX: ")
        while true do stream:write("x") bide.sleep(0.005) end
      end)
      assert.equal("headers", raw.error_of(http.get, base, { timeout = { headers = 0.05 } }).phase)
    end)

    it("read", function()
      assert.equal("read", raw.error_of(http.get, silent, { timeout = { read = 0.03 } }).phase)
      local base = raw.answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", true)
      assert.equal("read", raw.error_of(http.get, base, { timeout = { read = 0.03 } }).phase)
    end)

    it("pool", function()
      local session <close> = http.session { limit_per_host = 1 }
      local task = bide.spawn(session.get, session, silent)
      bide.sleep(0)
      assert.equal("pool", raw.error_of(session.get, session, silent,
        { timeout = { pool = 0.03 } }).phase)
      assert.equal("total", raw.error_of(session.get, session, silent, { timeout = 0.03 }).phase)
      task:cancel()
    end)

    it("connect, with a name or without", function()
      local server = bide.tcp.listen("127.0.0.1", 0, function(stream) stream:read() end,
        { backlog = 1, max_connections = 1, daemon = true })
      local _, port = server:address()
      local streams = {}
      for i = 1, 8 do -- until its backlog is full
        local ok, stream = pcall(bide.tcp.connect, "127.0.0.1", port, { timeout = 0.02 })
        streams[i] = ok and stream or nil
      end
      local url = ("http://127.0.0.1:%d/"):format(port)
      local err = raw.error_of(http.get, url, { timeout = { connect = 0.03 } })
      assert.same({ "ETIMEDOUT", "connect", url }, { err.code, err.phase, err.url })
      assert.equal("total", raw.error_of(http.get, url, { timeout = 0.03 }).phase)
      local mute <close> = bide.udp.bind("127.0.0.1", 0)
      bide.dns.servers { "127.0.0.1:" .. select(2, mute:address()) }
      err = raw.error_of(http.get, "http://silent.test/", { timeout = { connect = 0.03 } })
      assert.same({ "ETIMEDOUT", "connect" }, { err.code, err.phase })
      bide.dns.servers()
      for _, stream in pairs(streams) do stream:close() end
      server:close()
    end)

    it("by default: connect after 10 s, 30 s without a byte, a head after 60 s",
      tasks.virtual(function()
        local mute = bide.udp.bind("127.0.0.1", 0)
        bide.dns.servers { "127.0.0.1:" .. select(2, mute:address()) }
        local drip
        local base, server = raw.raw_server(function(stream)
          if not drip then return stream:read_all() end
          while true do stream:write(drip) bide.sleep(20) end
        end)
        local function takes(seconds, phase, url)
          local started = bide.now()
          local err = raw.error_of(http.get, url)
          assert.same({ "ETIMEDOUT", phase }, { err.code, err.phase })
          assert.near(seconds, bide.now() - started, 0.5)
        end
        takes(10, "connect", "http://silent.test/")
        takes(30, "read", base)
        drip = "H"
        assert.equal("EPROTO", raw.error_of(http.get, base).code) -- HH
        drip = "\r\n"
        bide.dns.servers()
        server:close()
        mute:close()
      end))

    it("none while bytes keep coming", function()
      local base = raw.serve(function()
        local n = 0
        return function() n = n + 1 bide.sleep(0.02) return n < 6 and "x" or nil end
      end)
      assert.equal("xxxxx", http.get(base, { timeout = { read = 0.06 } }).body)
    end)
  end)

  describe("is cancelled", function()
    it("in any phase, closing what it used", function()
      local seen = {}
      local base = raw.raw_server(function(stream, n)
        seen[n] = bide.future()
        seen[n]:resolve(stream:read_all())
      end)
      local session <close> = http.session { limit_per_host = 1 }
      local one = bide.spawn(session.get, session, base)
      local two = bide.spawn(session.get, session, base)
      while not seen[1] do bide.sleep(0) end
      two:cancel()
      one:cancel()
      assert.matches("^GET / HTTP/1.1\r\n", seen[1]:await())
      assert.equal("cancelled", one:status())
      assert.equal("cancelled", two:status())
      assert.matches(" 0 connections", tostring(session))
    end)

    --- Requests that hang in each phase there is, as functions of a session.
    local function hanging()
      local mute_dns = bide.udp.bind("127.0.0.1", 0)
      bide.dns.servers { "127.0.0.1:" .. select(2, mute_dns:address()) }
      local full = bide.tcp.listen("127.0.0.1", 0, function(stream) stream:read() end,
        { backlog = 1, max_connections = 1, daemon = true })
      local _, port = full:address()
      local closing = { mute_dns, full }
      for _ = 1, 8 do -- until its backlog is full
        local ok, stream = pcall(bide.tcp.connect, "127.0.0.1", port, { timeout = 0.02 })
        if not ok then break end
        closing[#closing + 1] = stream
      end
      local silent = raw.raw_server(function(stream) stream:read_all() end)
      local half = raw.raw_server(function(stream)
        raw.read_head(stream)
        -- more than is read away to keep the connection
        stream:write("HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\nab")
        stream:read_all()
      end)
      local large = ("x"):rep(20000000)
      local deaf = raw.raw_server(function(stream) bide.future():await(stream) end)
      return {
        look_up = function(s) s:get "http://silent.test/" end,
        connect = function(s) s:get(("http://127.0.0.1:%d/"):format(port)) end,
        headers = function(s) s:get(silent) end,
        body = function(s) s:get(half) end,
        send = function(s) s:post(deaf, { body = large }) end,
        feed = function(s) s:post(deaf, { body = function() return ("x"):rep(65536) end }) end,
        stream = function(s)
          local res <close> = s:get(half, { stream = true })
          res:read_all()
        end,
      }, function()
        bide.dns.servers()
        for _, c in ipairs(closing) do c:close() end
      end
    end

    it("in look-up, connect, head, body, sending, feeding, reading, and leaves nothing", function()
      local phases, close = hanging()
      for name, f in pairs(phases) do
        for _, times in ipairs { 1, 3, 40 } do
          local session <close> = http.session {}
          local task = bide.spawn(f, session)
          tasks.turns(times)
          task:cancel()
          assert.equal("ECANCELED", raw.error_of(task.await, task).code, name)
          assert.matches(" 0 connections", tostring(session), name)
          local late = bide.spawn(bide.timeout, 0.01, f, session)
          assert.is_true(bide.is_timeout(raw.error_of(late.await, late)), name)
          assert.matches(" 0 connections", tostring(session), name)
        end
      end
      close()
    end)

    it("by the end of its program, whatever it waits for", function()
      local result = process.run({ process.program, "-e", [[
        local bide = require "bide"
        local mute = bide.udp.bind("127.0.0.1", 0)
        bide.dns.servers { "127.0.0.1:" .. select(2, mute:address()) }
        local server = bide.tcp.listen("127.0.0.1", 0, function(s)
          s:read()
          s:write "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
          s:read_all()
        end, { daemon = true })
        local url = ("http://127.0.0.1:%d/"):format(select(2, server:address()))
        local get, post = bide.http.get, bide.http.post
        bide.daemon(get, "http://silent.test/")
        bide.daemon(get, url)
        bide.daemon(function() get(url, { stream = true }):read_all() end)
        bide.daemon(post, url, { body = ("x"):rep(20000000) })
        bide.daemon(post, url, { body = function() bide.sleep(0.001) return "x" end })
        bide.sleep(0.05)
        print "over"
      ]] }, { seconds = 30 })
      assert.same({ status = 0, out = "over\n", err = "" }, result)
    end)

    it("while its body's function waits", function()
      local base = mirror()
      local task = bide.spawn(http.post, base, { body = function() bide.sleep(30) end })
      bide.sleep(0.01)
      task:cancel()
      bide.sleep(0)
      assert.equal("cancelled", task:status())
    end)
  end)
end)
