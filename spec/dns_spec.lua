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

  it("forgets an answer when its time is over, or after a minute", tasks.virtual(function()
    local log = dns.serve(function(q, reply)
      reply(dns.answer(q, { "10.0.0.1" }, { ttl = q.name == "short.test" and 30 or 3600 }))
    end)
    local opts = { family = 4, timeout = math.huge }
    for _, case in ipairs { { "short.test", 20, 20 }, { "long.test", 50, 20 } } do
      local before = #log
      resolve(case[1], opts)
      bide.sleep(case[2])
      resolve(case[1], opts)
      assert.equal(before + 1, #log)
      bide.sleep(case[3])
      resolve(case[1], opts)
      assert.equal(before + 2, #log)
    end
    bide.dns.servers()
  end))

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

  it("follows aliases within an answer, and no others", function()
    dns.serve(function(q, reply)
      local alias = function(from, to) return dns.record(from, "CNAME", dns.pack_name(to)) end
      local records = {
        ["alias.test"] = { alias(q.name, "real.test"), dns.record("real.test", "A", "\10\0\0\7") },
        ["circle.test"] = { alias(q.name, "b.test"), alias("b.test", q.name) },
        ["itself.test"] = { alias(q.name, q.name) },
        ["nowhere.test"] = { alias(q.name, "real.test") },
        ["other.test"] = { dns.record(q.name, "AAAA", ("\1"):rep(16)) },
      }
      reply(dns.answer(q, {}, { records = records[q.name] }))
    end)
    assert.same({ "10.0.0.7" }, resolve("alias.test", { family = 4 }))
    for _, name in ipairs { "circle", "itself", "nowhere", "other" } do
      raises("EAI_NODATA", resolve, name .. ".test", { family = 4 })
    end
  end)

  it("ends when a name in an answer points at itself, or beyond its end", function()
    dns.serve(function(q, reply)
      local name = q.name == "self.test" and string.pack(">I2", 0xc000 | 12 + #q.question)
        or q.name == "beyond.test" and "\xff\xff" or "\63abc"
      reply(dns.answer(q, {}, { records = {
        name .. string.pack(">I2I2I4s2", 1, 1, 60, "\10\0\0\1") } }))
    end)
    for _, name in ipairs { "self.test", "beyond.test", "cut.test" } do
      local ok, err = pcall(resolve, name, { family = 4, timeout = 10 })
      assert.is_false(ok and err)
      assert.matches("^EAI_", err.code)
    end
  end)

  it("takes the one right answer out of a thousand wrong ones", function()
    dns.serve(function(q, reply)
      for i = 1, 1000 do
        local id = string.pack(">I2", i)
        if id ~= q.id then reply(dns.answer(q, { "6.6.6.6" }, { id = id })) end
        if i % 50 == 0 then bide.sleep(0) end -- as many as a socket's buffer holds
      end
      plain(q, reply)
    end)
    assert.same({ "127.0.0.9" }, resolve("flood.test", { family = 4, timeout = 60 }))
  end)

  it("asks the next server when one refuses", function()
    local closed = bide.udp.bind("127.0.0.1", 0)
    local _, port = closed:address()
    closed:close()
    local _, good = dns.serve(plain)
    bide.dns.servers { "127.0.0.1:" .. port, good }
    assert.same({ "127.0.0.9" }, resolve("second.test", { family = 4, timeout = 60 }))
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
    -- The portable build has a handle for each socket; c-ares keeps its one for the next question.
    local own = (os.getenv "BIDE_BUILD" or ""):find "portable" and 1 or 0
    assert.equal(before.handles + own, after.handles)
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

describe("the domains to search", function()
  it("are those of resolv.conf, tried before a short name and after a long one", function()
    local result = process.run({ process.program, "-e", [[
      package.path = "./?.lua;" .. package.path
      local bide, dns = require "bide", require "spec.support.dns"
      local log = dns.serve(function(q, reply)
        local found = q.name == "wiki.corp.test" or q.name == "a.b.corp.test"
        reply(dns.answer(q, found and { "10.0.0.3" } or {}, { rcode = not found and 3 or nil }))
      end)
      for _, name in ipairs { "wiki", "a.b", "wiki.", "none" } do
        print(name, (bide.try(function() return bide.dns.resolve(name, { family = 4 })[1] end)))
        for i, q in ipairs(log) do print("", q.name) log[i] = nil end
      end
      os.exit(0)
    ]] }, { env = { LOCALDOMAIN = "lab.test corp.test" }, seconds = 30 })
    assert.equal("", result.err)
    assert.equal(table.concat({
      "wiki\t10.0.0.3", "\twiki.lab.test", "\twiki.corp.test",
      "a.b\t10.0.0.3", "\ta.b", "\ta.b.lab.test", "\ta.b.corp.test",
      "wiki.\tnil", "\twiki",
      "none\tnil", "\tnone.lab.test", "\tnone.corp.test", "\tnone", "" }, "\n"), result.out)
  end)
end)
