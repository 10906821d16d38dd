-- SPDX-License-Identifier: MIT
-- The traceback of an error: the failing task's stack, who awaited it, where they were spawned.
local bide = require "bide"

local THIS = "traceback_spec%.lua:(%d+)"

--- The line of the caller.
local function here()
  return debug.getinfo(2, "l").currentline
end

--- The traceback of the error that f raises, and the error.
local function traceback_of(f)
  local ok, err = pcall(f)
  assert(not ok, "expected an error")
  return bide.details(err).traceback, err
end

--- The lines of this file that a traceback's frames name, in order.
local function lines_of(traceback)
  local lines = {}
  for line in traceback:gmatch "[^\n]+" do
    local number = line:match("^\t.-" .. THIS .. ": in ")
    if number then lines[#lines + 1] = tonumber(number) end
  end
  return lines
end

local function assert_begins(expected, traceback)
  local lines = lines_of(traceback)
  assert.same(expected, { table.unpack(lines, 1, #expected) }, traceback)
end

local function fail(value) error(value, 0) end

describe("a traceback #core", function()
  it("goes from the failing line outwards, through waits", function()
    local a, b, c
    local function inner() bide.sleep(0) a = here() fail {} end
    local function outer() b = here() inner() return 1 end
    local traceback = traceback_of(function()
      c = here() bide.gather(outer)
    end)
    local first = lines_of(traceback)[1]
    assert.equal(debug.getinfo(fail, "S").linedefined, first)
    assert_begins({ first, a, b, c }, traceback)
  end)

  it("names who awaited, and who awaited that", function()
    local a, b, c
    local traceback = traceback_of(function()
      local failing = bide.spawn(function() bide.sleep(0) a = here() error {} end)
      local between = bide.spawn(function() b = here() failing:await() end)
      between:name "between"
      c = here() between:await()
    end)
    assert_begins({ a }, traceback)
    assert.matches("\nawaited by task between\n[^\n]*:" .. b .. ":", traceback)
    assert.matches("\nawaited by task [^\n]*\n[^\n]*:" .. c .. ":", traceback)
  end)

  it("names who awaited, though the task failed at once", function()
    local a, b
    local task = bide.spawn(function() a = here() error {} end)
    b = here() pcall(task.await, task)
    local traceback = task:traceback()
    assert_begins({ a }, traceback)
    assert.matches("\nawaited by task [^\n]*\n.-:" .. b .. ": in ", traceback)
  end)

  it("ends with where the tasks were spawned, unless that line was shown", function()
    local spawned
    local traceback = traceback_of(function()
      local function f() bide.sleep(0) error {} end
      spawned = here() local task = bide.spawn(f)
      task:await()
    end)
    assert.matches("\nspawned at [^\n]*traceback_spec.lua:" .. spawned .. "$",
      (traceback:gsub("\ntask [^\n]* was spawned at [^\n]*", "")))
    traceback = traceback_of(function()
      local function f() bide.sleep(0) error {} end
      spawned = here() bide.gather(f)
    end)
    local _, times = traceback:gsub("traceback_spec.lua:" .. spawned .. "[:\n]", "")
    assert.equal(1, times, traceback)
  end)

  it("tells whose group a task was in", function()
    local traceback = traceback_of(function()
      bide.group(function(g)
        g:spawn(function() bide.sleep(0) error {} end)
        bide.sleep(10)
      end)
    end)
    assert.matches("\nin a group of task ", traceback, 1, true)
  end)

  it("stays that of the task that failed first, however far the error goes", function()
    local a
    local function deep() bide.sleep(0) a = here() error {} end
    local traceback = traceback_of(function()
      bide.gather(function()
        bide.group(function(g)
          g:spawn(function() bide.timeout(10, deep) end)
        end)
      end)
    end)
    assert_begins({ a }, traceback)
    local _, times = traceback:gsub("stack traceback:", "")
    assert.equal(1, times)
    _, times = traceback:gsub("in a group of task", "")
    assert.equal(1, times)
  end)

  it("does so when several have failed, with plain strings", function()
    local a
    local function deep() bide.sleep(0) a = here() error("the same", 0) end
    local traceback = traceback_of(function()
      bide.gather(function() bide.gather(deep, deep, deep) end)
    end)
    assert_begins({ a }, traceback)
  end)

  it("has the frames inside the bodies of timeout, shield and group", function()
    for _, body in ipairs {
      function(f) return bide.timeout(10, f) end, bide.shield,
      function(f) return bide.group(function() f() end) end,
    } do
      local a
      local function deep() bide.sleep(0) a = here() error {} end
      assert_begins({ a }, (traceback_of(function()
        bide.gather(function() body(deep) end)
      end)))
    end
  end)

  it("has the frames inside plain coroutines, the innermost first", function()
    local a, b, c
    local function deep() bide.sleep(0) a = here() error {} end
    local traceback = traceback_of(function()
      bide.gather(function()
        local outer = coroutine.wrap(function()
          local inner = coroutine.wrap(function() b = here() deep() return 1 end)
          c = here() inner()
        end)
        outer()
      end)
    end)
    assert_begins({ a, b, c }, traceback)
  end)

  it("of a waiting task walks into the coroutines that it runs", function()
    local a, b, c
    local task = bide.spawn(function()
      local co = coroutine.create(function()
        local step = coroutine.wrap(function() a = here() bide.sleep(10) end)
        b = here() step()
      end)
      c = here() coroutine.resume(co)
    end)
    bide.sleep(0)
    assert_begins({ a, b, c }, task:traceback())
    task:cancel()
  end)

  it("of the running task does so as well", function()
    local a, b, traceback
    local step = coroutine.wrap(function()
      a = here() traceback = bide.current():traceback()
    end)
    b = here() step()
    assert_begins({ a, b }, traceback)
  end)

  it("shows C functions on the way by name, and none of bide's", function()
    local traceback = traceback_of(function()
      bide.gather(function()
        pcall(pcall, error)
        string.rep()
      end)
    end)
    assert.matches("%[C%]: in function 'string.rep'", traceback)
    assert.not_matches("gather", traceback)
    assert.not_matches("bide/", traceback)
    package.preload.traceback_spec_module = function() error {} end
    traceback = traceback_of(function()
      bide.gather(function() require "traceback_spec_module" end)
    end)
    assert.not_matches("require.lua", traceback)
  end)

  it("does not mistake an equal string of another task for the same error", function()
    local line
    bide.gather(function()
      pcall(bide.gather, function() bide.sleep(0) error("equal", 0) end)
      bide.sleep(0.02)
    end, function()
      local traceback = traceback_of(function()
        bide.gather(function()
          bide.sleep(0.01)
          line = here() error("equal", 0)
        end)
      end)
      assert_begins({ line }, traceback)
    end)
  end)

  --- The lines of the caller's functions below are where they stand when the error passes them.
  local function raise(value) error(value, 0) end
  local RAISED = debug.getinfo(raise, "S").linedefined

  --- Each line of this file once, in this order, and nothing of it before them.
  local function assert_once(expected, traceback)
    assert_begins(expected, traceback)
    for _, line in ipairs(expected) do
      local _, times = traceback:gsub("traceback_spec%.lua:" .. line .. ": in ", "")
      assert.equal(1, times, ("line %d in %s"):format(line, traceback))
    end
    local sections = {}
    for line in traceback:gmatch "[^\n]+" do
      assert.is_nil(line:match "^%a" and sections[line], traceback)
      sections[line] = true
    end
  end

  for _, value in ipairs { "a string", { "a table" }, 42 } do
    local kind = type(value)

    it("shows who awaited a task that had failed before: " .. kind, function()
      local spawned, awaited
      local traceback = traceback_of(function()
        bide.run(function()
          spawned = here() local task = bide.spawn(raise, value)
          bide.wait { task }
          awaited = here() task:await()
          return 1
        end)
      end)
      assert_once({ RAISED, awaited }, traceback)
      assert.matches("\nspawned at [^\n]*:" .. spawned .. "$", traceback)
    end)

    it("shows each of a chain of such awaits: " .. kind, function()
      local a, b, c, d
      local traceback = traceback_of(function()
        bide.run(function()
          a = here() local first = bide.spawn(raise, value)
          local second = bide.spawn(function() bide.wait { first } b = here() first:await() end)
          local third = bide.spawn(function() bide.wait { second } c = here() second:await() end)
          bide.wait { third }
          d = here() third:await()
          return 1
        end)
      end)
      assert_once({ RAISED, b, c, d }, traceback)
      assert.matches("\nspawned at [^\n]*:" .. a .. "$", traceback)
    end)

    it("goes on through gather, race, map, group and timeout: " .. kind, function()
      for name, join in pairs {
        gather = function(task) bide.gather(task, function() bide.sleep(10) end) end,
        race = function(task) bide.race { task, function() bide.sleep(10) end } end,
        map = function(task) bide.map({ task }, function(x) x:await() end) end,
        group = function(task) bide.group(function(g) g:spawn(function() task:await() end) end) end,
        timeout = function(task) bide.timeout(10, function() task:await() end) end,
        timed = function(task) bide.timeout(10, task) end,
      } do
        local awaited
        local traceback = traceback_of(function()
          bide.run(function()
            local task = bide.spawn(raise, value)
            bide.wait { task }
            awaited = here() join(task)
            return 1
          end)
        end)
        assert.equal(RAISED, lines_of(traceback)[1], name)
        local _, times = traceback:gsub("traceback_spec%.lua:" .. awaited .. ": in ", "")
        assert.equal(1, times, name .. ": " .. traceback)
      end
    end)

    it("goes on from an entry of settle, whichever came last: " .. kind, function()
      local awaited
      local function other() error("another", 0) end
      local traceback = traceback_of(function()
        bide.run(function()
          awaited = here() local entries = bide.settle { function() raise(value) end, other }
          bide.unwrap(entries[1])
          return 1
        end)
      end)
      assert.equal(RAISED, lines_of(traceback)[1])
      assert.matches("awaited by task [^\n]*\n[^\n]*:" .. awaited .. ": in", traceback)
    end)
  end

  it("goes on when a coroutine awaits, each frame once", function()
    local awaited, outer
    local traceback = traceback_of(function()
      bide.run(function()
        local task = bide.spawn(raise, {})
        bide.wait { task }
        local co = coroutine.wrap(function() awaited = here() task:await() return 1 end)
        outer = here() co()
        return 1
      end)
    end)
    assert_once({ RAISED, awaited, outer }, traceback)
    traceback = traceback_of(function()
      bide.run(function()
        local task = bide.spawn(function() bide.sleep(0) raise {} end)
        local co = coroutine.wrap(function() awaited = here() task:await() return 1 end)
        outer = here() co()
        return 1
      end)
    end)
    assert.equal(RAISED, lines_of(traceback)[1])
    assert_once({ RAISED, lines_of(traceback)[2], awaited, outer }, traceback)
  end)

  it("goes on when a table is caught and raised again after other errors", function()
    local again
    local traceback = traceback_of(function()
      bide.run(function()
        local _, err = pcall(bide.gather, function() raise {} end)
        pcall(bide.gather, function() raise {} end)
        again = here() error(err)
      end)
    end)
    assert.equal(RAISED, lines_of(traceback)[1])
    assert.matches("awaited by task [^\n]*\n.*traceback_spec", traceback)
    assert.is_number(again)
  end)

  it("goes on through a future that is rejected with the error of a task", function()
    local rejected, awaited
    local traceback = traceback_of(function()
      bide.run(function()
        local future = bide.future()
        bide.spawn(function()
          local _, err = pcall(bide.gather, function() raise {} end)
          rejected = here() future:reject(err)
        end)
        awaited = here() future:await()
        return 1
      end)
    end)
    assert.equal(RAISED, lines_of(traceback)[1])
    assert.matches("traceback_spec.lua:" .. rejected .. ": in .*\nawaited by task [^\n]*\n[^\n]*:"
      .. awaited .. ":", traceback)
  end)

  it("does not tell of an earlier failure with the same table in another task", function()
    local CONSTANT, line = {}, nil
    bide.run(function()
      bide.gather(function() pcall(bide.gather, function() raise(CONSTANT) end) end)
      local traceback = traceback_of(function()
        bide.gather(function() line = here() error(CONSTANT) end)
      end)
      assert_begins({ line }, traceback)
    end)
  end)

  it("is bounded however many tasks the error goes through", function()
    local size = {}
    for _, n in ipairs { 40, 80 } do
      local traceback = traceback_of(function()
        bide.run(function()
          local task = bide.spawn(raise, "through all")
          for _ = 1, n do
            local inner = task
            task = bide.spawn(function() bide.wait { inner } inner:await() return 1 end)
          end
          bide.wait { task }
          task:await()
          return 1
        end)
      end)
      size[#size + 1] = #traceback
      assert.equal(RAISED, lines_of(traceback)[1])
      assert.matches("and by further tasks", traceback, 1, true)
    end
    assert.is_true(size[2] < size[1] * 1.2, table.concat(size, ", "))
  end)

  it("is short however deep the stack", function()
    local function deep(n)
      if n == 0 then error {} end
      return 1 + deep(n - 1)
    end
    local traceback = traceback_of(function() bide.gather(function() deep(5000) end) end)
    local _, lines = traceback:gsub("\n", "")
    assert.is_true(lines < 60)
    assert.matches("skipping %d+ levels", traceback)
  end)

  it("takes no longer where much is loaded", function()
    local function failures()
      local start = os.clock()
      for _ = 1, 300 do
        local task = bide.spawn(function() table.concat { 1, {} } end)
        pcall(task.await, task)
      end
      return os.clock() - start
    end
    failures()
    local before = failures()
    for i = 1, 300 do
      local module = {}
      for j = 1, 100 do module["f" .. j] = math.abs end
      package.loaded["much" .. i] = module
    end
    local after = failures()
    for i = 1, 300 do package.loaded["much" .. i] = nil end
    assert.is_true(after < 10 * before + 0.05, ("%g s, before %g s"):format(after, before))
  end)

  it("does not grow with what was caught before, though the same text is raised", function()
    local function size(times, f)
      local task = bide.spawn(function()
        for _ = 1, times do pcall(f) end
        f()
      end)
      return #traceback_of(function() task:await() end)
    end
    local function other() fail "again" end
    for name, f in pairs {
      wrap = function() coroutine.wrap(fail) "again" end,
      timeout = function() bide.timeout(1, fail, "again") end,
      group = function() bide.group(function() fail "again" end) end,
    } do
      assert.equal(size(200, f), size(2000, f), name)
      local both = size(2000, function()
        pcall(f)
        coroutine.wrap(other)()
      end)
      assert.is_true(both < 32768, name)
    end
  end)

  it("leaves no error alive", function()
    local weak = setmetatable({}, { __mode = "k" })
    pcall(bide.gather, function()
      local err = {}
      weak[err] = true
      error(err)
    end)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)
end)

describe("an error of bide's #core", function()
  it("has a code, the operation and the place of the caller, not in bide's files", function()
    local line
    local _, err = pcall(function() line = here() bide.timeout(0, bide.sleep, 10) end)
    assert.equal("ETIMEDOUT", err.code)
    assert.equal("timeout", err.op)
    assert.matches("traceback_spec%.lua:" .. line .. "$", err.where)
    assert.equal(0, err.after)
  end)

  it("says what to do when there is something to do", function()
    local _, err = pcall(table.concat, setmetatable({}, {
      __len = function() return 1 end,
      __index = function() bide.sleep(0) end,
    }))
    assert.equal("ENOYIELD", err.code)
    assert.equal("sleep", err.op)
    assert.matches("table.concat .called at [^)]*traceback_spec.lua:%d+.; wait before", err.message)
  end)
end)
