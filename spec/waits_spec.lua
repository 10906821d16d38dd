-- SPDX-License-Identifier: MIT
-- Each wait of streams, servers and sockets, over each transport, ended in each way: closed by
-- another task, cancelled, out of time, the peer gone. It ends at once, with an error that says
-- which operation and which peer, and leaves nothing behind; what was only waiting loses no byte.

local bide = require "bide"
local certs = require "spec.support.certs"
local process = require "spec.support.process"
local tasks = require "spec.support.tasks"

local directory

---Both ends of a connection, by transport.
local kinds = {}

local function accepted(listen, connect)
  local far = bide.future()
  local server = listen(function(s) far:resolve(s:detach()) end)
  local near = connect(server)
  local other = far:await()
  server:close()
  return near, other
end

function kinds.tcp()
  return accepted(function(f) return bide.tcp.listen("127.0.0.1", 0, f) end,
    function(server) return bide.tcp.connect(server:address()) end)
end

function kinds.unix()
  local path = directory .. "/socket"
  return accepted(function(f) return bide.unix.listen(path, f) end,
    function() return bide.unix.connect(path) end)
end

function kinds.tls()
  return accepted(function(f)
    return bide.tls.listen("127.0.0.1", 0, f, certs.server("good", { daemon = false }))
  end, function(server)
    local host, port = server:address()
    return bide.tls.connect(host, port, { ca = certs.path "ca.pem" })
  end)
end

local big = ("x"):rep(16 << 20)

---The waits of one stream: what does it, and the operation that the error names.
local waits = {
  read = function(s) return s:read() end,
  ["a short read"] = { "read", function(s) return s:read(10) end },
  read_exactly = function(s) return s:read_exactly(9) end,
  read_line = function(s) return s:read_line() end,
  read_until = function(s) return s:read_until "!" end,
  read_all = function(s) return s:read_all() end,
  lines = { "read_line", function(s) for _ in s:lines() do end end },
  write = function(s) return s:write(big) end,
}

---Its task, which stands in the wait.
local function waiting(f, s)
  local t = bide.spawn(f, s)
  tasks.turns(3)
  assert.equal("pending", t:status())
  return t
end

local function check_peer(kind, err)
  if kind == "unix" then return assert.matches("unix socket", err.message, 1, true) end
  assert.matches("127%.0%.0%.1:%d+", err.message)
  assert.equal("127.0.0.1", err.host)
  assert.equal("number", type(err.port))
end

---A spec with both ends of a connection, after which nothing is left.
local function spec(kind, name, f)
  it(name, function()
    directory = process.temporary_directory()
    bide.run(function() bide.tcp.listen("127.0.0.1", 0, function() end):close() end)
    tasks.mark()
    bide.run(function()
      local a, b = kinds[kind]()
      f(a, b)
      a:close()
      b:close()
    end)
    tasks.turns(3)
    tasks.check()
    process.remove(directory)
  end)
end

