-- SPDX-License-Identifier: MIT
-- Streams: reading, writing, closing. Over tcp; unix_spec.lua runs a part over unix sockets,
-- waits_spec.lua all waits over all transports; peers_spec.lua tells what peers do.

local bide = require "bide"
local tcp = bide.tcp

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(code, type(err) == "table" and err.code or err, tostring(err))
  return err
end

---Two ends of one connection: near and far.
local function pair()
  local far = bide.future()
  local server = tcp.listen("127.0.0.1", 0, function(s) far:resolve(s:detach()) end)
  local _, port = server:address()
  local near = tcp.connect("127.0.0.1", port)
  local other = far:await()
  server:close()
  return near, other
end

---Closes with a reset: by bytes that were never read.
local function reset(near, far)
  near:write("unread")
  bide.sleep(0)
  far:close()
end

describe("a stream", function()
  local a, b
  before_each(function() bide.run(function() a, b = pair() end) end)
  after_each(function()
    bide.run(function()
      a:close()
      b:close()
    end)
  end)

  describe("read", function()
    it("gives what is there, then waits, then the end", function()
      b:write("one")
      assert.equal("one", a:read())
      local waiting = bide.spawn(a.read, a)
      bide.sleep(0)
      assert.equal("pending", waiting:status())
      b:write("two")
      assert.equal("two", waiting:await())
      b:close()
      assert.is_nil(a:read())
      assert.is_nil(a:read())
    end)

    it("takes no more than max, and keeps the rest", function()
      b:write("abcdef")
      assert.equal("ab", a:read(2))
      assert.equal("c", a:read(1))
      assert.equal("def", a:read(100))
    end)

    it("carries every byte value and empty writes", function()
      local all = {}
      for i = 0, 255 do all[#all + 1] = string.char(i) end
      local text = table.concat(all)
      b:write("", text, "")
      b:write("")
      b:write()
      assert.equal(text, a:read_exactly(256))
    end)

    it("loses no byte when it is cancelled", function()
      local got, cancelled = "", 0
      for i = 1, 20 do
        local reader = bide.spawn(a.read, a)
        bide.sleep(0)
        if i % 2 == 0 then b:write(("%02d"):format(i)) end
        reader:cancel()
        local ok, data = pcall(reader.await, reader)
        if ok then got = got .. data else cancelled = cancelled + 1 end
      end
      b:shutdown()
      assert.equal("02040608101214161820", got .. a:read_all())
      assert.truthy(cancelled >= 10)
    end)

    it("is refused to a second task, at once", function()
      local first = bide.spawn(a.read, a)
      bide.sleep(0)
      raises("EBUSY", a.read, a)
      raises("EBUSY", a.read_line, a)
      raises("EBUSY", a.read_exactly, a, 1)
      b:write("for the first")
      assert.equal("for the first", first:await())
    end)

    it("raises a pending cancellation instead of reading", function()
      b:write("x")
      local task = bide.spawn(function()
        bide.current():cancel()
        return a:read()
      end)
      assert.is_true(bide.is_cancelled(raises("ECANCELED", task.await, task)))
      assert.equal("x", a:read())
    end)

    it("completes before its deadline when both come at once", function()
      b:write("in time")
      assert.equal("in time", bide.timeout(0, a.read, a))
    end)
  end)

  describe("read_exactly", function()
    it("waits for all of it", function()
      local want = bide.spawn(a.read_exactly, a, 10)
      for i = 0, 9 do
        bide.sleep(0)
        b:write(tostring(i))
      end
      assert.equal("0123456789", want:await())
      assert.equal("", a:read_exactly(0))
    end)

    it("keeps what it has when it is cancelled", function()
      b:write("abc")
      local err = raises("ETIMEDOUT", bide.timeout, 0.02, a.read_exactly, a, 6)
      assert.is_true(bide.is_timeout(err))
      b:write("def")
      assert.equal("abcdef", a:read_exactly(6))
    end)

    it("gives nil at the end, and the rest in the error when there is one", function()
      b:write("abc")
      b:shutdown()
      local err = raises("EOF", a.read_exactly, a, 5)
      assert.equal("abc", err.partial)
      assert.matches("^read_exactly 127%.0%.0%.1:%d+: the stream ended after 3 bytes %(EOF%)$",
        tostring(err))
      assert.is_nil(a:read_exactly(5))
    end)

    it("takes more than any buffer", function()
      local big = ("0123456789abcdef"):rep(1 << 16)
      local writer = bide.spawn(b.write, b, big)
      assert.equal(big, a:read_exactly(#big))
      writer:await()
    end)
  end)

  describe("read_line", function()
    it("splits at any place the bytes may come in", function()
      local text = "a\r\n\nbc\r\r\nlast"
      for cut = 1, #text - 1 do
        local x, y = pair()
        y:write(text:sub(1, cut))
        local lines = bide.spawn(function()
          local got = {}
          for line in x:lines() do got[#got + 1] = line end
          return got
        end)
        bide.sleep(0)
        y:write(text:sub(cut + 1))
        y:close()
        assert.same({ "a", "", "bc\r", "last" }, lines:await())
        x:close()
      end
    end)

    it("is what the iterator of lines does, which needs no arguments", function()
      b:write("a\nb\r\nc")
      b:shutdown()
      local next_line = a:lines { keep = true }
      assert.same({ "a\n", "b\r\n", "c" }, { next_line(), next_line(), next_line() })
      assert.is_nil(next_line())
    end)

    it("keeps the end of the line when asked", function()
      b:write("a\r\nb\n")
      assert.equal("a\r\n", a:read_line { keep = true })
      assert.equal("b\n", a:read_line { keep = true })
    end)

    it("stops at its limit, and loses nothing", function()
      b:write(("x"):rep(100), "\n")
      local err = raises("ETOOBIG", a.read_line, a, { limit = 10 })
      assert.equal(10, err.limit)
      assert.equal(100, #a:read_line { limit = 100 })
    end)

    it("has the same limit in lines", function()
      b:write(("x"):rep(20), "\n")
      local err = raises("ETOOBIG", function() for _ in a:lines { limit = 10 } do end end)
      assert.equal(10, err.limit)
      assert.equal("read_line", err.op)
      assert.matches("^127%.0%.0%.1:%d+: more than the limit of 10 bytes", err.message)
      assert.equal("127.0.0.1", err.host)
    end)

    it("stops a peer that never ends its line", function()
      local flood = bide.spawn(function()
        while true do b:write(("x"):rep(65536)) end
      end)
      raises("ETOOBIG", a.read_line, a)
      flood:cancel()
      pcall(flood.await, flood)
    end)
  end)

  describe("read_until", function()
    it("finds a delimiter cut anywhere", function()
      for cut = 1, 9 do
        local x, y = pair()
        local text = "ab--=--bound-rest"
        y:write(text:sub(1, cut))
        local head = bide.spawn(x.read_until, x, "--bound")
        bide.sleep(0)
        y:write(text:sub(cut + 1))
        assert.equal("ab--=", head:await())
        assert.equal("-rest", x:read_exactly(5))
        x:close()
        y:close()
      end
    end)

    it("tells what there was when the end came first", function()
      b:write("no end")
      b:close()
      assert.equal("no end", raises("EOF", a.read_until, a, "\0").partial)
      assert.is_nil(a:read_until("\0"))
    end)
  end)

  describe("read_all", function()
    it("gives everything up to the end, an empty string after it", function()
      local big = ("x"):rep(300000)
      local writer = bide.spawn(function()
        b:write(big)
        b:shutdown()
      end)
      assert.equal(big, a:read_all())
      assert.equal("", a:read_all())
      writer:await()
    end)

    it("stops at its limit", function()
      local flood = bide.spawn(function()
        while true do b:write(("x"):rep(65536)) end
      end)
      local err = raises("ETOOBIG", a.read_all, a, { limit = 1000000 })
      assert.equal(1000000, err.limit)
      flood:cancel()
      pcall(flood.await, flood)
    end)
  end)

  describe("write", function()
    it("takes several strings and numbers, in order", function()
      b:write("a", 1, "b", 2.5, ("c"):rep(3))
      assert.equal("a1b2.5ccc", a:read_exactly(9))
      local many = {}
      for i = 1, 200 do many[i] = i .. " " end
      b:write(table.unpack(many))
      b:shutdown()
      assert.equal(table.concat(many), a:read_all())
    end)

    it("returns the stream", function() assert.equal(b, b:write("x")) end)

    it("waits while the peer is slow, holding a bounded amount", function()
      local chunk, sent = ("x"):rep(65536), 0
      local writer = bide.spawn(function()
        for _ = 1, 400 do
          b:write(chunk)
          sent = sent + #chunk
        end
        b:shutdown()
      end)
      for _ = 1, 1000 do bide.sleep(0) end
      assert.truthy(sent < 400 * 65536)
      assert.equal("pending", writer:status())
      assert.equal(400 * 65536, #a:read_all())
      writer:await()
    end)

    it("keeps the order of several writers", function()
      local parts = {}
      for i = 1, 8 do
        parts[i] = function() b:write(tostring(i):rep(500000), "\n") end
      end
      local all = bide.spawn(bide.gather, parts)
      for i = 1, 8 do assert.equal(tostring(i):rep(500000), a:read_line()) end
      all:await()
    end)

    it("sends what it was given even when it is cancelled", function()
      local big = ("y"):rep(16 << 20)
      raises("ETIMEDOUT", bide.timeout, 0.02, b.write, b, big)
      local closing = bide.spawn(b.close, b)
      assert.equal(#big, #a:read_all())
      closing:await()
    end)

    it("lets the strings go once they have left", function()
      collectgarbage()
      collectgarbage()
      local before = collectgarbage "count"
      local writer = bide.spawn(function() b:write(("z"):rep(8 << 20)) end)
      assert.equal(8 << 20, #a:read_exactly(8 << 20))
      writer:await()
      collectgarbage()
      collectgarbage()
      assert.truthy(collectgarbage("count") - before < 4000)
    end)

    it("fails when the peer has gone, naming it", function()
      reset(b, a)
      local err
      for _ = 1, 100 do
        local ok
        ok, err = pcall(b.write, b, "more")
        if not ok then break end
        bide.sleep(0)
      end
      assert.truthy(err.code == "EPIPE" or err.code == "ECONNRESET")
      assert.equal("write", err.op)
      assert.equal("127.0.0.1", err.host)
      assert.matches("^write 127%.0%.0%.1:%d+: ", tostring(err))
    end)

    it("is refused after a shutdown, while reading goes on", function()
      b:shutdown()
      b:shutdown()
      raises("EPIPE", b.write, b, "x")
      assert.is_nil(a:read())
      a:write("still")
      assert.equal("still", b:read())
    end)
  end)

  describe("close", function()
    it("is idempotent and refuses everything afterwards", function()
      local _, port = a:peer()
      a:close()
      a:close()
      assert.equal("stream (closed)", tostring(a))
      for _, name in ipairs { "read", "read_line", "read_all", "shutdown", "peer",
        "local_address", "detach", "nodelay" } do
        local err = raises("EBADF", a[name], a)
        assert.equal(("%s 127.0.0.1:%d: the stream is closed (EBADF)"):format(name, port),
          tostring(err))
        assert.same({ "127.0.0.1", port }, { err.host, err.port })
      end
      raises("EBADF", a.read_exactly, a, 1)
      raises("EBADF", a.read_until, a, "x")
      raises("EBADF", a.write, a, "x")
    end)

    it("sends first what is queued, and waits for that", function()
      local filler = ("f"):rep(16 << 20)
      raises("ETIMEDOUT", bide.timeout, 0.02, b.write, b, filler)
      local closing = bide.spawn(b.close, b)
      bide.sleep(0)
      assert.equal("pending", closing:status())
      assert.equal(#filler, #a:read_all())
      closing:await()
    end)

    it("drops what is queued when it is cancelled", function()
      raises("ETIMEDOUT", bide.timeout, 0.02, b.write, b, ("f"):rep(16 << 20))
      raises("ETIMEDOUT", bide.timeout, 0.02, b.close, b)
      raises("EBADF", b.read, b)
      pcall(a.read_all, a)
    end)

    for _, name in ipairs { "read", "read_line", "read_all", "read_exactly", "read_until" } do
      it("wakes a task in " .. name, function()
        local waiting = bide.spawn(a[name], a, ({ read_exactly = 9, read_until = "x" })[name])
        bide.sleep(0)
        a:close()
        raises("EBADF", waiting.await, waiting)
      end)
    end

    it("wakes the tasks in write", function()
      local writers = {}
      for i = 1, 3 do writers[i] = bide.spawn(b.write, b, ("x"):rep(16 << 20)) end
      bide.sleep(0)
      bide.sleep(0)
      local closing = bide.spawn(b.close, b)
      for i = 1, 3 do raises("EBADF", writers[i].await, writers[i]) end
      closing:cancel()
      pcall(closing.await, closing)
    end)

    it("happens at the end of a block and by the collector", function()
      do
        local s <close> = a
        assert.truthy(s)
      end
      assert.is_nil(b:read())
      local y = select(2, pair())
      collectgarbage()
      collectgarbage()
      assert.is_nil(y:read())
      y:close()
    end)
  end)

  it("keeps tasks of both directions apart", function()
    local both = bide.spawn(function()
      return bide.gather(
        function() b:write(("x"):rep(4 << 20)) b:shutdown() end,
        function() return #b:read_all() end)
    end)
    local there = bide.spawn(function() a:write(("y"):rep(4 << 20)) a:shutdown() end)
    assert.equal(4 << 20, #a:read_all())
    there:await()
    assert.equal(4 << 20, select(2, both:await()))
  end)

  it("takes nodelay and keepalive", function()
    assert.equal(a, a:nodelay(true))
    assert.equal(a, a:nodelay(false))
    assert.equal(a, a:keepalive(30))
    assert.equal(a, a:keepalive(0))
    assert.is_false((pcall(a.keepalive, a, -1)))
    assert.is_false((pcall(a.nodelay, a, 1)))
  end)

  it("refuses wrong arguments as Lua does", function()
    local function wrong(text, f)
      local ok, err = pcall(f)
      assert.is_false(ok)
      assert.equal("string", type(err), tostring(err))
      assert.truthy(err:find(text, 1, true), err)
    end
    wrong("bad argument #1 to 'read'", function() a:read(0) end)
    wrong("bad argument #1 to 'read' (number of bytes", function() a:read("all") end)
    wrong("bad argument #1 to 'read_exactly'", function() a:read_exactly(-1) end)
    wrong("bad argument #1 to 'read_exactly'", function() a:read_exactly() end)
    wrong("bad argument #1 to 'read_until'", function() a:read_until("") end)
    wrong("bad argument #1 to 'read_line' (table of options expected, got number)",
      function() a:read_line(5) end)
    wrong("bad argument #1 to 'read_line' (unknown option 'max')",
      function() a:read_line { max = 1 } end)
    wrong("bad argument #1 to 'lines' (table of options expected, got number)",
      function() a:lines(100) end)
    wrong("bad argument #1 to 'lines' (unknown option 'max')", function() a:lines { max = 1 } end)
    wrong("bad argument #1 to 'read_line' (option 'limit'",
      function() a:read_line { limit = "x" } end)
    wrong("option 'limit'", function() a:read_all { limit = -1 } end)
    wrong("bad argument #2 to 'write' (string expected, got table)",
      function() a:write("x", {}) end)
    wrong("bad argument #1 to 'write' (string expected, got nil)", function() a:write(nil) end)
    wrong("stream expected, got table", function() a.read({}) end)
    wrong("stream expected, got no value", function() a.write() end)
  end)
end)

describe("outside a task", function()
  it("a stream refuses to wait, and closes", function()
    local x, y
    bide.run(function() x, y = pair() end)
    local co = coroutine.wrap(function() return y:write("x") end)
    assert.equal(y, co())
    x:close()
    y:close()
  end)
end)
