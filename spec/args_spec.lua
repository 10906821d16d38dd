-- SPDX-License-Identifier: MIT
-- Wrong arguments: each function times each bad argument raises at once, in the caller, an error
-- that
-- names the function, the argument, what was found and what was expected.
local bide = require "bide"
local tasks = require "spec.support.tasks"

-- name, the text expected, then which arguments: a list of {position, values, expected} with `good`
-- ones before them.
local nothing = setmetatable({}, { __tostring = function() return "nothing" end })

local function f() end

local callable = { nothing, 42, "text", true, {}, io.stdout }
local seconds = { nothing, "text", true, {}, f }

--- Each case: the function's name as the message has it, the function, arguments before, the
--- values that are wrong next, and the word for what was expected.
local cases = {
  { "run", bide.run, {}, callable, "function" },
  { "spawn", bide.spawn, {}, callable, "function" },
  { "daemon", bide.daemon, {}, callable, "function" },
  { "async", bide.async, {}, callable, "function" },
  { "try", bide.try, {}, callable, "function" },
  { "shield", bide.shield, {}, callable, "function" },
  { "group", bide.group, {}, callable, "function" },
  { "on_unhandled", bide.on_unhandled, {}, { 42, "text", true, {} }, "function" },
  { "sleep", bide.sleep, {}, seconds, "seconds (number)" },
  { "timeout", bide.timeout, {}, seconds, "seconds (number)" },
  { "timeout", bide.timeout, { 1 }, callable, "function" },
  { "extend", bide.extend, {}, seconds, "seconds (number)" },
  { "await", bide.await, {}, { nothing, 42, "text", true, {}, f }, "task or future" },
  { "await", bide.await, { bide.future() }, { 42, "text", true, {}, f }, "task or future" },
  { "gather", bide.gather, { f }, { 42, "text", true, {} }, "future, task or function" },
  { "race", bide.race, {}, { nothing, 42, "text", true, f }, "table" },
  { "any", bide.any, {}, { nothing, 42, "text", true, f }, "table" },
  { "settle", bide.settle, {}, { nothing, 42, "text", true, f }, "table" },
  { "unwrap", bide.unwrap, {}, { nothing, 42, "text", true, f }, "table" },
  { "details", bide.details, {}, { nothing }, "value" },
  { "is_cancelled", bide.is_cancelled, {}, { nothing }, "value" },
  { "is_timeout", bide.is_timeout, {}, { nothing }, "value" },
}

local function type_of(value)
  if value == nothing then return "no value" end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__name or type(value)
end

