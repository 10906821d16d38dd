-- SPDX-License-Identifier: MIT
-- channel: values handed from task to task, in order, none lost, none twice.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

--- A task that has begun to wait in ch:recv().
local function receiver(ch)
  local task = bide.spawn(function() return ch:recv() end)
  tasks.turns(1)
  return task
end

local function sender(ch, v)
  local task = bide.spawn(function() return ch:send(v) end)
  tasks.turns(1)
  return task
end

describe("channel #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("without a buffer", function()
    it("ends a send when its value was received", virtual(function()
      local ch = bide.channel()
      local sent = sender(ch, "v")
      bide.sleep(10)
      assert.equal("pending", sent:status())
      assert.equal("v", ch:recv())
      assert.same(table.pack(), table.pack(sent:await()))
    end))

    it("hands a value to a receiver that waits, without waiting", function()
      local ch = bide.channel()
      local task = receiver(ch)
      local ran = false
      local other = bide.spawn(function() ran = true end)
      ch:send "v"
      assert.is_false(ran)
      assert.equal("v", task:await())
      other:await()
    end)

    it("serves receivers in the order of asking", function()
      local ch, got = bide.channel(), {}
      local list = {}
      for i = 1, 5 do
        list[i] = bide.spawn(function() got[i] = ch:recv() end)
      end
      tasks.turns(1)
      for i = 1, 5 do ch:send(i * 10) end
      bide.gather(list)
      assert.same({ 10, 20, 30, 40, 50 }, got)
    end)

    it("serves senders in the order of asking", function()
      local ch = bide.channel()
      local list = {}
      for i = 1, 5 do list[i] = bide.spawn(ch.send, ch, i) end
      tasks.turns(1)
      local got = {}
      for i = 1, 5 do got[i] = ch:recv() end
      assert.same({ 1, 2, 3, 4, 5 }, got)
      bide.gather(list)
    end)

    it("holds nothing", function()
      local ch = bide.channel()
      local sent = sender(ch, 1)
      assert.equal(0, #ch)
      ch:recv()
      sent:await()
    end)
  end)

  describe("with a buffer", function()
    it("takes up to its capacity without a receiver", function()
      local ch = bide.channel(3)
      for i = 1, 3 do ch:send(i) end
      assert.equal(3, #ch)
      local fourth = sender(ch, 4)
      assert.equal("pending", fourth:status())
      assert.equal(1, ch:recv())
      fourth:await()
      assert.equal(3, #ch)
      assert.same({ 2, 3, 4 }, { ch:recv(), ch:recv(), ch:recv() })
    end)

    it("keeps the order however it fills, empties and grows", function()
      for _, capacity in ipairs { 1, 7, 8, 9, 100, math.huge } do
        local ch = bide.channel(capacity)
        local next_in, next_out = 1, 1
        for round = 1, 60 do
          for _ = 1, round % 13 do
            if ch:try_send(next_in) then next_in = next_in + 1 end
          end
          for _ = 1, round % 7 do
            local v = ch:try_recv()
            if v then
              assert.equal(next_out, v)
              next_out = next_out + 1
            end
          end
          assert.equal(next_in - next_out, #ch)
        end
        for v in function() return ch:try_recv() end do
          assert.equal(next_out, v)
          next_out = next_out + 1
        end
        assert.equal(next_in, next_out)
      end
    end)

    it("moves the value of a waiting sender in, behind the others", function()
      local ch = bide.channel(2)
      local list = {}
      for i = 1, 6 do list[i] = bide.spawn(ch.send, ch, i) end
      tasks.turns(1)
      for i = 1, 6 do assert.equal(i, ch:recv()) end
      bide.gather(list)
    end)

    it("lets others run now and then, however full it is", function()
      local ch, ran = bide.channel(math.huge), false
      bide.spawn(function() ran = true end)
      for i = 1, 200 do ch:send(i) end
      assert.is_true(ran)
    end)
  end)

  describe("of any kind", function()
    it("carries every value but nil: false, tables, functions, NaN", function()
      local ch = bide.channel(8)
      local t = {}
      ch:send(false)
      ch:send(t)
      ch:send(print)
      ch:send(0 / 0)
      assert.is_false(ch:recv())
      assert.equal(t, ch:recv())
      assert.equal(print, ch:recv())
      local nan = ch:recv()
      assert.is_true(nan ~= nan)
      assert.match("'bide.Channel.send'.*nil", tasks.raised(ch.send, ch, nil))
      assert.match("nil", tasks.raised(ch.try_send, ch))
    end)

    it("is iterated until it is closed and empty", function()
      for _, capacity in ipairs { 0, 1, 10 } do
        local ch, got = bide.channel(capacity), {}
        bide.spawn(function()
          for i = 1, 5 do ch:send(i) end
          ch:close()
        end)
        for v in ch do got[#got + 1] = v end
        assert.same({ 1, 2, 3, 4, 5 }, got)
      end
    end)

    it("is iterated over false too", function()
      local ch, n = bide.channel(3), 0
      ch:send(false)
      ch:send(false)
      ch:close()
      for v in ch do
        assert.is_false(v)
        n = n + 1
      end
      assert.equal(2, n)
    end)

    it("tries without waiting", function()
      local ch = bide.channel(1)
      assert.is_nil(ch:try_recv())
      assert.is_true(ch:try_send(1))
      assert.is_false(ch:try_send(2))
      assert.equal(1, ch:try_recv())
      local empty = bide.channel()
      assert.is_false(empty:try_send(1))
      local task = receiver(empty)
      assert.is_true(empty:try_send(2))
      assert.equal(2, task:await())
      local sent = sender(empty, 3)
      assert.equal(3, empty:try_recv())
      sent:await()
    end)

    it("raises for wrong arguments", function()
      assert.match("'bide.channel'.*integer", tasks.raised(bide.channel, -1))
      assert.match("'bide.channel'.*integer", tasks.raised(bide.channel, 1.5))
      assert.match("number", "" .. tasks.raised(bide.channel, "1"):gsub("capacity", "number"))
      local ch = bide.channel()
      assert.match("channel expected, got table", tasks.raised(ch.recv, {}))
      assert.match("channel expected, got bide.Lock", tasks.raised(ch.recv, bide.lock()))
      assert.match("channel expected, got no value", tasks.raised(ch.close))
    end)

    it("says in tostring how full it is", function()
      local ch = bide.channel(2)
      ch:send(1)
      assert.match("^bide.Channel: .*1 of 2", tostring(ch))
    end)
  end)

  describe("once closed", function()
    it("gives what is buffered, then nothing", function()
      local ch = bide.channel(3)
      ch:send(1)
      ch:send(2)
      ch:close()
      assert.is_true(ch:closed())
      assert.equal(1, ch:recv())
      assert.equal(2, ch:recv())
      assert.equal(0, select("#", ch:recv()))
      assert.equal(0, select("#", ch:try_recv()))
    end)

    it("wakes all who wait to receive with the end", function()
      local ch = bide.channel()
      local a, b = receiver(ch), receiver(ch)
      ch:close()
      assert.equal(0, select("#", a:await()))
      assert.equal(0, select("#", b:await()))
    end)

    it("wakes all who wait to send with EBADF; their values were not sent", function()
      local ch = bide.channel(1)
      ch:send "buffered"
      local a, b = sender(ch, "a"), sender(ch, "b")
      ch:close()
      assert.equal("EBADF", tasks.code(a.await, a))
      assert.equal("EBADF", tasks.code(b.await, b))
      assert.equal("buffered", ch:recv())
      assert.is_nil(ch:recv())
    end)

    it("refuses to send", function()
      local ch = bide.channel(3)
      assert.is_false(ch:closed())
      ch:close()
      ch:close()
      local err = tasks.raised(function() ch:send(1) end)
      assert.equal("EBADF", err.code)
      assert.equal("send", err.op)
      assert.match("channel_spec.lua:%d", err.where)
      assert.equal("EBADF", tasks.code(ch.try_send, ch, 1))
    end)

    it("is so at the end of a <close> variable", function()
      local outer
      do
        local ch <close> = bide.channel(1)
        outer = ch
      end
      assert.is_true(outer:closed())
    end)
  end)

  describe("and cancellation:", function()
    it("a cancelled receiver takes nothing", virtual(function()
      local ch = bide.channel()
      local a, b = receiver(ch), receiver(ch)
      a:cancel()
      ch:send "v"
      assert.equal("v", b:await())
      assert.equal("cancelled", a:status())
    end))

    it("a cancelled sender's value is not sent", function()
      local ch = bide.channel()
      local a, b = sender(ch, "a"), sender(ch, "b")
      a:cancel()
      assert.equal("b", ch:recv())
      b:await()
      assert.equal("cancelled", a:status())
      assert.is_nil(ch:try_recv())
    end)

    it("a value handed over before the cancellation is kept; the next wait raises", function()
      local ch, got = bide.channel(), nil
      local raised
      local task = bide.spawn(function()
        got = ch:recv()
        raised = tasks.code(ch.recv, ch)
      end)
      tasks.turns(1)
      ch:send "v"
      task:cancel()
      pcall(task.await, task)
      assert.equal("v", got)
      assert.equal("ECANCELED", raised)
    end)

    it("a send whose value was received before the cancellation has succeeded", function()
      local ch, sent = bide.channel(), false
      local task = bide.spawn(function()
        ch:send "v"
        sent = true
      end)
      tasks.turns(1)
      assert.equal("v", ch:recv())
      task:cancel()
      tasks.turns(2)
      assert.is_true(sent)
      assert.equal("done", task:status())
    end)

    it("one cancelled already takes and sends nothing", function()
      local ch = bide.channel(1)
      ch:send "v"
      local codes = {}
      local task = bide.spawn(function()
        bide.current():cancel()
        codes[1] = tasks.code(ch.recv, ch)
        codes[2] = tasks.code(ch.send, ch, "w")
      end)
      pcall(task.await, task)
      assert.same({ "ECANCELED", "ECANCELED" }, codes)
      assert.equal(1, #ch)
      assert.equal("v", ch:recv())
    end)

    it("an item that arrives on the deadline of recv is returned", virtual(function()
      local ch = bide.channel()
      bide.spawn(function()
        bide.sleep(1)
        ch:send "v"
      end)
      assert.equal("v", bide.timeout(1, ch.recv, ch))
    end))

    it("a receiver that comes on the deadline of send completes it", virtual(function()
      local ch, got = bide.channel(), nil
      bide.spawn(function()
        bide.sleep(1)
        got = ch:recv()
      end)
      bide.timeout(1, ch.send, ch, "v")
      tasks.turns(1)
      assert.equal("v", got)
    end))

    it("a timed out recv or send leaves nothing behind", virtual(function()
      local ch = bide.channel()
      assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, ch.recv, ch))
      assert.is_false(ch:try_send "lost")
      local err = tasks.raised(bide.timeout, 1, ch.send, ch, "v")
      assert.match("channel send", err.message)
      assert.is_nil(ch:try_recv())
    end))

    it("of all but one in any order leaves the one served", function()
      for keep = 1, 5 do
        local ch = bide.channel()
        local list = {}
        for i = 1, 5 do list[i] = receiver(ch) end
        for i = 5, 1, -1 do
          if i ~= keep then list[i]:cancel() end
        end
        ch:send(keep)
        assert.equal(keep, list[keep]:await())
        tasks.turns(2)
      end
    end)
  end)

  it("with nobody left to send is a deadlock of the receiver, told with its place", function()
    local ch = bide.channel()
    local err = tasks.raised(bide.run, function() ch:recv() end)
    assert.equal("EDEADLK", err.code)
    assert.match("channel recv at .*channel_spec.lua", err.message)
  end)

  it("works outside a run but for waiting", function()
    local script = require "spec.support.script"
    local r = script.run [[
      local bide = require "bide"
      setmetatable({}, { __gc = function() -- after the run
        local ch = bide.channel(1)
        print(ch:try_send(1), #ch, ch:try_recv(), ch:closed(), pcall(ch.recv, ch))
        ch:close()
        print(ch:closed())
      end })
    ]]
    assert.match("^true\t1\t1\tfalse\tfalse\t[^\n]+\ntrue\n$", r.out)
  end)

  it("a hand-over keeps memory flat, whatever is cancelled meanwhile", function()
    local ch, n = bide.channel(), tasks.many(3000)
    local function round()
      local task = bide.spawn(function()
        for _ = 1, n do ch:recv() end
      end)
      for i = 1, n do
        ch:send(i)
        if i % 10 == 0 then
          local other = bide.spawn(ch.recv, ch)
          tasks.turns(1)
          if other:status() == "pending" then other:cancel() end
          pcall(other.await, other)
        end
      end
      task:cancel()
      pcall(task.await, task)
    end
    round()
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    round()
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 16)
  end)

  it("does not keep a value that was received or whose send was cancelled", function()
    local ch = bide.channel(2)
    local weak = setmetatable({}, { __mode = "k" })
    local function value()
      local v = {}
      weak[v] = true
      return v
    end
    local waiting = bide.channel()
    do
      ch:send(value())
      ch:recv()
      local a, b = sender(ch, value()), sender(waiting, value())
      ch:recv()
      a:await()
      b:cancel()
      pcall(b.await, b)
      local c = receiver(waiting)
      waiting:send(value())
      c:await()
    end
    tasks.turns(1)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)
end)
