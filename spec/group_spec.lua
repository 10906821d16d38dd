-- SPDX-License-Identifier: MIT
-- group: a scope that outlives none of its tasks.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("group #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("gives the function's results, all of them", function()
    assert.same(table.pack(1, nil, 3, nil), table.pack(bide.group(function() return 1, nil, 3,
      nil end)))
  end)

  it("runs its function in the calling task", function()
    assert.equal(bide.current(), bide.group(function() return bide.current() end))
  end)

  it("returns after all that were spawned in it have ended", virtual(function()
    local log = {}
    local start = bide.now()
    assert.equal("v", bide.group(function(g)
      for i = 1, 3 do
        g:spawn(function()
          bide.sleep(i)
          log[#log + 1] = i
        end)
      end
      return "v"
    end))
    assert.same({ 1, 2, 3 }, log)
    assert.near(3, bide.now() - start, 1e-6)
  end))

  it("gives a task for each spawn, with arguments passed on", function()
    bide.group(function(g)
      local task = g:spawn(function(...) return select("#", ...), ... end, 1, nil)
      assert.same(table.pack(2, 1, nil), table.pack(task:await()))
    end)
  end)

  it("waits also for what a child spawns into it", virtual(function()
    local done = false
    bide.group(function(g)
      g:spawn(function()
        bide.sleep(1)
        g:spawn(function()
          bide.sleep(1)
          done = true
        end)
      end)
    end)
    assert.is_true(done)
  end))

  it("works a second time in a row, nested, and in children", virtual(function()
    local sum = 0
    local function level(depth)
      bide.group(function(g)
        for _ = 1, 3 do
          g:spawn(function()
            bide.sleep(1)
            sum = sum + 1
            if depth > 1 then
              level(depth - 1)
            end
          end)
        end
      end)
    end
    level(3)
    assert.equal(3 + 9 + 27, sum)
    level(1)
    assert.equal(42, sum)
  end))

  describe("when a child fails", function()
    it("cancels the others, waits for them, and raises its error", virtual(function()
      local log, value = {}, {}
      local start = bide.now()
      local err = tasks.raised(bide.group, function(g)
        g:spawn(tasks.waiter(log, "a"))
        g:spawn(tasks.waiter(log, "b"))
        g:spawn(function()
          bide.sleep(1)
          error(value)
        end)
      end)
      assert.equal(value, err)
      assert.same({ "b", "a" }, log)
      assert.near(1, bide.now() - start, 1e-6)
    end))

    it("cancels the function too, at the wait where it stands", virtual(function()
      local inside
      local err = tasks.raised(bide.group, function(g)
        g:spawn(function() error("x", 0) end)
        inside = tasks.code(bide.sleep, 100)
        bide.sleep(100)
      end)
      assert.equal("x", err)
      assert.equal("ECANCELED", inside)
    end))

    it("does so also when the child is awaited and its error caught", virtual(function()
      local log = {}
      local err = tasks.raised(bide.group, function(g)
        local task = g:spawn(function() error("x", 0) end)
        log[1] = pcall(task.await, task)
        bide.sleep(100)
        log[2] = "never"
      end)
      assert.equal("x", err)
      assert.same({ false }, log)
    end))

    it("raises the first error and keeps the others in details", virtual(function()
      local first, second = {}, {}
      local err = tasks.raised(bide.group, function(g)
        g:spawn(function()
          pcall(bide.sleep, 100)
          error(second)
        end)
        g:spawn(function()
          bide.sleep(1)
          error(first)
        end)
      end)
      assert.equal(first, err)
      assert.same({ second, n = 1 }, bide.details(err).others)
    end))
  end)

  it("when its function raises cancels and joins the children, and raises that", virtual(function()
    local log, value = {}, {}
    local err = tasks.raised(bide.group, function(g)
      g:spawn(tasks.waiter(log, "a"))
      bide.sleep(1)
      error(value)
    end)
    assert.equal(value, err)
    assert.same({ "a" }, log)
  end))

  describe("cancel", function()
    it("ends it quietly: no error, no results of a function it interrupted", virtual(function()
      local log = {}
      local results = table.pack(bide.group(function(g)
        g:spawn(tasks.waiter(log, "child"))
        bide.sleep(1)
        g:cancel()
        bide.sleep(1)
        return "never"
      end))
      assert.same({ n = 0 }, results)
      assert.same({ "child" }, log)
    end))

    it("keeps the results of a function that returns all the same", virtual(function()
      local log = {}
      assert.equal("v", bide.group(function(g)
        g:spawn(tasks.waiter(log, "child"))
        bide.sleep(1)
        g:cancel()
        return "v"
      end))
      assert.same({ "child" }, log)
    end))

    it("works from a child", virtual(function()
      local log = {}
      local start = bide.now()
      bide.group(function(g)
        g:spawn(tasks.waiter(log, "other"))
        g:spawn(function()
          bide.sleep(1)
          g:cancel()
        end)
      end)
      assert.same({ "other" }, log)
      assert.near(1, bide.now() - start, 1e-6)
    end))

    it("works from outside the group", virtual(function()
      local group
      local task = bide.spawn(function()
        return bide.group(function(g)
          group = g
          bide.sleep(100)
        end)
      end)
      bide.sleep(1)
      group:cancel()
      assert.same({ n = 0 }, table.pack(task:await()))
      assert.equal("done", task:status())
    end))

    it("lets the calling task wait again afterwards", virtual(function()
      bide.group(function(g) g:cancel() end)
      local start = bide.now()
      bide.sleep(1)
      assert.near(1, bide.now() - start, 1e-6)
    end))
  end)

  describe("refuses to spawn", function()
    it("when it is cancelled: the function does not run", virtual(function()
      local ran, refused = false, false
      bide.group(function(g)
        g:cancel()
        refused = not pcall(g.spawn, g, function() ran = true end)
      end)
      bide.sleep(0)
      assert.is_true(refused)
      assert.is_false(ran)
    end))

    it("when it is over: the function does not run", function()
      local group, ran
      bide.group(function(g) group = g end)
      tasks.raised(group.spawn, group, function() ran = true end)
      bide.sleep(0)
      assert.is_nil(ran)
    end)
  end)

  it("when its caller is cancelled cancels and joins the children", virtual(function()
    local log = {}
    local task = bide.spawn(function()
      bide.group(function(g)
        g:spawn(tasks.waiter(log, "a"))
        g:spawn(tasks.waiter(log, "b"))
        bide.sleep(100)
      end)
    end)
    bide.sleep(1)
    task:cancel()
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.equal("cancelled", task:status())
    assert.same({ "b", "a" }, log)
  end))

  it("when its caller is cancelled while it waits for the children does so as well",
    virtual(function()
    local log = {}
    local task = bide.spawn(function()
      bide.group(function(g) g:spawn(tasks.waiter(log, "a")) end)
    end)
    bide.sleep(1)
    task:cancel()
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.same({ "a" }, log)
  end))

  it("when its caller is cancelled and a child fails over that, raises the child's error", virtual(
    function()
      local value = {}
      local task = bide.spawn(function()
        bide.group(function(g)
          g:spawn(function()
            pcall(bide.sleep, 100)
            error(value)
          end)
          bide.sleep(100)
        end)
      end)
      bide.sleep(1)
      task:cancel()
      assert.equal(value, tasks.raised(task.await, task))
    end))

  it("a child that is cancelled alone does not end the group", virtual(function()
    local log = {}
    local ok = pcall(bide.group, function(g)
      local task = g:spawn(bide.sleep, 100)
      g:spawn(function()
        bide.sleep(2)
        log[#log + 1] = "other ended"
      end)
      bide.sleep(1)
      task:cancel()
    end)
    assert.is_true(ok)
    assert.same({ "other ended" }, log)
  end))

  it("under a timeout is cancelled as a whole", virtual(function()
    local log = {}
    assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, bide.group, function(g)
      g:spawn(tasks.waiter(log, "child"))
    end))
    assert.same({ "child" }, log)
  end))

  it("of ten thousand children", function()
    local n, many = 0, tasks.many(10000)
    bide.group(function(g)
      for _ = 1, many do
        g:spawn(function()
          bide.sleep(0)
          n = n + 1
        end)
      end
    end)
    assert.equal(many, n)
  end)
end)
