-- SPDX-License-Identifier: MIT
-- Errors: what bide raises, how values pass from task to task, try and details.
local bide = require "bide"
local tasks = require "spec.support.tasks"

describe("an error #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("raised by bide", function()
    local err

    before_each(function()
      err = tasks.raised(bide.timeout, 0, bide.future())
    end)

    it("is a table with the metatable bide.Error", function()
      assert.equal("table", type(err))
      assert.equal(bide.Error, getmetatable(err))
    end)

    it("has code, message and where", function()
      assert.equal("ETIMEDOUT", err.code)
      assert.equal("string", type(err.message))
      assert.match("error_spec%.lua:%d+", tasks.raised(function() bide.timeout(0,
        bide.future()) end).where)
    end)

    it("reads as text with its code at the end", function()
      assert.match("%(ETIMEDOUT%)$", tostring(err))
    end)

    it("reads with a colon where there is no target", function()
      assert.matches("^timeout: after 0 s", tostring(err))
      assert.is_nil(err.target)
    end)

    it("of a wait that is refused, for the task is cancelled, tells which", function()
      local seen = {}
      local task = bide.spawn(function()
        pcall(bide.sleep, 60)
        for name, wait in pairs {
          sleep = function() bide.sleep(60) end,
          await = function() bide.future():await() end,
          gather = function() bide.gather(function() end) end,
          recv = function() bide.channel():recv() end,
          timeout = function() bide.timeout(1, bide.sleep, 60) end,
        } do
          local _, refused = pcall(wait)
          seen[name] = tostring(refused)
        end
      end)
      bide.sleep(0)
      task:cancel()
      pcall(task.await, task)
      for name, text in pairs(seen) do
        assert.equal(name .. ": the task was cancelled (ECANCELED)", text)
      end
      assert.is_string(seen.recv)
    end)

    it("by a task in which only C functions run has where it was spawned", function()
      local line = debug.getinfo(1, "l").currentline + 1
      local task = bide.spawn(bide.timeout, 0, bide.future())
      assert.matches("error_spec.lua:" .. line .. "$", tasks.raised(task.await, task).where)
    end)

    it("is told by is_timeout and is_cancelled", function()
      assert.is_true(bide.is_timeout(err))
      assert.is_false(bide.is_cancelled(err))
      assert.is_false(bide.is_timeout "ETIMEDOUT")
      assert.is_false(bide.is_timeout(nil))
      assert.is_false(bide.is_timeout { code = "ETIMEDOUT" })
    end)
  end)

  describe("of a task reaches its awaiter", function()
    local function through(value)
      local task = bide.spawn(error, value)
      return tasks.raised(task.await, task)
    end

    it("as the same, untouched value", function()
      local object, thread, f = {}, coroutine.create(print), function() end
      for _, value in ipairs { object, "text", 42, 1.5, true, false, thread, f, io.stdout } do
        assert.is_true(rawequal(value, through(value)))
      end
      assert.is_nil(next(object))
      assert.is_nil(getmetatable(object))
    end)

    it("as nil when it is nil", function()
      assert.is_nil(through(nil))
    end)

    it("as the same value at each await and to each waiter", function()
      local value = {}
      local task = bide.spawn(error, value)
      for _ = 1, 3 do
        assert.equal(value, tasks.raised(task.await, task))
      end
    end)

    it("through a chain of tasks", function()
      local value = {}
      local task = bide.spawn(error, value)
      for _ = 1, 100 do
        local before = task
        task = bide.spawn(function() return before:await() end)
      end
      assert.equal(value, tasks.raised(task.await, task))
    end)

    it("with the position that Lua put before a string, once", function()
      local task = bide.spawn(function() error "text" end)
      local err = tasks.raised(task.await, task)
      assert.match("error_spec%.lua:%d+: text$", err)
      assert.equal(1, select(2, err:gsub("error_spec", "")))
    end)

    it("also when it is a runtime error of Lua", function()
      local task = bide.spawn(function() return (nil).field end)
      assert.match("attempt to index a nil value", tasks.raised(task.await, task))
    end)

    it("when it is raised by __close", function()
      local value = {}
      local task = bide.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() error(value) end })
        bide.sleep(0)
      end)
      assert.equal(value, tasks.raised(task.await, task))
    end)
  end)

  describe("has details:", function()
    it("the traceback of the failing task", function()
      local line
      local function fail()
        line = debug.getinfo(1, "l").currentline + 1
        error({})
      end
      local task = bide.spawn(function()
        fail()
        return 1
      end)
      local err = tasks.raised(task.await, task)
      assert.match("error_spec%.lua:" .. line, bide.details(err).traceback)
    end)

    it("for strings as well", function()
      local task = bide.spawn(error, "a text of its own", 0)
      local err = tasks.raised(task.await, task)
      assert.equal("string", type(bide.details(err).traceback))
    end)

    it("none, but an answer, for a value that nobody raised", function()
      local details = bide.details {}
      assert.is_true(details == nil or type(details) == "table")
    end)

    it("without keeping the error alive", function()
      local weak = setmetatable({}, { __mode = "k" })
      do
        local task = bide.spawn(function() error {} end)
        local err = tasks.raised(task.await, task)
        weak[err] = bide.details(err) ~= nil
      end
      bide.sleep(0)
      collectgarbage()
      collectgarbage()
      assert.is_nil(next(weak))
    end)
  end)

  describe("under try", function()
    it("is nil, err; results come as they are", function()
      local value = {}
      assert.same(table.pack(1, nil, 3), table.pack(bide.try(function(...) return ... end, 1, nil,
        3)))
      assert.equal(0, select("#", bide.try(function() end)))
      local result, err = bide.try(error, value)
      assert.is_nil(result)
      assert.equal(value, err)
    end)

    it("comes after waits as well", function()
      local result, err = bide.try(function()
        bide.sleep(0)
        error("x", 0)
      end)
      assert.is_nil(result)
      assert.equal("x", err)
    end)

    it("is caught when it is the cancellation of another task", function()
      local other = bide.spawn(bide.sleep, 100)
      bide.sleep(0)
      other:cancel()
      local result, err = bide.try(other.await, other)
      assert.is_nil(result)
      assert.equal(other, err.task)
    end)

    it("is caught when it is a timeout set inside", function()
      local _, err = bide.try(bide.timeout, 0, bide.future())
      assert.is_true(bide.is_timeout(err))
    end)

    it("is not caught when it is the caller's own cancellation", function()
      local log = {}
      local task = bide.spawn(function()
        bide.try(bide.sleep, 100)
        log[1] = "never"
      end)
      bide.sleep(0)
      task:cancel()
      pcall(task.await, task)
      assert.same({}, log)
      assert.equal("cancelled", task:status())
    end)

    it("is not caught when a deadline around the try has passed", function()
      local log = {}
      local code = tasks.code(bide.timeout, 0, function()
        bide.try(bide.sleep, 100)
        log[1] = "never"
      end)
      assert.equal("ETIMEDOUT", code)
      assert.same({}, log)
    end)
  end)

  describe("has a traceback that shows", function()
    it("no frames of bide's own", function()
      local task = bide.spawn(function()
        bide.gather(function() error {} end)
      end)
      local err = tasks.raised(task.await, task)
      assert.not_match("lua/bide/", bide.details(err).traceback)
    end)
  end)
end)
