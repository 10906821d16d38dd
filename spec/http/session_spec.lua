-- SPDX-License-Identifier: MIT
-- Sessions: a base, defaults, cookies.
local bide = require "bide"
local raw = require "spec.support.http"
local http, mirror = bide.http, raw.mirror

describe("bide.http", function()
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

    it("gives its requests defaults, which they may override", function()
      local base = raw.serve(function(req)
        if req.path == "/slow" then bide.sleep(30) end
        if req.path == "/away" then return 302, { Location = "/" }, "" end
        return tostring(req.headers.authorization) .. ("x"):rep(1000)
      end)
      local session <close> = http.session { timeout = 0.03, max_body = 100, redirects = 0,
        auth = { bearer = "t" } }
      assert.equal("total", raw.error_of(session.get, session, base .. "/slow").phase)
      assert.equal("ETOOBIG", raw.error_of(session.get, session, base).code)
      local own = { timeout = 10, max_body = 10000 }
      assert.equal(302, session:get(base .. "/away", own).status)
      assert.matches("^Bearer tx", session:get(base, own).body)
      own.auth, own.redirects = { "u", "p" }, 1
      assert.matches("^Basic ", session:get(base .. "/away", own).body)
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
      assert.error_matches(function() http.session { limit = 0 } end, "got 0%)")
      assert.error_matches(function() http.session { base = "x" } end, "'base': invalid URL 'x': ")
      for message, opts in pairs {
        ["option 'ca': string expected, got 1"] = { ca = 1 },
        ["option 'timeout': number or table expected, got string"] = { timeout = "x" },
        ["option 'key': without option 'cert'"] = { key = "x" },
      } do
        local _, err = pcall(http.session, opts)
        assert.equal(("bad argument #1 to 'bide.http.session' (%s)"):format(message), err)
      end
      local line = debug.getinfo(1, "l").currentline + 1
      local _, err = pcall(function() return (http.session { limit = 0 }) end)
      assert.matches("session_spec.lua:" .. line .. ": ", err, 1, true)
    end)

    it("refuses a URL by the name and place of the argument", function()
      for _, base in ipairs { "http://127.0.0.1:1/", false } do
        local session <close> = http.session { base = base or nil }
        for _, url in ipairs { "http://x/a b", "http://x/a\tb", "http://x y/" } do
          assert.error_matches(function() session:get(url) end, "#1 to 'get' %(invalid URL")
          assert.error_matches(function() session:request { url = url } end,
            "#1 to 'request' %(invalid URL")
          assert.matches("#2 to 'bide.http.session.get' (invalid URL",
            select(2, pcall(session.get, session, url)), 1, true)
        end
      end
      local session <close> = http.session { base = "http://127.0.0.1:1/" }
      assert.error_matches(function() session:get("x", { query = 5 }) end, "#2 to 'get' %(option")
    end)

    it("cannot be used once closed", function()
      local session = http.session {}
      session:close()
      assert.equal("EBADF", raw.error_of(session.get, session, "http://127.0.0.1:1/").code)
    end)
  end)
end)
