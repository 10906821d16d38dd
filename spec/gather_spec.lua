-- SPDX-License-Identifier: MIT
-- gather: many at once, all of them needed.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

--- A function that takes s seconds and returns v.
local function after(s, ...)
  local values = table.pack(...)
  return function()
    bide.sleep(s)
    return table.unpack(values, 1, values.n)
  end
end

describe("gather #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("of arguments", function()
    it("gives the first result of each, in the order of the arguments", virtual(function()
      assert.same({ "a", "b", "c" }, { bide.gather(after(3, "a", "x"), after(1, "b"), after(2,
        "c", "y", "z")) })
    end))

    it("keeps nil and false", function()
      local results = table.pack(bide.gather(after(0), after(0, false), after(0, nil), after(0,
        1), after(0)))
      assert.same({ n = 5, [2] = false, [4] = 1 }, results)
    end)

    it("takes tasks, futures and functions alike", function()
      local future = bide.future()
      future:resolve "future"
      local task = bide.spawn(function() return "task" end)
      assert.same({ "task", "future", "function" }, { bide.gather(task, future, after(0,
        "function")) })
    end)

    it("of one gives its first result", function()
      assert.same({ 1 }, { bide.gather(after(0, 1, 2)) })
      assert.same({ 1 }, { bide.gather(bide.spawn(after(0, 1, 2))) })
    end)

    it("takes as long as the slowest", virtual(function()
      local start = bide.now()
      bide.gather(after(1), after(5), after(3))
      assert.near(5, bide.now() - start, 1e-6)
    end))

    it("two hundred of them", function()
      local items, expected = {}, {}
      for i = 1, 200 do
        items[i], expected[i] = after(0, i), i
      end
      assert.same(expected, { bide.gather(table.unpack(items)) })
    end)

    it("ten thousand of them", function()
      local items, n = {}, tasks.many(10000)
      for i = 1, n do
        items[i] = function() return i end
      end
      local results = table.pack(bide.gather(table.unpack(items)))
      assert.equal(n, results.n)
      for i = 1, n do
        assert(results[i] == i)
      end
    end)
  end)

  describe("of a table", function()
    it("gives a table in the same order, with n", virtual(function()
      assert.same({ n = 3, "a", "b", "c" }, bide.gather { after(3, "a", "x"), after(1, "b"),
        after(2, "c") })
    end))

    it("keeps nil and false", function()
      assert.same({ n = 3, [2] = false }, bide.gather { after(0), after(0, false), after(0, nil) })
    end)

    it("keeps string keys", virtual(function()
      assert.same({ n = 0, user = 1, posts = 2 }, bide.gather { user = after(2, 1),
        posts = after(1, 2, 3) })
    end))

    it("keeps string keys beside the list", function()
      assert.same({ n = 1, "a", user = "b" }, bide.gather { after(0, "a"), user = after(0, "b") })
    end)

    it("leaves the table that it was given as it was", function()
      local f, g = after(0), after(0)
      local items = { f, key = g }
      local results = bide.gather(items)
      assert.same({ f, key = g }, items)
      assert.not_equal(items, results)
    end)

    it("is not disturbed when the table changes meanwhile", function()
      local items = { after(0, 1), after(0, 2) }
      items[3] = function()
        items[1], items[2], items[4] = nil, "changed", after(0, 4)
        return 3
      end
      assert.same({ n = 3, 1, 2, 3 }, bide.gather(items))
    end)

    it("of a hundred thousand", function()
      local items, n = {}, tasks.many(100000)
      for i = 1, n do
        items[i] = function() return i end
      end
      local results = bide.gather(items)
      assert.equal(n, results.n)
      for i = 1, n do
        assert(results[i] == i)
      end
    end)

    it("nested", function()
      local results = bide.gather {
        function() return bide.gather { after(0, 1), after(0, 2) } end,
        function() return bide.gather { a = after(0, 3) } end,
      }
      assert.same({ n = 2, { n = 2, 1, 2 }, { n = 0, a = 3 } }, results)
    end)
  end)

  describe("starts its functions", function()
    it("in order, as tasks of their own", function()
      local log, current = {}, {}
      local function item(i)
        return function()
          log[#log + 1] = i
          current[bide.current()] = true
        end
      end
      bide.gather(item(1), item(2), item(3))
      assert.same({ 1, 2, 3 }, log)
      local n = 0
      for task in pairs(current) do
        n = n + 1
        assert.not_equal(bide.current(), task)
      end
      assert.equal(3, n)
    end)

    it("also a table that can be called, alone and in a list", function()
      local object = setmetatable({}, { __call = function() return "called" end })
      assert.equal("called", bide.gather(object))
      assert.same({ "called", "called" }, { bide.gather(object, object) })
      assert.same({ n = 1, "called" }, bide.gather { object })
      assert.equal("called", bide.race { object })
    end)

    it("without arguments", function()
      assert.equal(0, (bide.gather(function(...) return select("#", ...) end)))
    end)
  end)

  describe("when one fails", function()
    it("raises its error untouched", function()
      for _, value in ipairs { {}, "text", false, 42 } do
        assert.is_true(rawequal(value, tasks.raised(bide.gather, after(0), function() error(value,
          0) end)))
      end
    end)

    it("raises nil too", function()
      assert.same(table.pack(false, nil), table.pack(pcall(bide.gather,
        { function() error(nil) end })))
    end)

    it("raises at once, not when the slowest would have ended", virtual(function()
      local start = bide.now()
      local err = tasks.raised(bide.gather, after(100), function()
        bide.sleep(1)
        error("x", 0)
      end)
      assert.equal("x", err)
      assert.near(1, bide.now() - start, 1e-6)
    end))

    it("ends the others before it raises", virtual(function()
      local log = {}
      pcall(bide.gather, tasks.waiter(log, "a"), function()
        bide.sleep(1)
        error "x"
      end, tasks.waiter(log, "b"))
      assert.same({ "b", "a" }, log)
    end))

    it("has the errors of those handed in that have failed by then in the details", function()
      local reports = tasks.unhandled(function()
        bide.run(function()
          local function failing(text) return bide.spawn(error, text, 0) end
          for _, form in ipairs { bide.gather, bide.await, function(...)
            return bide.gather { ... }
          end } do
            local a, b, c = failing "a", failing "b", failing "c" -- in the same turn
            local err = tasks.raised(form, a, b, c, b)
            assert.equal("a", err)
            assert.same({ "b", "c", n = 2 }, bide.details(err).others)
            a, b = failing "a", failing "b"
            bide.wait { a, b }
            assert.equal("b", tasks.raised(form, b, a, b))
            assert.same({ "a", n = 1 }, bide.details "b".others)
          end
        end)
      end)
      assert.same({}, reports)
    end)

    it("leaves errors that come later to others", virtual(function()
      local reports = tasks.unhandled(function()
        bide.run(function()
          local later = bide.spawn(function()
            bide.sleep(1)
            error("later", 0)
          end)
          local err = tasks.raised(bide.gather, bide.spawn(error, "now", 0), later)
          assert.is_nil(bide.details(err).others)
        end)
      end)
      assert.equal(1, #reports)
    end))

    it("also in the table form", virtual(function()
      local log = {}
      local err = tasks.raised(bide.gather, { tasks.waiter(log, "a"), key = function() error("x",
        0) end })
      assert.equal("x", err)
      assert.same({ "a" }, log)
    end))
  end)

  describe("when its caller is cancelled", function()
    it("ends its children before the caller goes on", virtual(function()
      local log = {}
      local task = bide.spawn(function()
        local ok, err = pcall(bide.gather, tasks.waiter(log, "a"), tasks.waiter(log, "b"))
        log[#log + 1] = not ok and bide.is_cancelled(err)
      end)
      bide.sleep(1)
      task:cancel()
      task:await()
      assert.same({ "b", "a", true }, log)
    end))

    describe("and a child fails in its clean-up", function()
      local function closing_badly(text)
        return function()
          local _ <close> = setmetatable({}, { __close = function() error(text, 0) end })
          bide.sleep(100)
        end
      end
      local forms = {
        gather = bide.gather,
        settle = function(...) return bide.settle { ... } end,
        race = function(...) return bide.race { ... } end,
        any = function(...) return bide.any { ... } end,
      }

      --- What a form raises when it is cancelled; `look` gets it at once.
      local function run(form, look)
        return tasks.unhandled(function()
          bide.run(function()
            local task = bide.spawn(function()
              local _, err = pcall(form, closing_badly "a", function() bide.sleep(100) end,
                closing_badly(nil), closing_badly "c")
              look(err)
            end)
            bide.sleep(1)
            task:cancel()
            pcall(task.await, task)
          end)
        end)
      end

      for name, form in pairs(forms) do
        it("has its error in the details, in " .. name, virtual(function()
          local others, again, code
          local reports = run(form, function(err)
            code, others, again = err.code, bide.details(err).others, bide.details(err).others
          end)
          assert.equal("ECANCELED", code)
          assert.same({ "a", nil, "c", n = 3 }, others)
          assert.equal(others, again)
          assert.same({}, reports)
        end))

        it("reports its error when nobody asks for the details, in " .. name, virtual(function()
          local kept
          assert.equal(3, #run(form, function(err) kept = err end))
          assert.is_true(bide.is_cancelled(kept))
          collectgarbage()
          assert.equal(3, #run(form, function(err) error(err) end))
        end))
      end

      it("has its error in those of the timeout that this comes from", virtual(function()
        local others
        assert.same({}, tasks.unhandled(function()
          bide.run(function()
            local err = tasks.raised(bide.timeout, 1, bide.gather, closing_badly "a")
            assert.equal("ETIMEDOUT", err.code)
            others = bide.details(err).others
          end)
        end))
        assert.same({ "a", n = 1 }, others)
      end))

      it("has none without such a child", virtual(function()
        local err = tasks.raised(bide.timeout, 1, function()
          local inner = tasks.raised(bide.gather, function() bide.sleep(100) end)
          assert.is_nil(bide.details(inner).others)
          error(inner)
        end)
        assert.is_nil(bide.details(err).others)
      end))
    end)
  end)

  it("works in a plain coroutine", function()
    assert.same({ 1, 2 }, { coroutine.wrap(function() return bide.gather(after(0, 1), after(0,
      2)) end)() })
  end)
end)
