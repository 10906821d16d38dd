-- SPDX-License-Identifier: MIT
-- docs/reference/semantics.md, "Lifecycle": a block of specs for each row, titled with its words.
-- What concerns the program as a whole (its status, a deadlock of its loop) runs in a process of
-- its own.
local bide = require "bide"
local clocks = require "spec.support.clocks"
local script = require "spec.support.script"
local tasks = require "spec.support.tasks"
local both = clocks.both(it)

local function collect()
  collectgarbage()
  collectgarbage()
end

describe("lifecycle #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("a running task nobody refers to", function()
    both("kept until it ends", function(s)
      local ended, weak = {}, setmetatable({}, { __mode = "v" })
      for i, wait in ipairs {
        function() bide.sleep(2 * s) end,
        function() bide.gather(function() bide.sleep(2 * s) end) end,
        function() bide.channel():recv() end, -- nobody can ever send
      } do
        weak[i] = bide.spawn(function()
          pcall(bide.timeout, 3 * s, wait)
          ended[#ended + 1] = i
        end)
      end
      tasks.turns(1)
      collect()
      assert.equal(3, #weak)
      bide.sleep(s)
      collect()
      bide.sleep(5 * s)
      assert.equal(3, #ended)
      collect()
      assert.equal(0, #weak)
    end)
  end)

  describe("main returns with tasks running", function()
    both("waited for; daemons are cancelled", function(s)
      local log = {}
      bide.run(function()
        bide.spawn(function()
          bide.sleep(s)
          bide.spawn(function()
            bide.sleep(s)
            log[#log + 1] = "spawned late"
          end)
        end)
        bide.daemon(function()
          local _ <close> = setmetatable({}, { __close = function(_, err)
            bide.shield(bide.sleep, s)
            log[#log + 1] = err.code
          end })
          bide.sleep(1000 * s)
        end)
        log[#log + 1] = "main returned"
      end)
      assert.same({ "main returned", "spawned late", "ECANCELED" }, log)
    end)
  end)

  describe("an error nobody awaited", function()
    it("reported at the latest when the run ends", function()
      local kept, at_end
      local seen = tasks.unhandled(function()
        bide.run(function()
          kept = bide.spawn(error, "lost", 0)
          tasks.turns(3)
        end)
        at_end = true
      end)
      assert.is_true(at_end)
      assert.equal(1, #seen)
      assert.equal("lost", seen[1].err)
      assert.equal(kept, seen[1].task)
    end)

    it("earlier when the handle is collected", function()
      local early
      local ended = false
      local before = bide.on_unhandled(function() early = not ended end)
      bide.run(function()
        bide.spawn(error, "lost", 0)
        bide.sleep(0)
        collect()
        tasks.turns(2)
        ended = true
      end)
      bide.on_unhandled(before)
      assert.is_true(early)
    end)

    it("host exits 1", function()
      local r = script.run [[
        local bide = require "bide"
        bide.run(function()
          bide.spawn(error, "lost")
          print "main is well"
        end)
      ]]
      assert.equal("main is well\n", r.out)
      assert.match("unhandled error .*lost", r.err)
      assert.equal(script.in_program and 1 or 0, r.status)
    end)
  end)

  describe("error values nil, table, userdata", function()
    it("arrive as they are", function()
      local ways = {
        function(f) local task = bide.spawn(f) task:await() end,
        function(f) local task = bide.spawn(f) tasks.turns(3) task:result() end,
        function(f) bide.gather(f) end,
        function(f) bide.gather { f } end,
        function(f) bide.race { f } end,
        function(f) bide.map({ 1 }, f) end,
        function(f) bide.group(function(g) g:spawn(f) end) end,
        function(f) bide.run(f) end,
        function(f) bide.timeout(1, f) end,
        function(f) bide.shield(f) end,
        function(f) bide.unwrap(bide.settle({ f })[1]) end,
        function(f)
          local _, err = pcall(bide.any, { f })
          error(err.errors[1], 0)
        end,
        function(f) for _, _, err in bide.as_completed { f } do error(err, 0) end end,
        function(f) bide.spawn(function() bide.spawn(f):await() end):await() end,
        function(f) bide.lock():with(f) end,
        function(f)
          local _, err = coroutine.resume(coroutine.create(f))
          error(err, 0)
        end,
      }
      for _, value in ipairs { { nil }, { {} }, { io.stdout }, { false }, { 42 }, { "text" },
        { setmetatable({}, { __tostring = error }) } } do
        for i, way in ipairs(ways) do
          local ok, err = pcall(way, function()
            bide.sleep(0)
            error(value[1], 0)
          end)
          assert.is_false(ok)
          assert.is_true(rawequal(value[1], err), "way " .. i)
        end
      end
    end)
  end)

  describe("deadlock (own loop; no referenced handle, request, timer or outstanding C future is "
    .. "left, tasks still wait)", function()
    it("each such wait raises `EDEADLK`, shields included", function()
      local r = script.run [[
        local bide = require "bide"
        local waits = {
          future = function() bide.future():await() end,
          recv = function() bide.channel():recv() end,
          send = function() bide.channel():send(1) end,
          select = function() bide.select { { bide.channel() } } end,
          lock = function()
            local lock = bide.lock()
            local _ <close> = lock:acquire()
            lock:acquire()
          end,
          event = function() bide.event():wait() end,
          condition = function()
            local c = bide.condition()
            c:with(c.wait, c)
          end,
          wait = function() bide.wait { bide.future() } end,
          gather = function() bide.gather(bide.future()) end,
          race = function() bide.race { bide.future() } end,
          child = function() bide.gather(function() bide.future():await() end) end,
          as_completed = function() for _ in bide.as_completed { bide.future() } do end end,
          timeout = function() bide.timeout(math.huge, bide.future()) end,
          extended = function()
            bide.timeout(60, function()
              bide.extend(math.huge)
              bide.future():await()
            end)
          end,
          select_timeout = function() bide.select { { bide.channel() }, timeout = math.huge } end,
          shield = function() bide.shield(function() bide.future():await() end) end,
        }
        for name, wait in pairs(waits) do
          local ok, err = pcall(bide.run, wait)
          if ok or err.code ~= "EDEADLK" then print(name, ok, err) end
        end
        bide.run(function() -- all at once, each catching its own
          for name, wait in pairs(waits) do
            bide.spawn(function()
              local ok, err = pcall(wait)
              if ok or err.code ~= "EDEADLK" then print(name, ok, err) end
            end)
          end
        end)
        print "each"
      ]]
      assert.same({ out = "each\n", err = "", status = 0 }, r)
    end)

    it("the message lists the waiting tasks and where each waits", function()
      local r = script.run [[
        local bide = require "bide"
        print(select(2, pcall(bide.run, function()
          local ch = bide.channel()
          local other = bide.spawn(function()
            ch:recv() -- line 5
          end)
          other:name "consumer"
          other:await() -- line 8
        end)))
      ]]
      assert.match("EDEADLK", r.out)
      assert.match("task consumer waits in channel recv at [^\n]*:5\n", r.out)
      assert.match("waits in task consumer at [^\n]*:8", r.out)
    end)

    it("under the virtual clock, which can't jump to never, a sleep for ever is one", function()
      local r = script.run [[
        local bide, testing = require "bide", require "bide.testing"
        print(select(2, pcall(testing.run, function() bide.sleep(math.huge) end)).code)
      ]]
      assert.same({ out = "EDEADLK\n", err = "", status = 0 }, r)
    end)

    it("is none while a handle, a timer or a request is there", function()
      local r = script.run [[
        local bide = require "bide"
        bide.run(function()
          local future = bide.future()
          local waiter = bide.spawn(future.await, future)
          bide.sleep(0.02) -- a timer
          local server = bide.tcp.listen("127.0.0.1", 0, function() end)
          local closer = bide.spawn(server.wait, server) -- a handle
          bide.dns.resolve "localhost" -- a request
          server:close()
          closer:await()
          print(waiter:status())
          future:resolve()
        end)
      ]]
      assert.same({ out = "pending\n", err = "", status = 0 }, r)
    end)
  end)

  describe("spawn into a group that has ended; await outside a run", function()
    it("raise", function()
      local kept, ran
      bide.group(function(g) kept = g end)
      assert.equal("ECLOSED", tasks.code(kept.spawn, kept, function() ran = true end))
      tasks.turns(1)
      assert.is_nil(ran)
      local r = script.run [[
        local bide = require "bide"
        if not bide.current() then -- in a stock lua5.4; the program runs the script as a task
          local done = bide.future()
          done:resolve "the result of what has ended"
          local ch = bide.channel(1)
          for name, f in pairs {
            await = function() done:await() end, sleep = function() bide.sleep(0) end,
            spawn = function() bide.spawn(print) end, daemon = function() bide.daemon(print) end,
            gather = function() bide.gather {} end, recv = function() ch:recv() end,
            timeout = function() bide.timeout(1, print) end,
            group = function() bide.group(print) end,
            shield = function() bide.shield(print) end, race = function() bide.race { done } end,
            map = function() bide.map({}, print) end, async = function() bide.async(print)() end,
          } do
            local ok, err = pcall(f)
            if ok or err.code ~= "ENORUN" or not tostring(err):find "not inside bide.run" then
              print(name, ok, err)
            end
          end
          print(done:result())
          print(type(bide.now()), bide.current(), ch:try_send(1))
        else
          print "the result of what has ended\nnumber\tnil\ttrue"
        end
      ]]
      local out = "the result of what has ended\nnumber\tnil\ttrue\n"
      assert.same({ out = out, err = "", status = 0 }, r)
    end)
  end)
end)
