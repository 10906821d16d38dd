-- SPDX-License-Identifier: MIT
-- What goes wrong between two ends of a connection: peers that are silent, that do not read, that
-- never stop; sockets closed by another task at each wait. Nothing hangs, every error says what was
-- being done and with whom, nothing is left. Resets at every byte stand in stream_spec.lua.

local bide = require "bide"
local dns = require "spec.support.dns"
local tasks = require "spec.support.tasks"
local tcp = bide.tcp

local function pair()
  local far = bide.future()
  local server = tcp.listen("127.0.0.1", 0, function(s) far:resolve(s:detach()) end)
  local near = tcp.connect(server:address())
  local other = far:await()
  server:close()
  return near, other
end

--- Waits until `f` stands in a wait, then ends it by `stop`; returns its error.
local function ended_by(f, stop)
  local t = bide.spawn(f)
  tasks.turns(3)
  assert.equal("pending", t:status())
  stop()
  return tasks.raised(t.await, t)
end

describe("a peer that does not read", function()
  it("makes a writer wait, then run into its deadline, in bounded memory", function()
    local a, b = pair()
    local piece, written = ("x"):rep(65536), 0
    local err = tasks.raised(bide.timeout, 0.2, function()
      while true do
        a:write(piece)
        written = written + #piece
      end
    end)
    assert.equal("ETIMEDOUT", err.code)
    assert.matches("write 127%.0%.0%.1:%d+", err.message)
    assert.truthy(written < 64 << 20)
    b:close()
    a:close()
  end)

  it("may begin to read again: all of it arrives, in order", function()
    local a, b = pair()
    local writer = bide.spawn(function()
      for i = 1, 400 do a:write((("%06d"):format(i)):rep(10000)) end
      a:shutdown()
    end)
    tasks.turns(50)
    assert.equal("pending", writer:status())
    for i = 1, 400 do assert.equal((("%06d"):format(i)):rep(10000), b:read_exactly(60000)) end
    assert.is_nil(b:read())
    writer:await()
    a:close()
    b:close()
  end)

  it("does not hold up the end of a handler for longer than the close may take", function()
    local handled = bide.future()
    local server = tcp.listen("127.0.0.1", 0, function(s)
      handled:resolve(true)
      s:write(("x"):rep(32 << 20))
    end)
    local c = tcp.connect(server:address())
    handled:await()
    tasks.turns(5)
    local started = bide.now()
    server:close(0.05)
    assert.truthy(bide.now() - started < 5)
    c:close()
  end)
end)

describe("a peer that is silent", function()
  it("is given up by the deadline of each reader, which loses nothing", function()
    local a, b = pair()
    b:write "half a li"
    for name, argument in pairs { read_line = false, read_exactly = 20, read_until = "!" } do
      local err = tasks.raised(bide.timeout, 0.02, a[name], a, argument or nil)
      assert.equal("ETIMEDOUT", err.code)
      assert.matches("127%.0%.0%.1:%d+", err.message)
    end
    b:write "ne\n"
    assert.equal("half a line", a:read_line())
    a:close()
    b:close()
  end)

  it("costs a pipe no more than the pipe itself: cancelled, it lets both go", function()
    local a, b = pair()
    local c, d = pair()
    local t = bide.spawn(bide.pipe_streams, b, c)
    tasks.turns(3)
    t:cancel()
    assert.equal("ECANCELED", tasks.code(t.await, t))
    a:write "still whole\n"
    assert.equal("still whole", b:read_line())
    for _, s in ipairs { a, b, c, d } do s:close() end
  end)
end)

describe("a peer that sends for ever", function()
  it("is bounded by every reader's limit, and others run meanwhile", function()
    local ticks = 0
    local ticker = bide.spawn(function()
      while true do
        bide.sleep(0)
        ticks = ticks + 1
      end
    end)
    for name, argument in pairs { read_line = false, read_all = false, read_until = "!" } do
      local a, b = pair()
      local flood = bide.spawn(function()
        while true do b:write(("x"):rep(65536)) end
      end)
      local opts = { limit = 4 << 20 }
      local before = ticks
      local err = argument and tasks.raised(a[name], a, argument, opts)
        or tasks.raised(a[name], a, opts)
      assert.equal("ETOOBIG", err.code)
      assert.truthy(ticks > before)
      flood:cancel()
      tasks.raised(flood.await, flood)
      a:close()
      b:close()
    end
    ticker:cancel()
    tasks.raised(ticker.await, ticker)
  end)
end)

describe("a close by another task", function()
  local a, b
  before_each(function()
    bide.run(function() a, b = pair() end)
    tasks.mark()
  end)
  after_each(function()
    a:close()
    b:close()
    bide.run(tasks.turns)
    tasks.check()
  end)

  for name, argument in pairs { read = false, read_line = false, read_all = false,
    read_exactly = 9, read_until = "x" } do
    it("ends " .. name, function()
      local err = ended_by(function() return a[name](a, argument or nil) end,
        function() a:close() end)
      assert.equal("EBADF", err.code)
      assert.equal(name, err.op)
    end)
  end

  it("ends lines and pipe_streams", function()
    local err = ended_by(function() for _ in a:lines() do end end, function() a:close() end)
    assert.equal("EBADF", err.code)
    local c, d = pair()
    err = ended_by(function() bide.pipe_streams(b, c) end, function() c:close() end)
    assert.equal("EBADF", err.code)
    d:close()
  end)

  it("ends every writer that waits", function()
    local writers = {}
    for i = 1, 2 do
      writers[i] = bide.spawn(function()
        while true do a:write(("x"):rep(8 << 20)) end
      end)
    end
    tasks.turns(3)
    local closing = bide.spawn(a.close, a)
    for i = 1, 2 do
      local err = tasks.raised(writers[i].await, writers[i])
      assert.equal("EBADF", err.code)
      assert.equal("write", err.op)
    end
    closing:cancel() -- it would send what is queued first
    pcall(closing.await, closing)
  end)

  it("ends a udp recv and a server's wait", function()
    local u = bide.udp.bind("127.0.0.1", 0)
    assert.equal("EBADF", ended_by(function() u:recv() end, function() u:close() end).code)
    local server = tcp.listen("127.0.0.1", 0, function() end)
    local waiting = bide.spawn(server.wait, server)
    tasks.turns()
    server:close()
    waiting:await()
  end)
end)

describe("a name server that is silent", function()
  after_each(function() bide.dns.servers() end)

  it("holds nobody: not who cancels, nor the end of a run with daemons", function()
    local started = bide.now()
    bide.run(function()
      dns.serve(function() end)
      local connecting = bide.spawn(tcp.connect, "silent.test", 80)
      bide.daemon(tcp.connect, "silent.test", 81, { timeout = 1000 })
      bide.sleep(0.02)
      connecting:cancel()
      assert.equal("ECANCELED", tasks.code(connecting.await, connecting))
    end)
    assert.truthy(bide.now() - started < 5)
  end)
end)
