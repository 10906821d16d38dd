-- SPDX-License-Identifier: MIT
-- bide.http_get and its kin: requests, responses, redirects, streams, sessions.
local bide = require "bide"
local process = require "spec.support.process"
local raw = require "spec.support.http"
local http = bide.http

--- A server that tells what it was asked.
local function mirror(opts)
  return raw.serve(function(req)
    local lines = { req.method .. " " .. req.target }
    for name, value in pairs(req.headers) do lines[#lines + 1] = name .. ": " .. value end
    lines[#lines + 1] = ""
    lines[#lines + 1] = req.body
    return table.concat(lines, "\n")
  end, opts)
end

local function body_of(text) return text:match("\n\n(.*)$") end

--- What a script prints that runs in a process of its own, beside this one.
local function aside(script, argument, before)
  local dir = process.temporary_directory()
  local _remove <close> = setmetatable({}, { __close = function() process.remove(dir) end })
  process.write_file(dir .. "/script.lua", script)
  process.write_file(dir .. "/out", "")
  os.execute(("(%s LUA_PATH='%s' LUA_CPATH='%s' %s %s/script.lua %s; echo end) >%s/out 2>&1 &")
    :format(before or "", package.path, package.cpath, process.program, dir, argument, dir))
  local text
  repeat
    bide.sleep(0.005)
    text = process.read_file(dir .. "/out"):match("^(.*)end\n$")
  until text
  return text
end

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
      assert.equal("EPROTO", raw.error_of(function() bide.http_get(base):json() end).code)
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
      assert.equal(bide.http_get, http.get)
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
      assert.matches("\nauthorization: Bearer t0ken\n", http.get(base,
        { auth = { bearer = "t0ken" } }).body)
    end)
  end)

  describe("refuses as an argument error", function()
    local base = "http://127.0.0.1:1"
    for what, case in pairs {
      ["an unknown option"] = { { tiemout = 1 },
        "bad argument #2 to '[%w_.]+' %(unknown option 'tiemout'" },
      ["a negative timeout"] = { { timeout = -1 }, "timeout" },
      ["a timeout that is NaN"] = { { timeout = 0 / 0 }, "timeout" },
      ["an unknown phase"] = { { timeout = { conect = 1 } }, "timeout%.conect" },
      ["a body that is none"] = { { body = {} }, "'body'" },
      ["two bodies"] = { { body = "x", json = 1 }, "only one" },
      ["a query of functions"] = { { query = { a = print } }, "query" },
      ["redirects that are no number"] = { { redirects = "x" }, "redirects" },
    } do
      it(what, function()
        assert.error_matches(function() http.get(base, case[1]) end, case[2])
      end)
    end

    for what, url in pairs {
      ["a URL without scheme"] = "example.org",
      ["another scheme"] = "file:///etc/passwd",
      ["a space in the URL"] = base .. "/a b",
      ["a line break in the URL"] = base .. "/a\r\nX: y",
      ["NUL in the URL"] = base .. "/a\0",
      ["no host"] = "http:///x",
      ["a port out of range"] = "http://x:65536/",
    } do
      it(what, function()
        assert.error_matches(function() http.get(url) end,
          "bad argument #1 to '[%w_.]+' %(invalid URL")
      end)
    end

    it("methods and headers that would inject", function()
      for _, method in ipairs { "GET / HTTP/1.1\r\nX: y", "G T", "", "CONNECT" } do
        assert.error_matches(function() http.request { url = base, method = method } end, "method")
      end
      for name, value in pairs { ["X-A"] = "a\r\nb", ["X A"] = "b", [""] = "x", ["X\n"] = "y",
        X = "\0" } do
        assert.error_matches(function() http.get(base, { headers = { [name] = value } }) end,
          "header")
      end
    end)
  end)

  describe("follows redirects", function()
    local function redirecting(status)
      local log = {}
      local base = raw.serve(function(req)
        log[#log + 1] = req.method .. " " .. req.target .. " " .. req.body
        if req.path == "/from" then return status, { Location = "to?x" }, "" end
        return req.path
      end)
      return base, log
    end

    it("GET by GET, with the final URL", function()
      for _, status in ipairs { 301, 302, 303, 307, 308 } do
        local base = redirecting(status)
        local res = http.get(base .. "/from")
        assert.equal("/to", res.body)
        assert.equal(base .. "/to?x", res.url)
      end
    end)

    it("POST by GET after 301, 302, 303 and by POST after 307, 308", function()
      for status, expected in pairs { [301] = "GET /to?x ", [302] = "GET /to?x ",
        [303] = "GET /to?x ",
        [307] = "POST /to?x data", [308] = "POST /to?x data" } do
        local base, log = redirecting(status)
        http.post(base .. "/from", { body = "data" })
        assert.equal(expected, log[2])
      end
    end)

    it("HEAD by HEAD", function()
      local base, log = redirecting(303)
      http.head(base .. "/from")
      assert.equal("HEAD /to?x ", log[2])
    end)

    it("not at all with redirects = 0", function()
      local base = redirecting(302)
      assert.equal(302, http.get(base .. "/from", { redirects = 0 }).status)
    end)

    it("no further than the limit, which the error names", function()
      local n = 0
      local base = raw.serve(function() n = n + 1 return 302, { Location = "/" .. n }, "" end)
      local err = raw.error_of(http.get, base)
      assert.equal("ELOOP", err.code)
      assert.matches("10 redirects", err.message)
      assert.equal(11, n)
      n = 0
      assert.matches("2 redirects", raw.error_of(http.get, base, { redirects = 2 }).message)
    end)

    it("never to itself, to files, to credentials, to nonsense", function()
      for location, code in pairs { ["/"] = "ELOOP", ["file:///etc/passwd"] = "EREDIRECT",
        ["http://user:pw@127.0.0.1/"] = "EREDIRECT", ["javascript:1"] = "EREDIRECT",
        ["http://"] = "EREDIRECT", ["http://a:99999/"] = "EREDIRECT" } do
        local base = raw.serve(function() return 302, { Location = location }, "" end)
        local err = raw.error_of(http.get, base .. "/")
        assert.equal(code, err.code)
        assert.equal(base .. "/", err.url)
      end
    end)

    it("without Authorization and cookies to another origin, with them to the same", function()
      local other = mirror()
      local base = raw.serve(function(req)
        if req.path == "/away" then return 307, { Location = other .. "/x" }, "" end
        if req.path == "/here" then return 307, { Location = "/end" }, "" end
        return tostring(req.headers.authorization)
      end)
      local opts = { auth = { bearer = "secret" }, headers = { Cookie = "c=1", ["X-Keep"] = "k" } }
      local text = http.get(base .. "/away", opts).body
      assert.is_nil(text:find("secret", 1, true))
      assert.is_nil(text:find("c=1", 1, true))
      assert.matches("\nx%-keep: k\n", text)
      assert.equal("Bearer secret", http.get(base .. "/here", opts).body)
    end)

    it("with the time of all of them in the total timeout", function()
      local n = 0
      local base = raw.serve(function()
        n = n + 1
        bide.sleep(0.04)
        return 302, { Location = "/" .. n }, ""
      end)
      local err = raw.error_of(http.get, base, { timeout = 0.1 })
      assert.equal("ETIMEDOUT", err.code)
      assert.equal("total", err.phase)
    end)
  end)

  describe("keeps connections", function()
    it("and uses the last one first", function()
      local base = raw.serve(function(req) return req.peer end)
      local first = http.get(base).body
      assert.equal(first, http.get(base).body)
    end)

    it("no more than limit_per_host, the rest in line, in order", function()
      local open, most, order = 0, 0, {}
      local base = raw.serve(function(req)
        open = open + 1
        most = math.max(most, open)
        order[#order + 1] = tonumber(req.query_string)
        bide.sleep(0.001)
        open = open - 1
        return "x"
      end)
      local session <close> = http.session { limit_per_host = 3 }
      local list, sorted = {}, {}
      for i = 1, 60 do
        list[i] = function() return session:get(base .. "/?" .. i) end
        sorted[i] = i
      end
      bide.gather(list)
      assert.equal(3, most)
      assert.same(sorted, order)
    end)

    it("no more than limit over all hosts, by closing what is idle elsewhere", function()
      local session <close> = http.session { limit = 2, limit_per_host = 2 }
      local bases = {}
      for i = 1, 4 do bases[i] = raw.serve(function() return "x" end) end
      for _ = 1, 2 do
        local list = {}
        for i = 1, 12 do list[i] = function() return session:get(bases[i % 4 + 1]).body end end
        bide.gather(list)
      end
      assert.matches("2 connections", tostring(session))
    end)

    it("but not after Connection: close, HTTP/1.0, or more bytes than announced", function()
      for _, answer in ipairs {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 1\r\n\r\nx",
      } do
        local connections = 0
        local base = raw.raw_server(function(stream, n)
          connections = n
          while raw.read_head(stream) do stream:write(answer) end
        end)
        assert.equal("x", http.get(base).body)
        assert.equal("x", http.get(base).body)
        assert.equal(2, connections)
      end
    end)

    it("and repeats an idempotent request on a new one when the old one was stale", function()
      local connections = 0
      local base = raw.raw_server(function(stream, n)
        connections = n
        raw.read_head(stream)
        stream:write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" .. n)
        if n == 1 then raw.read_head(stream) end -- takes the second request and leaves
      end)
      local session <close> = http.session {}
      assert.equal("1", session:get(base).body)
      assert.equal("2", session:get(base).body)
      assert.equal(2, connections)
    end)

    it("but never repeats a POST", function()
      local requests = 0
      local base = raw.raw_server(function(stream)
        raw.read_head(stream)
        requests = requests + 1
        stream:write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if raw.read_head(stream) then requests = requests + 1 end
      end)
      local session <close> = http.session {}
      session:get(base)
      assert.equal("ECONNRESET", raw.error_of(session.post, session, base).code)
      assert.equal(2, requests)
    end)

    it("and notices a close while they are idle", function()
      local closed = bide.future()
      local base = raw.raw_server(function(stream, n)
        raw.read_head(stream)
        stream:write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" .. n)
        if n == 1 then closed:resolve() end
      end)
      local session <close> = http.session {}
      session:get(base)
      closed:await()
      while not tostring(session):find(" 0 connections") do bide.sleep(0) end
      assert.equal("2", session:post(base).body)
    end)

    it("that do not keep the loop alive while they are idle", function()
      local base = raw.serve(function() return "x" end)
      local started = bide.now()
      assert.matches("deadlock", aside([[
        local bide = require "bide"
        print(pcall(bide.run, function()
          bide.http_get(arg[1])
          bide.future():await()
        end))
      ]], base))
      assert.is_true(bide.now() - started < 5)
    end)

    it("no longer than keepalive", function()
      local ended = bide.future()
      local base = raw.raw_server(function(stream)
        raw.read_head(stream)
        stream:write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        ended:resolve(stream:read())
      end)
      local session <close> = http.session { keepalive = 0.01 }
      session:get(base)
      assert.is_nil(ended:await())
    end)

    it("when descriptors run out, by waiting for one to come free", function()
      local most, open = 0, 0
      local base = raw.serve(function()
        open = open + 1
        most = math.max(most, open)
        bide.sleep(0.002)
        open = open - 1
        return "x"
      end)
      local text = aside([[
        local bide, list = require "bide", {}
        bide.run(function()
          for i = 1, 200 do list[i] = function() return bide.http_get(arg[1]).body end end
          print("got " .. #table.concat(bide.gather(list)))
        end)
      ]], base, "ulimit -n 24;")
      assert.equal("got 200\n", text)
      assert.is_true(most > 1 and most < 24)
    end)

    it("ten thousand at once over a hundred connections", function()
      local base, server = raw.serve(function() return "x" end)
      local list = {}
      for i = 1, 10000 do list[i] = function() return http.get(base).status end end
      local statuses = bide.gather(list)
      assert.equal(10000, #statuses)
      for i = 1, 10000 do assert(statuses[i] == 200) end
      server:close()
    end)
  end)

  describe("streams", function()
    it("by read, nil at the end, again and again", function()
      local base = raw.serve(function() return ("x"):rep(200000) end)
      local res <close> = http.get(base, { stream = true })
      assert.equal(200, res.status)
      local n = 0
      for piece in res:chunks() do n = n + #piece end
      assert.equal(200000, n)
      assert.is_nil(res:read())
      assert.is_nil(res:read())
    end)

    it("by lines, whatever their ends, in any split", function()
      local parts = { "one\r", "\ntw", "o\n\nthr", "ee" }
      local base = raw.serve(function() return function() return table.remove(parts, 1) end end)
      local res <close> = http.get(base, { stream = true })
      local lines = {}
      for line in res:lines() do lines[#lines + 1] = line end
      assert.same({ "one", "two", "", "three" }, lines)
    end)

    it("by server-sent events", function()
      local parts = { "data: a\n", "data: b\n\nevent: e\nid: 7\nretry: 5\ndata",
        ": c\n\n: ping\n\n", "data: lost" }
      local base = raw.serve(function() return function() return table.remove(parts, 1) end end)
      local res <close> = http.get(base, { stream = true })
      local events = {}
      for event in res:events() do events[#events + 1] = event end
      assert.same({ { event = "message", data = "a\nb" }, { event = "e", data = "c", id = "7",
        retry = 5 } }, events)
    end)

    it("and closes what is left early", function()
      local base, server = raw.serve(function() return function() return ("x"):rep(10000) end end)
      do
        local res <close> = http.get(base, { stream = true })
        res:read()
      end
      assert.equal("EBADF", raw.error_of(function()
        local res = http.get(base, { stream = true })
        res:close()
        res:read()
      end).code)
      server:close()
    end)

    it("but reads a small rest away and keeps the connection", function()
      local base = raw.serve(function(req) return req.peer .. ("x"):rep(20000) end)
      local session <close> = http.session {}
      local peer
      do
        local res <close> = session:get(base, { stream = true })
        peer = res:read():match("^[%d.:]+")
      end
      assert.equal(peer, session:get(base).body:match("^[%d.:]+"))
    end)

    it("makes a server wait that sends faster than it is read", function()
      local sent = 0
      local base = raw.serve(function()
        return function()
          sent = sent + 65536
          if sent <= 64 * 1024 * 1024 then return ("x"):rep(65536) end
        end
      end)
      local res <close> = http.get(base, { stream = true })
      res:read()
      local before
      repeat
        before = sent
        bide.sleep(0.02)
      until sent == before
      assert.is_true(sent < 32 * 1024 * 1024)
    end)

    it("can be read on after a timeout", function()
      local gate = bide.future()
      local base = raw.serve(function()
        local n = 0
        return function()
          n = n + 1
          if n == 1 then return "a" end
          if n == 2 then gate:await() return "b" end
        end
      end)
      local res <close> = http.get(base, { stream = true })
      assert.equal("a", res:read())
      assert.is_true(bide.is_timeout(raw.error_of(bide.timeout, 0.02, res.read, res)))
      gate:resolve()
      assert.equal("b", res:read())
    end)

    it("one reader at a time", function()
      local base = raw.serve(function() return function() bide.sleep(30) end end)
      local res <close> = http.get(base, { stream = true })
      local task = bide.spawn(res.read, res)
      bide.sleep(0)
      assert.equal("EBUSY", raw.error_of(res.read, res).code)
      task:cancel()
    end)
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

    it("while its body's function waits", function()
      local base = mirror()
      local task = bide.spawn(http.post, base, { body = function() bide.sleep(30) end })
      bide.sleep(0.01)
      task:cancel()
      bide.sleep(0)
      assert.equal("cancelled", task:status())
    end)
  end)

  describe("a session", function()
    it("resolves against its base and adds its headers", function()
      local base = mirror()
      local session <close> = http.session { base = base .. "/api/", headers = { ["X-Key"] = "1",
        Accept = "a" } }
      local text = session:get("v1/x", { headers = { accept = "b" } }).body
      assert.equal("GET /api/v1/x", text:match("^[^\n]*"))
      assert.matches("\nx%-key: 1\n", text)
      assert.matches("\naccept: b\n", text)
      assert.is_nil(text:find("accept: a", 1, true))
      assert.equal("PUT /y", session:request { url = "/y", method = "PUT" }.body:match("^[^\n]*"))
    end)

    it("keeps cookies by their rules", function()
      local base = raw.serve(function(req)
        if req.path == "/set" then
          return 302, { { "Set-Cookie", "a=1; Path=/" }, { "Set-Cookie", "b=2; Path=/deep" },
            { "Set-Cookie", "c=3; Max-Age=0" }, { "Set-Cookie", "d=4; Domain=example.org" },
            { "Set-Cookie", "e=5; Secure" }, { "Location", "/deep/er" } }, ""
        end
        return tostring(req.headers.cookie)
      end)
      local session <close> = http.session { cookies = true }
      assert.equal("b=2; a=1", session:get(base .. "/set").body)
      assert.equal("a=1", session:get(base .. "/deeper").body)
      assert.equal("nil", http.get(base .. "/").body)
    end)

    it("refuses what it does not know", function()
      assert.error_matches(function() http.session { limits = 1 } end, "unknown option 'limits'")
      assert.error_matches(function() http.session { limit = 0 } end, "'limit'")
      assert.error_matches(function() http.session { base = "x" } end, "'base'")
    end)

    it("cannot be used once closed", function()
      local session = http.session {}
      session:close()
      assert.equal("EBADF", raw.error_of(session.get, session, "http://127.0.0.1:1/").code)
    end)
  end)
end)
