-- SPDX-License-Identifier: MIT
-- bide.dns: names to addresses, from a DNS server of the suite's own.

local bide = require "bide"
local dns = require "spec.support.dns"
local process = require "spec.support.process"
local tasks = require "spec.support.tasks"
local testing = require "bide.core".testing
local resolve = bide.dns.resolve

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(code, type(err) == "table" and err.code or err, tostring(err))
  return err
end

--- Answers every A query with one address, every AAAA query with none.
local function plain(q, reply)
  reply(dns.answer(q, q.type == "A" and { "127.0.0.9" } or {}))
end

local function silent() end

local function sorted(list)
  table.sort(list)
  return list
end

describe("dns.resolve", function()
  after_each(function() bide.dns.servers() end)

  it("gives literals back", function()
    assert.same({ "127.0.0.1" }, resolve "127.0.0.1")
    assert.same({ "::1" }, resolve "0:0:0:0:0:0:0:1")
    assert.same({ "fe80::1" }, resolve "fe80::1")
    raises("EAI_ADDRFAMILY", resolve, "127.0.0.1", { family = 6 })
  end)

  it("knows localhost and what is beneath it", function()
    assert.same({ "127.0.0.1", "::1" }, resolve "localhost")
    assert.same({ "127.0.0.1", "::1" }, resolve "a.LocalHost.")
    assert.same({ "127.0.0.1" }, resolve("localhost", { family = 4 }))
    assert.same({ "::1" }, resolve("localhost", { family = 6 }))
  end)

  it("never answers in the call", function()
    local turns = 0
    local other = bide.spawn(function() turns = turns + 1 end)
    resolve "127.0.0.1"
    assert.equal(1, turns)
    other:await()
  end)

  it("asks nobody about literals, localhost, .invalid and .onion", function()
    local log = dns.serve(plain)
    resolve "127.0.0.1"
    resolve "x.localhost"
    raises("EAI_NONAME", resolve, "x.onion")
    local err = raises("EAI_NONAME", resolve, "no-such-name.invalid")
    assert.equal("no-such-name.invalid", err.host)
    assert.equal("resolve no-such-name.invalid: unknown node or service (EAI_NONAME)",
      tostring(err))
    assert.equal(0, #log)
  end)

  it("asks for both families at once, or for the one that is wanted", function()
    local log = dns.serve(function(q, reply)
      reply(dns.answer(q, q.type == "A" and { "10.0.0.1", "10.0.0.2" } or { "2001:db8::5" }))
    end)
    assert.same({ "10.0.0.1", "10.0.0.2", "2001:db8::5" }, sorted(resolve "both.test"))
    assert.equal(2, #log)
    assert.same({ "2001:db8::5" }, resolve("six.test", { family = 6 }))
    assert.equal("AAAA", log[3].type)
    assert.equal(3, #log)
  end)

  it("does not wait for a family that stays silent when the other has answered", function()
    dns.serve(function(q, reply)
      if q.type == "A" then reply(dns.answer(q, { "10.0.0.1" })) end
    end)
    local started = bide.now()
    assert.same({ "10.0.0.1" }, resolve "half.test")
    assert.truthy(bide.now() - started < 1.5)
  end)

  it("asks equal questions once, in whatever case", function()
    local log = dns.serve(function(q, reply)
      bide.sleep(0.01)
      plain(q, reply)
    end)
    local jobs = {}
    for i = 1, 200 do
      local name = i % 2 == 0 and "same.test" or "SAME.test"
      jobs[i] = function() return resolve(name, { family = 4 })[1] end
    end
    for _, text in ipairs(bide.gather(jobs)) do assert.equal("127.0.0.9", text) end
    assert.equal(1, #log)
  end)

  it("remembers an answer as long as it holds, and no longer", function()
    local n = 0
    local log = dns.serve(function(q, reply)
      n = n + 1
      reply(dns.answer(q, { "10.0.0." .. n }, { ttl = q.name == "now.test" and 0 or 60 }))
    end)
    local four = { family = 4 }
    assert.same({ "10.0.0.1" }, resolve("kept.test", four))
    assert.same({ "10.0.0.1" }, resolve("kept.test", four))
    assert.same({ "10.0.0.2" }, resolve("now.test", four))
    assert.same({ "10.0.0.3" }, resolve("now.test", four))
    assert.equal(3, #log)
  end)

  it("remembers a bounded number of names", function()
    local log = dns.serve(plain)
    for i = 1, 300 do resolve(("n%d.test"):format(i), { family = 4 }) end
    resolve("n300.test", { family = 4 })
    assert.equal(300, #log)
    resolve("n1.test", { family = 4 })
    assert.equal(301, #log)
  end)

  it("answers a thousand names at once though half of them are met with silence", function()
    local log = dns.serve(function(q, reply)
      if not q.name:find "^silent" then plain(q, reply) end
    end)
    local count = tasks.many(500)
    local jobs, silents = {}, {}
    for i = 1, count do
      silents[i] = bide.spawn(resolve, ("silent%d.test"):format(i), { timeout = 60 })
      jobs[i] = function() return resolve(("ok%d.test"):format(i), { timeout = 60 })[1] end
    end
    local started = bide.now()
    for _, text in ipairs(bide.gather(jobs)) do assert.equal("127.0.0.9", text) end
    assert.truthy(bide.now() - started < 20)
    assert.truthy(#log >= 2 * count)
    for _, t in ipairs(silents) do t:cancel() end
    for _, t in ipairs(silents) do raises("ECANCELED", t.await, t) end
  end)

  it("says what the server says", function()
    dns.serve(function(q, reply)
      local rcode = tonumber(q.name:match "^rcode(%d)")
      reply(dns.answer(q, {}, { rcode = rcode }))
    end)
    raises("EAI_NONAME", resolve, "rcode3.test")
    raises("EAI_NODATA", resolve, "rcode0.test")
    raises("EAI_AGAIN", resolve, "rcode2.test", { timeout = 60 })
    raises("EAI_AGAIN", resolve, "rcode5.test", { timeout = 60 })
  end)

  it("asks again over TCP when an answer was cut", function()
    local many = {}
    for i = 1, 60 do many[i] = "10.0.1." .. i end
    local log = dns.serve(function(q, reply, over)
      reply(dns.answer(q, over == "udp" and {} or many, { truncated = over == "udp" }))
    end)
    assert.equal(60, #resolve("large.test", { family = 4 }))
    assert.equal("tcp", log[2].over)
  end)

  it("keeps a bounded number of the addresses of a name", function()
    local many = {}
    for i = 1, 200 do many[i] = "10.0.2." .. i end
    dns.serve(function(q, reply, over)
      reply(dns.answer(q, over == "udp" and {} or many, { truncated = over == "udp" }))
    end)
    assert.equal(64, #resolve("huge.test", { family = 4 }))
  end)

  it("does not believe an answer with a wrong id, to another question, or malformed", function()
    dns.serve(function(q, reply)
      local wrong = dns.answer(q, { "6.6.6.6" }, { id = "\0\0" == q.id and "\1\1" or "\0\0" })
      reply(wrong)
      reply(dns.answer(q, { "6.6.6.6" },
        { question = dns.pack_name("other.test") .. "\0\1\0\1" }))
      reply(q.id)
      reply("")
      plain(q, reply)
    end)
    assert.same({ "127.0.0.9" }, resolve("poisoned.test", { family = 4, timeout = 60 }))
  end)

  it("survives answers cut at any byte, and bytes changed at any place", function()
    local n = 0
    dns.serve(function(q, reply)
      local good = dns.answer(q, { "10.0.0.1", "10.0.0.2" })
      n = n + 1
      local cut = n % (#good + 1)
      if q.name:find "^cut" then reply(good:sub(1, math.max(cut, 12)))
      else reply(q.id .. good:sub(3, cut) .. "\255" .. good:sub(cut + 2)) end
    end)
    local jobs = {}
    for i = 1, 80 do
      for _, kind in ipairs { "cut", "bent" } do
        jobs[#jobs + 1] = function()
          bide.try(resolve, ("%s%d.test"):format(kind, i), { family = 4, timeout = 0.5 })
        end
      end
    end
    bide.gather(jobs)
  end)

  it("is answered late by a slow server, in time by its own limit", function()
    dns.serve(function(q, reply)
      bide.sleep(0.1)
      plain(q, reply)
    end)
    local err = raises("ETIMEDOUT", resolve, "slow.test", { timeout = 0.02 })
    assert.equal("resolve slow.test: connection timed out (ETIMEDOUT)", tostring(err))
    assert.same({ "127.0.0.9" }, resolve("slow.test", { timeout = 60 }))
  end)

  it("frees its caller at once when it is cancelled, and leaves nothing behind", function()
    dns.serve(silent)
    bide.sleep(0)
    local before = testing.counts()
    local started = bide.now()
    local waiting = {}
    for i = 1, 100 do waiting[i] = bide.spawn(resolve, ("c%d.test"):format(i)) end
    bide.sleep(0.02)
    for _, t in ipairs(waiting) do t:cancel() end
    for _, t in ipairs(waiting) do raises("ECANCELED", t.await, t) end
    assert.truthy(bide.now() - started < 2)
    local after = testing.counts()
    assert.equal(before.alarms, after.alarms)
    assert.equal(before.handles, after.handles)
  end)

  it("does not take others down with one that is cancelled", function()
    dns.serve(function(q, reply)
      bide.sleep(0.05)
      plain(q, reply)
    end)
    local one, two = bide.spawn(resolve, "shared.test"), bide.spawn(resolve, "shared.test")
    bide.sleep(0.01)
    one:cancel()
    assert.same({ "127.0.0.9" }, two:await())
    pcall(one.await, one)
  end)

  it("says that nobody answers when no server listens", function()
    local socket = bide.udp.bind("127.0.0.1", 0)
    local _, port = socket:address()
    socket:close()
    bide.dns.servers { "127.0.0.1:" .. port }
    raises("EAI_AGAIN", resolve, "nobody.test", { timeout = 60 })
  end)

  it("refuses wrong arguments as Lua does", function()
    local cases = {
      { "host name or address", "" },
      { "host name or address", ("x"):rep(254) },
      { "host name or address", 5 },
      { "unknown option 'ttl'", "localhost", { ttl = 1 } },
      { "option 'family'", "localhost", { family = "inet" } },
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(resolve, table.unpack(case, 2, 3))
      assert.is_false(ok)
      assert.equal("string", type(err), tostring(err))
      assert.truthy(err:find(case[1], 1, true), err)
      assert.truthy(err:find("bide.dns.resolve", 1, true), err)
    end
    for _, list in ipairs { 5, {}, { 5 }, { "nonsense" }, { "127.0.0.1:x" }, { "a\0b" } } do
      assert.is_false((pcall(bide.dns.servers, list)))
    end
  end)
end)

describe("the hosts file", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function()
    testing.hosts_file()
    bide.dns.servers()
    os.remove(path)
  end)

  it("is honoured without a question, whatever its layout", function()
    process.write_file(path, "# 1.2.3.4 comment\n10.1.1.1\tone.test  Uno.test # three.test\r\n"
      .. "\n::5 one.test\nnonsense two.test\n10.1.1.2 one.test\n10.9.9.9 last.test")
    testing.hosts_file(path)
    local log = dns.serve(silent)
    assert.same({ "10.1.1.1", "::5", "10.1.1.2" }, resolve "one.test")
    assert.same({ "10.1.1.1" }, resolve "UNO.test.")
    assert.same({ "::5" }, resolve("one.test", { family = 6 }))
    assert.same({ "10.9.9.9" }, resolve "last.test")
    raises("EAI_NODATA", resolve, "uno.test", { family = 6 })
    assert.equal(0, #log)
    raises("ETIMEDOUT", resolve, "two.test", { timeout = 0.01 })
  end)

  it("is read again when it has changed", function()
    testing.hosts_file(path)
    dns.serve(silent)
    process.write_file(path, "10.1.1.1 one.test\n")
    assert.same({ "10.1.1.1" }, resolve "one.test")
    process.write_file(path, "10.1.1.22 one.test\n")
    assert.same({ "10.1.1.22" }, resolve "one.test")
    os.remove(path)
    raises("ETIMEDOUT", resolve, "one.test", { timeout = 0.01 })
  end)
end)

describe("connecting by name", function()
  after_each(function() bide.dns.servers() end)

  local function echo_server()
    local server = bide.tcp.listen("127.0.0.1", 0, function(s) s:write((s:local_address())) end,
      { daemon = true })
    return select(2, server:address())
  end

  it("takes the family that answers when the other one's server is silent", function()
    local port = echo_server()
    dns.serve(function(q, reply)
      if q.type == "A" then reply(dns.answer(q, { "127.0.0.1" })) end
    end)
    local started = bide.now()
    local s <close> = bide.tcp.connect("half.test", port)
    assert.equal("127.0.0.1", s:read_all())
    assert.truthy(bide.now() - started < 1.5)
  end)

  it("uses an answer that comes while the first address is being tried", function()
    local port = echo_server()
    dns.serve(function(q, reply)
      if q.type == "AAAA" then return reply(dns.answer(q, { "::1" })) end
      bide.sleep(0.05)
      reply(dns.answer(q, { "127.0.0.1" }))
    end)
    local s <close> = bide.tcp.connect("late.test", port) -- nobody listens at [::1]
    assert.equal("127.0.0.1", s:read_all())
  end)

  it("names every address in the final error", function()
    local port = echo_server()
    dns.serve(function(q, reply)
      reply(dns.answer(q, q.type == "A" and { "127.0.0.2", "127.0.0.3" } or { "::1" }))
    end)
    local err = raises("ECONNREFUSED", bide.tcp.connect, "three.test", port)
    assert.equal(3, #err.errors)
    local hosts = {}
    for i, e in ipairs(err.errors) do
      hosts[i] = e.host
      assert.equal(e.host:find ":" and e.code or "ECONNREFUSED", e.code)
    end
    assert.same({ "127.0.0.2", "127.0.0.3", "::1" }, sorted(hosts))
  end)

  it("fails with the look-up's error when there is no address", function()
    dns.serve(function(q, reply) reply(dns.answer(q, {}, { rcode = 3 })) end)
    local err = raises("EAI_NONAME", bide.tcp.connect, "none.test", 80)
    assert.equal("none.test", err.host)
  end)

  it("gives up in time while the server is silent", function()
    dns.serve(silent)
    local started = bide.now()
    raises("ETIMEDOUT", bide.tcp.connect, "silent.test", 80, { timeout = 0.05 })
    assert.truthy(bide.now() - started < 2)
  end)
end)

describe("a program that ends while a look-up hangs", function()
  it("does not wait for it", function()
    local started = bide.now()
    local result = process.run({ process.program, "-e", [[
      local bide = require "bide"
      local mute = bide.udp.bind("127.0.0.1", 0)
      bide.dns.servers { "127.0.0.1:" .. select(2, mute:address()) }
      bide.daemon(bide.dns.resolve, "hangs.test", { timeout = 1000 })
      bide.daemon(bide.tcp.connect, "hangs.test", 80, { timeout = 1000 })
      bide.sleep(0.05)
      print "over"
    ]] }, { seconds = 30 })
    assert.same({ status = 0, out = "over\n", err = "" }, result)
    assert.truthy(bide.now() - started < 10)
  end)
end)
