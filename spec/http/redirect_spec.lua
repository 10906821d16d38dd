-- SPDX-License-Identifier: MIT
-- Redirects: what is followed, with which method, and what is refused.
local bide = require "bide"
local raw = require "spec.support.http"
local http, mirror = bide.http, raw.mirror

describe("bide.http", function()
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

    it("without a session's credentials, headers of its own kept", function()
      local other = mirror()
      local base = raw.serve(function() return 302, { Location = other .. "/x" }, "" end)
      for _, opts in ipairs { { auth = { "user", "secret" } },
        { headers = { Authorization = "secret", Cookie = "secret", ["X-Keep"] = "k" } } } do
        local session <close> = http.session(opts)
        local text = session:get(base).body
        assert.is_nil(text:find("authorization", 1, true))
        assert.is_nil(text:find("secret", 1, true))
        assert.equal(opts.headers ~= nil, text:find("\nx-keep: k\n", 1, true) ~= nil)
      end
    end)

    it("to what people write in Location", function()
      for location, target in pairs { ["/a b"] = "/a%20b", ["/\u{e4}?\u{f6}"] = "/%C3%A4?%C3%B6",
        ["../x"] = "/x", ["./y#f"] = "/deep/y", ["/a|b"] = "/a%7Cb", ["?q"] = "/deep/from?q" } do
        local base = raw.serve(function(req)
          if req.target == "/deep/from" then return 302, { Location = location }, "" end
          return req.target
        end)
        assert.equal(target, http.get(base .. "/deep/from").body)
      end
    end)

    it("keeping other methods and their bodies, which 303 drops with their headers", function()
      for status, expected in pairs { [301] = "PUT [1] application/json",
        [302] = "PUT [1] application/json", [303] = "GET  nil", [307] = "PUT [1] application/json",
        [308] = "PUT [1] application/json" } do
        local base = raw.serve(function(req)
          if req.path == "/from" then return status, { Location = "/to" }, "" end
          return req.method .. " " .. req.body .. " " .. tostring(req.headers["content-type"])
        end)
        assert.equal(expected, http.put(base .. "/from", { json = { 1 } }).body)
      end
    end)

    it("but not 300, 304, 305, or without a Location; and refuses two of them", function()
      for _, status in ipairs { 300, 304, 305, 306 } do
        local base = raw.serve(function() return status, { Location = "/to" }, "" end)
        assert.equal(status, http.get(base).status)
      end
      local base = raw.serve(function(req)
        local two = { { "Location", "/a" }, { "Location", "/b" } }
        return 302, req.path == "/two" and two or nil, "x"
      end)
      assert.same({ 302, "x" }, { http.get(base).status, http.get(base).body })
      assert.equal("EREDIRECT", raw.error_of(http.get, base .. "/two").code)
    end)

    it("no body that a function gave", function()
      local base = raw.serve(function(req)
        local _ = req.body
        return 307, { Location = "/to" }, ""
      end)
      local parts = { "a" }
      assert.equal("EREDIRECT", raw.error_of(http.post, base,
        { body = function() return table.remove(parts) end }).code)
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
end)