local function raised_by(fn, before, value)
  local args = table.move(before, 1, #before, 1, {})
  local n = #before
  if value ~= nothing then
    n = n + 1
    args[n] = value
  end
  return tasks.raised(fn, table.unpack(args, 1, n))
end

describe("wrong arguments #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  for _, case in ipairs(cases) do
    local name, fn, before, values, expected = table.unpack(case)
    for _, value in ipairs(values) do
      local found = type_of(value)
      it(("of %s: argument %d is %s"):format(name, #before + 1, found), function()
        local err = raised_by(fn, before, value)
        assert.equal("string", type(err))
        assert.match(("bad argument #%d to '"):format(#before + 1), err, 1, true)
        assert.match(name .. "'", err, 1, true)
        assert.match(expected .. " expected", err, 1, true)
        if value ~= nothing or expected ~= "value" then
          assert.match("got " .. found, err, 1, true)
        end
      end)
    end
  end

  for _, name in ipairs { "sleep", "timeout", "extend" } do
    it(("of %s: a negative time and NaN"):format(name), function()
      for _, value in ipairs { -1, -0.001, -math.huge, 0 / 0 } do
        local err = tasks.raised(bide[name], value, f)
        assert.match("bad argument #1 to '", err, 1, true)
        assert.match(name .. "'", err, 1, true)
      end
    end)
  end

  for _, name in ipairs { "gather", "settle", "race", "any" } do
    it(("of %s: a list item that cannot be awaited is named by its place"):format(name), function()
      for _, value in ipairs { 42, "text", true, {} } do
        local err = tasks.raised(bide[name], { f, value })
        assert.match("bad argument #1 to '", err, 1, true)
        assert.match(name, err, 1, true)
        assert.match("item 2", err, 1, true)
        assert.match("got " .. type(value), err, 1, true)
      end
    end)

    it(("of %s: a hole is one"):format(name), function()
      assert.match("hole", tasks.raised(bide[name], { f, nil, f }))
    end)
  end

  it("of gather: nil between the arguments is one", function()
    assert.match("bad argument #2 to '.-gather' %(future, task or function expected, got nil%)",
      tasks.raised(bide.gather, f, nil, f))
  end)

  it("of map: a table that is no list is one", function()
    assert.match("#1 to '.-map' %(a list expected", tasks.raised(bide.map, { a = 1 }, f))
  end)

  it("of methods: the object must be one of their kind", function()
    local task = bide.spawn(f)
    task:await()
    for _, name in ipairs { "await", "cancel", "status", "done", "result", "on_done", "name",
      "traceback" } do
      for _, value in ipairs { 42, "text", {}, io.stdout } do
        local err = tasks.raised(task[name], value, f)
        assert.match(name, err, 1, true)
        assert.match("task", err, 1, true)
        assert.match("got " .. type_of(value), err, 1, true)
      end
    end
  end)

  it("of what stands in a metatable, called by hand: the object must be of its kind", function()
    local objects = { bide.http, bide.future(), bide.channel(), bide.lock(), bide.semaphore(1),
      bide.event(), bide.condition(), bide.var(), bide.current(), bide.Error }
    local wrong = { true, 1, 0.5, "x", print, coroutine.create(print), io.stdout }
    local tried = 0
    for _, object in ipairs(objects) do
      for event, method in pairs(debug.getmetatable(object) or {}) do
        local is_one = type(method) == "function" and event ~= "__tostring"
        for _, value in ipairs(is_one and wrong or {}) do
          tried = tried + 1
          pcall(method, value, "session")
          pcall(method)
        end
      end
    end
    assert.is_true(tried > 0)
    local index = getmetatable(bide.http).__index
    for _, value in ipairs(wrong) do assert.is_false(pcall(index, value, "x")) end
  end)

  it("of a future's methods: the object must be a future, no task", function()
    local future, task = bide.future(), bide.spawn(f)
    task:await()
    for _, name in ipairs { "resolve", "reject", "cancel" } do
      for _, value in ipairs { 42, {}, task } do
        local err = tasks.raised(future[name], value)
        assert.match(name, err, 1, true)
        assert.match("future expected", err, 1, true)
      end
    end
  end)

  it("of a group's methods", function()
    bide.group(function(g)
      for _, value in ipairs { 42, {}, io.stdout } do
        assert.match("spawn", tasks.raised(g.spawn, value, f), 1, true)
        assert.match("cancel", tasks.raised(g.cancel, value), 1, true)
      end
      local err = tasks.raised(g.spawn, g, 42)
      assert.match("spawn", err, 1, true)
      assert.match("function expected, got number", err, 1, true)
    end)
  end)

  it("of on_done: what is called must be a function", function()
    local task = bide.spawn(f)
    local err = tasks.raised(task.on_done, task, 42)
    assert.match("on_done", err, 1, true)
    assert.match("function expected, got number", err, 1, true)
    task:await()
  end)

  it("of timeout: an awaitable takes no arguments", function()
    assert.match("#3", tasks.raised(bide.timeout, 1, bide.future(), "extra"), 1, true)
  end)

  it("point at the line of the caller", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local _, err = pcall(function() bide.sleep "x" end)
    assert.match("args_spec%.lua:" .. line, err)
  end)

  it("start nothing", function()
    local ran = false
    local function run() ran = true end
    pcall(bide.gather, run, 42)
    pcall(bide.race, { run, 42 })
    pcall(bide.settle, { run, key = 42 })
    pcall(bide.timeout, -1, run)
    bide.sleep(0)
    assert.is_false(ran)
  end)

  it("of a method name that does not exist is an ordinary nil", function()
    assert.is_nil(bide.future().resolv)
    assert.is_nil(bide.spwan)
  end)
end)

describe("wrong arguments of the methods #core", function()
  it("of streams, servers, sockets, sessions name it, also through pcall", function()
    local function closed(object)
      object:close()
      return object
    end
    local listener = bide.tcp.listen("127.0.0.1", 0, f, { daemon = true })
    local objects = {
      closed(bide.tcp.connect(listener:address())), closed(listener),
      closed(bide.udp.bind("127.0.0.1", 0)), closed(bide.http.serve({ port = 0 }, f)),
      closed(bide.http.session {}),
    }
    for _, object in ipairs(objects) do
      for name, method in pairs(debug.getmetatable(object).__index) do
        local err = tasks.raised(method, 42)
        assert.match(("bad argument #1 to 'bide%%.[%%w.]+%%.%s'"):format(name), err)
        assert.match("expected, got number", err, 1, true)
      end
    end
  end)
end)
