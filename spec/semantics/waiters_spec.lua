-- SPDX-License-Identifier: MIT
-- docs/reference/semantics.md, "Several waiters": a block of specs for each row, titled with its
-- words.
local bide = require "bide"
local clocks = require "spec.support.clocks"
local tasks = require "spec.support.tasks"
local both = clocks.both(it)

--- A task that stands in its first wait.
local function waiting(f, ...)
  local task = bide.spawn(f, ...)
  tasks.turns(1)
  return task
end

local function never() bide.future():await() end

--- Starts two tasks that wait for the same, has one of it come, cancels the first waiter in the
--- same turn, before or after it came. Returns what either task has, and the code of the first
--- one's next wait.
local function two_waiters(take, give, cancel_first)
  local got, code = {}, nil
  local function taker(i)
    return function()
      got[i] = take()
      if i == 1 then code = tasks.code(bide.sleep, 0) end
    end
  end
  local first, second = waiting(taker(1)), waiting(taker(2))
  if cancel_first then first:cancel() end
  give "x"
  first:cancel()
  pcall(first.await, first)
  tasks.turns(2)
  if second:status() == "pending" then second:cancel() end
  pcall(second.await, second)
  return got, code
end

--- What hands over one thing at a time: take() waits for it, give(x) has one come and doesn't wait;
--- left() says what is there when nobody took it.
local function channel()
  local ch = bide.channel()
  local sender
  return {
    take = function() return ch:recv() end,
    give = function(x)
      sender = bide.spawn(function() bide.try(ch.send, ch, x) end)
      tasks.turns(1)
    end,
    left = function() return ch:try_recv() end,
    finish = function()
      ch:close()
      sender:await()
    end,
  }
end

local function buffered()
  local ch = bide.channel(1)
  return {
    take = function() return ch:recv() end, give = function(x) ch:try_send(x) end,
    left = function() return ch:try_recv() end, finish = function() end,
  }
end

local function selected()
  local ch = bide.channel(1)
  return {
    take = function() return select(2, bide.select { { ch }, { bide.channel() } }) end,
    give = function(x) ch:try_send(x) end,
    left = function() return ch:try_recv() end, finish = function() end,
  }
end