for kind in pairs(kinds) do
  describe(kind .. ": a wait in", function()
    for name, wait in pairs(waits) do
      local op, f = name, wait
      if type(wait) == "table" then op, f = wait[1], wait[2] end

      spec(kind, name .. " ends when another task closes the stream", function(a, b)
        local t = waiting(f, a)
        local closing = bide.spawn(a.close, a)
        local err = tasks.raised(t.await, t)
        assert.equal("EBADF", err.code)
        assert.equal(op, err.op)
        check_peer(kind, err)
        b:close() -- else the close would send what is queued first
        bide.try(closing.await, closing)
      end)

      spec(kind, name .. " ends when its task is cancelled", function(a, b)
        local t = waiting(f, a)
        t:cancel()
        local err = tasks.raised(t.await, t)
        assert.equal("ECANCELED", err.code)
        if op == "write" then -- what it was given is sent all the same
          assert.equal(#big, #b:read_exactly(#big))
        else
          b:write "a line\n"
          assert.equal("a line", a:read_line())
        end
      end)

      spec(kind, name .. " ends in time, saying with whom", function(a, b)
        local err = tasks.raised(bide.timeout, 0.01, f, a)
        assert.equal("ETIMEDOUT", err.code)
        assert.matches(op == "write" and "in write " or "in read ", err.message, 1, true)
        assert.matches(kind == "unix" and "unix socket" or "127%.0%.0%.1:%d+", err.message)
        if op == "write" then
          assert.equal(#big, #b:read_exactly(#big))
        else
          b:write "a line\n"
          assert.equal("a line", a:read_line())
        end
      end)

      spec(kind, name .. " ends when the peer resets", function(a, b)
        if kind == "tls" and op == "write" then a:write "x" end
        local t = waiting(f, a)
        if op ~= "write" then
          a:write "unread"
          tasks.turns(2)
        end
        -- With bytes unread in its socket a close is a reset.
        local gone = bide.spawn(function()
          bide.shield(function() b:write "bye" end)
          b:close()
        end)
        local ok, err = pcall(t.await, t)
        gone:await()
        if not ok then
          assert.is_true(err.code == "ECONNRESET" or err.code == "EPIPE" or err.code == "EOF"
            or err.code == "ETLS", err.code)
          assert.equal(op, err.op)
          check_peer(kind, err)
        end
      end)
    end

    spec(kind, "close, which sends first, is cut short by a cancellation", function(a, b)
      bide.try(bide.timeout, 0.01, a.write, a, big)
      local t = waiting(a.close, a)
      t:cancel()
      assert.equal("ECANCELED", tasks.code(t.await, t))
      local got = bide.try(b.read_all, b)
      assert.truthy(not got or #got < #big)
    end)

    spec(kind, "pipe_streams ends when one of the streams is closed", function(a, b)
      local c, d = kinds.tcp()
      local t = bide.spawn(bide.pipe_streams, b, c)
      tasks.turns(3)
      c:close()
      local err = tasks.raised(t.await, t)
      assert.equal("EBADF", err.code)
      check_peer("tcp", err)
      a:write "still there\n"
      assert.equal("still there", b:read_line())
      d:close()
    end)
  end)
end

describe("a wait in", function()
  before_each(function()
    bide.run(function() bide.tcp.listen("127.0.0.1", 0, function() end):close() end)
    tasks.mark()
  end)
  after_each(tasks.check)

  for _, how in ipairs { "closed", "cancelled" } do
    it("starttls ends when it is " .. how, function()
      local a, b = kinds.tcp()
      local _, port = a:peer()
      local t = bide.spawn(a.starttls, a, { verify = false })
      tasks.turns(3)
      if how == "closed" then a:close() else t:cancel() end
      local err = tasks.raised(t.await, t)
      assert.equal(how == "closed" and "EBADF" or "ECANCELED", err.code)
      if how == "closed" then assert.same({ "starttls", port }, { err.op, err.port }) end
      b:close()
      a:close()
    end)

    it("udp recv ends when it is " .. how, function()
      local u = bide.udp.bind("127.0.0.1", 0)
      local t = bide.spawn(u.recv, u)
      tasks.turns(2)
      if how == "closed" then u:close() else t:cancel() end
      local err = tasks.raised(t.await, t)
      assert.equal(how == "closed" and "EBADF" or "ECANCELED", err.code)
      if how == "closed" then assert.equal("recv", err.op) end
      u:close()
    end)

    it("server:wait ends when it is " .. how, function()
      local server = bide.tcp.listen("127.0.0.1", 0, function() end)
      local t = bide.spawn(server.wait, server)
      tasks.turns(2)
      if how == "closed" then
        server:close()
        t:await()
      else
        t:cancel()
        assert.equal("ECANCELED", tasks.code(t.await, t))
        server:close()
      end
    end)
  end

  it("connect ends when it is cancelled, and by its deadline", function()
    for _, ending in ipairs { "cancel", "timeout" } do
      local full <close> = bide.tcp.listen("127.0.0.1", 0, function(s) s:read_all() end,
        { backlog = 1, max_connections = 1, daemon = true })
      local _, port = full:address()
      local held, t = {}, nil
      while not t or t:done() do -- until the listener's queue is full and nobody answers any more
        t = bide.spawn(bide.tcp.connect, "127.0.0.1", port, { timeout = 60 })
        local ok, s = bide.try(bide.timeout, 0.7, t)
        held[#held + 1] = ok
        assert(ok or s.code == "ETIMEDOUT")
        assert(#held < 10) -- a backlog of 1
      end
      if ending == "cancel" then
        t:cancel()
        assert.equal("ECANCELED", tasks.code(t.await, t))
      else
        t:cancel()
        pcall(t.await, t)
        local err = tasks.raised(bide.tcp.connect, "127.0.0.1", port, { timeout = 0.05 })
        assert.equal("ETIMEDOUT", err.code)
        assert.equal("connect", err.op)
        assert.equal(port, err.port)
      end
      for _, s in ipairs(held) do s:close() end
      full:close()
    end
  end)

  it("a server's accept ends with the server; its handlers are cancelled", function()
    local log = {}
    local server = bide.tcp.listen("127.0.0.1", 0, function(s)
      local ok, err = pcall(s.read, s)
      log[#log + 1] = { ok, err.code }
    end)
    local c = bide.tcp.connect(server:address())
    tasks.turns(5)
    server:close()
    assert.same({ { false, "ECANCELED" } }, log)
    c:close()
  end)
end)
