-- SPDX-License-Identifier: MIT
-- bide.tasks and bide.dump: what lives, beneath whom, and what it waits for.
local bide = require "bide"
local tasks = require "spec.support.tasks"

--- The line of the caller.
local function here()
  return debug.getinfo(2, "l").currentline
end

--- The entry of a task by its name, anywhere in the tree, and the entry above it.
local function find(name, list, above)
  for _, entry in ipairs(list or bide.tasks()) do
    if entry.name == name then return entry, above end
    local found, owner = find(name, entry.children, entry)
    if found then return found, owner end
  end
end

--- Spawns f under a name.
local function spawn(name, f, ...)
  local task = bide.spawn(f, ...)
  task:name(name)
  return task
end

describe("bide.tasks #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("tells what each waits for, since when, and where", tasks.virtual(function()
    local line
    local task = spawn("sleeper", function()
      bide.sleep(2)
      line = here() bide.sleep(10)
    end)
    bide.sleep(5.5)
    local entry = find "sleeper"
    assert.equal(task, entry.task)
    assert.equal("waiting", entry.status)
    assert.matches("^sleep", entry.waits)
    assert.near(3.5, entry.waited, 0.01)
    assert.near(5.5, entry.age, 0.01)
    assert.matches("inspect_spec%.lua:" .. line .. "$", entry.where)
    assert.matches("inspect_spec%.lua:%d+$", entry.spawned)
    assert.is_false(entry.daemon)
    task:await()
  end))

  it("tells the line inside a coroutine, and not one of bide's files", function()
    local line
    package.preload.inspect_spec_module = function() line = here() bide.sleep(0.01) end
    local task = spawn("inner", function()
      coroutine.wrap(function() require "inspect_spec_module" end)()
    end)
    bide.sleep(0)
    assert.matches(":" .. line .. "$", find("inner").where)
    task:await()
    package.preload.inspect_spec_module = nil
    package.loaded.inspect_spec_module = nil
  end)

  it("tells awaited tasks by their names, and channels", function()
    local channel, gate = bide.channel(), bide.future()
    local fetch = spawn("fetch#3", function() gate:await() end)
    local waiter = spawn("waiter", function() fetch:await() end)
    local receiver = spawn("receiver", function() channel:recv() end)
    bide.sleep(0)
    assert.equal("future", find("fetch#3").waits)
    assert.equal("task fetch#3", find("waiter").waits)
    assert.equal("channel recv", find("receiver").waits)
    gate:resolve()
    channel:close()
    bide.gather(fetch, waiter, receiver)
  end)

  it("tells the status: new, running, ready, waiting", function()
    local gate = bide.future()
    local waiting = spawn("waiting one", gate.await, gate)
    bide.sleep(0)
    local new = spawn("new one", function() end)
    assert.equal("new", find("new one").status)
    assert.is_nil(find("new one").waits)
    assert.is_nil(find("new one").where)
    assert.equal("waiting", find("waiting one").status)
    gate:resolve()
    assert.equal("ready", find("waiting one").status)
    local current = bide.current()
    current:name "the spec"
    assert.equal("running", find("the spec").status)
    bide.gather(waiting, new)
  end)

  it("puts children under the task whose group, combinator or run they are in", function()
    local gate = bide.future()
    local function child(name)
      return function()
        bide.current():name(name)
        gate:await()
      end
    end
    local owner = spawn("owner", function()
      bide.group(function(g)
        g:spawn(child "in group")
        bide.timeout(10, bide.gather, child "in gather", function()
          bide.current():name "nested"
          bide.run(child "in run")
        end)
      end)
    end)
    bide.sleep(0)
    bide.sleep(0)
    for name, above in pairs { ["in group"] = "owner", ["in gather"] = "owner", nested = "owner",
      ["in run"] = "nested" } do
      local _, found = find(name)
      assert.equal(above, found and found.name, name)
    end
    gate:resolve()
    owner:await()
  end)

  it("names a task by the C function that it runs, found in package.loaded", function()
    local gate, callable = bide.future(), setmetatable({}, { __call = function() end })
    local task = bide.spawn(bide.sleep, 60)
    local method = bide.spawn(gate.await, gate)
    assert.equal("bide.sleep", task:name())
    assert.is_table(find "bide.sleep")
    assert.equal("bide.Future.await", method:name())
    assert.equal("table.concat", bide.spawn(table.concat, {}):name())
    assert.equal("a C function", bide.spawn(string.gmatch("", "a")):name())
    assert.matches("inspect_spec.lua:%d+$", bide.spawn(callable):name())
    task:cancel()
    gate:resolve()
    bide.wait { task, method }
  end)

  it("marks daemons", function()
    bide.run(function()
      bide.daemon(function()
        bide.current():name "demon"
        bide.sleep(10)
      end)
      bide.sleep(0)
      assert.is_true(find("demon").daemon)
    end)
  end)

  it("is a text as well, a line for each", function()
    local gate = bide.future()
    local task = spawn("one of them", function() gate:await() end)
    bide.sleep(0)
    local text = tostring(bide.tasks())
    assert.matches("^%d+ tasks\n", text)
    assert.matches("\n%s+one of them: future, %d+%.%d s, at [^\n]*%(age %d+%.%d s%)", text)
    gate:resolve()
    task:await()
  end)

  it("stays short when there are many", function()
    local gate = bide.future()
    local list = {}
    for i = 1, 500 do list[i] = bide.spawn(gate.await, gate) end
    bide.sleep(0)
    local _, lines = tostring(bide.tasks()):gsub("\n", "")
    assert.is_true(lines < 200)
    assert.matches("and %d+ more", tostring(bide.tasks()))
    gate:resolve()
    bide.gather(list)
  end)

  it("holds no task", function()
    local weak = setmetatable({}, { __mode = "k" })
    local tree
    do
      local task = bide.spawn(function() end)
      tree = bide.tasks()
      weak[task] = true
      task:await()
    end
    assert.is_table(tree)
    tree = nil
    bide.sleep(0)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
    assert.is_nil(tree)
  end)
end)

describe("bide.dump #core", function()
  it("writes the text to a file, or to what has a method `write`", function()
    local written = {}
    local sink = { write = function(_, ...) written[#written + 1] = table.concat { ... } end }
    bide.dump(sink)
    assert.matches("^%d+ tasks?\n.*\n$", table.concat(written))
    local file <close> = assert(io.tmpfile())
    bide.dump(file)
    file:seek "set"
    assert.matches("^%d+ tasks?\n", file:read "a")
  end)

  it("refuses what it cannot write to", function()
    for got, value in pairs { number = 3, table = {}, string = "name" } do
      local _, err = pcall(bide.dump, value)
      assert.matches("bad argument #1 to 'bide.dump' (file, or object with a method `write`, "
        .. "expected, got " .. got .. ")", err, 1, true)
    end
  end)
end)
