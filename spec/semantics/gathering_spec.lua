-- SPDX-License-Identifier: MIT
-- docs/reference/semantics.md, "Gathering": a block of specs for each row, titled with its words.
local bide = require "bide"
local clocks = require "spec.support.clocks"
local script = require "spec.support.script"
local tasks = require "spec.support.tasks"
local both = clocks.both(it)

--- Those that take one list; map and group in that shape, so that what holds for all is shown of
--- all.
local calls = {
  gather = bide.gather,
  settle = bide.settle,
  race = bide.race,
  any = bide.any,
  as_completed = function(list)
    for _ in bide.as_completed(list) do tasks.turns(0) end
  end,
  map = function(list) return bide.map(list, function(f) return f() end, { limit = math.huge }) end,
  group = function(list)
    bide.group(function(g)
      for _, f in ipairs(list) do g:spawn(f) end
    end)
  end,
}

--- Calls f(name, call) for each of those named.
local function each(names, f)
  for name in names:gmatch "%S+" do f(name, calls[name]) end
end

local ALL = "gather settle race any as_completed map group"
local ITEMS = "gather settle race any as_completed"

local function raising(value, seconds)
  return function()
    bide.sleep(seconds or 0)
    error(value, 0)
  end
end

--- A function whose clean-up waits, and notes in `log` when it has ended.
local function cleaning(log, name, seconds)
  return function()
    local _ <close> = setmetatable({}, {
      __close = function()
        bide.shield(bide.sleep, seconds)
        log[#log + 1] = name
      end,
    })
    bide.future():await()
  end
end

local function done(...)
  local future = bide.future()
  future:resolve(...)
  return future
end

--- A task that stands in call(list), cancelled there: the code of its error.
local function cancelled_in(call, list)
  local task = bide.spawn(call, list)
  tasks.turns(2)
  task:cancel()
  local code = tasks.code(task.await, task)
  return code, task
end

describe("gathering #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("nothing to wait for", function()
    it("gives nothing, or an empty table with n=0, without waiting", function()
      local ran = false
      local other = bide.spawn(function() ran = true end)
      assert.equal(0, select("#", bide.gather()))
      assert.same({ n = 0 }, bide.gather {})
      assert.same({ n = 0 }, bide.settle {})
      assert.same({ n = 0 }, bide.map({}, error))
      for _ in bide.as_completed {} do error "nothing completes" end
      assert.is_false(ran)
      other:await()
    end)

    it("is an error, `empty`, where there must be a first", function()
      for _, name in ipairs { "race", "any", "wait", "select" } do
        assert.match(name .. "' %(the list is empty%)", tasks.raised(bide[name], {}))
      end
      assert.match("empty", tasks.raised(bide.select, { timeout = 1 }))
    end)
  end)

  describe("order; keys", function()
    both("argument order, whatever the order of completion", function(s)
      local function after(n)
        return function()
          bide.sleep(n * s)
          return n
        end
      end
      assert.same({ 3, 1, 2 }, { bide.gather(after(3), after(1), after(2)) })
      assert.same({ 3, 1, n = 2 }, bide.gather { after(3), after(1) })
      assert.same({ 3, 1, n = 2 }, bide.map({ after(3), after(1) }, function(f) return f() end))
      local entries = bide.settle { after(2), after(1) }
      assert.same({ 2, 1 }, { entries[1][1], entries[2][1] })
    end)

    it("string keys are kept, beside a list too", function()
      local function f(v) return function() return v end end
      assert.same({ n = 0, user = 1, posts = 2 }, bide.gather { user = f(1), posts = f(2) })
      assert.same({ n = 1, 0, user = 1 }, bide.gather { f(0), user = f(1) })
      assert.same({ n = 0, user = { ok = true, n = 1, 1 } }, bide.settle { user = f(1) })
      for index, ok, value in bide.as_completed { user = f(1) } do
        assert.same({ "user", true, 1 }, { index, ok, value })
      end
    end)

    it("`n` is the count, as in what table.pack gives, and no key of an item", function()
      local function f() return "v" end
      assert.same({ n = 2, "v", "v" }, bide.gather(table.pack(f, f)))
      assert.match("key 'n' is the count", tasks.raised(bide.gather, { f, n = f }))
      assert.match("hole", tasks.raised(bide.gather, { f, n = 2 }))
      assert.match("less than the length", tasks.raised(bide.gather, { f, f, n = 1 }))
    end)
  end)

  describe("several results; nil, false", function()
    local function several() return nil, false, 3 end

    it("varargs and list forms take the first result of each, nil kept (`n` counts)", function()
      local function first() return false, "second" end
      assert.equal(3, select("#", bide.gather(several, first, several)))
      assert.same({ nil, false }, { bide.gather(several, first) })
      assert.same({ n = 3, nil, false, nil }, bide.gather { several, first, several })
      assert.same({ n = 2, nil, false }, bide.map({ several, first }, function(f) return f() end))
    end)

    it("`settle` entries hold all values, `task:await()`, race and any return all", function()
      assert.same({ ok = true, n = 3, nil, false, 3 }, bide.settle({ several })[1])
      assert.same({ n = 3, nil, false, 3 }, table.pack(bide.spawn(several):await()))
      assert.same({ n = 3, nil, false, 3 }, table.pack(bide.race { several }))
      assert.same({ n = 3, nil, false, 3 }, table.pack(bide.any { several }))
      for _, ok, a, b, c in bide.as_completed { several } do
        assert.same({ n = 4, true, nil, false, 3 }, table.pack(ok, a, b, c))
      end
    end)
  end)

  describe("the same awaitable twice", function()
    it("is awaited once, in both places", function()
      local runs = 0
      local task = bide.spawn(function()
        runs = runs + 1
        return "v"
      end)
      assert.same({ "v", "v" }, { bide.gather(task, task) })
      assert.same({ n = 3, "v", "v", "v", k = "v" }, bide.gather { task, task, task, k = task })
      assert.same({ "v", "v" }, { bide.await(task, task) })
      local entries = bide.settle { task, task }
      assert.same({ "v", "v" }, { entries[1][1], entries[2][1] })
      assert.same({ { task, task }, {} }, { bide.wait { task, task } })
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
  end)

  describe("an argument that cannot be awaited", function()
    it("is an argument error before anything is started", function()
      local ran = false
      local function f() ran = true end
      for _, bad in ipairs { 42, "x", true, {}, bide.channel(), coroutine.create(f) } do
        assert.match("#2 to '.-gather'", tasks.raised(bide.gather, f, bad))
        each(ITEMS, function(name, call)
          local err = tasks.raised(call, { f, bad })
          assert.match("#1 to '.-" .. name .. "' %(item 2: .* got ", err)
          assert.match("user: ", tasks.raised(call, { f, user = bad }), 1, true)
        end)
        tasks.turns(1)
        assert.is_false(ran)
      end
    end)

    it("as is a hole", function()
      local ran = false
      local function f() ran = true end
      tasks.raised(bide.gather, f, nil, f)
      each(ITEMS, function(_, call) assert.match("hole", tasks.raised(call, { f, nil, f })) end)
      tasks.turns(1)
      assert.is_false(ran)
    end)
  end)

  describe("all finished already", function()
    it("gives values at once", function()
      local ran, v = false, done "v"
      local other = bide.spawn(function() ran = true end)
      assert.same({ "v", "v" }, { bide.gather(v, v) })
      assert.equal("v", bide.settle({ v })[1][1])
      assert.equal("v", bide.race { v })
      assert.equal("v", bide.any { v })
      assert.equal(v, bide.wait({ v })[1])
      for _, _, value in bide.as_completed { v } do assert.equal("v", value) end
      assert.is_false(ran)
      other:await()
    end)

    it("is still a point where a pending cancel is raised", function()
      each(ITEMS, function(name, call)
        local task = bide.spawn(function()
          bide.current():cancel()
          call { done "v" }
        end)
        assert.equal("ECANCELED", tasks.code(task.await, task), name)
        assert.equal("cancelled", task:status())
      end)
    end)
  end)

  describe("one fails while others run", function()
    both("the owned others are cancelled, waited for, then the first error (the original value) is "
      .. "raised", function(s)
      each("gather map group", function(name, call)
        local log, value = {}, {}
        local err = tasks.raised(call, { raising(value, s), cleaning(log, "cleaned up", s) })
        assert.equal(value, err, name)
        assert.is_nil(next(value))
        assert.same({ "cleaned up" }, log, name)
      end)
    end)

    it("handed-in awaitables run on", function()
      local gate = bide.future()
      local task = bide.spawn(function()
        gate:await()
        return "ran on"
      end)
      assert.equal("x", tasks.raised(bide.gather, task, raising "x"))
      assert.equal("pending", task:status())
      gate:resolve()
      assert.equal("ran on", task:await())
    end)

    both("a handed-in one that fails cancels the owned others too", function(s)
      local log = {}
      local task = bide.spawn(raising("x", s))
      assert.equal("x", tasks.raised(bide.gather, task, tasks.waiter(log, "cancelled")))
      assert.same({ "cancelled" }, log)
    end)
  end)

  describe("several fail", function()
    both("the first to end", function(s)
      each("gather map group", function(_, call)
        local late, early = raising("late", 1000 * s), raising("early", s)
        assert.equal("early", tasks.raised(call, { late, early }))
      end)
    end)

    both("ties by start order", function(s, meet)
      each("gather map group", function(_, call)
        local list = { raising("first", s), raising("second", s), function() meet(2) end }
        assert.equal("first", tasks.raised(call, list))
      end)
    end)

    both("the rest stand in details, and are never raised a second time; the raised value is not "
      .. "touched", function(s, meet)
      each("gather map group", function(name, call)
        local value, tied, late = {}, {}, {}
        local seen = tasks.unhandled(function()
          bide.run(function()
            local err = tasks.raised(call, { raising(value, s), raising(tied, s), function()
              meet(2)
              pcall(bide.sleep, 1000 * s)
              error(late)
            end })
            assert.equal(value, err, name)
            assert.same({ tied, late, n = 2 }, bide.details(err).others, name)
            assert.equal(tied, bide.details(err).others[1], name)
          end)
        end)
        assert.is_nil(next(value))
        assert.same({}, seen, name)
      end)
    end)
  end)

  describe("one member is cancelled from outside", function()
    both("counts as a failure, code ECANCELED, err.task the member", function(s)
      each("gather race any settle as_completed", function(name)
        local member, log, err = bide.spawn(bide.sleep, 1000 * s), {}, nil
        local canceller = bide.spawn(function()
          bide.sleep(s)
          member:cancel()
        end)
        if name == "settle" then
          err = bide.settle({ member })[1].err
        elseif name == "as_completed" then
          for _, _, raised in bide.as_completed { member } do err = raised end
        elseif name == "any" then
          err = tasks.raised(bide.any, { member }).errors[1]
        else
          err = tasks.raised(bide[name], { member, tasks.waiter(log, "other") })
          assert.same({ "other" }, log, name)
        end
        assert.equal("ECANCELED", err.code, name)
        assert.equal(member, err.task, name)
        canceller:await()
      end)
    end)
  end)

  describe("the caller is cancelled", function()
    both("owned members cancelled and awaited, also under `settle` (which then raises, never "
      .. "returns)", function(s)
      each(ALL, function(name, call)
        local log = {}
        local code, task = cancelled_in(call, { cleaning(log, 1, s), cleaning(log, 2, s) })
        assert.equal("ECANCELED", code, name)
        assert.equal("cancelled", task:status(), name)
        assert.equal(2, #log, name)
      end)
    end)

    it("and none returns as if all had ended when one was cancelled, though its wait was over",
      function()
      local gate = bide.future()
      local mapping = bide.spawn(function()
        return bide.map({ gate, bide.future() }, function(f) return f:await() end, { limit = 2 })
      end)
      local grouping = bide.spawn(bide.group, function(g)
        g:spawn(tasks.waiter({}, 1))
        bide.shield(function() tasks.turns(3) end)
        return "all is done"
      end)
      tasks.turns(1)
      gate:resolve "v" -- a place comes free, for which map has waited
      bide.spawn(mapping.cancel, mapping)
      grouping:cancel()
      for _, task in ipairs { mapping, grouping } do
        assert.equal("ECANCELED", tasks.code(task.await, task))
        assert.equal("cancelled", task:status())
      end
    end)

    it("handed-in ones run on", function()
      each(ITEMS, function(name, call)
        local gate = bide.future()
        local member = bide.spawn(function() return gate:await() end)
        assert.equal("ECANCELED", cancelled_in(call, { member, tasks.waiter({}, 1) }), name)
        gate:resolve "v"
        assert.equal("v", member:await(), name)
      end)
    end)
  end)

  describe("a member swallows its cancel and returns", function()
    both("the caller is cancelled still", function(s)
      each(ALL, function(name, call)
        local function swallowing()
          pcall(bide.sleep, 1000 * s)
          return "swallowed"
        end
        local code, task = cancelled_in(call, { swallowing, swallowing })
        assert.equal("ECANCELED", code, name)
        assert.equal("cancelled", task:status(), name)
      end)
    end)
  end)

  describe("order of cancelling", function()
    it("is reverse start order, when a member fails and when the caller is cancelled", function()
      each("gather map group", function(name, call)
        local log = {}
        pcall(call,
          { tasks.waiter(log, 1), tasks.waiter(log, 2), raising "x", tasks.waiter(log, 4) })
        assert.same({ 4, 2, 1 }, log, name)
      end)
      each(ALL, function(name, call)
        local log = {}
        cancelled_in(call, { tasks.waiter(log, 1), tasks.waiter(log, 2), tasks.waiter(log, 3) })
        assert.same({ 3, 2, 1 }, log, name)
      end)
      local log = {}
      bide.race { tasks.waiter(log, 1), tasks.waiter(log, 2), function() end }
      assert.same({ 2, 1 }, log)
    end)
  end)

  describe("called when already cancelled", function()
    it("raises before starting anything", function()
      each(ALL, function(name, call)
        local ran = false
        local task = bide.spawn(function()
          bide.current():cancel()
          call { function() ran = true end }
        end)
        assert.equal("ECANCELED", tasks.code(task.await, task), name)
        assert.is_false(ran, name)
      end)
    end)

    both("also in the scope of an expired deadline; except `shield`, which runs", function(s)
      each(ALL, function(name, call)
        local log = {}
        pcall(bide.timeout, s, function()
          pcall(bide.sleep, 1000 * s)
          log[1] = tasks.code(call, { function() log[#log + 1] = "never" end })
          log[2] = bide.shield(function()
            return bide.gather(function() return "shielded" end)
          end)
        end)
        assert.same({ "ECANCELED", "shielded" }, log, name)
      end)
    end)
  end)

  describe("group body raises", function()
    both("children cancelled and joined, the body's error raised bare", function(s)
      local log, value = {}, {}
      local err = tasks.raised(bide.group, function(g)
        g:spawn(cleaning(log, "joined", s))
        bide.sleep(s)
        error(value)
      end)
      assert.equal(value, err)
      assert.is_nil(next(value))
      assert.same({ "joined" }, log)
    end)
  end)

  describe("spawn into a group that is cancelled or over", function()
    it("raises; the function does not run", function()
      local ran, kept = false, nil
      local function f() ran = true end
      bide.group(function(g)
        kept = g
        g:cancel()
        assert.equal("ECLOSED", tasks.code(g.spawn, g, f))
      end)
      assert.equal("ECLOSED", tasks.code(kept.spawn, kept, f))
      pcall(bide.group, function(g)
        g:spawn(error, "x")
        g:spawn(function()
          pcall(bide.sleep, 1000)
          assert.equal("ECLOSED", tasks.code(g.spawn, g, f))
        end)
      end)
      tasks.turns(2)
      assert.is_false(ran)
    end)
  end)

  describe("awaiting oneself, or a cycle", function()
    it("raises EDEADLK when a task awaits itself, alone or in a list", function()
      local alone = bide.spawn(function() bide.current():await() end)
      assert.equal("EDEADLK", tasks.code(alone.await, alone))
      each(ITEMS, function(name, call)
        local task = bide.spawn(function() call { bide.current() } end)
        assert.equal("EDEADLK", tasks.code(task.await, task), name)
      end)
    end)

    it("raises EDEADLK at the await that closes the cycle, of two and of 64", function()
      for _, length in ipairs { 2, 64 } do
        local ring, at = {}, {}
        for i = 1, length do
          ring[i] = bide.spawn(function()
            local following = ring[i % length + 1]
            local ok, err = pcall(following.await, following)
            if not ok and err.code == "EDEADLK" then at[#at + 1] = i end
          end)
        end
        ring[1]:await()
        assert.same({ length }, at)
      end
    end)

    it("a longer one ends as a deadlock of the run", function()
      local r = script.run [[
        local bide = require "bide"
        bide.run(function()
          local ring, codes = {}, 0
          for i = 1, 100 do
            ring[i] = bide.spawn(function()
              local following = ring[i % 100 + 1]
              local ok, err = pcall(following.await, following)
              if not ok and err.code == "EDEADLK" then codes = codes + 1 end
            end)
          end
          pcall(bide.gather, ring)
          print(codes)
        end)
      ]]
      assert.same({ out = "100\n", err = "", status = 0 }, r)
    end)

    it("raises it for a cycle through gather too", function()
      local a, b
      a = bide.spawn(function() bide.gather { b } end)
      b = bide.spawn(function() bide.settle { a } end)
      assert.equal("EDEADLK", tasks.code(b.await, b))
      pcall(a.await, a)
    end)
  end)
end)
