-- SPDX-License-Identifier: MIT
-- Debug mode: warnings about what is no error but seldom meant.
local process = require "spec.support.process"

local MODE = os.getenv "BIDE_MODE"

--- Runs a script in debug mode (or not) in a process of its own; returns what it wrote to stderr.
local function warnings(code, off)
  code = "local bide = require 'bide' bide.run(function() " .. code .. " end)"
  local command = { MODE == "program" and process.program or "lua5.4", "-e", code }
  local result = process.run(command, { env = { BIDE_DEBUG = off and "0" or "1" } })
  assert.equal("", result.out)
  return result.err, result.status
end

local function assert_silent(code)
  assert.equal("", (warnings(code)))
end

describe("debug mode warns #core", function()
  it("when a task computes for too long, with the stack of the code that does", function()
    local code = [[
      local function busy(till) while bide.now() < till do end end
      bide.spawn(function() bide.sleep(0) busy(bide.now() + 0.08) end):name "hog"
    ]]
    local text = warnings(code)
    assert.matches("^bide: debug: task hog has held the loop for %d+ ms\nstack traceback:\n", text)
    assert.matches("in upvalue 'busy'", text)
    local _, times = text:gsub("has held", "")
    assert.equal(1, times)
    assert.equal("", (warnings(code, true)))
  end)

  it("when a C function takes too long", function()
    assert.matches("has held the loop for %d+ ms", (warnings [[
      os.execute "sleep 0.07"
      bide.sleep(0)
    ]]))
  end)

  it("when a task ends as if it had not been cancelled, with the wait that told it", function()
    local code = [[
      local task = bide.spawn(function()
        pcall(bide.sleep, 10)
        return 1
      end)
      task:name "swallower"
      bide.sleep(0)
      task:cancel()
    ]]
    local text = warnings(code)
    assert.matches("^bide: debug: task swallower has ended as if it had not been cancelled", text)
    assert.matches("\nstack traceback:\n%s+%[C%]: in function 'pcall'\n[^\n]*:2: in function", text)
    assert.equal("", (warnings(code, true)))
  end)

  it("when the handle of a failed task was dropped, soon", function()
    local text, status = warnings [[
      bide.spawn(function() error "dropped" end)
      bide.sleep(0.15)
      io.stderr:write "then\n"
    ]]
    assert.matches("^bide: debug: nobody can await it any more, for its handle was dropped:\n"
      .. "bide: unhandled error in task [^\n]*dropped.*\nthen\n", text)
    assert.equal(MODE == "program" and 1 or 0, status)
  end)
end)

describe("debug mode is silent #core", function()
  it("when nothing is amiss", function()
    assert_silent [[
      bide.gather(function() bide.sleep(0.06) end, function() bide.sleep(0) end)
      local task = bide.spawn(bide.sleep, 10)
      bide.sleep(0)
      task:cancel()
      pcall(task.await, task)
    ]]
  end)

  it("about timeouts, and tasks cancelled after their own clean-up", function()
    assert_silent [[
      bide.try(bide.timeout, 0, bide.sleep, 10)
      local task = bide.spawn(function()
        local _ <close> = setmetatable({}, { __close = function()
          bide.shield(bide.sleep, 0)
        end })
        bide.sleep(10)
      end)
      bide.sleep(0)
      task:cancel()
      pcall(task.await, task)
    ]]
  end)

  it("about a cancellation that came too late to be raised", function()
    assert_silent [[
      local task = bide.spawn(function()
        bide.try(bide.timeout, 0, bide.sleep, 10)
        return 1
      end)
      bide.sleep(0.01)
      task:cancel()
    ]]
  end)

  it("about failures that are awaited later", function()
    assert_silent [[
      local task = bide.spawn(function() error "late" end)
      bide.sleep(0.15)
      pcall(task.await, task)
    ]]
  end)
end)

if MODE == "program" then
  describe("bide -d #core", function()
    it("switches debug mode on", function()
      local busy = "local t = os.clock() while os.clock() < t + 0.08 do end"
      local result = process.bide("-d", "-e", busy)
      assert.matches("^bide: debug: task main has held the loop", result.err)
      assert.equal(0, result.status)
    end)
  end)
end
