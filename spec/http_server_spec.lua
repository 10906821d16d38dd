-- SPDX-License-Identifier: MIT
-- bide.http.serve: what handlers get and give, and what goes over the wire for it.
local bide = require "bide"
local raw = require "spec.support.http"
local tasks = require "spec.support.tasks"

local get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
local get_close = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

describe("bide.http.serve", function()
  describe("gives the handler", function()
    it("method, path, query and headers", function()
      local seen
      local base = raw.serve(function(req)
        seen = { req.method, req.path, req.query.a, req.query.b, req.query_string, req.target,
          req.headers.HOST, req.version }
        return ""
      end)
      raw.exchange(base, "PATCH /x%20y?a=1%262&b=&a=3 HTTP/1.1\r\nHost: h\r\n\r\n")
      assert.same({ "PATCH", "/x y", "1&2", "", "a=1%262&b=&a=3", "/x%20y?a=1%262&b=&a=3", "h",
        "1.1" }, seen)
    end)

    it("headers in order, repeated ones all", function()
      local names, all = {}, nil
      local base = raw.serve(function(req)
        for name, value in pairs(req.headers) do names[#names + 1] = name .. "=" .. value end
        all = req.headers:all("x-a")
        assert.equal(4, #req.headers)
        assert.is_nil(req.headers["x-none"])
        return ""
      end)
      raw.exchange(base, "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a:  2 \r\nAccept: *\r\n\r\n")
      assert.same({ "host=h", "x-a=1", "x-a=2", "accept=*" }, names)
      assert.same({ "1", "2" }, all)
    end)

    it("the host of the target, whatever the header said", function()
      local seen = {}
      local base = raw.serve(function(req)
        local named = {}
        for name, value in pairs(req.headers) do named[#named + 1] = name .. "=" .. value end
        seen[#seen + 1] = req.headers.host
        assert.same({ req.headers.host }, req.headers:all "Host")
        assert.equal("host=" .. req.headers.host, named[1])
        return req.path
      end)
      local stream <close> = raw.connect(base)
      for _, target in ipairs { "http://inner/x", "/x", "HTTP://[::1]:80/x", "http://inner:8?x" } do
        stream:write(("GET %s HTTP/1.1\r\nHost: outer\r\n\r\n"):format(target))
        raw.read_response(stream)
      end
      assert.same({ "inner", "outer", "[::1]:80", "inner:8" }, seen)
    end)

    it("the peer's address", function()
      local peer, port
      local base = raw.serve(function(req) peer = req.peer return "" end)
      local stream <close> = raw.connect(base)
      local _
      _, port = stream:local_address()
      stream:write(get)
      raw.read_response(stream)
      assert.equal("127.0.0.1:" .. port, peer)
    end)

    it("fields of the handler's own", function()
      local base = raw.serve(function(req)
        req.user = "me"
        return req.user .. tostring(req.other)
      end)
      assert.equal("menil", bide.http_get(base).body)
    end)
  end)

  describe("gives the body", function()
    it("whole as req.body, again when asked again", function()
      local base = raw.serve(function(req) return req.body .. req.body end)
      assert.equal("abcabc", bide.http.post(base, { body = "abc" }).body)
    end)

    it("empty when there is none", function()
      local base = raw.serve(function(req) return "[" .. req.body .. tostring(req:read())
        .. "]" end)
      assert.equal("[nil]", bide.http_get(base).body)
    end)

    it("chunked and in any split", function()
      local base = raw.serve(function(req) return req.body end)
      local stream <close> = raw.connect(base)
      local bytes = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" ..
        "3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nTrailer: 1\r\n\r\n"
      for i = 1, #bytes do
        stream:write(bytes:sub(i, i))
        bide.sleep(0)
      end
      local status, body = raw.read_response(stream)
      assert.equal(200, status)
      assert.equal("abcdefgh", body)
    end)

    it("in pieces by read and chunks, as they come", function()
      local first = bide.future()
      local base = raw.serve(function(req)
        local one = req:read()
        first:resolve(one)
        local parts = {}
        for piece in req:chunks() do parts[#parts + 1] = piece end
        return table.concat(parts)
      end)
      local stream <close> = raw.connect(base)
      stream:write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
      assert.equal("abc", first:await())
      stream:write("def")
      local _, body = raw.read_response(stream)
      assert.equal("def", body)
    end)

    it("decoded as JSON", function()
      local base = raw.serve(function(req) return req:json().a[2] end)
      assert.equal("2", bide.http.post(base, { body = '{"a":[1,"2"]}' }).body)
    end)

    it("or answers 400, and reports nothing, when it is no JSON and the handler lets that pass",
      function()
        local entries = {}
        local base = raw.serve(function(req)
          if req.path == "/pass" then return tostring(req:json()) end
          local ok, err = pcall(req.json, req)
          assert(not ok and err.code == "EPROTO" and tostring(err):find "not JSON")
          if req.path == "/other" then error({}) end
          return "caught"
        end, { log = function(e) entries[#entries + 1] = e.status .. " " .. e.reason end })
        local seen = tasks.unhandled(function()
          for _, body in ipairs { "{", "", "nope", ("["):rep(100000) } do
            assert.equal(400, bide.http.post(base .. "/pass", { body = body }).status)
          end
          assert.equal("caught", bide.http.post(base, { body = "{" }).body)
          bide.sleep(0)
        end)
        assert.equal(0, #seen)
        assert.equal(4, #entries)
        assert.equal("400 the body is not JSON", entries[1])
        seen = tasks.unhandled(function()
          assert.equal(500, bide.http.post(base .. "/other", { body = "{" }).status)
          bide.sleep(0)
        end)
        assert.equal(1, #seen)
      end)

    it("larger than memory should hold, by waiting for the reader", function()
      local base = raw.serve(function(req)
        local n = 0
        for piece in req:chunks() do
          assert.is_true(#piece <= 131072)
          n = n + #piece
        end
        return tostring(n)
      end)
      local left = 512
      local res = bide.http.post(base, { body = function()
        left = left - 1
        if left >= 0 then return ("x"):rep(65536) end
      end })
      assert.equal(tostring(512 * 65536), res.body)
    end)

    it("after 100 Continue, when it is asked for", function()
      local base = raw.serve(function(req) return req.body end)
      local stream <close> = raw.connect(base)
      stream:write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n" ..
        "Expect: 100-continue\r\n\r\n")
      assert.equal("HTTP/1.1 100 Continue", stream:read_line())
      assert.equal("", stream:read_line())
      stream:write("abc")
      local status, body = raw.read_response(stream)
      assert.same({ 200, "abc" }, { status, body })
    end)

    it("or refuses it by closing, when the handler does not want it", function()
      local base = raw.serve(function() return 403, nil, "no" end)
      local answer = raw.exchange(base,
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
      assert.matches("^HTTP/1.1 403 ", answer)
      assert.matches("\r\nconnection: close\r\n", answer)
    end)
  end)

  describe("sends", function()
    it("a string as the body, with length and date", function()
      local base = raw.serve(function() return "hello" end)
      local answer = raw.exchange(base, get_close)
      assert.matches("^HTTP/1.1 200 OK\r\n", answer)
      assert.matches("\r\ncontent%-length: 5\r\n", answer)
      assert.matches("\r\ndate: %a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT\r\n", answer)
      assert.matches("\r\n\r\nhello$", answer)
    end)

    it("status, headers and body", function()
      local base = raw.serve(function()
        return 201, { Location = "/new", ["Set-Cookie"] = { "a=1", "b=2" } }, "made"
      end)
      local res = bide.http_get(base)
      assert.equal(201, res.status)
      assert.equal("Created", res.reason)
      assert.equal("/new", res.headers.location)
      assert.same({ "a=1", "b=2" }, res.headers:all("set-cookie"))
      assert.equal("made", res.body)
    end)

    it("headers in order when they are a list", function()
      local base = raw.serve(function() return 200, { { "B", "1" }, { "A", "2" }, { "B", "3" } },
        "" end)
      assert.matches("\r\nB: 1\r\nA: 2\r\nB: 3\r\n", raw.exchange(base, get_close))
    end)

    it("a type for strings, where none is given and there is a body", function()
      local results = {
        plain = { "hello" }, given = { 200, { ["Content-Type"] = "a/b" }, "hello" },
        empty = { "" }, streamed = { 200, nil, function() end },
        ["204"] = { 204, nil, "x" }, ["304"] = { 304, nil, "x" },
      }
      local types = { plain = "text/plain; charset=utf-8", given = "a/b" }
      local base = raw.serve(function(req) return table.unpack(results[req.path:sub(2)], 1, 3) end)
      for name in pairs(results) do
        local res = bide.http_get(base .. "/" .. name)
        assert.equal(types[name], res.headers["content-type"], name)
      end
    end)

    it("204 when the handler returns nothing", function()
      local base = raw.serve(function() end)
      local answer = raw.exchange(base, get_close)
      assert.matches("^HTTP/1.1 204 No Content\r\n", answer)
      assert.is_nil(answer:find("content-length", 1, true))
    end)

    it("no body to HEAD, but its length", function()
      local base = raw.serve(function() return "hello" end)
      local answer = raw.exchange(base, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.matches("\r\ncontent%-length: 5\r\n\r\n$", answer)
    end)

    it("what a function gives, chunked, piece by piece", function()
      local gate = bide.future()
      local base = raw.serve(function()
        local n = 0
        return 200, nil, function()
          n = n + 1
          if n == 2 then gate:await() end
          return ({ "one", "two" })[n]
        end
      end)
      local res <close> = bide.http_get(base, { stream = true })
      assert.equal("one", res:read())
      gate:resolve()
      assert.equal("two", res:read())
      assert.is_nil(res:read())
    end)

    it("a stream to HTTP/1.0 until the connection closes", function()
      local base = raw.serve(function()
        local n = 0
        return 200, nil, function() n = n + 1 return n < 3 and "x" .. n or nil end
      end)
      local answer = raw.exchange(base, "GET / HTTP/1.0\r\n\r\n")
      assert.matches("\r\n\r\nx1x2$", answer)
    end)

    it("what a coroutine.wrap gives, and waits in it", function()
      local base = raw.serve(function()
        return coroutine.wrap(function()
          for i = 1, 3 do
            bide.sleep(0.001)
            coroutine.yield(tostring(i))
          end
        end)
      end)
      assert.equal("123", bide.http_get(base).body)
    end)

    it("a stream of announced length as it stands", function()
      local base = raw.serve(function()
        local parts = { "ab", "cd" }
        return 200, { ["Content-Length"] = "4" }, function() return table.remove(parts, 1) end
      end)
      local answer = raw.exchange(base, get_close)
      assert.matches("\r\ncontent%-length: 4\r\n.*\r\n\r\nabcd$", answer)
    end)

    it("large bodies to readers that take their time", function()
      local body = ("0123456789"):rep(1000000)
      local base = raw.serve(function() return body end)
      local stream <close> = raw.connect(base)
      stream:write(get)
      local head = raw.read_head(stream)
      assert.matches("content%-length: 10000000", head)
      local n = 0
      while n < #body do
        local piece = stream:read()
        assert.equal(body:sub(n + 1, n + #piece), piece)
        n = n + #piece
        bide.sleep(0)
      end
    end)
  end)

  describe("keeps connections", function()
    it("for one request after the other", function()
      local base = raw.serve(function(req) return req.peer end)
      local stream <close> = raw.connect(base)
      stream:write(get)
      local _, first = raw.read_response(stream)
      stream:write(get)
      local _, second = raw.read_response(stream)
      assert.equal(first, second)
    end)

    it("and answers what is pipelined in order", function()
      local base = raw.serve(function(req)
        bide.sleep(req.path == "/1" and 0.02 or 0)
        return req.path
      end)
      local requests = {}
      for i = 1, 1000 do requests[i] = ("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(i) end
      local stream <close> = raw.connect(base)
      bide.spawn(function() stream:write(table.concat(requests)) end)
      for i = 1, 1000 do
        local _, body = raw.read_response(stream)
        assert.equal("/" .. i, body)
      end
    end)

    it("and lets no answer wait for a handler behind it that waits", function()
      local gate = bide.future()
      local base = raw.serve(function(req)
        if req.path == "/slow" then gate:await() end
        return req.path
      end)
      local stream <close> = raw.connect(base)
      stream:write(get .. get .. "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" .. get)
      for _ = 1, 2 do
        local _, body = raw.read_response(stream)
        assert.equal("/", body)
      end
      gate:resolve()
      for _, path in ipairs { "/slow", "/" } do
        local _, body = raw.read_response(stream)
        assert.equal(path, body)
      end
    end)

    it("and mixes streams, large bodies and failures into a pipeline, in order", function()
      local before = bide.on_unhandled(function() end)
      local _ <close> = setmetatable({}, { __close = function() bide.on_unhandled(before) end })
      local large = ("x"):rep(300000)
      local base = raw.serve(function(req)
        if req.path == "/stream" then
          local n = 0
          return 200, { ["content-length"] = "2" }, function()
            n = n + 1
            return n < 3 and "s" or nil
          end
        end
        if req.path == "/fail" then error("x") end
        return req.path == "/large" and large or req.path
      end)
      local paths, requests = { "/a", "/large", "/b", "/stream", "/c", "/fail", "/d" }, {}
      for i = 1, 70 do
        requests[i] = ("GET %s HTTP/1.1\r\nHost: x\r\n\r\n"):format(paths[i % 7 + 1])
      end
      local stream <close> = raw.connect(base)
      stream:write(table.concat(requests))
      local expected = { ["/large"] = large, ["/stream"] = "ss",
        ["/fail"] = "Internal Server Error\n" }
      for i = 1, 70 do
        local path = paths[i % 7 + 1]
        local _, body = raw.read_response(stream)
        assert(body == (expected[path] or path), path)
      end
    end)

    it("in HTTP/1.0 only when asked to", function()
      local base = raw.serve(function() return "x" end)
      assert.matches("\r\nconnection: keep%-alive\r\n",
        raw.exchange(base, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
      assert.is_nil(raw.exchange(base, "GET / HTTP/1.0\r\n\r\n"):find("keep-alive", 1, true))
    end)

    it("no longer than max_requests", function()
      local base = raw.serve(function() return "x" end, { max_requests = 2 })
      local answer = raw.exchange(base, get .. get .. get)
      local _, count = answer:gsub("HTTP/1.1 200", "")
      assert.equal(2, count)
      assert.matches("connection: close", answer)
    end)

    it("past a body that the handler did not read", function()
      local base = raw.serve(function(req) return req.path end)
      local stream <close> = raw.connect(base)
      stream:write("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
      local _, body = raw.read_response(stream)
      assert.equal("/a", body)
      stream:write("56789GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
      _, body = raw.read_response(stream)
      assert.equal("/b", body)
    end)
  end)

  describe("refuses", function()
    it("options that it does not know", function()
      assert.error_matches(function() bide.http.serve({ prot = 0 }, print) end,
        "unknown option 'prot'")
      assert.error_matches(function() bide.http.serve({ max_body = -1 }, print) end, "max_body")
      assert.error_matches(function() bide.http.serve({ port = "x" }, print) end, "port")
      assert.error_matches(function() bide.http.serve({ host = "example.org" }, print) end, "host")
      assert.error_matches(function() bide.http.serve({}, 1) end, "bad argument #2")
    end)

    it("an address in use", function()
      local _, server = raw.serve(function() end)
      local _, port = server:address()
      local err = raw.error_of(bide.http.serve, { port = port }, print)
      assert.equal("EADDRINUSE", err.code)
      assert.matches("127.0.0.1:" .. port, tostring(err), 1, true)
    end)
  end)
end)
