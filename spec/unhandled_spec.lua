-- SPDX-License-Identifier: MIT
-- Unhandled errors: an error that reached no waiter is reported, once, and never lost.
local bide = require "bide"
local tasks = require "spec.support.tasks"

--- The errors reported while f runs as a run of its own.
local function reported(f)
  local errors = {}
  for i, entry in ipairs(tasks.unhandled(function() bide.run(f) end)) do
    errors[i] = entry.err
  end
  return errors
end

describe("an error that nobody awaits #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("is reported with its task and a traceback", function()
    local task
    local seen = tasks.unhandled(function()
      bide.run(function() task = bide.spawn(error, "lost", 0) end)
    end)
    assert.equal(1, #seen)
    assert.equal("lost", seen[1].err)
    assert.equal(task, seen[1].task)
    assert.match("unhandled_spec%.lua", seen[1].traceback)
  end)

  it("of a future rejected in a run inside the run is reported when the outer one ends", function()
    local awaited
    local seen = tasks.unhandled(function()
      bide.run(function()
        local later, never = bide.future(), bide.future()
        bide.run(function()
          later:reject "awaited later"
          never:reject "never awaited"
        end)
        awaited = tasks.raised(later.await, later)
        bide.sleep(0)
        never = tostring(never)
      end)
    end)
    assert.equal("awaited later", awaited)
    assert.equal(1, #seen)
    assert.equal("never awaited", seen[1].err)
  end)

  it("that came through an await is reported with where it was raised and spawned", function()
    local lines = {}
    local function here() return debug.getinfo(2, "l").currentline end
    local seen = tasks.unhandled(function()
      bide.run(function()
        local function work()
          bide.sleep(0)
          lines[1] = here() + 1
          error {}
        end
        lines[3] = here() + 1
        local inner = bide.spawn(work)
        bide.spawn(function()
          lines[2] = here() + 1
          inner:await()
          return 1
        end)
      end)
    end)
    assert.equal(1, #seen)
    local at = 1
    for i, line in ipairs(lines) do
      at = assert(seen[1].traceback:find("unhandled_spec.lua:" .. line, at, true), lines[i])
    end
  end)

  it("is reported once", function()
    assert.same({ "lost" }, reported(function()
      local task = bide.spawn(error, "lost", 0)
      tasks.turns(3)
      collectgarbage()
      collectgarbage()
      return task
    end))
  end)

  it("is reported whatever the value is", function()
    local object = {}
    assert.same({ object }, reported(function() bide.spawn(error, object) end))
    assert.same({ false }, reported(function() bide.spawn(error, false) end))
    local seen = tasks.unhandled(function()
      bide.run(function() bide.spawn(error, nil) end)
    end)
    assert.equal(1, #seen)
    assert.is_nil(seen[1].err)
  end)

  it("is reported for each of several tasks", function()
    local errors = reported(function()
      for i = 1, 5 do
        bide.spawn(error, i)
      end
    end)
    table.sort(errors)
    assert.same({ 1, 2, 3, 4, 5 }, errors)
  end)

  it("is reported for a rejected future", function()
    assert.same({ "lost" }, reported(function()
      local future = bide.future()
      future:reject "lost"
    end))
  end)

  it("is reported at the end of the run at the latest, though the handle is kept", function()
    local kept
    assert.same({ "lost" }, reported(function() kept = bide.spawn(error, "lost", 0) end))
    assert.equal("failed", kept:status())
  end)

  it("is reported earlier once the handle is gone", function()
    local ended, early = false, nil
    local before = bide.on_unhandled(function() early = not ended end)
    bide.run(function()
      bide.spawn(error, "lost", 0)
      bide.sleep(0)
      collectgarbage()
      collectgarbage()
      tasks.turns(2)
      ended = true
    end)
    bide.on_unhandled(before)
    assert.is_true(early)
  end)

  describe("counts as awaited", function()
    it("when a waiter got it, before or after the failure", function()
      assert.same({}, reported(function()
        local before, after = bide.spawn(error, "x"), bide.spawn(error, "y")
        pcall(before.await, before)
        bide.sleep(0)
        pcall(after.await, after)
      end))
    end)

    it("when result raised it", function()
      assert.same({}, reported(function()
        local task = bide.spawn(error, "x")
        bide.sleep(0)
        pcall(task.result, task)
      end))
    end)

    it("when a combinator got it", function()
      assert.same({}, reported(function()
        pcall(bide.gather, bide.spawn(error, "x"), error)
        pcall(bide.race, { function() error "x" end })
        pcall(bide.group, function(g) g:spawn(error, "x") end)
        pcall(bide.timeout, 1, bide.spawn(error, "x"))
      end))
    end)

    it("when the waiter that got it fails with it: only the last is reported", function()
      assert.same({ "x" }, reported(function()
        local inner = bide.spawn(error, "x", 0)
        bide.spawn(function() inner:await() end)
      end))
    end)
  end)

  describe("does not count as awaited", function()
    it("when somebody looked at status or done", function()
      assert.same({ "x" }, reported(function()
        local task = bide.spawn(error, "x", 0)
        bide.sleep(0)
        task:status()
        task:done()
      end))
    end)

    it("when on_done was called with it", function()
      assert.same({ "x" }, reported(function()
        bide.spawn(error, "x", 0):on_done(function() end)
      end))
    end)

    it("when its waiter was cancelled before", function()
      assert.same({ "x" }, reported(function()
        local gate = bide.future()
        local task = bide.spawn(function()
          gate:await()
          error("x", 0)
        end)
        local waiter = bide.spawn(function() task:await() end)
        bide.sleep(0)
        waiter:cancel()
        bide.sleep(0)
        gate:resolve()
      end))
    end)
  end)

  it("is the error of an on_done function too", function()
    assert.same({ "from on_done" }, reported(function()
      bide.spawn(function() end):on_done(function() error("from on_done", 0) end)
    end))
  end)

  it("is not a cancellation", function()
    assert.same({}, reported(function()
      bide.spawn(bide.sleep, 100):cancel()
      local future = bide.future()
      future:cancel()
    end))
  end)

  it("is not what main raises: run raises that", function()
    local seen = tasks.unhandled(function()
      assert.equal("x", tasks.raised(bide.run, error, "x"))
    end)
    assert.same({}, seen)
  end)

  it("is reported beside the error that main raises", function()
    local seen = tasks.unhandled(function()
      assert.equal("main", tasks.raised(bide.run, function()
        bide.spawn(error, "other", 0)
        bide.sleep(0)
        error("main", 0)
      end))
    end)
    assert.equal(1, #seen)
    assert.equal("other", seen[1].err)
  end)

  it("belongs to its own run: the end of a run inside reports its own alone", function()
    local order = {}
    local before = bide.on_unhandled(function(err) order[#order + 1] = err end)
    bide.run(function()
      local outer = bide.spawn(error, "outer", 0)
      bide.run(function() bide.spawn(error, "inner", 0) end)
      order[#order + 1] = "between"
      return outer
    end)
    bide.on_unhandled(before)
    assert.same({ "inner", "between", "outer" }, order)
  end)
end)

describe("the error of a handler of an HTTP server", function()
  it("is reported with where it was raised and awaited, under the request's name", function()
    local raised, awaited
    local function here() return debug.getinfo(2, "l").currentline end
    local seen = tasks.unhandled(function()
      bide.run(function()
        local server = bide.http.serve({ port = 0, log = false }, function()
          local task = bide.spawn(function() raised = here() error {} end)
          bide.wait { task }
          awaited = here() task:await()
          return 200, {}, ""
        end)
        local _, port = server:address()
        assert.equal(500, bide.http.get(("http://127.0.0.1:%d/"):format(port)).status)
        server:close()
      end)
    end)
    assert.equal(1, #seen)
    assert.equal("http request GET /", seen[1].task:name())
    assert.matches("unhandled_spec.lua:" .. raised
      .. ": in .*\nawaited by task http request\n[^\n]*:" .. awaited .. ":", seen[1].traceback)
  end)
end)
