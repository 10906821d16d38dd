-- SPDX-License-Identifier: MIT
-- bide.tls with others' implementations, and what a process pays for it.

local certs = require "spec.support.certs"
local outside = require "spec.support.outside"
local process = require "spec.support.process"
local script = require "spec.support.script"
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

describe("tls #core: a process", function()
  local head = ('local bide = require "bide"\nlocal cert, key = %q, %q\n')
    :format(certs.path "good.pem", certs.path "good.key")

  local function run(body)
    local it = script.run(head .. "bide.run(function()\n" .. body .. "\nend)")
    assert.equal("", it.err)
    assert.equal(0, it.status)
    return it.out
  end

  it("maps no library of OpenSSL's before it needs one", function()
    if not io.open "/proc/self/maps" then return end
    local out = run [[
      local function maps()
        local file <close> = io.open "/proc/self/maps"
        return file:read "a":find("libssl", 1, true) ~= nil
      end
      local server <close> = bide.tcp.listen("127.0.0.1", 0, function() end, { daemon = true })
      local s <close> = bide.tcp.connect(server:address())
      pcall(bide.http.get, "http://127.0.0.1:1")
      print(maps())
      pcall(bide.tls.connect, "127.0.0.1", 1)
      print(maps())]]
    assert.matches("^false\n", out)
    if not script.in_program then assert.equal("false\ntrue\n", out) end
  end)

  it("needs no more for a connection at rest than a limit of memory counts for it", function()
    if process.build:find "san$" or not io.open "/proc/self/status" then return end
    local each = tonumber(run [[
      local held = {}
      local function resident()
        for line in io.lines "/proc/self/status" do
          local kb = line:match "^VmRSS:%s*(%d+)"
          if kb then return kb * 1024 end
        end
      end
      local server <close> = bide.tls.listen("127.0.0.1", 0, function(s)
        s:write(s:read())
        held[#held + 1] = s:detach()
      end, { cert = cert, key = key, daemon = true })
      local host, port = server:address()
      local function open()
        local s = bide.tls.connect(host, port, { verify = false })
        s:write(("x"):rep(1000))
        s:read_exactly(1000)
        held[#held + 1] = s
      end
      for _ = 1, 20 do open() end
      local before = resident()
      for _ = 1, 100 do open() end
      print((resident() - before) // 200)
      for _, s in ipairs(held) do s:close() end]])
    assert.is_true(each < 48 * 1024, each .. " bytes")
  end)
end)
