-- SPDX-License-Identifier: MIT
-- Tasks: when they run, what they give, what they tell about themselves.
local bide = require "bide"
local tasks = require "spec.support.tasks"

describe("a task #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("is started so that", function()
    it("its function first runs when the caller next waits", function()
      local ran = false
      local task = bide.spawn(function() ran = true end)
      assert.is_false(ran)
      task:await()
      assert.is_true(ran)
    end)

    it("tasks first run in the order in which they were spawned", function()
      local log = {}
      for i = 1, 5 do
        bide.spawn(function() log[i] = #log + 1 end)
      end
      bide.sleep(0)
      assert.same({ 1, 2, 3, 4, 5 }, log)
    end)

    it("all arguments arrive, nils included", function()
      local got
      bide.spawn(function(...) got = table.pack(...) end, 1, nil, "x", nil):await()
      assert.same({ n = 4, [1] = 1, [3] = "x" }, got)
    end)

    it("callable objects and C functions are functions as well", function()
      local callable = setmetatable({}, { __call = function(_, x) return x + 1 end })
      assert.equal(2, bide.spawn(callable, 1):await())
      assert.equal(3, bide.spawn(math.max, 1, 3, 2):await())
    end)

    it("async gives a function that spawns anew at each call", function()
      local double = bide.async(function(x) bide.sleep(0) return 2 * x end)
      local a, b = double(1), double(2)
      assert.not_equal(a, b)
      assert.equal("pending", a:status())
      assert.equal(2, a:await())
      assert.equal(4, b:await())
    end)
  end)

  describe("gives its results", function()
    it("all of them, nils included", function()
      local task = bide.spawn(function() return nil, 2, nil end)
      assert.same(table.pack(nil, 2, nil), table.pack(task:await()))
    end)

    it("none when it returns none", function()
      local task = bide.spawn(function() end)
      assert.equal(0, select("#", task:await()))
    end)

    it("the same ones however often it is awaited", function()
      local value = {}
      local task = bide.spawn(function() return value, 1 end)
      for _ = 1, 3 do
        assert.same({ value, 1 }, { task:await() })
        assert.equal(value, (task:await()))
      end
    end)

    it("to each of many waiters, in the order in which they came", function()
      local gate, order, got = bide.future(), {}, {}
      local task = bide.spawn(function() return gate:await() end)
      local waiters = {}
      for i = 1, 4 do
        waiters[i] = bide.spawn(function()
          got[i] = task:await()
          order[#order + 1] = i
        end)
      end
      bide.sleep(0)
      gate:resolve "v"
      bide.await(table.unpack(waiters))
      assert.same({ "v", "v", "v", "v" }, got)
      assert.same({ 1, 2, 3, 4 }, order)
    end)

    it("250 of them", function()
      local values = {}
      for i = 1, 250 do
        values[i] = i
      end
      local task = bide.spawn(function() return table.unpack(values) end)
      assert.same(values, { task:await() })
    end)

    it("as bide.await of one does", function()
      local task = bide.spawn(function() return 1, 2 end)
      assert.same({ 1, 2 }, { bide.await(task) })
    end)

    it("and bide.await of several gives the first of each", function()
      local function two(x)
        return bide.spawn(function() return x, "more" end)
      end
      assert.same({ 1, 2, 3 }, { bide.await(two(1), two(2), two(3)) })
    end)

    it("to a task that awaits it across thousands of others", function()
      local task = bide.spawn(function() return 0 end)
      local n = tasks.many(5000)
      for _ = 1, n do
        local before = task
        task = bide.spawn(function() return before:await() + 1 end)
      end
      assert.equal(n, task:await())
    end)
  end)

  describe("that has ended already", function()
    it("is awaited without letting others run", function()
      local task = bide.spawn(function() return "v" end)
      task:await()
      local ran = false
      local other = bide.spawn(function() ran = true end)
      assert.equal("v", task:await())
      assert.is_false(ran)
      other:await()
    end)

    it("lets others run at the 128th such await in a row", function()
      local task = bide.spawn(function() end)
      task:await()
      bide.sleep(0)
      local ran = false
      local other = bide.spawn(function() ran = true end)
      for _ = 1, 127 do
        task:await()
      end
      assert.is_false(ran)
      task:await()
      assert.is_true(ran)
      other:await()
    end)
  end)

  describe("tells", function()
    it("its status: pending, then done", function()
      local task = bide.spawn(function() end)
      assert.equal("pending", task:status())
      assert.is_false(task:done())
      task:await()
      assert.equal("done", task:status())
      assert.is_true(task:done())
    end)

    it("its status: pending while it runs itself", function()
      local status
      bide.spawn(function() status = bide.current():status() end):await()
      assert.equal("pending", status)
    end)

    it("its status: failed after an error", function()
      local task = bide.spawn(error, "x")
      pcall(task.await, task)
      assert.equal("failed", task:status())
      assert.is_true(task:done())
    end)

    it("its status: cancelled after a cancellation", function()
      local task = bide.spawn(bide.sleep, math.huge)
      bide.sleep(0)
      task:cancel()
      pcall(task.await, task)
      assert.equal("cancelled", task:status())
      assert.is_true(task:done())
    end)

    it("its results without waiting, once it is done", function()
      local task = bide.spawn(function() return 1, nil end)
      task:await()
      assert.same(table.pack(1, nil), table.pack(task:result()))
    end)

    it("its error through result", function()
      local value = {}
      local task = bide.spawn(error, value)
      pcall(task.await, task)
      assert.equal(value, tasks.raised(task.result, task))
    end)

    it("that it is pending by an error of result", function()
      local task = bide.spawn(function() end)
      assert.equal("EPENDING", tasks.code(task.result, task))
      task:await()
    end)

    it("its name: file and line of its function, or what it was given", function()
      local function f() end
      local line = debug.getinfo(f, "S").linedefined
      local task = bide.spawn(f)
      assert.match("task_spec%.lua:" .. line, task:name())
      task:name "fetcher"
      assert.equal("fetcher", task:name())
      task:await()
      assert.equal("fetcher", task:name())
    end)

    it("its traceback while it waits: where it stands, and where it was spawned", function()
      local here = debug.getinfo(1, "l").currentline
      local function inner() bide.future():await() end
      local function outer() inner() return 1 end
      local task = bide.spawn(outer)
      bide.sleep(0)
      local trace = task:traceback()
      assert.match("task_spec%.lua:" .. here + 1, trace)
      assert.match("task_spec%.lua:" .. here + 2, trace)
      assert.match("task_spec%.lua:" .. here + 3, trace)
      task:cancel()
      pcall(task.await, task)
    end)

    it("who it is: current is the task that runs, also inside a coroutine", function()
      local inside
      local task = bide.spawn(function()
        inside = coroutine.wrap(function() return bide.current() end)()
        return bide.current()
      end)
      assert.equal(task, task:await())
      assert.equal(task, inside)
      assert.not_equal(task, bide.current())
    end)

    it("what it is in words", function()
      local task = bide.spawn(function() end)
      task:name "worker"
      assert.match("worker", tostring(task))
      task:await()
    end)
  end)

  describe("on_done", function()
    it("calls with the task when it has ended, in a task of its own", function()
      local gate, got, current = bide.future(), nil, nil
      local task = bide.spawn(function() return gate:await() end)
      task:on_done(function(t) got, current = t, bide.current() end)
      tasks.turns(2)
      assert.is_nil(got)
      gate:resolve(1)
      task:await()
      tasks.turns(2)
      assert.equal(task, got)
      assert.not_equal(task, current)
      assert.not_equal(bide.current(), current)
    end)

    it("calls also when the task had ended before", function()
      local task = bide.spawn(function() end)
      task:await()
      local called = bide.future()
      task:on_done(function(t) called:resolve(t) end)
      assert.equal(task, called:await())
    end)

    it("calls after success, failure and cancellation alike", function()
      local good, bad, gone = bide.spawn(function() end), bide.spawn(error, "x"),
        bide.spawn(bide.sleep, 9)
      local called = {}
      for i, task in ipairs { good, bad, gone } do
        called[i] = bide.future()
        task:on_done(function(t) called[i]:resolve(t:status()) end)
      end
      gone:cancel()
      pcall(bad.await, bad)
      assert.same({ "done", "failed", "cancelled" }, { bide.gather(table.unpack(called)) })
    end)

    it("may wait", function()
      local finished = bide.future()
      bide.spawn(function() end):on_done(function()
        bide.sleep(0)
        finished:resolve "waited"
      end)
      assert.equal("waited", finished:await())
    end)
  end)

  describe("takes turns", function()
    it("with the other tasks, one step each", function()
      local log = {}
      local function work(name)
        for i = 1, 3 do
          log[#log + 1] = name .. i
          bide.sleep(0)
        end
      end
      local a, b = bide.spawn(work, "a"), bide.spawn(work, "b")
      bide.await(a, b)
      assert.equal("a1 b1 a2 b2 a3 b3", table.concat(log, " "))
    end)

    it("and is never switched between two waits", function()
      local inside, broken = false, false
      local function section()
        for _ = 1, 50 do
          broken = broken or inside
          inside = true
          local x = 0
          for i = 1, 1000 do
            x = x + i
          end
          inside = false
          bide.sleep(0)
        end
      end
      bide.await(bide.spawn(section), bide.spawn(section), bide.spawn(section))
      assert.is_false(broken)
    end)
  end)

  describe("lives", function()
    it("until it has ended, though nobody refers to it", function()
      local gate, ended = bide.future(), false
      bide.spawn(function()
        gate:await()
        ended = true
      end)
      bide.sleep(0)
      collectgarbage()
      collectgarbage()
      gate:resolve()
      tasks.turns(2)
      assert.is_true(ended)
    end)

    it("no longer than its handle: an ended task is collected", function()
      local weak = setmetatable({}, { __mode = "k" })
      do
        local task = bide.spawn(function() end)
        task:await()
        weak[task] = true
      end
      bide.sleep(0)
      collectgarbage()
      collectgarbage()
      assert.is_nil(next(weak))
    end)

    it("beside ten thousand others", function()
      local sum, n = 0, tasks.many(10000)
      local last
      for i = 1, n do
        last = bide.spawn(function()
          bide.sleep(0)
          sum = sum + i
        end)
      end
      last:await()
      assert.equal(n * (n + 1) // 2, sum)
    end)
  end)

  describe("fails as Lua does", function()
    it("on a stack overflow, which harms no other task", function()
      local function recurse() return 1 + recurse() end
      local task = bide.spawn(recurse)
      assert.match("stack overflow", tostring(tasks.raised(task.await, task)))
      assert.equal(1, bide.spawn(function() return 1 end):await())
    end)

    it("on a stack overflow of C calls", function()
      local function deep() return (string.gsub("x", "x", deep)) end
      local task = bide.spawn(deep)
      assert.match("stack overflow", tostring(tasks.raised(task.await, task)))
    end)
  end)

  describe("keeps its thread to itself:", function()
    it("user code can neither resume nor close it", function()
      local thread
      local task = bide.spawn(function()
        thread = coroutine.running()
        bide.future():await()
      end)
      bide.sleep(0)
      assert.is_false((coroutine.resume(thread)))
      assert.is_false(pcall(coroutine.close, thread))
      assert.equal("pending", task:status())
      task:cancel()
      tasks.turns(2)
      assert.equal("cancelled", task:status())
    end)

    it("a thread that user code saw is not used again", function()
      local thread
      bide.spawn(function() thread = coroutine.running() end):await()
      for _ = 1, 20 do
        bide.spawn(function() assert(thread ~= coroutine.running()) end):await()
      end
      assert.is_false((coroutine.resume(thread)))
    end)
  end)
end)
