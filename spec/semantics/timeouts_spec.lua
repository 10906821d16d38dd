-- SPDX-License-Identifier: MIT
-- docs/reference/semantics.md, "Timeouts": a block of specs for each row, titled with its words.
local bide = require "bide"
local clocks = require "spec.support.clocks"
local tasks = require "spec.support.tasks"
local both = clocks.both(it)

--- A function whose clean-up waits, and notes in `log` when it has ended.
local function cleaning(log, seconds)
  return function()
    local _ <close> = setmetatable({}, {
      __close = function()
        bide.shield(bide.sleep, seconds)
        log[#log + 1] = "cleaned up"
      end,
    })
    bide.future():await()
  end
end

describe("timeouts #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("expires while waiting", function()
    both("what is inside is cancelled and joined, then code=\"ETIMEDOUT\", `err.after`, and what "
      .. "it was waiting for in `err.message`", function(s)
      local log, ch = {}, bide.channel()
      local err = tasks.raised(bide.timeout, s, function()
        bide.gather(cleaning(log, s), cleaning(log, 2 * s))
      end)
      assert.equal("ETIMEDOUT", err.code)
      assert.equal(s, err.after)
      assert.match("waiting in gather", err.message)
      assert.same({ "cleaned up", "cleaned up" }, log)
      assert.match("channel recv", tasks.raised(bide.timeout, s, ch.recv, ch).message)
      assert.match("sleep", tasks.raised(bide.timeout, s, bide.sleep, 1000 * s).message)
    end)

    both("an awaitable is not cancelled: only the waiting stops", function(s)
      local task = bide.spawn(bide.sleep, 1000 * s)
      assert.equal("ETIMEDOUT", tasks.code(bide.timeout, s, task))
      assert.equal("pending", task:status())
      task:cancel()
    end)

    both("only its own deadline's cancellation is turned into it", function(s)
      local task = bide.spawn(function() bide.timeout(1000 * s, bide.sleep, 2000 * s) end)
      bide.sleep(s)
      task:cancel()
      assert.equal("ECANCELED", tasks.code(task.await, task))
      assert.equal("cancelled", task:status())
      local other = bide.spawn(bide.sleep, 1000 * s)
      local canceller = bide.spawn(function()
        bide.sleep(s)
        other:cancel()
      end)
      local err = tasks.raised(bide.timeout, 1000 * s, function() other:await() end)
      assert.equal("ECANCELED", err.code)
      assert.equal(other, err.task)
      canceller:await()
    end)
  end)

  describe("completion and deadline in one loop turn", function()
    both("completion wins: of a sleep", function(s, meet)
      assert.equal("v", bide.timeout(2 * s, function()
        bide.spawn(meet, 3)
        bide.sleep(2 * s)
        return "v"
      end))
    end)

    both("completion wins, nothing is lost: of a future, an event, a channel, a lock",
      function(s, meet)
      local future, event, ch, lock = bide.future(), bide.event(), bide.channel(), bide.lock()
      local guard = lock:acquire()
      local helper = bide.spawn(function()
        bide.sleep(2 * s)
        future:resolve "v"
        event:set()
        guard:release()
        ch:send "item"
      end)
      local function under(f, ...) return bide.spawn(bide.timeout, 2 * s, f, ...) end
      tasks.turns(1)
      local waits = { under(future), under(event.wait, event), under(ch.recv, ch),
        under(lock.acquire, lock), under(helper) }
      tasks.turns(1)
      meet(4)
      assert.equal("v", waits[1]:await())
      waits[2]:await()
      assert.equal("item", waits[3]:await())
      waits[4]:await():release()
      waits[5]:await()
    end)
  end)

  describe("cancel after the result arrived, before the task ran", function()
    both("the value is kept, the next wait raises", function(s)
      local future, got, code = bide.future(), nil, nil
      local task = bide.spawn(function()
        bide.timeout(1000 * s, function()
          got = future:await()
          code = tasks.code(bide.sleep, 0)
        end)
      end)
      bide.sleep(s)
      future:resolve "v"
      task:cancel()
      pcall(task.await, task)
      assert.equal("v", got)
      assert.equal("ECANCELED", code)
    end)
  end)

  describe("zero, past", function()
    both("the body runs to its first wait, which is polled once: else timeout", function(s)
      local log = {}
      assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 0, function()
        log[#log + 1] = "ran"
        bide.sleep(s)
        log[#log + 1] = "never"
      end))
      assert.same({ "ran" }, log)
    end)

    both("ready goes on", function(s, meet)
      local done, ch = bide.future(), bide.channel(1)
      done:resolve "ready"
      ch:send "item"
      assert.equal("ready", bide.timeout(0, done))
      assert.equal("ready", bide.timeout(0, function() return done:await() end))
      assert.equal("item", bide.timeout(0, ch.recv, ch))
      bide.timeout(0, bide.sleep, 0)
      -- past: a deadline that went by while the body computed
      assert.equal("ready", bide.timeout(s, function()
        meet(2)
        return done:await()
      end))
    end)
  end)

  describe("body never waits", function()
    both("no timeout", function(s, meet)
      assert.equal("slow", bide.timeout(s, function()
        meet(3)
        return "slow"
      end))
      assert.equal("body", bide.timeout(0, function() return "body" end))
    end)

    it("the end of a slice only switches, it never raises; exceptions: `compute` tasks", function()
      local function long()
        local past = bide.now() + 0.03
        while bide.now() < past do end
        return "whole"
      end
      local ok, compute = pcall(bide.compute, long) -- a slicer runs beside the ordinary task
      assert.equal("whole", bide.timeout(0.001, long))
      if not ok then return end
      assert.equal("whole", compute:await())
      local struck = bide.compute(bide.timeout, 0.001, long)
      assert.equal("ETIMEDOUT", tasks.code(struck.await, struck))
    end)
  end)

  describe("nested, outer shorter / equal", function()
    both("equal: outer raises; the inner one is not reported as expired", function(s, meet)
      local inner
      local err = tasks.raised(bide.timeout, s, function()
        bide.spawn(meet, 2)
        inner = tasks.raised(bide.timeout, s, bide.sleep, 1000 * s)
        error(inner, 0)
      end)
      assert.equal("ETIMEDOUT", err.code)
      assert.equal("ECANCELED", inner.code)
    end)

    both("outer shorter: outer raises; the inner one is not reported as expired", function(s, meet)
      for _, both_past in ipairs { false, true } do
        local inner
        local err = tasks.raised(bide.timeout, s, function()
          if both_past then bide.spawn(meet, 4) end
          inner = tasks.raised(bide.timeout, 2 * s, bide.sleep, 1000 * s)
          error(inner, 0)
        end)
        assert.equal("ECANCELED", inner.code)
        assert.equal("ETIMEDOUT", err.code)
        assert.equal(s, err.after)
      end
    end)

    both("inner shorter: the inner raises, the outer one goes on", function(s)
      assert.equal(s, bide.timeout(1000 * s, function()
        local err = tasks.raised(bide.timeout, s, bide.sleep, 1000 * s)
        bide.sleep(0)
        return err.after
      end))
    end)
  end)

  describe("body swallows it and returns", function()
    both("each later wait raises again", function(s)
      local codes = {}
      pcall(bide.timeout, s, function()
        for i = 1, 3 do codes[i] = tasks.code(bide.sleep, 1000 * s) end
        codes[4] = tasks.code(bide.sleep, 0)
      end)
      assert.same({ "ECANCELED", "ECANCELED", "ECANCELED", "ECANCELED" }, codes)
      bide.sleep(0)
    end)

    both("a plain return is returned", function(s)
      assert.equal("v", bide.timeout(s, function()
        pcall(bide.sleep, 1000 * s)
        return "v"
      end))
      bide.sleep(0)
    end)
  end)

  describe("clean-up raises something else", function()
    both("that error; `bide.details(err).during` is \"timeout\"", function(s)
      local caught, closed = {}, {}
      local err = tasks.raised(bide.timeout, s, function()
        pcall(bide.sleep, 1000 * s)
        error(caught)
      end)
      assert.equal(caught, err)
      assert.equal("timeout", bide.details(err).during)
      err = tasks.raised(bide.timeout, s, function()
        local _ <close> = setmetatable({}, { __close = function() error(closed) end })
        bide.sleep(1000 * s)
      end)
      assert.equal(closed, err)
      assert.equal("timeout", bide.details(err).during)
      err = tasks.raised(bide.timeout, s, error, {})
      assert.is_nil(bide.details(err).during)
    end)
  end)
end)
