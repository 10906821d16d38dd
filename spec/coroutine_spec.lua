-- SPDX-License-Identifier: MIT
-- Plain coroutines inside tasks: they go on working, and code inside them may wait.
local bide = require "bide"
local tasks = require "spec.support.tasks"

describe("a plain coroutine in a task #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("works as the manual says", function()
    it("with resume and yield", function()
      local co = coroutine.create(function(a, b)
        local c = coroutine.yield(a + b)
        local d, e = coroutine.yield(2 * c)
        return d, e
      end)
      assert.same({ true, 3 }, { coroutine.resume(co, 1, 2) })
      assert.same({ true, 8 }, { coroutine.resume(co, 4) })
      assert.same({ true, "x", "y" }, { coroutine.resume(co, "x", "y") })
      assert.equal("dead", coroutine.status(co))
      assert.same({ false, "cannot resume dead coroutine" }, { coroutine.resume(co) })
    end)

    it("with wrap, nils included", function()
      local f = coroutine.wrap(function(...)
        local t = table.pack(...)
        while true do
          t = table.pack(coroutine.yield(table.unpack(t, 1, t.n)))
        end
      end)
      assert.same(table.pack(nil, 1, nil), table.pack(f(nil, 1, nil)))
      assert.same(table.pack(), table.pack(f()))
      assert.same(table.pack(nil), table.pack(f(nil)))
    end)

    it("with errors: resume gives them, wrap raises them", function()
      local value = {}
      local co = coroutine.create(function() error(value) end)
      assert.same({ false, value }, { coroutine.resume(co) })
      assert.equal("dead", coroutine.status(co))
      assert.equal(value, tasks.raised(coroutine.wrap(function() error(value) end)))
      assert.match("coroutine_spec.lua:%d+: text",
        tasks.raised(coroutine.wrap(function() error "text" end)))
    end)

    it("with close, which runs what is to be closed", function()
      local closed = 0
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function() closed = closed + 1 end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      assert.is_true(coroutine.close(co))
      assert.equal(1, closed)
      assert.equal("dead", coroutine.status(co))
    end)

    it("with close, which gives an error raised on the way", function()
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function() error({ 1 }) end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      assert.same({ false, { 1 } }, { coroutine.close(co) })
    end)

    it("with status, running and isyieldable", function()
      local co, inner
      co = coroutine.create(function()
        local running, main = coroutine.running()
        assert(running == co and not main)
        assert(coroutine.status(co) == "running")
        assert(coroutine.isyieldable())
        inner = coroutine.create(function() return coroutine.status(co) end)
        assert(select(2, coroutine.resume(inner)) == "normal")
        coroutine.yield()
      end)
      assert.equal("suspended", coroutine.status(co))
      assert.same({ true }, { coroutine.resume(co) })
      assert.equal("suspended", coroutine.status(co))
      coroutine.resume(co)
      assert.equal("dead", coroutine.status(co))
    end)

    it("as a generator in a for loop", function()
      local sum = 0
      for i in coroutine.wrap(function() for i = 1, 5 do coroutine.yield(i) end end) do
        sum = sum + i
      end
      assert.equal(15, sum)
    end)
  end)

  describe("may wait:", function()
    it("the wait suspends the task and comes back inside the coroutine", function()
      local co = coroutine.create(function()
        bide.sleep(0)
        local x = coroutine.yield "first"
        bide.sleep(0)
        return x
      end)
      assert.same({ true, "first" }, { coroutine.resume(co) })
      assert.same({ true, "sent" }, { coroutine.resume(co, "sent") })
      assert.equal("dead", coroutine.status(co))
    end)

    it("a generator awaits what it yields", function()
      local function fetch(i)
        return bide.spawn(function() bide.sleep(0) return i * i end):await()
      end
      local got = {}
      for value in coroutine.wrap(function() for i = 1, 4 do coroutine.yield(fetch(i)) end end) do
        got[#got + 1] = value
      end
      assert.same({ 1, 4, 9, 16 }, got)
    end)

    it("other tasks run meanwhile", function()
      local log = {}
      local other = bide.spawn(function() log[#log + 1] = "other" end)
      coroutine.wrap(function()
        bide.sleep(0)
        log[#log + 1] = "inside"
      end)()
      assert.same({ "other", "inside" }, log)
      other:await()
    end)

    it("an error after a wait leaves through resume and through wrap", function()
      local function fail()
        bide.sleep(0)
        error("late", 0)
      end
      assert.same({ false, "late" }, { coroutine.resume(coroutine.create(fail)) })
      assert.equal("late", tasks.raised(coroutine.wrap(fail)))
    end)

    it("coroutines within coroutines", function()
      local function nest(depth)
        if depth == 0 then
          bide.sleep(0)
          return 0
        end
        return coroutine.wrap(nest)(depth - 1) + 1
      end
      assert.equal(50, nest(50))
    end)

    it("pcall within coroutine within pcall", function()
      local ok, inner, err = pcall(function()
        return coroutine.wrap(function()
          return pcall(function()
            bide.sleep(0)
            error("deep", 0)
          end)
        end)()
      end)
      assert.same({ true, false, "deep" }, { ok, inner, err })
    end)

    it("it can be left waiting and is cancelled with its task", function()
      local closed
      local task = bide.spawn(function()
        coroutine.wrap(function()
          local _ <close> = setmetatable({}, { __close = function() closed = "closed" end })
          bide.future():await()
        end)()
      end)
      bide.sleep(0)
      task:cancel()
      assert.equal("ECANCELED", tasks.code(task.await, task))
      assert.equal("closed", closed)
    end)

    it("its close may wait on the way, when its task closes it", function()
      local log = {}
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = function() log[#log + 1] = "closing" end })
        coroutine.yield()
      end)
      coroutine.resume(co)
      assert.is_true(coroutine.close(co))
      assert.same({ "closing" }, log)
    end)

    describe("a wrapped one is left by an error, and its clean-up may wait:", function()
      --- A generator whose clean-up waits; `f` is its body.
      local function wrapped(log, f)
        return coroutine.wrap(function()
          local _ <close> = setmetatable({}, { __close = function()
            bide.shield(bide.sleep, 0)
            log[#log + 1] = "cleaned up"
          end })
          f()
        end)
      end

      it("the task's cancellation", function()
        local log = {}
        local task = bide.spawn(wrapped(log, function() bide.future():await() end))
        bide.sleep(0)
        task:cancel()
        assert.equal("ECANCELED", tasks.code(task.await, task))
        assert.equal("cancelled", task:status())
        assert.same({ "cleaned up" }, log)
      end)

      it("an error of its own, after yields", function()
        local log = {}
        local gen = wrapped(log, function()
          coroutine.yield()
          error("left", 0)
        end)
        gen()
        local _, err = pcall(gen)
        assert.equal("left", err:match "[^ ]+$")
        assert.same({ "cleaned up" }, log)
        assert.has_error(gen)
      end)

      it("the break of a loop over as_completed", function()
        local ended
        pcall(coroutine.wrap(function()
          for _ in bide.as_completed { function() end, function()
            pcall(bide.sleep, 60)
            bide.shield(bide.sleep, 0)
            ended = true
          end } do
            bide.sleep(0)
            error "left"
          end
        end))
        assert.is_true(ended)
      end)
    end)

    it("a wrapped one that could not begin can be called again", function()
      local f = coroutine.wrap(function(...) return "ran", ... end)
      local refusal
      local function deep() return (string.gsub("a", "a", deep)) end
      xpcall(deep, function() refusal = select(2, pcall(f, "lost", print)) end)
      assert.matches("C stack overflow", tostring(refusal))
      assert.same({ true, "ran", 1, 2 }, { pcall(f, 1, 2) })
      assert.has_error(f)
    end)

    it("a wrapped one lets go of its function at its end, however deep it was", function()
      local kept = setmetatable({}, { __mode = "k" })
      local function nest(n)
        local f = function() return n > 0 and nest(n - 1) end
        kept[f] = coroutine.wrap(f)
        return kept[f]()
      end
      local wraps = {}
      nest(60)
      for _, wrap in pairs(kept) do wraps[#wraps + 1] = wrap end
      assert.equal(61, #wraps)
      collectgarbage()
      collectgarbage()
      assert.is_nil(next(kept))
    end)

    it("they nest to a depth of more than a hundred", function()
      local function nest(n)
        if n == 0 then return 0 end
        return 1 + coroutine.wrap(function() return nest(n - 1) end)()
      end
      assert.equal(120, nest(120))
    end)

    it("a coroutine made in one task goes on in another", function()
      local co = coroutine.wrap(function()
        for i = 1, 3 do
          bide.sleep(0)
          coroutine.yield(i)
        end
      end)
      assert.equal(1, co())
      assert.equal(2, bide.spawn(co):await())
      assert.equal(3, co())
    end)
  end)

  describe("that waits is, seen from another task,", function()
    local co, gate, task

    before_each(function()
      co, gate = nil, nil
    end)

    local function start()
      gate = bide.future()
      co = coroutine.create(function() return gate:await() end)
      task = bide.spawn(function() return coroutine.resume(co) end)
      bide.sleep(0)
    end

    local function finish()
      gate:resolve "v"
      assert.same({ true, "v" }, { task:await() })
    end

    it("normal", function()
      start()
      assert.equal("normal", coroutine.status(co))
      finish()
      assert.equal("dead", coroutine.status(co))
    end)

    it("not resumable", function()
      start()
      assert.same({ false, "cannot resume non-suspended coroutine" }, { coroutine.resume(co) })
      finish()
    end)

    it("not closable", function()
      start()
      assert.match("cannot close a normal coroutine", tasks.raised(coroutine.close, co))
      finish()
    end)

    it("not callable through its wrap function", function()
      local wrapped_gate = bide.future()
      local f = coroutine.wrap(function() return wrapped_gate:await() end)
      local runs = bide.spawn(f)
      bide.sleep(0)
      assert.match("cannot resume non%-suspended coroutine", tasks.raised(f))
      wrapped_gate:resolve(1)
      assert.equal(1, runs:await())
    end)
  end)

  describe("yield", function()
    it("directly in a task raises", function()
      local task = bide.spawn(function() coroutine.yield(1) end)
      assert.match("yield", tostring(tasks.raised(task.await, task)))
    end)

    it("has isyieldable in accord: false in a task, true in a coroutine", function()
      local outside, inside
      bide.spawn(function()
        outside = coroutine.isyieldable()
        inside = coroutine.wrap(function() return coroutine.isyieldable() end)()
      end):await()
      assert.is_false(outside)
      assert.is_true(inside)
    end)
  end)

  describe("in the way of a wait:", function()
    local function refused(f, name)
      local err = tostring(tasks.raised(f))
      assert.match(name, err, 1, true)
    end

    it("a metamethod run by C: table.concat", function()
      local list = setmetatable({}, {
        __index = function() bide.sleep(0) return "x" end,
        __len = function() return 2 end,
      })
      refused(function() return table.concat(list) end, "concat")
    end)

    it("a message handler", function()
      local seen
      xpcall(error, function()
        seen = tasks.raised(bide.sleep, 0)
      end, "x")
      assert.truthy(seen)
    end)

    it("a message handler, which gets the refusal when it returns what the wait gave", function()
      local f = bide.future()
      f:resolve(42)
      for _, wait in ipairs { function() return bide.sleep(0) end, function() return f:await() end,
        function(err)
          bide.sleep(0)
          return err
        end } do
        local _, err = xpcall(error, wait, "x")
        assert.match("a message handler of xpcall", tostring(err))
        assert.equal("ENOYIELD", err.code)
      end
    end)

    it("a message handler that has called itself", function()
      local seen = {}
      local function handler(err)
        if err == "x" then return handler "again" end
        local ok, refusal = pcall(bide.sleep, 0)
        seen[#seen + 1] = not ok and refusal.code
        return err
      end
      assert.same({ false, "again" }, { xpcall(error, handler, "x") })
      assert.same({ "ENOYIELD" }, seen)
    end)

    it("__tostring under tostring", function()
      local object = setmetatable({}, { __tostring = function() bide.sleep(0) return "x" end })
      refused(function() return tostring(object) end, "tostring")
    end)

    it("a finalizer", function()
      local refusal
      do
        local _ = setmetatable({}, { __gc = function() refusal = tasks.raised(bide.sleep, 0) end })
      end
      collectgarbage()
      collectgarbage()
      assert.match("finalizer", tostring(refusal))
    end)

    it("the refusal leaves the task able to wait", function()
      pcall(table.concat, setmetatable({}, {
        __index = function() bide.sleep(0) end,
        __len = function() return 1 end,
      }))
      assert.equal(1, bide.spawn(function() return 1 end):await())
    end)
  end)

  describe("may wait also", function()
    it("in pcall and xpcall", function()
      assert.same({ true, 1 }, { pcall(function() bide.sleep(0) return 1 end) })
      assert.same({ false, "handled x" }, {
        xpcall(function() bide.sleep(0) error("x", 0) end,
          function(e) return "handled " .. e end) })
    end)

    it("in metamethods", function()
      local object = setmetatable({}, {
        __index = function(_, k) bide.sleep(0) return k end,
        __newindex = function(t, k, v) bide.sleep(0) rawset(t, k, v) end,
        __call = function(_, x) bide.sleep(0) return x end,
        __add = function() bide.sleep(0) return "sum" end,
        __eq = function() bide.sleep(0) return true end,
        __lt = function() bide.sleep(0) return true end,
        __le = function() bide.sleep(0) return false end,
        __concat = function() bide.sleep(0) return "cat" end,
        __len = function() bide.sleep(0) return 7 end,
        __unm = function() bide.sleep(0) return "minus" end,
      })
      assert.equal("field", object.field)
      object.x = 1
      assert.equal(1, rawget(object, "x"))
      assert.equal(5, object(5))
      assert.equal("sum", object + 1)
      assert.is_true(object == setmetatable({}, getmetatable(object)))
      assert.is_true(object < object)
      assert.is_false(object <= object)
      assert.equal("cat", object .. "")
      assert.equal(7, #object)
      assert.equal("minus", -object)
    end)

    it("in iterators of a generic for", function()
      local got = {}
      for i in function(_, i)
        bide.sleep(0)
        if i < 3 then return i + 1 end
      end, nil, 0 do
        got[#got + 1] = i
      end
      assert.same({ 1, 2, 3 }, got)
    end)

    it("in __close, on normal and on error exit", function()
      local log = {}
      local function scope(fail)
        local _ <close> = setmetatable({}, {
          __close = function(_, err)
            bide.sleep(0)
            log[#log + 1] = tostring(err)
          end,
        })
        bide.sleep(0)
        if fail then error("x", 0) end
        return "r"
      end
      assert.equal("r", scope(false))
      assert.equal("x", tasks.raised(scope, true))
      assert.same({ "nil", "x" }, log)
    end)

    it("in dofile and require", function()
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      file:write "local bide = require 'bide' bide.sleep(0) return 'loaded'"
      file:close()
      assert.equal("loaded", dofile(path))
      package.preload["spec.waits"] = loadfile(path)
      assert.equal("loaded", (require "spec.waits"))
      package.preload["spec.waits"], package.loaded["spec.waits"] = nil, nil
      os.remove(path)
    end)
  end)
end)
