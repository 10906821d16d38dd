-- SPDX-License-Identifier: MIT
-- run: a main function and all that is spawned beneath it, here as a child of the task that calls.
-- What a run does at top level stands in spec/toplevel_spec.lua.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("run inside a task #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("returns main's results, all of them", function()
    assert.same(table.pack(1, nil, 3, nil), table.pack(bide.run(function(...) return ... end, 1,
      nil, 3, nil)))
    assert.equal(0, select("#", bide.run(function() end)))
  end)

  it("runs main in a task of its own", function()
    assert.not_equal(bide.current(), bide.run(bide.current))
  end)

  it("waits for every task spawned in it", virtual(function()
    local log = {}
    local start = bide.now()
    bide.run(function()
      bide.spawn(function()
        bide.sleep(1)
        bide.spawn(function()
          bide.sleep(1)
          log[#log + 1] = "grandchild"
        end)
        log[#log + 1] = "child"
      end)
      log[#log + 1] = "main"
    end)
    assert.same({ "main", "child", "grandchild" }, log)
    assert.near(2, bide.now() - start, 1e-6)
  end))

  it("does not wait for tasks that others spawned", virtual(function()
    local other = bide.spawn(bide.sleep, 100)
    local start = bide.now()
    bide.run(function() end)
    assert.equal(start, bide.now())
    other:cancel()
    pcall(other.await, other)
  end))

  it("lets the other tasks run meanwhile", virtual(function()
    local ran = false
    local other = bide.spawn(function() ran = true end)
    bide.run(bide.sleep, 1)
    assert.is_true(ran)
    other:await()
  end))

  it("works several times in a row, and nested", function()
    for i = 1, 3 do
      assert.equal(i, bide.run(function() return i end))
    end
    assert.equal("deep", bide.run(bide.run, bide.run, function()
      bide.sleep(0)
      return "deep"
    end))
  end)

  it("works in a plain coroutine", function()
    assert.equal(1, coroutine.wrap(function()
      return bide.run(function()
        bide.sleep(0)
        return 1
      end)
    end)())
  end)

  describe("when main raises", function()
    it("raises that value untouched", function()
      local value = {}
      assert.equal(value, tasks.raised(bide.run, error, value))
      assert.same(table.pack(false, nil), table.pack(pcall(bide.run, error)))
    end)

    it("cancels all other tasks and waits for them before it does", virtual(function()
      local log = {}
      local err = tasks.raised(bide.run, function()
        bide.spawn(tasks.waiter(log, "a"))
        bide.spawn(function()
          local _ <close> = setmetatable({}, {
            __close = function()
              bide.shield(bide.sleep, 3)
              log[#log + 1] = "b"
            end,
          })
          bide.sleep(100)
        end)
        bide.sleep(1)
        error("x", 0)
      end)
      assert.equal("x", err)
      assert.same({ "a", "b" }, log)
    end))
  end)

  it("goes on when a spawned task fails, and reports it at its end", virtual(function()
    local seen = tasks.unhandled(function()
      assert.equal("v", bide.run(function()
        bide.spawn(error, "lost")
        bide.sleep(5)
        return "v"
      end))
    end)
    assert.equal(1, #seen)
    assert.equal("lost", seen[1].err)
  end))

  describe("and cancellation:", function()
    it("of the calling task reaches main and every task of the run", virtual(function()
      local log = {}
      local task = bide.spawn(function()
        bide.run(function()
          bide.spawn(tasks.waiter(log, "child"))
          tasks.waiter(log, "main")()
        end)
      end)
      bide.sleep(1)
      task:cancel()
      assert.equal("ECANCELED", tasks.code(task.await, task))
      table.sort(log)
      assert.same({ "child", "main" }, log)
    end))

    it("that main turns into an error of its own raises that", virtual(function()
      local value = {}
      local task = bide.spawn(function()
        bide.run(function()
          pcall(bide.sleep, 100)
          error(value)
        end)
      end)
      bide.sleep(1)
      task:cancel()
      assert.equal(value, tasks.raised(task.await, task))
    end))

    it("of a spawner does not reach what it spawned", virtual(function()
      local ended = false
      bide.run(function()
        local spawner = bide.spawn(function()
          bide.spawn(function()
            bide.sleep(5)
            ended = true
          end)
          bide.sleep(100)
        end)
        bide.sleep(1)
        spawner:cancel()
      end)
      assert.is_true(ended)
    end))

    it("by a deadline around it reaches all of it", virtual(function()
      local log = {}
      assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, bide.run, function()
        bide.spawn(tasks.waiter(log, "child"))
        bide.sleep(100)
      end))
      assert.same({ "child" }, log)
    end))
  end)

  describe("with daemons", function()
    it("does not wait for them: they are cancelled when all others have ended", virtual(function()
      local log = {}
      local start = bide.now()
      bide.run(function()
        bide.daemon(tasks.waiter(log, "daemon"))
        bide.sleep(1)
        log[#log + 1] = "main"
      end)
      assert.same({ "main", "daemon" }, log)
      assert.near(1, bide.now() - start, 1e-6)
    end))

    it("waits for their clean-up", virtual(function()
      local cleaned = false
      bide.run(function()
        bide.daemon(function()
          local _ <close> = setmetatable({}, {
            __close = function()
              bide.shield(bide.sleep, 2)
              cleaned = true
            end,
          })
          bide.sleep(100)
        end)
        bide.sleep(1)
      end)
      assert.is_true(cleaned)
    end))

    it("runs them while tasks are left", virtual(function()
      local ticks = 0
      bide.run(function()
        bide.daemon(function()
          while true do
            bide.sleep(1)
            ticks = ticks + 1
          end
        end)
        bide.spawn(bide.sleep, 5.5)
      end)
      assert.equal(5, ticks)
    end))

    it("takes what a daemon spawns for a daemon", virtual(function()
      local start = bide.now()
      bide.run(function()
        bide.daemon(function()
          bide.spawn(bide.sleep, 100)
          bide.sleep(100)
        end)
        bide.sleep(1)
      end)
      assert.near(1, bide.now() - start, 1e-6)
    end))

    it("can await them like other tasks", function()
      assert.equal("v", bide.run(function()
        return bide.daemon(function() return "v" end):await()
      end))
    end)

    it("reports a daemon's error at once", virtual(function()
      local at
      local seen = tasks.unhandled(function()
        bide.run(function()
          bide.daemon(error, "from a daemon")
          bide.sleep(1)
          at = bide.now()
          bide.sleep(5)
        end)
      end)
      assert.equal(1, #seen)
      assert.equal("from a daemon", seen[1].err)
      assert.truthy(at)
    end))
  end)
end)