local function permits(object, free)
  local held, guards = object:acquire(), {}
  return {
    take = function()
      guards[#guards + 1] = object:acquire()
      return "x"
    end,
    give = function() held:release() end,
    left = function()
      for _, guard in ipairs(guards) do guard:release() end
      return free(object) and "x" or nil
    end,
    finish = function() end,
  }
end

local function lock() return permits(bide.lock(), function(o) return not o:locked() end) end
local function semaphore()
  return permits(bide.semaphore(1), function(o) return o:available() == 1 end)
end

local things = { channel = channel, buffered = buffered, select = selected, lock = lock,
  semaphore = semaphore }

describe("several waiters #core", function()
  before_each(function()
    pcall(bide.tcp.connect, "127.0.0.1", 1) -- what the net opens at its first use stays open
    tasks.mark()
  end)
  after_each(tasks.check)

  describe("channel item, lock or permit given to a waiter that is cancelled in the same "
    .. "turn", function()
    it("if the operation had completed, the waiter gets it (and its next wait raises)", function()
      for name, make in pairs(things) do
        if name ~= "channel" then -- there the giver needs a turn
          local thing = make()
          local got, code = two_waiters(thing.take, thing.give)
          assert.same({ "x" }, got, name)
          assert.equal("ECANCELED", code, name)
          thing.left()
          thing.finish()
        end
      end
    end)

    it("else it goes to the next waiter", function()
      for name, make in pairs(things) do
        local thing = make()
        local got = two_waiters(thing.take, thing.give, true)
        assert.same({ nil, "x" }, got, name)
        thing.left()
        thing.finish()
      end
    end)

    it("or stays: never lost", function()
      for name, make in pairs(things) do
        local thing = make()
        local only = waiting(thing.take)
        only:cancel()
        thing.give "x"
        pcall(only.await, only)
        assert.equal("x", thing.left(), name)
        thing.finish()
      end
    end)

    it("a sender that is cancelled has sent, or not: never half", function()
      for _, received in ipairs { false, true } do
        local ch, code = bide.channel(), nil
        local sender = waiting(function()
          ch:send "x"
          code = tasks.code(bide.sleep, 0)
        end)
        local got = received and ch:try_recv()
        sender:cancel()
        pcall(sender.await, sender)
        assert.equal(received and "x", got)
        assert.equal(received and "ECANCELED" or nil, code)
        assert.is_nil(ch:try_recv())
      end
    end)

    it("a notification goes to the next waiter too", function()
      local condition, woken = bide.condition(), {}
      local function waiter(i)
        return waiting(function()
          local _ <close> = condition:acquire()
          condition:wait()
          woken[#woken + 1] = i
        end)
      end
      local first, second = waiter(1), waiter(2)
      first:cancel()
      condition:with(condition.notify, condition)
      second:await()
      pcall(first.await, first)
      assert.same({ 2 }, woken)
    end)
  end)

  describe("`recv` under a timeout, item arrives on the deadline", function()
    both("the item is returned", function(s, meet)
      for _, capacity in ipairs { 0, 1 } do
        local ch = bide.channel(capacity)
        local sender = bide.spawn(function()
          bide.sleep(s)
          ch:send "item"
        end)
        tasks.turns(1)
        local receiver = bide.spawn(bide.timeout, s, ch.recv, ch)
        local selector = bide.spawn(function()
          receiver:await()
          return bide.select { { ch }, timeout = 0 }
        end)
        tasks.turns(1)
        meet(2)
        assert.equal("item", receiver:await())
        assert.is_nil(selector:await())
        sender:await()
      end
    end)

    both("as it is by select", function(s, meet)
      local ch = bide.channel()
      local sender = bide.spawn(function()
        bide.sleep(s)
        ch:send "item"
      end)
      tasks.turns(1)
      local selector = bide.spawn(bide.select, { { ch }, timeout = s })
      tasks.turns(1)
      meet(2)
      assert.same({ 1, "item" }, { selector:await() })
      sender:await()
    end)
  end)

  describe("closing a channel, stream, server with waiters", function()
    it("every waiter of a channel wakes: the end, or `EBADF` where there is none", function()
      local ch, ends, codes = bide.channel(), 0, {}
      local receivers, senders = {}, {}
      for i = 1, 3 do
        receivers[i] = waiting(function()
          assert.equal(0, select("#", ch:recv()))
          ends = ends + 1
        end)
      end
      ch:close()
      for i = 1, 3 do receivers[i]:await() end
      assert.equal(3, ends)
      ch = bide.channel()
      for i = 1, 3 do senders[i] = waiting(function() codes[i] = tasks.code(ch.send, ch, i) end) end
      local selecting = waiting(function() codes[4] = tasks.code(bide.select, { { ch, 4 } }) end)
      ch:close()
      for i = 1, 3 do senders[i]:await() end
      selecting:await()
      assert.same({ "EBADF", "EBADF", "EBADF", "EBADF" }, codes)
    end)

    it("every waiter of a stream wakes with `EBADF`", function()
      local accepted = bide.channel()
      local server <close> = bide.tcp.listen("127.0.0.1", 0, function(stream)
        accepted:send(stream:detach())
      end, { daemon = true })
      local stream, other = bide.tcp.connect(server:address()), accepted:recv()
      local reader = waiting(stream.read, stream)
      local writers = {}
      for i = 1, 2 do writers[i] = waiting(stream.write, stream, ("x"):rep(16 << 20)) end
      local closing = waiting(stream.close, stream)
      for _, task in ipairs { reader, table.unpack(writers) } do
        assert.equal("EBADF", tasks.code(task.await, task))
      end
      closing:cancel()
      pcall(closing.await, closing)
      other:close()
    end)

    it("every waiter of a server wakes, and of a socket", function()
      local server = bide.tcp.listen("127.0.0.1", 0, function() end)
      local first, second = waiting(server.wait, server), waiting(server.wait, server)
      server:close()
      first:await()
      second:await()
      local socket = bide.udp.bind("127.0.0.1", 0)
      local reader = waiting(socket.recv, socket)
      socket:close()
      assert.equal("EBADF", tasks.code(reader.await, reader))
    end)
  end)

  describe("two tasks read one stream at once", function()
    it("the second raises at once", function()
      local accepted = bide.channel()
      local server <close> = bide.tcp.listen("127.0.0.1", 0, function(stream)
        accepted:send(stream:detach())
      end, { daemon = true })
      local stream <close> = bide.tcp.connect(server:address())
      local other <close> = accepted:recv()
      local first = waiting(stream.read, stream)
      local ran = false
      local bystander = bide.spawn(function() ran = true end)
      for _, method in ipairs { "read", "read_line", "read_all" } do
        assert.equal("EBUSY", tasks.code(stream[method], stream))
      end
      assert.is_false(ran)
      other:write "for the first"
      assert.equal("for the first", first:await())
      bystander:await()
    end)

    it("the same for two awaits of one `udp:recv`", function()
      local socket <close> = bide.udp.bind("127.0.0.1", 0)
      local first = waiting(socket.recv, socket)
      assert.equal("EBUSY", tasks.code(socket.recv, socket))
      socket:send("x", socket:address())
      assert.equal("x", (first:await()))
    end)
  end)

  describe("the holder of a lock ends", function()
    it("its guard is to-be-closed, whatever way it ends", function()
      local object = bide.lock()
      local function cancel_itself()
        bide.current():cancel()
        bide.sleep(0)
      end
      for _, ending in ipairs { function() end, error, cancel_itself } do
        local holder = bide.spawn(function()
          local _ <close> = object:acquire()
          bide.sleep(0)
          ending()
        end)
        local following = waiting(function()
          local _ <close> = object:acquire()
        end)
        pcall(holder.await, holder)
        following:await()
        assert.is_false(object:locked())
      end
    end)

    it("a guard collected while held is an unhandled error that names where it was acquired, and "
      .. "the lock is released", function()
      for _, object in ipairs { bide.lock(), bide.semaphore(1) } do
        local line
        local seen = tasks.unhandled(function()
          bide.spawn(function()
            line = debug.getinfo(1, "l").currentline + 1
            object:acquire()
          end):await()
          local following = waiting(function()
            local _ <close> = object:acquire()
            return "got it"
          end)
          collectgarbage()
          collectgarbage()
          assert.equal("got it", following:await())
          tasks.turns(2)
        end)
        assert.equal(1, #seen)
        assert.equal("ELOST", seen[1].err.code)
        assert.match("acquired at .*waiters_spec%.lua:" .. line, seen[1].err.message)
      end
    end)
  end)

  describe("race, both ready", function()
    it("lowest index", function()
      local a, b = bide.future(), bide.future()
      b:resolve "b"
      a:resolve "a"
      assert.equal("a", bide.race { a, b })
      assert.equal("b", bide.race { b, a })
      assert.equal("f", bide.race { function() return "f" end, function() return "g" end })
    end)

    both("also when both become so in one turn", function(s, meet)
      local function after(value)
        return function()
          bide.sleep(s)
          return value
        end
      end
      assert.equal("a", bide.race { after "a", after "b", function() meet(2) never() end })
    end)

    both("losers joined if owned, untouched if merely handed in", function(s)
      local log, handed = {}, bide.spawn(bide.sleep, 1000 * s)
      assert.equal("first", bide.race { function()
        bide.sleep(s)
        return "first"
      end, handed, function()
        local _ <close> = setmetatable({}, { __close = function()
          bide.shield(bide.sleep, s)
          log[1] = "joined"
        end })
        never()
      end })
      assert.same({ "joined" }, log)
      assert.equal("pending", handed:status())
      handed:cancel()
      tasks.turns(1)
    end)

    it("waiters unlinked (races on one long-lived task must not grow memory)", function()
      local long = waiting(never)
      local n = tasks.many(2000)
      local function races()
        for _ = 1, n do bide.race { long, function() end } end
        collectgarbage()
        collectgarbage()
        return collectgarbage "count"
      end
      races()
      local before = races()
      assert.is_true(races() - before < 1)
      long:cancel()
      tasks.turns(1)
    end)
  end)
end)
