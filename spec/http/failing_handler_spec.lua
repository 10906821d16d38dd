-- SPDX-License-Identifier: MIT
-- Handlers that fail, and what they return that cannot be sent.
local bide = require "bide"
local raw = require "spec.support.http"

local get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

describe("bide.http.serve", function()
  describe("when the handler fails", function()
    local reported, before
    before_each(function()
      reported = {}
      before = bide.on_unhandled(function(err) reported[#reported + 1] = tostring(err) end)
    end)
    after_each(function() bide.on_unhandled(before) end)

    it("answers 500 and reports the error", function()
      local base = raw.serve(function() error("oh no") end)
      local res = bide.http_get(base)
      assert.equal(500, res.status)
      assert.is_nil(res.body:find("oh no", 1, true))
      bide.sleep(0)
      assert.matches("oh no", reported[1])
    end)

    it("goes on with the next request on that connection", function()
      local base = raw.serve(function(req) if req.path == "/bad" then error("x") end
        return "good" end)
      local stream <close> = raw.connect(base)
      stream:write("GET /bad HTTP/1.1\r\nHost: x\r\n\r\n" .. get)
      assert.equal(500, (raw.read_response(stream)))
      assert.equal(200, (raw.read_response(stream)))
    end)

    it("in the middle of a stream, cuts the connection", function()
      local base = raw.serve(function()
        local n = 0
        return function() n = n + 1 if n == 2 then error("mid") end return "part" end
      end)
      local err = raw.error_of(bide.http_get, base)
      assert.equal("EPROTO", err.code)
      assert.matches("mid", reported[1])
    end)

    it("says by the task's name which request it was", function()
      local name
      bide.on_unhandled(function(_, task) name = task:name() end)
      local long, many = ("v"):rep(3000), {}
      for i = 1, 20 do many["x-" .. i] = long end
      local base = raw.serve(function(req)
        local n = 0
        local function stream()
          n = n + 1
          return n <= 2 and "part" or error "mid"
        end
        if req.path == "/header" then return 200, { a = "\n" }, "" end
        if req.path == "/length" then return 200, { ["content-length"] = 5 }, "x" end
        if req.path == "/stream" then return 200, nil, stream end
        if req.path == "/many" then return 200, many, stream end
        if req.path == "/own" then bide.current():name "mine" end
        error "at once"
      end)
      local function named(request)
        name = nil
        raw.exchange(base, request .. " HTTP/1.1\r\nHost: x\r\nX-More: " .. long:sub(1, 500)
          .. "\r\n\r\n")
        return name
      end
      for _, path in ipairs { "/?a=b&c", "/header", "/length", "/stream?x", "/many", "*" } do
        local line = (path == "*" and "OPTIONS " or "POST ") .. path
        assert.equal("http request " .. line, named(line))
      end
      assert.equal("http request GET /\\xc3\\xa4\\x5c", named "GET /\xc3\xa4\\")
      for _, n in ipairs { 81, 82, 119, 120, 121, 5000 } do
        local target = "/" .. ("b"):rep(n - 1)
        local full = "http request GET " .. target
        assert.equal(#full < 100 and full or full:sub(1, 96) .. "...", named("GET " .. target))
      end
      assert.equal("mine", named "GET /own")
    end)

    for what, f in pairs {
      ["a header with a line break"] = function() return 200, { ["X-A"] = "a\r\nX-B: b" }, "" end,
      ["a header name with a space"] = function() return 200, { ["X A"] = "a" }, "" end,
      ["a header with NUL"] = function() return 200, { ["X-A"] = "a\0" }, "" end,
      ["a status out of range"] = function() return 99, nil, "" end,
      ["a body that is none"] = function() return 200, nil, {} end,
      ["headers that are none"] = function() return 200, "x", "" end,
      ["a body without a status"] = function() return nil, nil, "body" end,
      ["a body behind a body"] = function() return "body", nil, "x" end,
      ["a wrong content-length"] = function() return 200, { ["content-length"] = "3" }, "x" end,
    } do
      it("counts " .. what .. " as a failure", function()
        local base = raw.serve(f)
        assert.equal(500, bide.http_get(base).status)
        bide.sleep(0)
        assert.equal(1, #reported)
      end)
    end
  end)
end)
