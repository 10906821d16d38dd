-- SPDX-License-Identifier: MIT
-- bide.tls: connecting, listening, starttls, what is verified, and what goes wrong.

local bide = require "bide"
local certs = require "spec.support.certs"
local outside = require "spec.support.outside"
local tasks = require "spec.support.tasks"
local support = require "spec.support.tls"
local tls = bide.tls
local raises, refused, echo = support.raises, support.refused, support.echo
local serve, trusting, dial = support.serve, support.trusting, support.dial
local both, pair = support.both, support.pair

describe("tls", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("carries bytes both ways, and the end", function()
    local a, b = pair()
    local _ <close> = both(a, b)
    a:write("hello ", "world")
    assert.equal("hello world", b:read_exactly(11))
    b:write("answer")
    b:shutdown()
    assert.equal("answer", a:read_all())
    a:write("still open")
    assert.equal("still open", b:read_exactly(10))
  end)

  it("carries much, in order, at the pace of the slower side", function()
    local a, b = pair()
    local _ <close> = both(a, b)
    local parts = {}
    for i = 1, 64 do parts[i] = string.char(32 + i):rep(1 + i * 997) end
    local whole = table.concat(parts):rep(4)
    local writer = bide.spawn(function()
      for _ = 1, 4 do a:write(table.unpack(parts)) end
      a:shutdown()
    end)
    bide.sleep(0.02)
    local status = writer:status()
    local got = b:read_all()
    assert.equal(#whole, #got)
    assert.is_true(whole == got)
    assert.equal("pending", status)
    writer:await()
  end)

  it("keeps small and large pieces of one write in order", function()
    local a, b = pair()
    local _ <close> = both(a, b)
    local pieces = {}
    for i = 1, 300 do pieces[i] = i % 50 == 0 and tostring(i):rep(20000) or tostring(i) end
    local want = table.concat(pieces)
    local writer = bide.spawn(function() a:write(table.unpack(pieces)) end)
    assert.is_true(want == b:read_exactly(#want))
    writer:await()
  end)

  it("gives out a record in the pieces that are asked for", function()
    local a, b = pair()
    local _ <close> = both(a, b)
    a:write(("0123456789"):rep(1000) .. "\nline\n")
    assert.equal("0123", b:read(4))
    assert.equal("456789", b:read_exactly(6))
    assert.equal(9990, #b:read_line())
    assert.equal("line", b:read_line())
    a:close()
    assert.is_nil(b:read())
  end)

  it("loses no byte when a read is cancelled", function()
    local a, b = pair()
    local _ <close> = both(a, b)
    raises("ETIMEDOUT", bide.timeout, 0.01, b.read, b)
    a:write("abc")
    assert.equal("abc", b:read())
  end)

  it("closes in order: the peer reads the end, not an error", function()
    local a, b = pair()
    a:write("last words")
    a:close()
    assert.equal("last words", b:read_all())
    b:close()
  end)

  it("knows version, cipher, protocol, names, the peer", function()
    local a, b = pair({ alpn = { "y", "x" } },
      { alpn = { "x", "y" }, servername = "a.example" })
    local _ <close> = both(a, b)
    local mine, its = a:tls_info(), b:tls_info()
    assert.equal("TLSv1.3", mine.version)
    assert.equal(mine.cipher, its.cipher)
    assert.equal("y", mine.alpn) -- the server's order
    assert.equal("y", its.alpn)
    assert.equal("a.example", its.server_name)
    assert.is_true(mine.verified)
    assert.is_false(its.verified)
    assert.is_nil(its.peer)
    assert.equal("CN=good", mine.peer.subject)
    assert.equal("CN=ca authority", mine.peer.issuer)
    assert.same({ "a.example", "*.b.example", "localhost", "127.0.0.1" }, mine.peer.names)
    assert.equal(os.time { year = 2049, month = 1, day = 1, hour = 0 }, mine.peer.not_after)
    assert.equal(64, #mine.peer.sha256)
    local plain = outside.port()
    local server <close> = bide.tcp.listen("127.0.0.1", plain, echo, { daemon = true })
    local s <close> = bide.tcp.connect("127.0.0.1", plain)
    assert.is_nil(s:tls_info())
    assert.truthy(server)
  end)

  describe("verifies", function()
    it("names, and shows those of the certificate", function()
      local server <close>, port = serve "good"
      for _, name in ipairs { "a.example", "x.b.example", "localhost", "A.Example",
        "a.example." } do
        dial(port, { servername = name }):close()
      end
      for _, name in ipairs { "example", "b.example", "x.y.b.example", "127.0.0.2", "good" } do
        local err = refused("wrong_host", "127.0.0.1", port, trusting { servername = name })
        assert.same({ "a.example", "*.b.example", "localhost", "127.0.0.1" }, err.names)
        assert.matches("is for a.example, *.b.example, localhost, 127.0.0.1, not for " .. name,
          err.message, 1, true)
      end
      assert.truthy(server)
    end)

    local wrong = {
      { "expired", "expired", "expired on 2021-01-01 00:00:00 UTC" },
      { "early", "not_yet_valid", "not valid before 2048-01-01 00:00:00 UTC" },
      { "unknown", "unknown_issuer", "of an issuer that is not known here" },
      { "self", "self_signed", "is signed by itself and not trusted here" },
    }
    for _, case in ipairs(wrong) do
      it("and refuses what is " .. case[2], function()
        local calls, called = 0, bide.future()
        local server <close>, port = serve(case[1], function()
          calls = calls + 1
          called:resolve()
        end)
        local err = refused(case[2], "127.0.0.1", port, trusting())
        assert.matches(case[3], err.message, 1, true)
        assert.equal("connect", err.op)
        assert.equal("127.0.0.1", err.host)
        assert.equal(port, err.port)
        local s <close> = tls.connect("127.0.0.1", port, { verify = false })
        assert.is_false(s:tls_info().verified)
        called:await()
        assert.equal(1, calls) -- by this one alone
        assert.truthy(server)
      end)
    end

    it("by the system's trust when nothing else is said", function()
      local server <close>, port = serve "good"
      assert.equal("unknown_issuer", refused("unknown_issuer", "127.0.0.1", port).reason)
      assert.truthy(server)
    end)

    it("against a file, a directory, a text, or the certificate itself", function()
      local server <close>, port = serve "good"
      for _, ca in ipairs { certs.path "ca.pem", certs.path "hashed", certs.text "ca.pem",
        certs.path "good.pem" } do
        tls.connect("127.0.0.1", port, { ca = ca }):close()
      end
      assert.truthy(server)
    end)
  end)

  describe("certificates of clients", function()
    it("are asked for and verified when the server has a ca", function()
      local seen
      local server <close>, port = serve("good", function(s)
        seen = s:tls_info()
        s:write "welcome"
      end, { ca = certs.path "ca.pem" })
      local s <close> = dial(port, { cert = certs.path "client.pem",
        key = certs.path "client.key" })
      assert.equal("welcome", s:read_all())
      assert.equal("CN=client", seen.peer.subject)
      assert.is_true(seen.verified)
      seen = nil
      for _, who in ipairs { {}, { "unknown" }, { "expired" } } do
        local opts = who[1] and { cert = certs.path(who[1] .. ".pem"), key = certs.path(who[1]
          .. ".key") }
        local ok, err = pcall(function()
          local one <close> = dial(port, opts)
          return one:read_all()
        end)
        assert.is_false(ok)
        assert.is_true(err.code == "ETLS" or err.code == "ECONNRESET", tostring(err))
        if not who[1] and err.code == "ETLS" then assert.equal("certificate_required",
          err.reason) end
      end
      assert.is_nil(seen)
      assert.truthy(server)
    end)

    it("may be optional", function()
      local server <close>, port = serve("good",
        function(s) s:write(tostring(s:tls_info().peer ~= nil)) end,
        { ca = certs.path "ca.pem", verify = "optional" })
      local s <close> = dial(port)
      assert.equal("false", s:read_all())
      assert.truthy(server)
    end)
  end)

  it("serves several names, each with its own certificate", function()
    local server <close>, port = serve("good", function(s) s:write(s:tls_info().server_name
      or "-") end,
      { sni = { ["C.example"] = { cert = certs.path "named.pem", key = certs.path "named.key" },
        ["*.d.example"] = { cert = certs.path "named.pem", key = certs.path "named.key" } } })
    local s <close> = dial(port, { servername = "c.EXAMPLE" })
    assert.equal("CN=named", s:tls_info().peer.subject)
    assert.equal("c.example", s:read_all():lower())
    local t <close> = dial(port, { servername = "a.example" })
    assert.equal("CN=good", t:tls_info().peer.subject)
    assert.equal("CN=named", tls.connect("127.0.0.1", port, { verify = false,
      servername = "x.d.example" })
      :tls_info().peer.subject)
    assert.truthy(server)
  end)

  describe("resumes sessions", function()
    local function resumed(port, opts)
      local s <close> = tls.connect("127.0.0.1", port, opts)
      s:write "x"
      s:read()
      return s:tls_info().resumed
    end

    it("of the same server under the same options", function()
      for _, version in ipairs { "1.3", "1.2" } do
        local server <close>, port = serve "good"
        local opts = trusting { version = version }
        assert.is_false(resumed(port, opts))
        assert.is_true(resumed(port, opts))
        assert.is_false(resumed(port, { verify = false, version = version }))
        assert.is_false(resumed(port, trusting { version = version, servername = "localhost" }))
        assert.truthy(server)
      end
    end)

    it("never under another name's context", function()
      local server <close>, port = serve("good", echo, { sni = { ["c.example"] = {
        cert = certs.path "named.pem", key = certs.path "named.key", ca = certs.path "ca.pem" } } })
      local opts = trusting()
      assert.is_false(resumed(port, opts))
      assert.is_true(resumed(port, opts))
      local ok = pcall(resumed, port, trusting { servername = "c.example" })
      assert.is_false(ok)
      assert.truthy(server)
    end)
  end)

  it("gives up a handshake in time, and when it is cancelled", function()
    local quiet <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
      bide.future():await()
      return s -- which until then is not garbage
    end, { daemon = true })
    local _, port = quiet:address()
    local err = raises("ETIMEDOUT", tls.connect, "127.0.0.1", port, { timeout = 0.03 })
    assert.equal("connect", err.op)
    raises("ETIMEDOUT", bide.timeout, 0.02, tls.connect, "127.0.0.1", port)
    local task = bide.spawn(tls.connect, "127.0.0.1", port)
    bide.sleep(0.01)
    task:cancel()
    raises("ECANCELED", task.await, task)
  end)

  it("ends the handshakes of a server with it, and those that take too long", function()
    local server <close>, port = serve("good", echo, { handshake_timeout = 0.03 })
    local idle <close> = bide.tcp.connect("127.0.0.1", port)
    assert.is_nil(idle:read())
    local slow, slow_port = serve "good"
    local other <close> = bide.tcp.connect("127.0.0.1", slow_port)
    other:write "\22\3\1"
    bide.sleep(0.01)
    slow:close()
    local ok, data = pcall(other.read, other)
    assert.is_true(not ok or data == nil)
    assert.truthy(server)
  end)

  describe("options", function()
    it("are checked by name and kind", function()
      local cert = { cert = certs.path "good.pem", key = certs.path "good.key" }
      for message, f in pairs {
        ["unknown option 'sni'"] = function() tls.connect("127.0.0.1", 1, { sni = {} }) end,
        ["option 'verify'"] = function() tls.connect("127.0.0.1", 1, { verify = 1 }) end,
        ["option 'alpn'"] = function() tls.connect("127.0.0.1", 1, { alpn = { "" } }) end,
        ["option 'version'"] = function() tls.connect("127.0.0.1", 1, { version = "1.1" }) end,
        ["option 'key'"] = function() tls.connect("127.0.0.1", 1, { key = cert.key }) end,
        ["option 'cert'"] = function() tls.listen("127.0.0.1", 0, echo, {}) end,
        ["table of options"] = function() tls.listen("127.0.0.1", 0, echo) end,
        ["option 'sni'"] = function()
          tls.listen("127.0.0.1", 0, echo, { cert = cert.cert, key = cert.key, sni = { 1 } })
        end,
      } do
        local ok, err = pcall(f)
        assert.is_false(ok)
        assert.matches(message, tostring(err), 1, true)
      end
    end)

    it("name the file that is wrong", function()
      for _, case in ipairs {
        { cert = "/nonexistent.pem" }, { cert = certs.path "good.key" },
        { cert = certs.path "good.pem", key = certs.path "client.key" },
        { cert = certs.path "good.pem", key = certs.path "locked.key" },
        { ca = certs.path "ca.key" }, { ca = "-----BEGIN CERTIFICATE-----\nno\n" },
      } do
        local err = raises("ETLS", tls.connect, "127.0.0.1", 1, case)
        assert.equal("config", err.reason)
        assert.matches("option '%l+'", err.message)
      end
    end)

    it("take certificate and key from one file, or as texts", function()
      local server <close> = tls.listen("127.0.0.1", 0, echo, { cert = certs.path "both.pem",
        daemon = true })
      local _, port = server:address()
      dial(port):close()
      local other <close> = tls.listen("127.0.0.1", 0, echo,
        { cert = certs.text "good.pem", key = certs.text "good.key", daemon = true })
      _, port = other:address()
      dial(port):close()
    end)
  end)

end)
