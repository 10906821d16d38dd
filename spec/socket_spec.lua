-- SPDX-License-Identifier: MIT
-- bide.socket: LuaSocket's interface. The operations are those of LuaSocket's own client and server
-- tests, here between two tasks.

local bide = require "bide"
local socket = require "bide.socket"
local tasks = require "spec.support.tasks"

--- Two connected objects.
local function pair()
  local server = assert(socket.bind("127.0.0.1", 0))
  local _, port = server:getsockname()
  local a = assert(socket.connect("127.0.0.1", port))
  local b = assert(server:accept())
  server:close()
  return a, b
end

local function elapsed(f, ...)
  local started = bide.now()
  local results = table.pack(f(...))
  return bide.now() - started, table.unpack(results, 1, results.n)
end

describe("bide.socket tcp", function()
  local a, b
  before_each(function() bide.run(function() a, b = pair() end) end)
  after_each(function()
    a:close()
    b:close()
  end)

  it("has the methods of LuaSocket's objects, in each state", function()
    local names = "accept bind close connect dirty getfamily getfd getoption getpeername "
      .. "getsockname getstats setstats listen receive send setfd setoption setpeername "
      .. "setsockname settimeout gettimeout shutdown"
    for name in names:gmatch "%a+" do
      assert.equal("function", type(socket.tcp()[name]), name)
    end
    assert.matches("^tcp{master}: ", tostring(socket.tcp()))
    assert.matches("^tcp{client}: ", tostring(a))
    assert.matches("calling 'send' on bad self", tasks.raised(function() socket.tcp():send "x" end))
    assert.matches("calling 'accept' on bad self", tasks.raised(function() a:accept() end))
  end)

  it("receives lines of either ending, counts and all the rest", function()
    for _, n in ipairs { 0, 1, 17, 4091, 70000 } do
      local x, y = pair()
      local sender = bide.spawn(function()
        assert(y:send("unix" .. ("x"):rep(n) .. "\ndo\rs" .. ("y"):rep(n) .. "\r\n"
          .. ("z"):rep(n + 3) .. ("w"):rep(n + 5)))
        y:close()
      end)
      assert.equal("unix" .. ("x"):rep(n), x:receive())
      assert.equal("dos" .. ("y"):rep(n), x:receive "*l")
      assert.equal(("z"):rep(n + 3), x:receive(n + 3))
      assert.equal(("w"):rep(n + 5), x:receive "*a")
      assert.same({ nil, "closed", "" }, { x:receive "*a" })
      sender:await()
      x:close()
    end
  end)

  it("gives what there was when the peer closes in the middle", function()
    b:send "little string"
    b:close()
    assert.same({ nil, "closed", "little string" }, { a:receive() })
    assert.same({ nil, "closed", "" }, { a:receive(1) })
    assert.same({ nil, "closed", "pre" }, { a:receive("*l", "pre") })
  end)

  it("counts a prefix to what is wanted", function()
    b:send "7890"
    a:settimeout(1)
    assert.equal("1234567890", (a:receive(10, "123456")))
    assert.equal("87654321", (a:receive(8, "87654321")))
    assert.equal("87654321", (a:receive(4, "87654321")))
  end)

  it("says closed after its own close, in every operation", function()
    a:close()
    for _, pattern in ipairs { "*l", "*a", 0, 1 } do
      assert.same({ nil, "closed", "" }, { a:receive(pattern) })
    end
    assert.same({ nil, "closed", 0 }, { a:send "x" })
    assert.equal(-1, a:getfd())
    assert.equal(1, a:close())
  end)

  it("notices in send that the peer has gone", function()
    b:close()
    local sent, err
    repeat sent, err = a:send "little string" until not sent
    assert.equal("closed", err)
  end)

  it("sends a range, and tells the last byte of it", function()
    assert.equal(10, a:send "0123456789")
    assert.equal(5, a:send("0123456789", 3, 5))
    assert.equal(9, a:send("0123456789", -2, -2))
    assert.equal(10, a:send("0123456789", 8, 100))
    assert.equal(4, a:send("0123456789", 5, 4))
    a:close()
    assert.equal("0123456789" .. "234" .. "8" .. "789", b:receive "*a")
  end)

  it("times out with what there is, by a limit for each wait", function()
    a:settimeout(0.05)
    b:send "part"
    local took, data, err, partial = elapsed(a.receive, a, 10)
    assert.same({ nil, "timeout", "part" }, { data, err, partial })
    assert.truthy(took >= 0.04, took)
    local trickle = bide.spawn(function()
      for _ = 1, 6 do
        bide.sleep(0.02)
        b:send "x"
      end
    end)
    a:settimeout(5)
    assert.equal("partxxxxxx", a:receive(10, partial))
    trickle:await()
  end)

  it("times out by a limit for the whole, however often something comes", function()
    a:settimeout(0.1, "t")
    local trickle = bide.spawn(function()
      while b:send "x" do bide.sleep(0.01) end
    end)
    local took, data, err, partial = elapsed(a.receive, a, 100000)
    assert.same({ nil, "timeout" }, { data, err })
    assert.truthy(#partial >= 1)
    assert.truthy(took >= 0.09 and took < 5, took)
    assert.same({ -1, 0.1 }, { a:gettimeout() })
    trickle:cancel()
    pcall(trickle.await, trickle)
  end)

  it("times out in send, and goes on where it stopped", function()
    local text = ("0123456789"):rep(800000)
    a:settimeout(0.05)
    local sent, err, last = a:send(text)
    assert.same({ nil, "timeout" }, { sent, err })
    assert.truthy(last > 0 and last < #text)
    local reader = bide.spawn(b.receive, b, #text)
    a:settimeout(-1)
    assert.equal(#text, a:send(text, last + 1))
    assert.equal(text, (reader:await()))
  end)

  it("never waits with a limit of 0, and keeps pieces together by the prefix", function()
    local text = ("a"):rep(300000) .. "\n"
    local writer = bide.spawn(b.send, b, text)
    a:settimeout(0)
    local line, err, part = nil, "timeout", ""
    local turns = 0
    while not line and err == "timeout" do
      line, err, part = a:receive("*l", part)
      turns = turns + 1
      bide.sleep(0)
    end
    assert.equal(text:sub(1, -2), line)
    assert.truthy(turns > 1)
    writer:await()
  end)

  it("waits for something even to receive nothing", function()
    a:settimeout(0.01)
    assert.same({ nil, "timeout", "" }, { a:receive(0) })
    b:send "x"
    assert.equal("", (a:receive(0)))
    assert.is_true(a:dirty())
    assert.equal("x", (a:receive(1)))
    assert.is_false(a:dirty())
  end)

  it("lets others run while a peer sends for ever", function()
    local flood = bide.spawn(function()
      while b:send(("x"):rep(65536)) do end
    end)
    local sink = bide.spawn(a.receive, a, "*a")
    for _ = 1, 20 do bide.sleep(0) end
    for _, t in ipairs { flood, sink } do
      t:cancel()
      assert.equal("ECANCELED", tasks.code(t.await, t))
    end
  end)

  it("is woken by a close in another task", function()
    local reader = bide.spawn(a.receive, a)
    local selector = bide.spawn(socket.select, { a }, nil, 30)
    bide.sleep(0)
    a:close()
    assert.same({ nil, "closed", "" }, { reader:await() })
    assert.equal(a, selector:await()[1])
  end)

  it("shuts one direction down", function()
    assert.equal(1, a:shutdown "send")
    assert.same({ nil, "closed", "" }, { b:receive() })
    b:send "back\n"
    assert.equal("back", a:receive())
    assert.matches("invalid option", tasks.raised(a.shutdown, a, "up"))
  end)

  it("counts bytes and time", function()
    a:send "12345"
    b:receive(5)
    b:send "abc"
    a:receive(3)
    local received, sent, age = a:getstats()
    assert.same({ 3, 5 }, { received, sent })
    assert.truthy(age >= 0 and age < 60)
    a:setstats(0, 0, 100)
    received, sent, age = a:getstats()
    assert.same({ 0, 0 }, { received, sent })
    assert.truthy(age >= 100)
  end)

  it("tells and sets options and addresses", function()
    assert.equal(1, a:setoption("tcp-nodelay", true))
    assert.is_true(a:getoption "tcp-nodelay")
    assert.equal(1, a:setoption("linger", { on = true, timeout = 3 }))
    assert.same({ on = true, timeout = 3 }, a:getoption "linger")
    assert.equal(1, a:setoption("keepalive", true))
    assert.is_nil(a:getoption "error")
    assert.matches("unsupported option `tcp%-delay'",
      tasks.raised(a.setoption, a, "tcp-delay", true))
    local host, port, family = a:getpeername()
    assert.same({ host, port, family }, { b:getsockname() })
    assert.equal("inet", family)
    assert.equal("inet4", a:getfamily())
  end)

  it("keeps options that are set before there is a descriptor", function()
    local early = socket.tcp()
    assert.equal(-1, early:getfd())
    assert.equal(1, early:setoption("reuseaddr", true))
    assert.equal(1, early:bind("127.0.0.1", 0))
    assert.is_true(early:getoption "reuseaddr")
    early:close()
  end)
end)

describe("bide.socket connecting", function()
  it("says refused, not found, timeout as LuaSocket does", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    server:close()
    assert.same({ nil, "connection refused" }, { socket.connect("127.0.0.1", port) })
    assert.same({ nil, "host or service not provided, or not known" },
      { socket.connect("host.is.invalid", 1) })
    assert.same({ nil, "host or service not provided, or not known" }, { socket.connect("", 80) })
    assert.same({ nil, "host or service not provided, or not known" },
      { socket.connect("localhost", "no service") })
  end)

  it("times out at a peer that does not answer, and can be waited for with select", function()
    local server = assert(socket.bind("127.0.0.1", 0, 0))
    local _, port = server:getsockname()
    local clients, err = {}, nil
    for i = 1, 8 do -- until its backlog is full
      local c = socket.tcp()
      c:settimeout(0.05)
      clients[i] = c
      local ok
      ok, err = c:connect("127.0.0.1", port)
      if not ok then break end
    end
    assert.equal("timeout", err)
    local last = clients[#clients]
    local _, _, why = socket.select(nil, { last }, 0.01)
    assert.equal("timeout", why)
    for _ = 1, #clients - 1 do server:accept():close() end
    local _, writable = socket.select(nil, { last }, 30)
    assert.equal(last, writable[1])
    for _, c in ipairs(clients) do c:close() end
    server:close()
  end)

  it("binds before it connects, and takes the next address when one refuses", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local c = assert(socket.connect("127.0.0.1", port, "127.0.0.2"))
    assert.equal("127.0.0.2", (server:accept():getpeername()))
    c:close()
    c = assert(socket.connect("localhost", port))
    assert.truthy(server:accept())
    assert.same({ nil, "address already in use" }, { socket.tcp():bind("127.0.0.1", port) })
    c:close()
    server:close()
  end)

  it("accepts in time or not at all", function()
    local server = assert(socket.bind("*", 0))
    server:settimeout(0.02)
    assert.same({ nil, "timeout" }, { server:accept() })
    server:close()
    assert.same({ nil, "closed" }, { server:accept() })
  end)

  it("speaks unix sockets", function()
    local path = os.tmpname()
    os.remove(path)
    local unix = socket.unix
    local server = unix()
    assert.equal(1, server:bind(path))
    assert.equal(1, server:listen())
    local a = unix()
    assert.equal(1, a:connect(path))
    local b = server:accept()
    a:send "over a path\n"
    assert.equal("over a path", b:receive())
    assert.equal(path, (server:getsockname()))
    for _, s in ipairs { a, b, server } do s:close() end
    local ok, err = unix():connect(path .. ".none")
    assert.same({ nil, "No such file or directory" }, { ok, err })
    os.remove(path)
  end)
end)

describe("bide.socket udp", function()
  it("sends and receives, connected or not", function()
    local a, b = socket.udp(), socket.udp()
    assert.equal(1, a:setsockname("127.0.0.1", 0))
    assert.equal(1, b:setsockname("127.0.0.1", 0))
    local host, port = a:getsockname()
    assert.equal(5, b:sendto("hello", host, port))
    local data, from, from_port = a:receivefrom()
    assert.same({ "hello", "127.0.0.1" }, { data, from })
    assert.equal(1, a:setpeername(from, from_port))
    assert.matches("^udp{connected}", tostring(a))
    assert.equal(0, a:send "")
    assert.equal("", b:receive())
    assert.matches("bad self", tasks.raised(a.sendto, a, "x", host, port))
    assert.equal(1, a:setpeername "*")
    b:settimeout(0.01)
    assert.same({ nil, "timeout" }, { b:receive() })
    assert.same({ nil, "timeout" }, { b:receivefrom() })
    a:close()
    b:close()
  end)

  it("tells that nobody listens", function()
    local gone = socket.udp()
    gone:setsockname("127.0.0.1", 0)
    local host, port = gone:getsockname()
    gone:close()
    local c = socket.udp()
    c:setpeername(host, port)
    c:send "x"
    c:settimeout(5)
    assert.same({ nil, "connection refused" }, { c:receive() })
    c:close()
  end)
end)

describe("bide.socket.select", function()
  it("says who can be read from and written to, by place and by object", function()
    local a, b = pair()
    b:send "x"
    local r, w, err = socket.select({ a, b }, { a, b }, 5)
    assert.is_nil(err)
    assert.same({ a, 1 }, { r[1], r[a] })
    assert.is_nil(r[2])
    assert.equal(2, #w)
    a:close()
    b:close()
  end)

  it("waits for what comes, counts what is buffered, and times out", function()
    local a, b = pair()
    local _, _, err = socket.select({ a }, nil, 0.01)
    assert.equal("timeout", err)
    assert.equal("timeout", (select(3, socket.select(nil, nil, 0.01))))
    local waiting = bide.spawn(socket.select, { a }, {}, 30)
    bide.sleep(0)
    b:send "one\ntwo\n"
    assert.equal(a, waiting:await()[1])
    assert.equal("one", a:receive())
    assert.equal(a, socket.select({ a }, nil, 0)[1])
    assert.equal("two", a:receive())
    assert.equal("timeout", (select(3, socket.select({ a }, nil, 0))))
    b:close()
    assert.equal(a, socket.select({ a }, nil, 5)[1])
    a:close()
  end)

  it("takes whatever has a getfd", function()
    local a, b = pair()
    local thing = { getfd = function() return a:getfd() end }
    local stranger = { getfd = function() return 0x7fff end }
    b:send "x"
    assert.equal(thing, socket.select({ thing, { getfd = function() return -1 end } }, nil, 5)[1])
    assert.is_false((pcall(socket.select, { a }, "wrong", 0)))
    assert.truthy(stranger)
    a:close()
    b:close()
  end)
end)

describe("bide.socket's rest", function()
  it("protects against what try throws, and only that", function()
    local finalized = 0
    local try = socket.newtry(function() finalized = finalized + 1 end)
    local f = socket.protect(function(...) return try(...) end)
    assert.same({ 1, 2, 3 }, { f(1, 2, 3) })
    assert.same({ nil, "why" }, { f(nil, "why") })
    assert.equal(1, finalized)
    local mine = {}
    local g = socket.protect(function() error(mine) end)
    assert.equal(mine, tasks.raised(g))
    assert.equal(3, socket.skip(2, 1, 2, 3))
    local nested = socket.protect(function() bide.sleep(0) return socket.try(nil, "late") end)
    assert.same({ nil, "late" }, { nested() })
  end)

  it("lets a cancellation through protect", function()
    local a, b = pair()
    local t = bide.spawn(socket.protect(function() return socket.try(a:receive()) end))
    bide.sleep(0)
    t:cancel()
    assert.is_true(bide.is_cancelled(tasks.raised(t.await, t)))
    a:close()
    b:close()
  end)

  it("has sources and sinks", function()
    local a, b = pair()
    local sink = socket.sink("close-when-done", b)
    local source = socket.source("by-length", a, 5)
    sink "0123456789"
    assert.equal("01234", source())
    assert.is_nil(source())
    sink(nil)
    local rest = socket.source("until-closed", a)
    assert.equal("56789", rest())
    assert.is_nil(rest())
    assert.matches("unknown key %(nothing%)", tasks.raised(socket.sink, "nothing", a))
  end)

  it("resolves names and tells the time", function()
    local ip, info = socket.dns.toip "localhost"
    assert.equal("127.0.0.1", ip)
    assert.same({ "127.0.0.1" }, info.ip)
    assert.equal("inet6", socket.dns.getaddrinfo("::1")[1].family)
    assert.equal("string", type(socket.dns.gethostname()))
    assert.same({ nil, "host not found" }, { socket.dns.toip "x.invalid" })
    assert.truthy(math.abs(socket.gettime() - os.time()) < 2)
    assert.truthy(elapsed(socket.sleep, 0.02) >= 0.02)
    socket.sleep(-1)
  end)

  it("leaves nothing behind when a wait is cancelled", function()
    local a, b = pair()
    for _, f in ipairs {
      function() return a:receive() end,
      function() return a:receive(5) end,
      function() return socket.select({ a, b }, nil, 100) end,
      function() return a:send(("x"):rep(1 << 24)) end,
    } do
      tasks.mark()
      local t = bide.spawn(f)
      bide.sleep(0.01)
      t:cancel()
      assert.equal("ECANCELED", tasks.code(t.await, t))
      t = nil -- luacheck: ignore
      tasks.check()
    end
    a:close()
    b:close()
  end)
end)
