-- SPDX-License-Identifier: MIT
-- What streams cost, counted: copies of large blocks and system calls (by a library preloaded into
-- the program, count_copies.c), memory of idle connections, and the marks between which a writer
-- waits.

local bide = require "bide"
local outside = require "spec.support.outside"
local process = require "spec.support.process"
local tasks = require "spec.support.tasks"

local script = [[
  local bide = require "bide"
  local rounds, what = tonumber((...)), select(2, ...)
  local function pair()
    local far = bide.future()
    local server = bide.tcp.listen("127.0.0.1", 0, function(s) far:resolve(s:detach()) end)
    local near = bide.tcp.connect(server:address())
    local other = far:await()
    server:close()
    return near, other
  end
  local a, b = pair()
  local body = ("x"):rep(49999)
  local line = body .. "\n"
  local readers = {
    read = function() return b:read() end,
    read_exactly = function() return b:read_exactly(50000) end,
    read_line = function() return b:read_line() end,
    read_until = function() return b:read_until "\n" end,
    lines = b:lines(),
    read_all = function() return b:read_all() end,
  }
  for _ = 1, rounds do
    if what == "write" then
      a:write(body, "y", body, "z")
      b:read_exactly(100000)
    elseif what == "queue" then
      local writing = bide.spawn(function() for _ = 1, 100 do a:write(body, body) end end)
      local n = 0
      while n < 200 * #body do n = n + #b:read(4000) end
      writing:await()
    else
      if what == "read_all" then a, b = pair() end
      a:write(line)
      if what == "read_all" then a:shutdown() end
      bide.sleep(0.01)
      assert(#readers[what](b) >= #body)
    end
  end
]]

---What `rounds` rounds of it count: copies, sends, pieces, receives.
local function count(dir, rounds, what)
  local out = outside.run(("LD_PRELOAD=%s/count.so %s/%s %s/script.lua %d %s")
    :format(dir, os.getenv "PWD", process.program, dir, rounds, what))
  local numbers = {}
  for name, n in out:gmatch "(%a+)=(%d+)" do numbers[name] = tonumber(n) end
  assert(numbers.copies, out)
  return numbers
end

describe("a stream", function()
  ---What one round costs, by the difference between 4 and 12 of them.
  local function spec(name, what, f)
    it(name, function()
      if process.build:find "asan" or not outside.has "cc" then
        return pending "needs a compiler, and a program that takes a preloaded library"
      end
      local dir = process.temporary_directory()
      local _remove <close> = setmetatable({}, { __close = function() process.remove(dir) end })
      process.write_file(dir .. "/script.lua", script)
      assert(os.execute(("cc -O1 -fno-builtin -fno-tree-loop-distribute-patterns -shared -fPIC "
        .. "-D_GNU_SOURCE -o %s/count.so spec/support/count_copies.c -ldl"):format(dir)))
      local few, many = count(dir, 4, what), count(dir, 12, what)
      local each = {}
      for key in pairs(few) do each[key] = (many[key] - few[key]) / 8 end
      f(each)
    end)
  end

  spec("read_all copies what came in one piece once", "read_all", function(each)
    assert.same({ 1, 2 }, { each.copies, each.receives }) -- the data, the end
  end)

  for _, name in ipairs { "read", "read_exactly", "read_line", "read_until", "lines" } do
    spec(name .. " copies what came in one piece once, and asks for it once", name, function(each)
      assert.same({ 1, 1, 1 }, { each.copies, each.sends, each.receives })
    end)
  end

  spec("sends several strings in one system call, without copying them", "write", function(each)
    assert.equal(1, each.sends)
    assert.equal(4, each.pieces)
    assert.equal(1, each.copies) -- the reader's
  end)

  spec("queues strings without copying them", "queue", function(each)
    assert.equal(0, each.copies)
  end)

  it("holds no buffer while it waits, whatever it has carried", function()
    local function size_of(s) return #(s:read_line() or "") end -- a for would hold the last line
    local server <close> = bide.tcp.listen("127.0.0.1", 0, function(s)
      repeat
        local n = size_of(s)
        if n > 0 then s:write(n, "\n") end
      until n == 0
    end, { daemon = true })
    local function resident()
      collectgarbage()
      collectgarbage()
      local file <close> = assert(io.open "/proc/self/statm")
      return tonumber(file:read("a"):match "^%d+ (%d+)") * 4096
    end
    local line, streams = ("x"):rep(60000) .. "\n", {}
    local function open()
      local s = bide.tcp.connect(server:address())
      s:write(line)
      assert.equal("60000", s:read_line())
      streams[#streams + 1] = s
    end
    for _ = 1, 20 do open() end
    local before = resident()
    for _ = 1, 200 do open() end
    local each = (resident() - before) / 200
    assert.truthy(process.build:find "asan" or each < 8192, ("%.0f bytes each"):format(each))
    for _, s in ipairs(streams) do s:close() end
  end)

  it("lets a writer go on until 64 KiB are queued, and again from 16 KiB on", function()
    local far = bide.future()
    local server = bide.tcp.listen("127.0.0.1", 0, function(s) far:resolve(s:detach()) end)
    local a = bide.tcp.connect(server:address())
    local b = far:await()
    server:close()
    local piece, written = ("x"):rep(1024), 0
    local writer = bide.spawn(function()
      while true do
        a:write(piece)
        written = written + 1
      end
    end)
    local function settle()
      local before
      repeat
        before = written
        tasks.turns(20)
      until written == before
    end
    settle()
    for _ = 1, 3 do
      local stood, taken = written, 0
      while written == stood do
        taken = taken + #b:read(1024)
        tasks.turns(2)
      end
      assert.truthy(taken >= 48 * 1024, taken) -- from 64 KiB down to 16
      settle()
      assert.truthy(written - stood >= 48, written - stood) -- and up again
    end
    writer:cancel()
    pcall(writer.await, writer)
    b:close()
    a:close()
  end)
end)
