-- SPDX-License-Identifier: MIT
-- docs/reference/semantics.md, "Cancellation": a block of specs for each row, titled with its
-- words.
local bide = require "bide"
local clocks = require "spec.support.clocks"
local dns = require "spec.support.dns"
local tasks = require "spec.support.tasks"
local testing = require "bide.core".testing
local both = clocks.both(it)

--- A task that stands in its first wait.
local function waiting(f, ...)
  local task = bide.spawn(f, ...)
  tasks.turns(1)
  return task
end

describe("cancellation #core", function()
  before_each(function()
    pcall(bide.tcp.connect, "127.0.0.1", 1) -- what the net opens at its first use stays open
    pcall(bide.dns.resolve, "x.invalid")
    tasks.mark()
  end)
  after_each(tasks.check)

  describe("model", function()
    both("level: each further wait raises it again, of whatever kind", function(s)
      local done, ch, codes = bide.future(), bide.channel(1), {}
      done:resolve(1)
      ch:send(1)
      local waits = {
        function() bide.sleep(1000 * s) end, function() bide.sleep(0) end,
        function() done:await() end, function() ch:recv() end,
        function() bide.lock():acquire() end, function() bide.gather(done) end,
        function() bide.event():wait() end, function() bide.timeout(1, function() end) end,
        function() bide.group(function() end) end, function() bide.run(function() end) end,
        function() bide.select { { ch } } end, function() bide.wait { done } end,
        function() bide.tcp.connect("127.0.0.1", 1) end,
        function() bide.dns.resolve "x.invalid" end,
      }
      local task = waiting(function()
        for i = 1, #waits do codes[i] = tasks.code(waits[i]) end
        bide.future():await()
      end)
      task:cancel()
      assert.equal("ECANCELED", tasks.code(task.await, task))
      for i = 1, #waits do assert.equal("ECANCELED", codes[i], i) end
      assert.equal("cancelled", task:status())
      assert.equal(1, #ch)
    end)

    both("per scope: what is cancelled inside does not reach beyond", function(s)
      local log = {}
      local task = waiting(function()
        pcall(bide.timeout, s, function()
          log[1] = tasks.code(bide.sleep, 1000 * s)
          log[2] = tasks.code(bide.sleep, 1000 * s)
        end)
        bide.sleep(s)
        bide.group(function(g)
          g:cancel()
          log[3] = tasks.code(bide.sleep, 0)
        end)
        bide.sleep(s)
        return "went on"
      end)
      assert.equal("went on", task:await())
      assert.same({ "ECANCELED", "ECANCELED", "ECANCELED" }, log)
    end)
  end)

  describe("twice", function()
    it("no effect, first reason kept", function()
      local log, gate = {}, bide.future()
      local task = waiting(function()
        local _ <close> = setmetatable({}, {
          __close = function()
            bide.shield(function()
              gate:await()
              log[#log + 1] = "cleaned"
            end)
          end,
        })
        bide.future():await()
      end)
      assert.is_true(task:cancel "first")
      tasks.turns(1)
      assert.is_true(task:cancel "second") -- in the midst of its clean-up
      tasks.turns(1)
      gate:resolve()
      local err = tasks.raised(task.await, task)
      assert.same({ "cleaned" }, log)
      assert.equal("first", err.reason)
    end)
  end)

  describe("swallowed by `pcall`", function()
    it("the next wait raises again", function()
      local codes = {}
      local task = waiting(function()
        codes[1] = tasks.code(bide.sleep, 1000)
        codes[2] = tasks.code(bide.sleep, 1000)
        return "swallowed"
      end)
      task:cancel()
      assert.equal("swallowed", task:await())
      assert.equal("done", task:status())
      assert.same({ "ECANCELED", "ECANCELED" }, codes)
    end)

    it("each refused wait lets others run, so a catch-all loop cannot freeze the loop", function()
      local done, ch = bide.future(), bide.channel(1)
      done:resolve()
      for _, wait in ipairs {
        function() bide.sleep(1000) end, function() done:await() end, function() ch:recv() end,
        function() ch:send(1) end, function() bide.gather {} end,
        function() bide.timeout(1, print) end,
        function() bide.semaphore(1):acquire() end, function() bide.map({}, print) end,
      } do
        local stop, refused = false, 0
        local stubborn = waiting(function()
          pcall(bide.sleep, 1000)
          while not stop do
            if not pcall(wait) then refused = refused + 1 end
          end
        end)
        stubborn:cancel()
        tasks.turns(5)
        bide.sleep(0.001) -- timers fire, too
        stop = true
        stubborn:await()
        assert.is_true(refused > 1)
      end
    end)
  end)

  describe("turned into another error", function()
    it("task fails with it", function()
      local value = {}
      local task = waiting(function()
        pcall(bide.sleep, 1000)
        error(value)
      end)
      task:cancel()
      assert.equal(value, tasks.raised(task.await, task))
      assert.equal("failed", task:status())
    end)

    it("the `ECANCELED` of another that it awaited is such an error", function()
      local other = waiting(bide.sleep, 1000)
      local task = waiting(function() other:await() end)
      other:cancel()
      assert.equal(other, tasks.raised(task.await, task).task)
      assert.equal("failed", task:status())
      assert.equal("cancelled", other:status())
    end)
  end)

  describe("before the first step", function()
    it("body skipped", function()
      local ran = false
      local task = bide.spawn(function() ran = true end)
      assert.is_true(task:cancel())
      tasks.turns(1)
      assert.is_false(ran)
      assert.equal("cancelled", task:status())
      assert.equal(task, tasks.raised(task.await, task).task)
    end)
  end)

  describe("finished task", function()
    it("`false`, and nothing changes", function()
      local good, bad = bide.spawn(function() return 1 end), bide.spawn(error, "x")
      local gone = waiting(bide.sleep, 1000)
      good:await()
      pcall(bad.await, bad)
      assert.is_true(gone:cancel())
      tasks.turns(1)
      for task, status in pairs { [good] = "done", [bad] = "failed", [gone] = "cancelled" } do
        assert.is_false(task:cancel())
        assert.equal(status, task:status())
      end
      assert.equal(1, good:await())
    end)
  end)

  describe("oneself", function()
    it("next wait", function()
      local went_on, code
      local task = bide.spawn(function()
        assert.is_true(bide.current():cancel "why")
        went_on = true
        code = tasks.code(bide.sleep, 0)
      end)
      task:await()
      assert.is_true(went_on)
      assert.equal("ECANCELED", code)
    end)
  end)

  describe("blocked in thread-pool work (DNS, files)", function()
    local replies, ask

    --- Names are asked of a server that answers when `ask` is resolved.
    local function slow_server()
      replies, ask = 0, bide.future()
      dns.serve(function(q, reply)
        bide.shield(ask.await, ask)
        replies = replies + 1
        reply(dns.answer(q, q.type == "A" and { "127.0.0.1" } or {}))
      end)
    end

    after_each(function() bide.dns.servers() end)

    it("the caller is free at once; the late result is dropped", function()
      bide.run(function()
        slow_server()
        local task = bide.spawn(bide.dns.resolve, "late.example", { family = 4 })
        bide.sleep(0.01) -- the question is on its way
        task:cancel()
        tasks.turns(1)
        assert.equal("cancelled", task:status())
        assert.equal(0, replies)
        ask:resolve()
        assert.same({ "127.0.0.1" }, bide.dns.resolve("other.example", { family = 4 }))
        assert.is_true(replies >= 2)
        assert.equal("cancelled", task:status())
      end)
    end)

    it("what it opened is closed", function()
      local before = testing.track(true)
      local _ <close> = setmetatable({}, { __close = function() testing.track(before) end })
      bide.run(function()
        slow_server()
        local accepted = 0
        local server <close> = bide.tcp.listen("127.0.0.1", 0, function(stream)
          accepted = accepted + 1
          stream:read()
        end, { daemon = true })
        local _, port = server:address()
        local opened = #testing.open()
        local early = bide.spawn(bide.tcp.connect, "late.example", port)
        bide.sleep(0.01)
        early:cancel() -- while the name is looked up
        tasks.turns(1)
        assert.equal("cancelled", early:status())
        ask:resolve()
        local late = bide.spawn(bide.tcp.connect, "127.0.0.1", port)
        tasks.turns(1)
        late:cancel() -- while it connects
        local ok, stream = pcall(late.await, late)
        if ok then stream:close() end -- it was faster
        bide.tcp.connect("late.example", port, { family = 4 }):close()
        assert.equal(opened, #testing.open())
        assert.is_true(accepted <= 2)
      end)
    end)
  end)

  describe("completed, then cancelled before it resumes", function()
    it("a completed operation's result is delivered and the next wait raises", function()
      local gate, event, ch, lock = bide.future(), bide.event(), bide.channel(), bide.lock()
      local guard = lock:acquire()
      local operations = {
        future = { function() return gate:await() end, function() gate:resolve "kept" end },
        event = { function() event:wait() return "kept" end, function() event:set() end },
        recv = { function() return ch:recv() end, function() ch:try_send "kept" end },
        send = { function() ch:send "x" return "kept" end, function() ch:try_recv() end },
        lock = {
          function() lock:acquire():release() return "kept" end,
          function() guard:release() end,
        },
        gather = { function() return (bide.gather(gate)) end, function() gate:resolve "kept" end },
        select = { function() return select(2, bide.select { { ch } }) end,
          function() ch:try_send "kept" end },
      }
      for name, operation in pairs(operations) do
        gate = bide.future()
        local got, code
        local task = waiting(function()
          got = operation[1]()
          code = tasks.code(bide.sleep, 0)
        end)
        operation[2]()
        task:cancel()
        task:await()
        assert.equal("kept", got, name)
        assert.equal("ECANCELED", code, name)
      end
    end)

    both("so is a sleep that was over in the turn in which it was cancelled", function(s, meet)
      local slept, code, task
      local canceller = bide.spawn(function()
        bide.sleep(s)
        task:cancel()
      end)
      task = bide.spawn(function()
        bide.sleep(s)
        slept = true
        code = tasks.code(bide.sleep, 0)
      end)
      bide.sleep(0)
      meet(2)
      task:await()
      assert.is_true(slept)
      assert.equal("ECANCELED", code)
      canceller:await()
    end)

    it("an uncompleted one is undone, though it would complete a moment later", function()
      local gate, ch, got = bide.future(), bide.channel(), nil
      local task = waiting(function() got = gate:await() end)
      local receiver = waiting(function() got = ch:recv() end)
      task:cancel()
      receiver:cancel()
      gate:resolve "late"
      assert.is_false(ch:try_send "late")
      pcall(task.await, task)
      pcall(receiver.await, receiver)
      assert.is_nil(got)
      assert.equal("cancelled", task:status())
      assert.equal("cancelled", receiver:status())
    end)
  end)

  describe("shield, outer cancelled", function()
    it("the body is not interrupted, the caller stays inside; raised at the first wait after it",
      function()
      local log, gate = {}, bide.future()
      local task = waiting(function()
        log[#log + 1] = bide.shield(function()
          gate:await()
          return "whole body"
        end)
        log[#log + 1] = "after, before the next wait"
        bide.sleep(0)
        log[#log + 1] = "never"
      end)
      task:cancel()
      tasks.turns(2)
      assert.equal("pending", task:status())
      gate:resolve()
      pcall(task.await, task)
      assert.same({ "whole body", "after, before the next wait" }, log)
      assert.equal("cancelled", task:status())
    end)

    both("an outer deadline waits likewise", function(s)
      local code = tasks.code(bide.timeout, s, function()
        assert.equal("whole", bide.shield(function()
          bide.sleep(3 * s)
          return "whole"
        end))
        bide.sleep(1000 * s)
        error "never"
      end)
      assert.equal("ETIMEDOUT", code)
    end)
  end)
end)
