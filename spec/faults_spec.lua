-- SPDX-License-Identifier: MIT
-- What goes wrong between two ends of a connection: peers that are silent, that do not read, that
-- never stop, that vanish; descriptors that run out. Nothing hangs, every error says what was being
-- done and with whom, nothing is left. What ends a wait stands in waits_spec.lua, resets at every
-- byte in peers_spec.lua and tls/hostile_spec.lua.

local bide = require "bide"
local dns = require "spec.support.dns"
local outside = require "spec.support.outside"
local process = require "spec.support.process"
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

  it("may begin to read again, out of a zero window: all of it arrives, in order", function()
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

describe("a peer that writes a byte at a time", function()
  it("is waited for by every reader, whole", function()
    for name, argument in pairs { read_line = false, read_exactly = 2000, read_until = "\n",
      read_all = false } do
      local a, b = pair()
      local writer = bide.spawn(function()
        for _ = 1, 2000 do
          b:write "x"
          bide.sleep(0)
        end
        b:write "\n"
        b:shutdown()
      end)
      assert.equal(("x"):rep(2000), (a[name](a, argument or nil):gsub("\n", "")))
      writer:await()
      a:close()
      b:close()
    end
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

describe("a lack of descriptors", function()
  -- What needs one, and what its error names; `fail` until there are some again.
  local script = [[
    local bide = require "bide"
    local dns = require "spec.support.dns"
    local path = ...
    local server = bide.tcp.listen("127.0.0.1", 0, function(s)
      for line in s:lines() do s:write(line, "\n") end
    end, { daemon = true })
    local unix <close> = bide.unix.listen(path, function(s) s:read() end, { daemon = true })
    local _, port = server:address()
    dns.serve(function(q, reply) reply(dns.answer(q, q.type == "A" and { "127.0.0.1" } or {})) end)
    bide.dns.resolve "a.test"
    local held, more = {}, nil
    repeat
      more = io.open "/dev/null"
      held[#held + 1] = more
    until not more
    local function all()
      for _, job in ipairs {
        { bide.tcp.connect, "127.0.0.1", port }, { bide.tls.connect, "127.0.0.1", port },
        { bide.unix.connect, path }, { bide.tcp.listen, "127.0.0.1", 0, print },
        { bide.unix.listen, path .. "2", print }, { bide.udp.bind, "127.0.0.1", 0 },
        { bide.dns.resolve, "b.test" },
      } do
        local ok, err = bide.try(bide.timeout, 0.5, table.unpack(job))
        print(ok and "ok" or err.code == "ETIMEDOUT" and err.op or err)
        if ok and ok.close then ok:close() end
      end
    end
    all()
    for _, f in ipairs(held) do f:close() end
    all()
    bide.dns.servers()
  ]]

  it("is told by what needs one, and is over when there are some again", function()
    local dir = process.temporary_directory()
    process.write_file(dir .. "/script.lua", script)
    local out, status = outside.run(("cd %s; ulimit -n 40; exec %s %s/script.lua %s/s")
      :format(os.getenv "PWD", process.program, dir, dir))
    process.remove(dir)
    out = out:gsub("127.0.0.1:%d%d+", "PORT"):gsub(dir:gsub("%p", "%%%0"), "DIR")
    assert.equal([[
connect PORT: too many open files (EMFILE)
connect PORT: too many open files (EMFILE)
connect DIR/s: too many open files (EMFILE)
listen 127.0.0.1:0: too many open files (EMFILE)
listen DIR/s2: too many open files (EMFILE)
bind 127.0.0.1:0: too many open files (EMFILE)
resolve b.test: temporary failure (EAI_AGAIN)
ok
timeout
ok
ok
ok
ok
ok
]], out)
    assert.equal(0, status)
  end)

  it("meets an accept in one line of report, back-off, and no lost connection", function()
    local dir = process.temporary_directory()
    process.write_file(dir .. "/script.lua", [[
      local bide = require "bide"
      local server = bide.tcp.listen("127.0.0.1", 0, function(s) s:write(s:read()) end)
      local _, port = server:address()
      print(port)
      io.stdout:flush()
      local held, more = {}, nil
      repeat
        more = io.open "/dev/null"
        held[#held + 1] = more
      until not more
      bide.sleep(0.8)
      local cpu = os.clock()
      bide.sleep(0.3) -- it does not spin meanwhile
      print(os.clock() - cpu < 0.1)
      for _, f in ipairs(held) do f:close() end
      bide.sleep(1.5)
      server:close(10)
    ]])
    local done = bide.spawn(outside.run, ("cd %s; ulimit -n 40; exec %s %s/script.lua 2>&1 >%s/out")
      :format(os.getenv "PWD", process.program, dir, dir))
    local port
    repeat
      bide.sleep(0.02)
      local file <close> = io.open(dir .. "/out")
      port = file and file:read "n"
    until port
    bide.sleep(0.1)
    local jobs = {}
    for i = 1, 10 do
      jobs[i] = function()
        local s <close> = tcp.connect("127.0.0.1", port)
        s:write("hello " .. i)
        return s:read_all()
      end
    end
    local replies = bide.gather(jobs)
    for i = 1, 10 do assert.equal("hello " .. i, replies[i]) end
    local err = done:await()
    assert.matches("\ntrue\n$", process.read_file(dir .. "/out"))
    process.remove(dir)
    assert.equal("bide: accept: too many open files (EMFILE); new connections wait\n", err)
  end)
end)
