-- SPDX-License-Identifier: MIT
-- bide.testing: time under control, random order, and what is left at the end.
local bide = require "bide"
local testing = require "bide.testing"
local tasks = require "spec.support.tasks"

--- The order in which n tasks take two steps each.
local function order(n)
  local log = {}
  bide.gather(function()
    local list = {}
    for i = 1, n do
      list[i] = bide.spawn(function()
        log[#log + 1] = i
        bide.sleep(0)
        log[#log + 1] = i
      end)
    end
    for _, task in ipairs(list) do task:await() end
  end)
  return table.concat(log, " ")
end

local function raised(f, ...)
  return tasks.raised(f, ...)
end

describe("bide.testing.run #core", function()
  before_each(function()
    bide.udp.bind("127.0.0.1", 0):close() -- the handles of the network stay, once they are there
    tasks.mark()
  end)
  after_each(tasks.check)

  it("is a field of bide too", function()
    assert.equal(testing, bide.testing)
  end)

  it("returns what the function returns", function()
    assert.same({ 1, nil, 3, n = 3 },
      table.pack(testing.run(function() return 1, nil, 3 end)))
    assert.same({ n = 0 }, table.pack(testing.run(function() end)))
  end)

  it("lets no real time pass while tasks sleep", function()
    local real = os.time()
    local slept = testing.run(function()
      local start = bide.now()
      bide.gather(function() bide.sleep(3600) end, function() bide.sleep(1e6) end)
      return bide.now() - start
    end)
    assert.near(1e6, slept, 1e-3)
    assert.is_true(os.time() - real < 30)
  end)

  it("runs on the real clock when asked to", function()
    local slept = testing.run(function()
      local start = bide.now()
      bide.sleep(0.01)
      return bide.now() - start
    end, { clock = "real" })
    assert.is_true(slept >= 0.01)
  end)

  it("puts the clock back, also after an error", function()
    local function is_virtual()
      local now = require("bide.core").testing.virtual(false)
      return now
    end
    testing.run(function() end)
    assert.is_false(is_virtual())
    local value = {}
    assert.equal(value, raised(testing.run, function() error(value) end))
    assert.is_false(is_virtual())
  end)

  it("runs ready tasks in another order for another seed, in the same for the same", function()
    local seen, orders = {}, 0
    for seed = 1, 10 do
      local first = testing.run(function() return order(8) end, { seed = seed })
      local second = testing.run(function() return order(8) end, { seed = seed })
      assert.equal(first, second)
      if not seen[first] then orders = orders + 1 end
      seen[first] = true
    end
    assert.is_true(orders > 5)
    assert.equal("1 2 3 4 5 6 7 8 1 2 3 4 5 6 7 8", testing.run(function() return order(8) end))
    assert.equal("1 2 3 1 2 3", order(3))
  end)

  it("runs every task all the same, also when there are many", function()
    local count = 0
    testing.run(function()
      local list = {}
      for i = 1, 300 do
        list[i] = function()
          bide.sleep(0)
          count = count + 1
        end
      end
      bide.gather(list)
    end, { seed = 3 })
    assert.equal(300, count)
  end)

  it("tells the tasks that are left, where they stand and where they were spawned", function()
    local line, closed
    local err = raised(testing.run, function()
      local task = bide.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() closed = true end })
        line = debug.getinfo(1, "l").currentline + 1
        bide.sleep(1e9)
      end)
      task:name "forgotten"
    end)
    assert.equal("ELEFT", err.code)
    assert.equal(1, #err.left)
    assert.matches("^task forgotten, waits: sleep.*, at [^,]*testing_spec.lua:" .. line
      .. ", spawned at [^,]*testing_spec.lua:%d+$", err.left[1])
    assert.matches("left at the end:\n  task forgotten", tostring(err))
    assert.is_true(closed)
  end)

  it("does not count daemons, nor tasks that end by themselves in that turn", function()
    testing.run(function()
      bide.daemon(function() bide.sleep(1e9) end)
      bide.spawn(function() end)
    end)
  end)

  it("waits for the tasks when asked to", function()
    local ended
    testing.run(function()
      bide.spawn(function()
        bide.sleep(1000)
        ended = true
      end)
    end, { left = "wait" })
    assert.is_true(ended)
  end)

  it("tells the streams and sockets that are left open, and where they were opened", function()
    local stream_line, socket_line, stream, socket
    local err = raised(testing.run, function()
      local server = bide.tcp.listen("127.0.0.1", 0, function(s) s:read() end)
      local _, port = server:address()
      stream_line = debug.getinfo(1, "l").currentline + 1
      stream = bide.tcp.connect("127.0.0.1", port)
      socket_line = debug.getinfo(1, "l").currentline + 1
      socket = bide.udp.bind("127.0.0.1", 0)
      server:close(0)
    end, { clock = "real" })
    assert.equal("ELEFT", err.code)
    local text = table.concat(err.left, "\n")
    assert.matches("stream, opened at [^\n]*testing_spec.lua:" .. stream_line, text)
    assert.matches("udp socket, opened at [^\n]*testing_spec.lua:" .. socket_line, text)
    stream:close()
    socket:close()
  end)

  it("does not count what was closed", function()
    testing.run(function()
      local server = bide.tcp.listen("127.0.0.1", 0, function(s) s:read() end)
      local _, port = server:address()
      bide.tcp.connect("127.0.0.1", port):close()
      local _ <close> = bide.udp.bind("127.0.0.1", 0)
      server:close(0)
    end, { clock = "real" })
  end)

  describe("an error that nobody awaits", function()
    local function lose(err)
      return function()
        bide.spawn(function()
          bide.current():name "loser"
          error(err, 0)
        end)
        bide.sleep(1)
      end
    end

    --- What f writes to stderr.
    local function stderr_of(f)
      local real, written = io.stderr, {}
      _G.io.stderr = { write = function(_, ...) written[#written + 1] = table.concat { ... } end }
      local ok, err = pcall(f)
      _G.io.stderr = real
      assert(ok, err)
      return table.concat(written)
    end

    it("is raised, with its task and traceback", function()
      local err = raised(testing.run, lose "lost")
      assert.matches("^unhandled error in task loser: lost\nstack traceback:\n.*testing_spec", err)
      err = raised(testing.shake, lose "lost")
      assert.matches("^seed 1: unhandled error in task loser: lost", err)
    end)

    it("is raised as it is when it is no string", function()
      local value = {}
      assert.matches("unhandled error in task loser", stderr_of(function()
        assert.equal(value, raised(testing.run, lose(value)))
      end))
    end)

    it("goes to the handler that the function sets, which is put back", function()
      local seen = {}
      local function handler(err) seen[#seen + 1] = err end
      local before = bide.on_unhandled(nil)
      bide.on_unhandled(before)
      testing.run(function()
        bide.on_unhandled(handler)
        lose "lost"()
      end)
      assert.same({ "lost" }, seen)
      assert.equal(before, bide.on_unhandled(before))
    end)

    it("does not take the place of the function's own", function()
      assert.matches("unhandled error in task loser: lost", stderr_of(function()
        assert.equal("own", raised(testing.run, function()
          lose "lost"()
          error("own", 0)
        end))
      end))
    end)
  end)

  it("raises for wrong arguments", function()
    for _, case in ipairs {
      { { sead = 1 }, "unknown option 'sead'" }, { { times = 1 }, "unknown option 'times'" },
      { { clock = "fast" }, "option 'clock': 'virtual' or 'real' expected, got fast" },
      { { seed = 1.5 }, "option 'seed': integer expected, got 1.5" },
      { { left = true }, "option 'left': 'fail' or 'wait' expected, got true" },
      { 3, "table expected, got number" },
    } do
      local err = raised(testing.run, function() end, case[1])
      assert.matches("bad argument #2 to 'bide.testing.run' %(", err)
      assert.matches(case[2], err, 1, true)
    end
    assert.matches("bad argument #1 to 'bide.testing.run' (function expected, got no value)",
      raised(testing.run), 1, true)
  end)

  it("puts the order of the run around it back", function()
    local function drawn()
      local log = {}
      bide.map({ 1, 2, 3, 4, 5, 6, 7, 8 }, function(i)
        bide.sleep(0)
        log[#log + 1] = i
      end, { collect = false })
      return table.concat(log)
    end
    local function orders(between)
      return testing.run(function()
        local before = drawn()
        if between then testing.run(drawn, { seed = 9 }) end
        return before .. " " .. drawn()
      end, { seed = 5 })
    end
    assert.equal(orders(false), orders(true))
    assert.not_matches("12345678", orders(true))
  end)
end)

describe("bide.testing.shake #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  --- Loses an update when the second task runs between the first one's read and write.
  local function race()
    local value = 0
    local function add()
      local seen = value
      bide.sleep(0)
      value = seen + 1
    end
    bide.gather(function() add() end, function() bide.sleep(0) add() end)
    if value ~= 2 then error "lost an update" end
  end

  it("finds an order that fails, and tells its seed", function()
    local err = raised(testing.shake, race, { times = 50 })
    local seed = err:match "^seed (%d+): .*lost an update"
    assert.is_string(seed, err)
    assert.matches("lost an update", raised(testing.run, race, { seed = tonumber(seed) }))
  end)

  it("returns when none fails", function()
    local runs = 0
    testing.shake(function() runs = runs + 1 end, { times = 5, seed = 7 })
    assert.equal(5, runs)
  end)

  it("raises for wrong arguments", function()
    for _, opts in ipairs { { times = 0 }, { times = -4 }, { times = "3" }, { times = 1.5 },
      { tmies = 5 }, { seed = "x" }, { clock = 1 }, 3 } do
      assert.matches("bad argument #2 to 'bide.testing.shake' %(",
        raised(testing.shake, function() end, opts))
    end
    assert.matches("bad argument #1 to 'bide.testing.shake' (function expected, got table)",
      raised(testing.shake, {}), 1, true)
  end)
end)

describe("bide.testing.it #core", function()
  local log = {}
  local waiting_it = testing.it(it, { seed = 1 })

  waiting_it("has bodies that wait, under the virtual clock", function()
    bide.sleep(1e5)
    log[#log + 1] = "ran"
    assert.equal("ran", log[1])
  end)

  it("passes name and body on, and raises what the body raises", function()
    local name, body
    testing.it(function(n, b) name, body = n, b end)("the name", function() error("inside", 0) end)
    assert.equal("the name", name)
    assert.equal("inside", raised(body))
    assert.matches("bad argument #1 to 'bide.testing.it' (function expected, got no value)",
      raised(testing.it), 1, true)
  end)
end)
