-- SPDX-License-Identifier: MIT
-- Responses that are read as they come.
local bide = require "bide"
local raw = require "spec.support.http"
local http = bide.http

describe("bide.http", function()
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

    it("all at once, also from the middle, and as JSON", function()
      local base = raw.serve(function() return ("x"):rep(200000) end)
      local res <close> = http.get(base, { stream = true })
      local first = res:read()
      assert.equal(200000, #first + #res:read_all())
      assert.equal("", res:read_all())
      base = raw.serve(function() return '{"a": [1, "b"]}' end)
      local other <close> = http.get(base, { stream = true })
      assert.equal("b", other:json().a[2])
      base = raw.serve(function() return "{" end)
      local wrong <close> = http.get(base, { stream = true })
      assert.equal("EPROTO", raw.error_of(wrong.json, wrong).code)
    end)

    it("of any length in pieces, but no more than the max_body that was asked for", function()
      local sent
      local base = raw.serve(function(req)
        local size = tonumber(req.query_string)
        sent = 0
        return 200, req.path == "/known" and { ["content-length"] = size } or nil, function()
          local n = math.min(size - sent, 65536)
          sent = sent + n
          return n > 0 and ("x"):rep(n) or nil
        end
      end)
      local size, n = 65 * 1024 * 1024, 0
      local res <close> = http.get(base .. "?" .. size, { stream = true })
      for piece in res:chunks() do n = n + #piece end
      assert.equal(size, n)
      for _, method in ipairs { "read_all", "read", "json" } do
        local limited <close> = http.get(base .. "?1000000", { stream = true, max_body = 100000 })
        local err = raw.error_of(function() while limited[method](limited) do end end)
        assert.equal("ETOOBIG", err.code)
        assert.matches("larger than 100000 bytes", err.message)
      end
      assert.equal("ETOOBIG", raw.error_of(http.get, base .. "/known?1000000",
        { stream = true, max_body = 100000 }).code)
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

    it("through a proxy, each piece as it comes", function()
      local asked, gate, parts = nil, bide.event(), { "one\n", "two\n" }
      local origin = raw.serve(function(req)
        asked = req.path .. " " .. req.body
        return 201, { ["content-type"] = "text/x" }, function()
          if #parts == 1 then gate:wait() end
          return table.remove(parts, 1)
        end
      end)
      local proxy = raw.serve(function(req)
        local res = http.post(origin .. req.target, { body = req:chunks(), stream = true })
        return res.status, { ["content-type"] = res.headers["content-type"] }, res:chunks()
      end)
      local sent = 0
      local res <close> = http.post(proxy .. "/a", { stream = true, body = function()
        sent = sent + 1
        return sent <= 3 and ("x"):rep(sent) or nil
      end })
      assert.same({ 201, "text/x" }, { res.status, res.headers["content-type"] })
      assert.equal("/a xxxxxx", asked)
      assert.equal("one\n", res:read())
      gate:set()
      assert.same({ "two\n" }, { res:read(), res:read() })
    end)

    it("by iterators that need no arguments, in the task that has them", function()
      local base = raw.serve(function(req)
        if req.method == "POST" then return req:chunks() end
        return "data: a\n\ndata: b\n\n"
      end)
      assert.equal("abc", http.post(base, { body = "abc" }).body)
      for method, expected in pairs {
        lines = { "data: a", "", "data: b", "" }, events = { "a", "b" },
        chunks = { "data: a\n\ndata: b\n\n" },
      } do
        local res <close> = http.get(base, { stream = true })
        local next_one, found = res[method](res), {}
        local value = next_one()
        while value do
          found[#found + 1] = value.data or value
          value = next_one()
        end
        assert.same(expected, found)
        assert.is_nil(next_one())
        res:close()
        assert.equal("EBADF", raw.error_of(next_one).code)
      end
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
end)
