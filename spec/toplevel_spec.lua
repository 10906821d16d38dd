-- SPDX-License-Identifier: MIT
-- Runs at top level, and what holds outside of one: each in a process of its own, since the specs
-- themselves run inside. In the program there is no outside: its main chunk is a task.
local script = require "spec.support.script"

local function output(code)
  local r = script.run(code)
  assert.equal("", r.err)
  assert.equal(0, r.status)
  return r.out
end

describe("at top level #core", function()
  it("run returns main's results once all has ended", function()
    assert.equal("grandchild\n1\tnil\t3\n", output [[
      local bide = require "bide"
      print(bide.run(function(...)
        bide.spawn(function()
          bide.sleep(0.001)
          bide.spawn(function()
            bide.sleep(0.001)
            print "grandchild"
          end)
        end)
        return ...
      end, 1, nil, 3))
    ]])
  end)

  it("run raises what main raises, after the others have ended", function()
    assert.equal("closed\nfalse\ttrue\n", output [[
      local bide = require "bide"
      local value = {}
      local ok, err = pcall(bide.run, function()
        bide.spawn(function()
          local _ <close> = setmetatable({}, { __close = function() print "closed" end })
          bide.sleep(100)
        end)
        bide.sleep(0)
        error(value)
      end)
      print(ok, err == value)
    ]])
  end)

  it("an error of main that nobody catches ends the script with status 1", function()
    local r = script.run [[
      local bide = require "bide"
      bide.run(function()
        bide.sleep(0)
        error "out of luck"
      end)
    ]]
    assert.equal(1, r.status)
    assert.match("out of luck", r.err)
  end)

  it("many runs in a row leave memory flat", function()
    assert.equal("flat\n", output [[
      local bide = require "bide"
      local function runs(n)
        for i = 1, n do
          bide.run(function()
            bide.gather(function() bide.sleep(0) end, function() end)
            bide.spawn(function() end)
          end)
        end
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      runs(100)
      local before = runs(100)
      local after = runs(2000)
      print(after - before < 16 and "flat" or after - before)
    ]])
  end)

  it("a run works in a plain coroutine", function()
    assert.equal("1\tdead\n", output [[
      local bide = require "bide"
      local co = coroutine.create(function()
        return bide.run(function() bide.sleep(0.001) return 1 end)
      end)
      local ok, value = coroutine.resume(co)
      print(value, coroutine.status(co))
    ]])
  end)

  it("a generator goes from one run to the next", function()
    assert.equal("1\t2\t3\n", output [[
      local bide = require "bide"
      local next_value = coroutine.wrap(function()
        for i = 1, 3 do
          bide.sleep(0.001)
          coroutine.yield(i)
        end
      end)
      print(bide.run(next_value), bide.run(next_value), bide.run(next_value))
    ]])
  end)

  it("tasks and futures of one run can be read in the next", function()
    assert.equal("value\tfailed\n", output [[
      local bide = require "bide"
      local good, bad
      bide.run(function()
        good, bad = bide.spawn(function() return "value" end), bide.spawn(error, "x")
        pcall(bad.await, bad)
      end)
      print(bide.run(function() return good:await() end), bad:status())
    ]])
  end)

  it("an unhandled error is reported on stderr with its traceback", function()
    local r = script.run [[
      local bide = require "bide"
      bide.run(function()
        bide.spawn(function()
          error "nobody looks"
        end)
      end)
      print "went on"
    ]]
    assert.equal("went on\n", r.out)
    assert.match("nobody looks", r.err)
    assert.match("stack traceback:", r.err)
    assert.match(":4:", r.err)
    assert.equal(script.in_program and 1 or 0, r.status)
  end)

  it("an unhandled error is reported past a NUL in its text, which is shown", function()
    local r = script.run [[
      local bide = require "bide"
      local function fail(text) bide.run(function() bide.spawn(error, text, 0) end) end
      fail "a\0b\0\0c\0"
      fail(setmetatable({}, { __tostring = function() return "\0table" end }))
      bide.on_unhandled(function() error("why\0so", 0) end)
      fail "d\0e"
    ]]
    assert.match("in task error: a\\0b\\0\\0c\\0\nstack traceback:", r.err, 1, true)
    assert.match("in task error: \\0table\n", r.err, 1, true)
    assert.match("reporting an unhandled error: why\\0so\n", r.err, 1, true)
    assert.match("in task error: d\\0e\nstack traceback:", r.err, 1, true)
    assert.is_nil(r.err:find("\0", 1, true))
  end)

  it("a fault of the on_unhandled function is told, and ends nothing", function()
    local r = script.run [[
      local bide = require "bide"
      bide.on_unhandled(function() error "handler failed" end)
      bide.run(function() bide.spawn(error, "lost") end)
      print "went on"
    ]]
    assert.equal("went on\n", r.out)
    assert.match("handler failed", r.err)
    assert.match("unhandled error in task error: lost\nstack traceback:", r.err, 1, true)
  end)

  it("an error that cannot be told is told of all the same", function()
    for text, body in pairs {
      ["error object is a table value"] = "error {}",
      ["sleep: "] = "bide.sleep(1)",
      ["'__tostring' must return a string"] = "",
    } do
      local r = script.run(([[
        local bide = require "bide"
        local function text() %s end
        bide.run(function() bide.spawn(error, setmetatable({}, { __tostring = text })) end)
        print "went on"
      ]]):format(body))
      assert.equal("went on\n", r.out)
      assert.match(text, r.err, 1, true)
      assert.match("in task error: (error object is a table value)\nstack tra", r.err, 1, true)
    end
  end)

  it("os.exit in a task ends the program with that status, closing the state or not", function()
    for _, close in ipairs { "false", "true" } do
      local r = script.run(([[
        local bide = require "bide"
        bide.run(function()
          bide.spawn(bide.sleep, 100)
          bide.spawn(function() bide.future():await() end)
          bide.sleep(0)
          os.exit(7, %s)
        end)
      ]]):format(close))
      assert.equal("", r.err)
      assert.equal(7, r.status)
    end
  end)

  it("a process that was started without standard files runs and ends as ever", function()
    for _, closed in ipairs { "<&-", ">&-", "2>&-", "<&- >&- 2>&-" } do
      local r = script.run([[
        local bide = require "bide"
        bide.run(function()
          local server <close> = bide.tcp.listen("127.0.0.1", 0, function(s) s:write "hello" end)
          local s <close> = bide.tcp.connect(server:address())
          os.exit(s:read_all() == "hello" and 7 or 8, true)
        end)
      ]], { redirect = closed })
      assert.equal("", r.err)
      assert.equal(7, r.status)
    end
  end)

  it("state that is closed at the end runs no task any more and crashes nothing", function()
    assert.equal("end\n", output [[
      local bide = require "bide"
      local co = coroutine.wrap(function() coroutine.yield() end)
      co()
      bide.run(function()
        bide.daemon(bide.sleep, 100)
        bide.sleep(0)
      end)
      keep = { bide.future(), bide.run(bide.current) }
      setmetatable(keep, { __gc = function() pcall(bide.sleep, 1) end })
      print "end"
    ]])
  end)
end)

