-- SPDX-License-Identifier: MIT
-- Waits work wherever Lua can yield; elsewhere the error names what is in the way.
local bide = require "bide"
local process = require "spec.support.process"

local MODE = os.getenv "BIDE_MODE"

--- The line of the caller.
local function here()
  return debug.getinfo(2, "l").currentline
end

local function wait(...)
  bide.sleep(0)
  return ...
end

describe("a module that waits while it is loaded #core", function()
  local loads

  local function module(name, loader)
    package.preload[name] = loader
  end

  before_each(function() loads = 0 end)
  after_each(function()
    for _, name in ipairs { "spec.slow", "spec.broken", "spec.first", "spec.second" } do
      package.preload[name], package.loaded[name] = nil, nil
    end
  end)

  it("is loaded once for two tasks that require it at once", function()
    module("spec.slow", function(name)
      loads = loads + 1
      return wait { name = name }
    end)
    local a, b = bide.gather(function() return require "spec.slow" end,
      function() return require "spec.slow" end)
    assert.equal(a, b)
    assert.equal("spec.slow", a.name)
    assert.equal(1, loads)
  end)

  it("that fails is tried anew by the task that waited for it", function()
    module("spec.broken", function()
      loads = loads + 1
      bide.sleep(0)
      if loads == 1 then error "broken" end
      return "whole"
    end)
    local first = bide.spawn(require, "spec.broken")
    local second = bide.spawn(require, "spec.broken")
    local _, err = pcall(first.await, first)
    assert.matches("broken", err)
    assert.equal("whole", second:await())
  end)

  it("whose task is cancelled is loaded by the other", function()
    module("spec.slow", function()
      loads = loads + 1
      bide.sleep(loads == 1 and 100 or 0)
      return "loaded"
    end)
    local first = bide.spawn(require, "spec.slow")
    local second = bide.spawn(require, "spec.slow")
    bide.sleep(0)
    first:cancel()
    assert.equal("loaded", second:await())
    assert.equal(2, loads)
  end)

  it("may require others that wait", function()
    module("spec.first", function() return "first " .. require "spec.second" end)
    module("spec.second", function() return wait "second" end)
    assert.equal("first second", require "spec.first")
  end)

  it("gives what Lua's require gives: the value, and where it was found", function()
    module("spec.slow", function(...) return wait { ... } end)
    local value, where = require "spec.slow"
    assert.same({ "spec.slow", ":preload:" }, value)
    assert.equal(":preload:", where)
    local _, err = pcall(require, "spec.not.there")
    assert.matches("module 'spec.not.there' not found:", err, 1, true)
    local line = here() + 1
    _, err = pcall(function() local _ = require "spec.not.there" end)
    assert.matches("^[^\n]*anywhere_spec.lua:" .. line .. ": module", err)
    assert.matches("no field package.preload['spec.not.there']", err, 1, true)
  end)

  it("raises what a searcher raised, as it is, and never a line of its own", function()
    local message
    local function searcher(name)
      if name == "spec.broken" then error(message, 2) end
    end
    table.insert(package.searchers, searcher)
    local _remove <close> = setmetatable({}, { __close = function()
      table.remove(package.searchers)
    end })
    for _, value in ipairs { "told", { "told" } } do
      message = value
      local ok, err = pcall(require, "spec.broken")
      assert.is_false(ok)
      assert.equal(message, err)
    end
    module("spec.first", function() return require "spec.not.there" end)
    local _, err = pcall(require, "spec.first")
    assert.matches("^module 'spec.not.there' not found:", err)
  end)

  it("that does not compile gives Lua's words", function()
    local dir = process.temporary_directory()
    local path = package.path
    local _restore <close> = setmetatable({}, { __close = function()
      package.path = path
      process.remove(dir)
    end })
    process.write_file(dir .. "/spec_wrong.lua", "x = = 1\n")
    package.path = dir .. "/?.lua"
    local _, err = pcall(require, "spec_wrong")
    local file = dir .. "/spec_wrong.lua"
    assert.equal(("error loading module 'spec_wrong' from file '%s':\n\t%s:1: unexpected symbol %s")
      :format(file, file, "near '='"), err)
  end)
end)

