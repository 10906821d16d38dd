-- SPDX-License-Identifier: MIT
-- What bide.http refuses as an argument error, before anything is sent.
-- connections, streams and sessions have files of their own in spec/http.
local bide = require "bide"
local raw = require "spec.support.http"
local script = require "spec.support.script"
local http = bide.http

describe("bide.http", function()
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
      ["a query within a query"] = { { query = { a = { b = 1 } } }, "'a' must be a list" },
      ["JSON of functions"] = { { json = print }, "'json': Cannot serialise" },
      ["a header that is no string"] = { { headers = { a = true } },
        "bad argument #2 to '[%w_.]+' %(value of header 'a' must be a string %(got boolean" },
      ["a wrong length"] = { { body = "x", headers = { ["content-length"] = 2 } },
        "bad argument #2 to '[%w_.]+' %(header 'content%-length' is not the length" },
      ["a framing header"] = { { headers = { ["Transfer-Encoding"] = "chunked" } },
        "bad argument #2 to '[%w_.]+' %(header 'transfer%-encoding' cannot be set" },
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

    it("and says what an option may be", function()
      for option, text in pairs {
        timeout = "seconds (a number, 0 or more) or table by phase",
        redirects = "number, 0 or more,", max_body = "number, 0 or more,",
        stream = "boolean", headers = "table",
      } do
        local _, err = pcall(http.get, base, { [option] = "x" })
        assert.equal(("bad argument #2 to 'bide.http.get' (option '%s': %s expected, got x)")
          :format(option, text), err)
      end
      assert.error_matches(function() http.get(base, { timeout = { read = "x" } }) end,
        "option 'timeout.read': seconds %(a number, 0 or more%) expected, got x")
    end)

    it("as the argument that they came in, whatever stands before it", function()
      local session <close> = http.session {}
      local url = "https://127.0.0.1:1/"
      local text = "(option 'key': without option 'cert')"
      for place, f in pairs {
        ["#2 to 'get' "] = function() http.get(url, { key = "x" }) end,
        ["#1 to 'request' "] = function() http.request { url = url, key = "x" } end,
        ["#2 to 'put' "] = function() session:put(url, { key = "x" }) end,
      } do
        assert.matches(place .. text, select(2, pcall(f)), 1, true)
      end
    end)

    it("by the name that a function was called by, before anything of it has run", function()
      local result = script.run [[
        local bide = require "bide"
        for _, name in ipairs { "get", "post", "request", "serve", "session" } do
          print((select(2, pcall(bide.http[name], 5)):match "#1 to '(.-)'"))
        end
        print((select(2, pcall(bide.http_get, 5)):match "#1 to '(.-)'"))
        print(require "bide.http" == bide.http, bide.http.session ~= nil)
      ]]
      assert.equal("bide.http.get\nbide.http.post\nbide.http.request\nbide.http.serve\n"
        .. "bide.http.session\nbide.http_get\ntrue\ttrue\n", result.out)
    end)

    it("what is no response, or request, of methods", function()
      local server = raw.serve(function(req)
        for _ = 1, 2 do -- the second time its Lua half is there
          local _, err = pcall(function() req.json() end)
          assert.matches("#1 to 'json' (http request expected, got no value)", err, 1, true)
          pcall(req.json, req)
        end
        return "1"
      end)
      for _, stream in ipairs { false, true } do
        local res <close> = http.get(server, { stream = stream })
        local _, err = pcall(function() res.json() end)
        assert.matches("#1 to 'json' (http response expected, got no value)", err, 1, true)
        assert.equal(1, res:json())
      end
    end)
  end)
end)
