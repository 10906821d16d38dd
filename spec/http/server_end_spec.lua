-- SPDX-License-Identifier: MIT
-- bide.http.serve: what happens to handlers when their client goes, or the server closes.
local bide = require "bide"
local raw = require "spec.support.http"

local get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

describe("bide.http.serve", function()
  describe("when the client goes", function()
    --- Serves a handler that sleeps, and sends it a request behind one whose answer lies unread, so
    --- that closing resets the connection. Gives the stream and a future of how the sleep ended.
    local function sleeper(opts, seconds)
      local entered, ended = bide.future(), bide.future()
      local base = raw.serve(function(req)
        -- too long to be kept back for the next one
        if req.path == "/" then return ("x"):rep(20000) end
        entered:resolve()
        local ok, err = pcall(bide.sleep, seconds or 60)
        ended:resolve(ok or err)
        if not ok then error(err, 0) end
        return "slept"
      end, opts)
      local stream = raw.connect(base)
      stream:write(get .. "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n")
      entered:await()
      return stream, ended
    end

    it("by a reset, cancels the handler, and reports nothing", function()
      local stream, ended = sleeper()
      stream:close()
      assert.is_true(bide.is_cancelled(ended:await()))
    end)

    it("by half only, lets the handler answer", function()
      local stream <close>, ended = sleeper(nil, 0.02)
      stream:shutdown()
      assert.is_true(ended:await())
      assert.matches("slept$", stream:read_all())
    end)

    it("by half, cancels the handler when asked to", function()
      local stream <close>, ended = sleeper { cancel_on_close = "half" }
      stream:shutdown()
      assert.is_true(bide.is_cancelled(ended:await()))
    end)

    it("lets the handler go on when asked to", function()
      local stream, ended = sleeper({ cancel_on_close = false }, 0.02)
      stream:close()
      assert.is_true(ended:await())
    end)

    it("cancels a stream's function where it waits", function()
      local entered, ended = bide.future(), bide.future()
      local base = raw.serve(function()
        local n = 0
        return setmetatable({}, {
          __call = function()
            n = n + 1
            if n == 2 then
              entered:resolve()
              bide.sleep(60)
            end
            return "piece"
          end,
          __close = function() ended:resolve() end,
        })
      end)
      local stream = raw.connect(base)
      stream:write(get)
      entered:await()
      stream:close()
      ended:await()
    end)

    it("knows true, false and half", function()
      assert.error_matches(function() bide.http.serve({ cancel_on_close = "x" }, print) end,
        "'cancel_on_close'")
    end)
  end)

  describe("closes", function()
    it("at once, idle connections too", function()
      local base, server = raw.serve(function() return "x" end)
      local stream <close> = raw.connect(base)
      stream:write(get)
      raw.read_response(stream)
      server:close()
      assert.is_nil(stream:read())
      assert.equal("ECONNREFUSED", raw.error_of(raw.connect, base).code)
    end)

    it("after what is being handled, within the grace", function()
      local gate, entered = bide.future(), bide.future()
      local base, server = raw.serve(function()
        entered:resolve()
        gate:await()
        return "done"
      end)
      local task = bide.spawn(function()
        local res = bide.http_get(base)
        return res.body, res.headers.connection
      end)
      entered:await()
      local closing = bide.spawn(function() server:close(5) end)
      bide.sleep(0)
      gate:resolve()
      assert.same({ "done", "close" }, { task:await() })
      closing:await()
    end)

    it("by cancelling what outlasts the grace", function()
      local cancelled
      local entered = bide.future()
      local base, server = raw.serve(function()
        entered:resolve()
        local ok, err = pcall(bide.sleep, 30)
        cancelled = not ok and bide.is_cancelled(err)
        error(err, 0)
      end)
      local task = bide.spawn(function() return bide.http_get(base).status end)
      entered:await()
      server:close(0.02)
      assert.is_true(cancelled)
      assert.equal(503, task:await())
    end)

    it("and lets those who wait for it go", function()
      local _, server = raw.serve(function() return "x" end)
      local waiter = bide.spawn(function() server:wait() return true end)
      bide.sleep(0)
      server:close()
      assert.is_true(waiter:await())
      server:wait()
      server:close()
    end)

    it("as a to-be-closed variable", function()
      local base
      do
        local server <close> = bide.http.serve({ port = 0 }, function() return "x" end)
        local _, port = server:address()
        base = "http://127.0.0.1:" .. port
        assert.equal("x", bide.http_get(base).body)
      end
      assert.equal("ECONNREFUSED", raw.error_of(bide.http_get, base).code)
    end)

    it("from a handler of its own", function()
      local server, base
      base, server = raw.serve(function() server:close(1) return "bye" end)
      assert.equal("bye", bide.http_get(base).body)
      server:wait()
    end)
  end)
end)
