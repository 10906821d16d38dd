-- SPDX-License-Identifier: MIT
-- bide.tls with others' implementations, and what a process pays for it.

local certs = require "spec.support.certs"
local outside = require "spec.support.outside"
local tasks = require "spec.support.tasks"
local support = require "spec.support.tls"
local serve, dial = support.serve, support.dial

describe("tls:", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("with others' implementations:", function()
    it("openssl s_client talks to our server", function()
      for _, flag in ipairs { "-tls1_3", "-tls1_2" } do
        local server <close>, port = serve("good", function(s)
          s:write("you said ", s:read_line(), "\n")
        end)
        local out = outside.run(("echo hello | openssl s_client -quiet %s -connect 127.0.0.1:%d "
          .. "-CAfile %s -verify_return_error"):format(flag, port, certs.path "ca.pem"))
        assert.matches("you said hello", out, 1, true)
        assert.truthy(server)
      end
    end)

    it("renegotiation is refused", function()
      local server <close>, port = serve("good", function(s)
        pcall(function() while s:read() do s:write "." end end)
      end)
      local out = outside.run(("(sleep 0.3; echo R; sleep 0.5) | "
        .. "openssl s_client -tls1_2 -connect 127.0.0.1:%d")
        :format(port))
      assert.matches("no renegotiation", out, 1, true)
      assert.truthy(server)
    end)

    it("versions before 1.2 are refused", function()
      local server <close>, port = serve "good"
      local out,
        status = outside.run(("openssl s_client -tls1_1 -cipher ALL:@SECLEVEL=0 "
        .. "-connect 127.0.0.1:%d")
        :format(port))
      assert.is_true(status ~= 0, out)
      assert.truthy(server)
    end)

    it("openssl s_server answers our client", function()
      for _, flag in ipairs { "-tls1_3", "-tls1_2" } do
        local port = outside.port()
        local server <close> = outside.serve(("openssl s_server -rev -quiet %s "
          .. "-accept 127.0.0.1:%d -cert %s -key %s")
          :format(flag, port, certs.path "good.pem", certs.path "good.key"),
          function() return outside.listens(port) end)
        local s <close> = dial(port)
        s:write "abc\n"
        assert.equal("cba", s:read_line())
        assert.truthy(server)
      end
    end)
  end)

  it("leaves a process without TLS alone, and opens no bundle where a hashed directory serves",
    function()
    local process = require "spec.support.process"
    if not outside.has "strace" or process.build:find "asan" then return end
    local program = os.getenv "PWD" .. "/" .. process.program
    local out = outside.run(("strace -f -e trace=openat,open %s -e \"require('bide').sleep(0)\"")
      :format(program))
    assert.matches("openat", out, 1, true)
    assert.is_nil(out:find("ssl", 1, true))
    local server <close>, port = serve "good"
    out = outside.run(("SSL_CERT_DIR=%s SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "
      .. "strace -f -e trace=openat,open %s "
      .. "-e \"require('bide').tls.connect('127.0.0.1', %d):close() print 'fine'\"")
      :format(certs.path "hashed", program, port))
    assert.matches("fine", out, 1, true)
    assert.matches("/hashed/%x+%.0", out)
    assert.is_nil(out:find("ca-certificates.crt", 1, true))
    assert.truthy(server)
  end)
end)
