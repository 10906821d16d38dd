-- SPDX-License-Identifier: MIT
-- stream:starttls: from a plain stream to a TLS one.

local bide = require "bide"
local certs = require "spec.support.certs"
local tasks = require "spec.support.tasks"
local support = require "spec.support.tls"
local raises, both, trusting = support.raises, support.both, support.trusting

describe("tls:", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("starttls", function()
    local function plain_pair()
      local taken = bide.future()
      local server = bide.tcp.listen("127.0.0.1", 0, function(s) taken:resolve(s:detach()) end,
        { daemon = true })
      local _, port = server:address()
      local a = bide.tcp.connect("127.0.0.1", port)
      local b = taken:await()
      server:close()
      return a, b
    end

    local server_opts = function()
      return { server = true, cert = certs.path "good.pem", key = certs.path "good.key" }
    end

    it("turns a plain stream into a TLS one, on both sides", function()
      local a, b = plain_pair()
      local _ <close> = both(a, b)
      b:write "220 go ahead\n"
      assert.equal("220 go ahead", a:read_line())
      bide.gather(function() b:starttls(server_opts()) end,
        function() assert.equal(a, a:starttls { ca = certs.path "ca.pem",
          servername = "a.example" }) end)
      a:write "secret"
      assert.equal("secret", b:read_exactly(6))
      assert.equal("a.example", b:tls_info().server_name)
    end)

    it("sends first what is queued in the plain", function()
      local a, b = plain_pair()
      local _close <close> = both(a, b)
      local size = 16 << 20
      local writers = {}
      for i = 1, 2 do writers[i] = bide.spawn(b.write, b, ("x"):rep(size // 2)) end
      tasks.turns(3)
      assert.equal("pending", writers[1]:status())
      local sent = bide.spawn(function()
        b:starttls(server_opts())
        b:write "secret"
      end)
      tasks.turns(5)
      assert.equal(("x"):rep(size), a:read_exactly(size))
      a:starttls(trusting { servername = "localhost" })
      assert.equal("secret", a:read_exactly(6))
      sent:await()
      for i = 1, 2 do writers[i]:await() end
    end)

    it("puts no byte of the handshake before the last of the plain", function()
      local a, b = plain_pair()
      local _close <close> = both(a, b)
      local small = {}
      for i = 1, 5000 do small[i] = "y" end
      bide.spawn(a.write, a, ("x"):rep(16 << 20))
      bide.spawn(a.write, a, table.unpack(small))
      local greeting = bide.spawn(bide.try, a.starttls, a, { verify = false })
      tasks.turns(3)
      local parts, size = {}, 0
      while size <= (16 << 20) + 5000 do
        parts[#parts + 1] = b:read()
        size = size + #parts[#parts]
      end
      local all = table.concat(parts)
      assert.equal(("x"):rep(16 << 20) .. ("y"):rep(5000) .. "\22", all:sub(1, (16 << 20) + 5001))
      greeting:cancel()
      pcall(greeting.await, greeting)
    end)

    it("gives up in time when the queue does not get shorter", function()
      local a, b = plain_pair()
      local _close <close> = both(a, b)
      local writer = bide.spawn(a.write, a, ("x"):rep(32 << 20))
      tasks.turns(5)
      local err = raises("ETIMEDOUT", a.starttls, a, { verify = false, timeout = 0.05 })
      assert.matches("127%.0%.0%.1:%d+", err.message)
      writer:await()
    end)

    it("refuses bytes that came before the handshake", function()
      local a, b = plain_pair()
      local _ <close> = both(a, b)
      b:write "220 go ahead\ninjected\n"
      assert.equal("220 go ahead", a:read_line())
      raises("EPROTO", a.starttls, a, { servername = "a.example" })
    end)

    it("needs a name to expect, unless nothing is verified", function()
      local a, b = plain_pair()
      local _ <close> = both(a, b)
      local ok, err = pcall(a.starttls, a, {})
      assert.is_false(ok)
      assert.matches("servername", err)
      assert.truthy(b)
    end)

    it("closes the stream when it fails, and when it is cancelled", function()
      local a, b = plain_pair()
      local _ <close> = both(a, b)
      bide.spawn(function() b:read() b:write "no\n" b:close() end)
      assert.equal("not_tls", raises("ETLS", a.starttls, a, { verify = false }).reason)
      raises("EBADF", a.read, a)
      local c, d = plain_pair()
      local _ <close> = both(c, d)
      raises("ETIMEDOUT", bide.timeout, 0.01, c.starttls, c, { verify = false })
      raises("EBADF", c.read, c)
      assert.truthy(d)
    end)

    it("ends when another task closes the stream", function()
      local a, b = plain_pair()
      local _ <close> = both(a, b)
      local task = bide.spawn(a.starttls, a, { verify = false })
      bide.sleep(0.005)
      raises("EBUSY", a.read, a)
      a:close()
      raises("EBADF", task.await, task)
      assert.truthy(b)
    end)
  end)
end)