describe("modules that require each other #core", function()
  local loads

  --- A module that waits and then requires another.
  local function module(name, other)
    package.preload[name] = function()
      loads = loads + 1
      bide.sleep(0.001)
      return { other = require(other) }
    end
  end

  local function forget()
    for _, name in ipairs { "spec.first", "spec.second", "spec.third" } do
      package.preload[name], package.loaded[name] = nil, nil
    end
  end

  local function both()
    -- It lives on: no deadlock of the run helps out.
    bide.daemon(bide.sleep, 3600)
    return table.unpack(bide.settle {
      function() return require "spec.first" end,
      function() return require "spec.second" end,
    })
  end

  before_each(function() loads = 0 end)
  after_each(forget)

  it("in one task end as deep as in Lua, in an error that names them", function()
    module("spec.first", "spec.second")
    module("spec.second", "spec.first")
    local ok, err = pcall(require, "spec.first")
    assert.is_false(ok)
    assert.matches("loop while loading module 'spec.first': 'spec.first' requires 'spec.second' "
      .. "requires 'spec.first'", err, 1, true)
    assert.equal(190, loads)
    module("spec.first", "spec.first")
    assert.matches("'spec.first' requires 'spec.first'$", select(2, pcall(require, "spec.first")))
  end)

  it("in one task may, where the inner one is told when to stop", function()
    package.preload["spec.first"] = function()
      loads = loads + 1
      bide.sleep(0)
      return loads < 4 and { (require "spec.first") } or "at last"
    end
    assert.same({ { { "at last" } } }, require "spec.first")
  end)

  it("may, where package.loaded has the first already", function()
    local part = { part = true }
    package.preload["spec.first"] = function(name)
      package.loaded[name] = part
      bide.sleep(0)
      part.other = require "spec.second"
      return part
    end
    package.preload["spec.second"] = function()
      bide.sleep(0)
      return { other = require "spec.first" }
    end
    assert.equal(part, require("spec.first").other.other)
    package.loaded["spec.first"], package.loaded["spec.second"] = nil, nil
    local first, second = both()
    assert.same({ true, true }, { first.ok, second.ok })
    assert.equal(part, second[1].other)
  end)

  it("in two tasks raise EDEADLK where the circle would close, and name each other", function()
    package.preload["spec.first"] = function()
      bide.sleep(0.001)
      return "first, " .. require "spec.second"
    end
    package.preload["spec.second"] = function()
      bide.sleep(0.002)
      local ok, err = pcall(require, "spec.first")
      assert(not ok and err.code == "EDEADLK", err)
      return tostring(err)
    end
    local first, second = both()
    local message = "require: loop while loading module 'spec.first': 'spec.first' requires "
      .. "'spec.second' requires 'spec.first', in tasks that wait for each other (EDEADLK)"
    assert.equal(message, second[1])
    assert.equal("first, " .. message, first[1])
  end)

  it("in three tasks raise too, and each of them fails", function()
    bide.daemon(bide.sleep, 3600)
    module("spec.first", "spec.second")
    module("spec.second", "spec.third")
    module("spec.third", "spec.first")
    local names = { "spec.first", "spec.second", "spec.third" }
    local results = bide.settle { table.unpack(bide.map(names, function(name)
      return function() return require(name) end
    end)) }
    for i = 1, 3 do
      assert.is_false(results[i].ok)
      assert.matches("loop while loading module", tostring(results[i].err), 1, true)
    end
  end)

  it("do not count a wait that was cancelled", function()
    local go = bide.event()
    package.preload["spec.first"] = function()
      go:set()
      bide.sleep(0.001)
      return "first"
    end
    package.preload["spec.second"] = function()
      go:wait()
      return require "spec.first"
    end
    local second = bide.spawn(require, "spec.second")
    bide.sleep(0)
    local _, err = pcall(bide.timeout, 0, require, "spec.second")
    assert.is_true(bide.is_timeout(err))
    assert.equal("first", require "spec.first")
    assert.equal("first", second:await())
  end)
end)

