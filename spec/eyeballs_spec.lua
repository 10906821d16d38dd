-- SPDX-License-Identifier: MIT
-- Connecting by name: which addresses are tried, in which order, and when (RFC 8305).

local bide = require "bide"
local dns = require "spec.support.dns"
local process = require "spec.support.process"
local tasks = require "spec.support.tasks"
local testing = require "bide.core".testing

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(code, type(err) == "table" and err.code or err, tostring(err))
  return err
end

local function silent() end

local function sorted(list)
  table.sort(list)
  return list
end

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

describe("the addresses of a name", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function()
    testing.hosts_file()
    os.remove(path)
  end)

  local function names(text)
    process.write_file(path, text)
    testing.hosts_file(path)
  end

  --- Listens at these addresses on one free port; at those of `mute` so that connecting hangs.
  local function listen(mute, good)
    local port, closing = 0, {}
    for i, host in ipairs(mute) do
      local server = bide.tcp.listen(host, port, function(s) s:read() end,
        { backlog = 1, max_connections = 1, daemon = true })
      if i == 1 then port = select(2, server:address()) end
      closing[#closing + 1] = server
      for _ = 1, 8 do -- until its backlog is full
        local ok, s = pcall(bide.tcp.connect, host, port, { timeout = 0.02 })
        if not ok then break end
        closing[#closing + 1] = s
      end
    end
    closing[#closing + 1] = good and bide.tcp.listen(good, port, function() end, { daemon = true })
    return port, function() for _, c in ipairs(closing) do c:close() end end
  end

  it("are tried a quarter of a second apart while the others are silent", function()
    local port, close = listen({ "127.0.1.1", "127.0.1.2", "127.0.1.3" }, "127.0.1.4")
    names "127.0.1.1 slow.test\n127.0.1.2 slow.test\n127.0.1.3 slow.test\n127.0.1.4 slow.test\n"
    tasks.virtual(function()
      local started = bide.now()
      local s <close> = bide.tcp.connect("slow.test", port)
      assert.equal("127.0.1.4", (s:peer()))
      assert.near(0.75, bide.now() - started, 0.001)
      started = bide.now()
      local err = raises("ETIMEDOUT", bide.tcp.connect, "slow.test", port + 0, { timeout = 0.6 })
      assert.near(0.6, bide.now() - started, 0.001)
      assert.equal("slow.test", err.host)
    end)()
    close()
  end)

  it("are tried at once after a failure, the families in turn, each told in the error", function()
    names "127.0.1.1 all.test\n127.0.1.2 all.test\n::1 all.test\n127.0.1.3 all.test\n"
    local socket = bide.tcp.listen("127.0.0.1", 0, function() end, { daemon = true })
    local _, port = socket:address()
    local started = bide.now()
    local _, err = pcall(bide.tcp.connect, "all.test", port)
    assert.is_true(bide.now() - started < 2)
    local order = {}
    for i, e in ipairs(err.errors) do
      order[i] = e.host
      assert.equal(port, e.port)
      assert.is_string(e.code)
      assert.truthy(tostring(err):find(e.host, 1, true), tostring(err))
    end
    assert.same({ "127.0.1.1", "::1", "127.0.1.2", "127.0.1.3" }, order)
    socket:close()
  end)

  it("leave no connection behind when one was quicker, or all are given up", function()
    local before = testing.counts()
    local port, close = listen({ "127.0.1.1" }, "127.0.1.2")
    names "127.0.1.1 two.test\n127.0.1.2 two.test\n"
    bide.tcp.connect("two.test", port):close()
    local task = bide.spawn(bide.tcp.connect, "two.test", port)
    bide.sleep(0)
    task:cancel()
    raises("ECANCELED", task.await, task)
    close()
    bide.sleep(0)
    local after = testing.counts()
    assert.equal(before.alarms, after.alarms)
    assert.equal(before.handles, after.handles)
  end)
end)

describe("a name with both families", function()
  after_each(function() bide.dns.servers() end)

  it("waits a moment for IPv6 when IPv4 has answered first", function()
    local ok, server = pcall(bide.tcp.listen, "::1", 0, function() end, { daemon = true })
    if not ok then return end
    local _, port = server:address()
    local other = bide.tcp.listen("127.0.0.1", port, function() end, { daemon = true })
    local answered = bide.event()
    dns.serve(function(q, reply)
      if q.type == "A" then
        reply(dns.answer(q, { "127.0.0.1" }))
        answered:set()
      else
        answered:wait()
        tasks.turns(3)
        reply(dns.answer(q, { "::1" }))
      end
    end)
    local s <close> = bide.tcp.connect("both.test", port)
    assert.equal("::1", (s:peer()))
    server:close()
    other:close()
  end)
end)
