-- SPDX-License-Identifier: MIT
-- bide.tcp: connecting, listening, servers.

local bide = require "bide"
local process = require "spec.support.process"
local tcp = bide.tcp

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(code, type(err) == "table" and err.code or err)
  return err
end

---A server for one test: closed when the variable goes out of scope.
local function serve(handler, opts)
  local server = tcp.listen("127.0.0.1", 0, handler, opts)
  local _, port = server:address()
  return server, port
end

local function echo(s)
  local data = s:read()
  while data do
    s:write(data)
    data = s:read()
  end
end

describe("tcp.connect", function()
  it("gives a stream that knows both its ends", function()
    local server <close>, port = serve(echo)
    local s <close> = tcp.connect("127.0.0.1", port)
    local host, p = s:peer()
    assert.equal("127.0.0.1", host)
    assert.equal(port, p)
    assert.equal("127.0.0.1", (s:local_address()))
    assert.truthy(server)
  end)

  it("takes localhost without a look-up, and IPv6 literals", function()
    local server <close>, port = serve(echo)
    tcp.connect("localhost", port):close()
    local ok, six = pcall(tcp.listen, "::1", 0, echo)
    if ok then
      local _, port6 = six:address()
      local s = tcp.connect("::1", port6)
      assert.equal("::1", (s:peer()))
      s:close()
      six:close()
    end
    assert.truthy(server)
  end)

  it("says what was refused, where", function()
    local server, port = serve(echo)
    server:close()
    local err = raises("ECONNREFUSED", tcp.connect, "127.0.0.1", port)
    assert.equal("connect", err.op)
    assert.equal("127.0.0.1", err.host)
    assert.equal(port, err.port)
    assert.equal(("connect 127.0.0.1:%d: connection refused (ECONNREFUSED)"):format(port),
      tostring(err))
    assert.matches("tcp_spec.lua", pcall(tcp.connect, "127.0.0.1", port) or err.where)
  end)

  it("tells the failure of every address of a name", function()
    local server, port = serve(echo)
    server:close()
    local err = raises("ECONNREFUSED", tcp.connect, "localhost", port)
    assert.equal(2, #err.errors)
    assert.equal("127.0.0.1", err.errors[1].host)
    assert.equal("::1", err.errors[2].host)
    assert.equal(port, err.errors[2].port)
  end)

  it("reaches a second address when the first one refuses", function()
    local ok, server = pcall(tcp.listen, "::1", 0, echo)
    if not ok then return end
    local _, port = server:address()
    local s <close> = tcp.connect("localhost", port)
    assert.equal("::1", (s:peer()))
    server:close()
  end)

  it("begins with the next address while the first one is silent", function()
    local silent, port = serve(function(s) s:read() end, { backlog = 1, max_connections = 1 })
    local ok, server = pcall(tcp.listen, "::1", port, echo)
    local streams = {}
    for _ = 1, 8 do -- until its backlog is full
      local done, s = pcall(tcp.connect, "127.0.0.1", port, { timeout = 0.02 })
      if not done then break end
      streams[#streams + 1] = s
    end
    if ok then
      local started = bide.now()
      local s <close> = tcp.connect("localhost", port)
      assert.equal("::1", (s:peer()))
      local took = bide.now() - started
      assert.truthy(took > 0.2 and took < 0.9, took)
      server:close()
    end
    for _, s in ipairs(streams) do s:close() end
    silent:close()
  end)

  it("fails on a name that does not exist", function()
    local err = raises("EAI_NONAME", tcp.connect, "does-not-exist.invalid", 80,
      { timeout = 60 })
    assert.equal("does-not-exist.invalid", err.host)
  end)

  it("gives up in time", function()
    -- a listener whose backlog is full answers no more
    local server <close>, port = serve(function(s) s:read() end,
      { backlog = 1, max_connections = 1 })
    local streams = {}
    local err
    for _ = 1, 8 do
      local ok, s = pcall(tcp.connect, "127.0.0.1", port, { timeout = 0.05 })
      if not ok then
        err = s
        break
      end
      streams[#streams + 1] = s
    end
    assert.equal("ETIMEDOUT", err and err.code)
    assert.equal(("connect 127.0.0.1:%d: connection timed out (ETIMEDOUT)"):format(port),
      tostring(err))
    for _, s in ipairs(streams) do s:close() end
    assert.truthy(server)
  end)

  it("is undone when it is cancelled", function()
    local server <close>, port = serve(function(s) s:read() end,
      { backlog = 1, max_connections = 1 })
    local streams = {}
    for i = 1, 8 do
      local ok, s = pcall(bide.timeout, 0.05, tcp.connect, "127.0.0.1", port)
      if not ok then
        assert.equal("ETIMEDOUT", s.code)
        assert.truthy(i > 1)
        break
      end
      streams[#streams + 1] = s
    end
    for _, s in ipairs(streams) do s:close() end
    assert.truthy(server)
  end)

  it("binds to a local address when asked", function()
    local server <close>, port = serve(function(s) s:write((s:peer())) end)
    local s <close> = tcp.connect("127.0.0.1", port, { local_address = "127.0.0.2" })
    assert.equal("127.0.0.2", s:read_all())
    assert.truthy(server)
  end)

  it("refuses wrong arguments as Lua does", function()
    local cases = {
      { "host name or address", 17, 80 },
      { "host name or address", "a b", 80 },
      { "host name or address", "", 80 },
      { "host name or address", "a\0b", 80 },
      { "port", "localhost", "http" },
      { "port from 1", "localhost", 0 },
      { "port from 1", "localhost", 65536 },
      { "unknown option 'tiemout'", "localhost", 80, { tiemout = 1 } },
      { "option 'timeout'", "localhost", 80, { timeout = -1 } },
      { "option 'family'", "localhost", 80, { family = 5 } },
      { "table of options", "localhost", 80, 5 },
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(tcp.connect, table.unpack(case, 2, 4))
      assert.is_false(ok)
      assert.equal("string", type(err), tostring(err))
      assert.matches("bad argument #%d to 'bide.tcp.connect'", err)
      assert.truthy(err:find(case[1], 1, true), err)
    end
  end)
end)

describe("tcp.listen", function()
  it("serves each connection in a task of its own", function()
    local server <close>, port = serve(echo)
    local tasks = {}
    for i = 1, 50 do
      tasks[i] = function()
        local s <close> = tcp.connect("127.0.0.1", port)
        s:write("hello ", i, "\n")
        return s:read_line()
      end
    end
    local results = bide.gather(tasks)
    for i = 1, 50 do assert.equal("hello " .. i, results[i]) end
    assert.truthy(server)
  end)

  it("says which address is taken", function()
    local server <close>, port = serve(echo)
    local err = raises("EADDRINUSE", tcp.listen, "127.0.0.1", port, echo)
    assert.equal(("listen 127.0.0.1:%d: address already in use (EADDRINUSE)"):format(port),
      tostring(err))
    assert.truthy(server)
  end)

  it("shares a port with reuse_port", function()
    local a <close>, port = serve(echo, { reuse_port = true })
    local b <close> = tcp.listen("127.0.0.1", port, echo, { reuse_port = true })
    assert.equal(port, select(2, b:address()))
    assert.truthy(a)
  end)

  it("takes IPv4 on an IPv6 listener, with an IPv4 peer", function()
    local ok, server = pcall(tcp.listen, "::", 0, function(s) s:write((s:peer())) end)
    if not ok then return end
    local _, port = server:address()
    local s <close> = tcp.connect("127.0.0.1", port)
    assert.equal("127.0.0.1", s:read_all())
    server:close()
  end)

  it("leaves IPv4 to others with v6only", function()
    local ok, server = pcall(tcp.listen, "::", 0, echo, { v6only = true, daemon = true })
    if not ok then return end
    local _, port = server:address()
    raises("ECONNREFUSED", tcp.connect, "127.0.0.1", port)
    local s <close> = tcp.connect("::1", port)
    s:write "six"
    assert.equal("six", s:read())
    local four <close> = tcp.listen("0.0.0.0", port, echo, { daemon = true })
    tcp.connect("127.0.0.1", port):close()
    assert.truthy(four)
    server:close()
  end)

  it("listens everywhere at *", function()
    local server = tcp.listen("*", 0, echo)
    local _, port = server:address()
    tcp.connect("127.0.0.1", port):close()
    server:close()
  end)

  it("closes the stream at the end of the handler, sending what was written", function()
    local big = ("x"):rep(1 << 20)
    local server <close>, port = serve(function(s) s:write(big, "end") end)
    local s <close> = tcp.connect("127.0.0.1", port)
    assert.equal(#big + 3, #s:read_all())
    assert.truthy(server)
  end)

  it("leaves a detached stream open", function()
    local kept = bide.future()
    local server <close>, port = serve(function(s) kept:resolve(s:detach()) end)
    local s <close> = tcp.connect("127.0.0.1", port)
    local theirs <close> = kept:await()
    bide.sleep(0)
    theirs:write("still here\n")
    assert.equal("still here", s:read_line())
    assert.truthy(server)
  end)

  it("holds back connections beyond max_connections until one ends", function()
    local now, most = 0, 0
    local server <close>, port = serve(function(s)
      now = now + 1
      most = math.max(most, now)
      s:write("in\n")
      s:read()
      now = now - 1
    end, { max_connections = 2 })
    local work = {}
    for i = 1, 10 do
      work[i] = function()
        local s <close> = tcp.connect("127.0.0.1", port)
        assert.equal("in", s:read_line())
        bide.sleep(0)
      end
    end
    bide.gather(work)
    assert.equal(2, most)
    assert.truthy(server)
  end)

  it("reports the error of a handler, ends its connection and serves on", function()
    local reports = {}
    local before = bide.on_unhandled(function(err) reports[#reports + 1] = err end)
    local boom = {}
    local server <close>, port = serve(function(s)
      if s:read_line() == "bad" then error(boom) end
      s:write("fine\n")
    end)
    local bad <close> = tcp.connect("127.0.0.1", port)
    bad:write("bad\n")
    assert.is_nil(bad:read())
    assert.equal(boom, reports[1])
    local good <close> = tcp.connect("127.0.0.1", port)
    good:write("good\n")
    assert.equal("fine", good:read_line())
    assert.equal(1, #reports)
    bide.on_unhandled(before)
    assert.truthy(server)
  end)

  it("refuses wrong arguments as Lua does", function()
    local cases = {
      { "host name", nil, 0, echo },
      { "port", "127.0.0.1", -1, echo },
      { "function expected", "127.0.0.1", 0, "echo" },
      { "unknown option", "127.0.0.1", 0, echo, { max = 1 } },
      { "option 'backlog'", "127.0.0.1", 0, echo, { backlog = "many" } },
      { "option 'max_connections'", "127.0.0.1", 0, echo, { max_connections = 0 } },
      { "option 'daemon'", "127.0.0.1", 0, echo, { daemon = 1 } },
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(tcp.listen, table.unpack(case, 2, 5))
      assert.is_false(ok)
      assert.equal("string", type(err))
      assert.truthy(err:find(case[1], 1, true), err)
    end
  end)
end)

describe("a server", function()
  it("keeps its address after the close, and refuses connections", function()
    local server, port = serve(echo)
    server:close()
    assert.equal(port, select(2, server:address()))
    raises("ECONNREFUSED", tcp.connect, "127.0.0.1", port)
    server:close()
  end)

  it("cancels its handlers at close, and waits for them", function()
    local state = "none"
    local server, port = serve(function(s)
      state = "in"
      s:write("in\n")
      local ok, err = pcall(s.read, s)
      assert.is_false(ok)
      assert.is_true(bide.is_cancelled(err))
      bide.shield(bide.sleep, 0.01)
      state = "out"
    end)
    local s <close> = tcp.connect("127.0.0.1", port)
    assert.equal("in", s:read_line())
    server:close()
    assert.equal("out", state)
    assert.is_nil(s:read())
  end)

  it("lets handlers end within the grace", function()
    local server, port = serve(function(s)
      s:write("in\n")
      assert.equal("go", s:read_line())
      s:write("done\n")
    end)
    local s <close> = tcp.connect("127.0.0.1", port)
    assert.equal("in", s:read_line())
    local closing = bide.spawn(server.close, server, 60)
    bide.sleep(0)
    raises("ECONNREFUSED", tcp.connect, "127.0.0.1", port)
    s:write("go\n")
    assert.equal("done", s:read_line())
    closing:await()
  end)

  it("cancels the handlers that are left when the grace is over", function()
    local server, port = serve(echo)
    local s <close> = tcp.connect("127.0.0.1", port)
    s:write("x")
    assert.equal("x", s:read())
    server:close(0.01)
    assert.is_nil(s:read())
  end)

  it("can be waited for, and closed by a handler of its own", function()
    local server, port
    server, port = serve(function() server:close() end)
    local s <close> = tcp.connect("127.0.0.1", port)
    server:wait()
    assert.is_nil(s:read())
    server:wait()
  end)

  it("ends with its run when it is a daemon", function()
    local closed = bide.run(function()
      serve(echo, { daemon = true })
      return "over"
    end)
    assert.equal("over", closed)
  end)

  it("ends when its run is cancelled, also before its first step", function()
    local ok, err = pcall(bide.run, function()
      serve(echo)
      error "now"
    end)
    assert.is_false(ok)
    assert.matches("now", err)
  end)

  it("passes a run's cancellation to its handlers", function()
    local ended = false
    local ok, err = pcall(bide.run, function()
      local _, port = serve(function(s)
        local guard <close> = setmetatable({}, { __close = function() ended = true end })
        s:write("in\n")
        s:read()
        return guard
      end)
      local s = tcp.connect("127.0.0.1", port)
      s:read_line()
      error "stop"
    end)
    assert.is_false(ok)
    assert.matches("stop", err)
    assert.is_true(ended)
  end)

  it("waits out a lack of descriptors with one line of report", function()
    local directory = process.temporary_directory()
    process.write_file(directory .. "/script.lua", [[
      local bide = require "bide"
      local server = bide.tcp.listen("127.0.0.1", 0, function(s)
        for line in s:lines() do s:write(line, "\n") end
      end)
      local streams, err = {}, nil
      repeat
        local ok, s = pcall(bide.tcp.connect, server:address())
        if ok then streams[#streams + 1] = s else err = s end
        bide.sleep(0.005)
      until err
      print(err.code)
      for _ = 1, 5 do table.remove(streams):close() end
      for _, s in ipairs(streams) do
        s:write("hello\n")
        assert(s:read_line() == "hello")
      end
      print "recovered"
      server:close()
    ]])
    local result = process.run({ "sh", "-c", 'ulimit -n 48; exec "$0" "$1"', process.program,
      directory .. "/script.lua" })
    process.remove(directory)
    assert.equal("EMFILE\nrecovered\n", result.out)
    local _, lines = result.err:gsub("bide: accept: too many open files", "")
    assert.equal(1, lines, result.err)
  end)

  it("survives peers that reset at once", function()
    local seen = 0
    local server <close>, port = serve(function(s)
      seen = seen + 1
      pcall(s.read_all, s)
    end)
    for _ = 1, 20 do
      local s = tcp.connect("127.0.0.1", port)
      s:write("unread")
      s:close()
    end
    local s <close> = tcp.connect("127.0.0.1", port)
    s:shutdown()
    assert.is_nil(s:read())
    assert.equal(21, seen)
    assert.truthy(server)
  end)
end)