if script.in_program then return end

describe("outside a run #core", function()
  it("waiting and spawning raise", function()
    local out = output [[
      local bide = require "bide"
      local future = bide.future()
      for _, case in ipairs {
        { bide.sleep, 0 }, { bide.spawn, print }, { bide.daemon, print }, { bide.await, future },
        { future.await, future }, { bide.gather, print }, { bide.gather, { print } },
        { bide.race, { print } }, { bide.timeout, 1, print }, { bide.shield, print },
        { bide.group, print }, { bide.async(print) },
      } do
        local ok, err = pcall(table.unpack(case))
        print(ok, (tostring(err):match "not inside bide.run"))
      end
    ]]
    assert.equal(("false\tnot inside bide.run\n"):rep(12), out)
  end)

  it("current is nil, now tells the time, futures can be made and filled", function()
    local out = output [[
      local bide = require "bide"
      print(bide.current(), math.type(bide.now()))
      local future = bide.future()
      print(future:resolve(1, nil, 3), future:status(), future:result())
      print(select("#", bide.future():status()))
      print(bide.try(error, "x"))
    ]]
    assert.equal("nil\tfloat\ntrue\tdone\t1\tnil\t3\n1\nnil\tx\n", out)
  end)

  it("the result of what has ended can be had", function()
    local out = output [[
      local bide = require "bide"
      local task
      bide.run(function() task = bide.spawn(function() return 1, 2 end) end)
      print(task:status(), task:result())
      print(pcall(task.cancel, task))
    ]]
    assert.equal("done\t1\t2\ntrue\tfalse\n", out)
  end)

  it("a finalizer cannot run the loop, stopped collector or not", function()
    local out = output [[
      local bide = require "bide"
      local function try() print(select(2, pcall(bide.run, print, "ran"))) end
      local function dying(f) setmetatable({}, { __gc = f }) end
      dying(try)
      collectgarbage()
      dying(function() coroutine.wrap(try)() end)
      collectgarbage()
      collectgarbage "generational"
      dying(try)
      collectgarbage()
      collectgarbage "stop"
      bide.run(print, "between")
      keep = setmetatable({}, { __gc = try }) -- goes when the state is closed
      os.exit(0, true)
    ]]
    local refusal = "run: a finalizer (__gc) cannot run the loop: nothing is collected until it " ..
      "returns (ENOYIELD)\n"
    assert.equal(refusal:rep(3) .. "between\n", out:sub(1, #refusal * 3 + #"between\n"))
    assert.match("^run: [^\n]+%(E%u+%)\n$", out:sub(#refusal * 3 + #"between\n" + 1))
  end)

  it("coroutine functions do exactly what Lua's do", function()
    local out = output [[
      local stock = {}
      for name, f in pairs(coroutine) do stock[name] = f end
      local bide = require "bide"
      local function try(co, f)
        local g = co.wrap(function(a)
          local b = co.yield(a + 1)
          return b * 2, co.isyieldable(), (select(2, co.running()))
        end)
        local thread = co.create(function()
          local _ <close> = setmetatable({}, { __close = function() error "c" end })
          co.yield()
        end)
        co.resume(thread)
        return table.concat({ tostring(g(1)), tostring(g(5)), co.status(thread),
          tostring(co.close(thread)), co.status(thread), tostring(co.isyieldable()),
          tostring(select(2, co.running())), tostring(pcall(co.yield)),
          tostring(select(2, co.resume(thread))) }, " ")
      end
      print(try(stock) == try(coroutine) and "same" or try(stock) .. "\n" .. try(coroutine))
    ]]
    assert.equal("same\n", out)
  end)
end)
