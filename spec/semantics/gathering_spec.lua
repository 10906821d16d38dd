-- SPDX-License-Identifier: MIT
-- The edge cases of gathering, a row of the table each.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

local function raising(value, s)
  return function()
    bide.sleep(s or 0)
    error(value, 0)
  end
end

describe("gathering #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("nothing", function()
    it("gives nothing, or an empty table, without waiting", function()
      local ran = false
      local other = bide.spawn(function() ran = true end)
      assert.equal(0, select("#", bide.gather()))
      assert.same({ n = 0 }, bide.gather {})
      assert.is_false(ran)
      other:await()
    end)

    it("is an error where there must be a first", function()
      assert.match("empty", tostring(tasks.raised(bide.race, {})))
    end)
  end)

  it("the same awaitable twice awaits it once and fills both places", function()
    local runs = 0
    local task = bide.spawn(function()
      runs = runs + 1
      return "v"
    end)
    assert.same({ "v", "v" }, { bide.gather(task, task) })
    assert.same({ n = 3, "v", "v", "v", k = "v" }, bide.gather { task, task, task, k = task })
    assert.equal(1, runs)
  end)

  it("the same function twice is two tasks", function()
    local runs = 0
    local function f()
      runs = runs + 1
      return runs
    end
    assert.same({ 1, 2 }, { bide.gather(f, f) })
  end)

  describe("what cannot be awaited", function()
    it("is an argument error before anything is started", function()
      for _, bad in ipairs { 42, "x", true, {} } do
        local ran = false
        local function f() ran = true end
        local err = tasks.raised(bide.gather, f, bad)
        assert.match("gather", tostring(err))
        assert.match("#2", tostring(err))
        bide.sleep(0)
        assert.is_false(ran)
      end
    end)

    it("is so in the table form, and names the index or the key", function()
      local ran = false
      local function f() ran = true end
      assert.match("2", tostring(tasks.raised(bide.gather, { f, 42 })))
      assert.match("user", tostring(tasks.raised(bide.gather, { f, user = 42 })))
      bide.sleep(0)
      assert.is_false(ran)
    end)

    it("a hole in the list is one", function()
      local ran = false
      local function f() ran = true end
      tasks.raised(bide.gather, { f, nil, f })
      tasks.raised(bide.gather, f, nil, f)
      bide.sleep(0)
      assert.is_false(ran)
    end)
  end)

  describe("what has finished already", function()
    it("gives values at once", function()
      local future = bide.future()
      future:resolve "v"
      local ran = false
      local other = bide.spawn(function() ran = true end)
      assert.same({ "v", "v" }, { bide.gather(future, future) })
      assert.is_false(ran)
      other:await()
    end)

    it("is still a point where a pending cancel is raised", function()
      local future = bide.future()
      future:resolve "v"
      local task = bide.spawn(function()
        bide.current():cancel()
        bide.gather(future)
      end)
      assert.equal("ECANCELED", tasks.code(task.await, task))
    end)
  end)

  describe("when one fails while others run", function()
    it("the owned others are cancelled and waited for, then the error is raised", virtual(function()
      local log = {}
      local err = tasks.raised(bide.gather, raising "x", function()
        local _ <close> = setmetatable({}, {
          __close = function()
            bide.shield(function()
              bide.sleep(5)
              log[#log + 1] = "cleaned up"
            end)
          end,
        })
        bide.sleep(100)
      end)
      assert.equal("x", err)
      assert.same({ "cleaned up" }, log)
    end))

    it("awaitables handed in run on", virtual(function()
      local task = bide.spawn(function()
        bide.sleep(3)
        return "ran on"
      end)
      assert.equal("x", tasks.raised(bide.gather, task, raising "x"))
      assert.equal("pending", task:status())
      assert.equal("ran on", task:await())
    end))

    it("an awaitable that fails cancels the owned others too", virtual(function()
      local log = {}
      local task = bide.spawn(raising("x", 1))
      assert.equal("x", tasks.raised(bide.gather, task, tasks.waiter(log, "cancelled")))
      assert.same({ "cancelled" }, log)
    end))
  end)

  describe("when several fail", function()
    it("the first to end is raised", virtual(function()
      assert.equal("early", tasks.raised(bide.gather, raising("late", 2), raising("early", 1)))
    end))

    it("a tie goes by the order of starting", virtual(function()
      assert.equal("first", tasks.raised(bide.gather, raising("first", 1), raising("second", 1)))
    end))

    it("the others stand in details, and are never raised or reported again", virtual(function()
      local value, other = {}, {}
      local seen = tasks.unhandled(function()
        bide.run(function()
          local err = tasks.raised(bide.gather, raising(value, 1), function()
            pcall(bide.sleep, 10)
            error(other)
          end)
          assert.equal(value, err)
          assert.same({ other }, bide.details(err).others)
        end)
      end)
      assert.is_nil(next(value))
      assert.same({}, seen)
    end))

    it("both in one turn: the second is not lost", virtual(function()
      local a, b = {}, {}
      local err = tasks.raised(bide.gather, raising(a, 1), raising(b, 1))
      assert.equal(a, err)
      assert.equal(b, bide.details(err).others[1])
    end))
  end)

  it("counts a member that is cancelled from outside as a failure that names it", virtual(function()
    local member = bide.spawn(bide.sleep, 100)
    local log = {}
    bide.spawn(function()
      bide.sleep(1)
      member:cancel()
    end)
    local err = tasks.raised(bide.gather, member, tasks.waiter(log, "other"))
    assert.equal("ECANCELED", err.code)
    assert.equal(member, err.task)
    assert.same({ "other" }, log)
  end))

  describe("when the caller is cancelled", function()
    it("owned members are cancelled and awaited, handed-in ones run on", virtual(function()
      local log = {}
      local member = bide.spawn(function()
        bide.sleep(5)
        return "v"
      end)
      local task = bide.spawn(function() bide.gather(member, tasks.waiter(log, "owned")) end)
      bide.sleep(1)
      task:cancel()
      pcall(task.await, task)
      assert.equal("cancelled", task:status())
      assert.same({ "owned" }, log)
      assert.equal("v", member:await())
    end))

    it("and a member swallows that and returns, the caller is cancelled still", virtual(function()
      local task = bide.spawn(function()
        return bide.gather(function()
          pcall(bide.sleep, 100)
          return "swallowed"
        end)
      end)
      bide.sleep(1)
      task:cancel()
      assert.equal("ECANCELED", tasks.code(task.await, task))
      assert.equal("cancelled", task:status())
    end))
  end)

  it("cancels in the reverse order of starting", virtual(function()
    local log = {}
    pcall(bide.gather, tasks.waiter(log, 1), tasks.waiter(log, 2), raising "x", tasks.waiter(log,
      4))
    assert.same({ 4, 2, 1 }, log)
  end))

  it("called when already cancelled raises before anything is started", function()
    local ran = false
    local task = bide.spawn(function()
      bide.current():cancel()
      bide.gather(function() ran = true end)
    end)
    assert.equal("ECANCELED", tasks.code(task.await, task))
    assert.is_false(ran)
  end)

  it("from within a cancelled scope raises before anything is started, shields excepted",
    virtual(function()
    local log = {}
    pcall(bide.timeout, 1, function()
      pcall(bide.sleep, 10)
      log[1] = tasks.code(bide.gather, function() log[#log + 1] = "never" end)
      log[2] = bide.shield(function() return bide.gather(function() return "shielded" end) end)
    end)
    assert.same({ "ECANCELED", "shielded" }, log)
  end))

  describe("oneself", function()
    it("raises EDEADLK when a task awaits itself", function()
      local task = bide.spawn(function() bide.current():await() end)
      assert.equal("EDEADLK", tasks.code(task.await, task))
    end)


    it("raises EDEADLK when it gathers itself", function()
      local task = bide.spawn(function() bide.gather(bide.current()) end)
      assert.equal("EDEADLK", tasks.code(task.await, task))
    end)

    it("raises EDEADLK at the await that closes a cycle", function()
      local a, b, closed_at
      a = bide.spawn(function() return b:await() end)
      b = bide.spawn(function()
        local err = tasks.raised(a.await, a)
        closed_at = err.code
        return "b went on"
      end)
      assert.equal("b went on", a:await())
      assert.equal("EDEADLK", closed_at)
    end)

    it("raises EDEADLK for a cycle of fifty", function()
      local ring, codes = {}, 0
      for i = 1, 50 do
        ring[i] = bide.spawn(function()
          local following = ring[i % 50 + 1]
          local ok, err = pcall(following.await, following)
          if not ok and err.code == "EDEADLK" then
            codes = codes + 1
          end
        end)
      end
      ring[1]:await()
      assert.equal(1, codes)
    end)
  end)
end)