describe("where a wait cannot be, the error names #core", function()
  --- The message of the refusal that f raises; also through pcall.
  local function refusal(f)
    local ok, err = pcall(f)
    assert.is_false(ok)
    assert.equal("ENOYIELD", err.code)
    assert.equal("sleep", err.op)
    return err.message
  end

  local slow_list = setmetatable({}, {
    __index = function(_, i) return wait(i < 4 and i or nil) end,
    __len = function() return 3 end,
  })
  local slow_text = setmetatable({}, { __tostring = function() return wait "text" end })

  local cases = {
    { "ipairs", function() for _ in ipairs(slow_list) do end return here() end },
    { "table.concat", function() return table.concat(slow_list), here() end },
    { "table.unpack", function() return table.unpack(slow_list), here() end },
    { "tostring", function() return tostring(slow_text), here() end },
    { "string.format", function() return ("%s"):format(slow_text), here() end },
    { "load", function() return assert(load(function() return wait() end)), here() end },
  }
  for _, case in ipairs(cases) do
    it(case[1] .. " and its line", function()
      local line = debug.getinfo(case[2], "S").linedefined
      local _, err = pcall(case[2])
      local message = tostring(err)
      assert.matches(("across %s (called at "):format(case[1]), message, 1, true)
      assert.matches(("anywhere_spec.lua:%d)"):format(line), message, 1, true)
    end)
  end

  if MODE ~= "program" then
    it("Lua's own table.sort and string.gsub", function()
      local message = refusal(function() table.sort({ 2, 1 }, function() return wait() end) end)
      assert.matches("across table.sort %(called at [^)]*anywhere_spec.lua:%d+%)", message)
      assert.matches("across string.gsub %(called at", refusal(function()
        return ("a"):gsub("a", wait)
      end))
    end)
  end

  it("a message handler, whose error becomes the result", function()
    local line
    local ok, err = xpcall(error, wait, "text")
    assert.is_false(ok)
    assert.equal("ENOYIELD", err.code)
    ok, err = xpcall(function() line = here() local _ = nil + 1 end, function(message)
      bide.sleep(0)
      return message
    end)
    assert.is_false(ok)
    assert.equal("ENOYIELD", err.code)
    assert.matches("a message handler of xpcall", err.message, 1, true)
    assert.is_number(line)
  end)

  it("a coroutine that is being closed", function()
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, { __close = function() bide.sleep(0) end })
      coroutine.yield()
    end)
    coroutine.resume(co)
    local ok, err = coroutine.close(co)
    assert.is_false(ok)
    assert.matches("the closing of a coroutine", err.message, 1, true)
  end)

  it("what resumed the coroutine when that could not yield itself", function()
    local message = refusal(function()
      return table.concat(setmetatable({}, {
        __len = function() return 1 end,
        __index = function() return coroutine.wrap(wait)() end,
      }))
    end)
    assert.matches("table.concat", message, 1, true)
  end)

  it("and the task can wait afterwards", function()
    pcall(tostring, slow_text)
    assert.equal("after", wait "after")
  end)
end)

-- In a program all of a script runs after bide was loaded; in Lua's interpreter functions may have
-- been taken before.
if MODE ~= "program" then
  describe("functions taken before bide was loaded #core", function()
    local function run(code)
      local result = process.run { "lua5.4", "-e", ([[
        local resume, yield, close, wrap =
          coroutine.resume, coroutine.yield, coroutine.close, coroutine.wrap
        local bide = require "bide"
      ]]) .. code }
      assert.equal("", result.err)
      assert.equal(0, result.status)
      return result.out
    end

    it("resume: a wait inside is refused and names it; the coroutine works otherwise", function()
      local out = run [[
        bide.run(function()
          local co = coroutine.create(function() coroutine.yield(1) bide.sleep(0) end)
          print(resume(co))
          local ok, err = resume(co)
          print(ok, err.code, err.message)
          bide.sleep(0)
          print "goes on"
        end)
      ]]
      assert.matches("^true\t1\nfalse\tENOYIELD\t.*upvalue 'resume' %(called at [^\n]*", out)
      assert.matches("coroutine.resume; wait.*goes on\n$", out)
    end)

    it("wrap: the same", function()
      local out = run [[
        bide.run(function()
          print(pcall(wrap(function() bide.sleep(0) end)))
        end)
      ]]
      assert.matches("^false\t.*cannot wait here", out)
    end)

    it("yield: directly in a task it raises there", function()
      local out = run [[
        bide.run(function()
          local task = bide.spawn(function()
            print(pcall(function() yield(1) return "not reached" end))
          end)
          print(pcall(task.await, task))
        end)
      ]]
      assert.matches("coroutine.yield called directly in a task", out, 1, true)
      assert.not_matches("not reached", out)
    end)

    it("yield and resume work with each other inside a task", function()
      assert.equal("true\t1\ntrue\t2\n", run [[
        bide.run(function()
          local co = coroutine.create(function() yield(1) return 2 end)
          print(resume(co))
          print(coroutine.resume(co))
        end)
      ]])
    end)

    it("close of a coroutine that waits ends the wait; nothing is left", function()
      local out = run [[
        local waiting
        bide.run(function()
          local task = bide.spawn(function()
            waiting = coroutine.create(function() bide.sleep(0.01) return "woken" end)
            print("resumed", coroutine.resume(waiting))
          end)
          bide.sleep(0)
          print("closed", close(waiting))
          bide.sleep(0.02)
          print(task:status())
        end)
        print "over"
      ]]
      assert.matches("closed", out)
      assert.matches("over\n$", out)
    end)

    it("resume of a coroutine that waits changes nothing", function()
      local out = run [[
        bide.run(function()
          local waiting
          local task = bide.spawn(function()
            waiting = coroutine.create(function() bide.sleep(0.01) return "woken" end)
            return coroutine.resume(waiting)
          end)
          bide.sleep(0)
          resume(waiting)
          print(task:await())
        end)
      ]]
      assert.equal("true\twoken\n", out)
    end)
  end)
end
