-- SPDX-License-Identifier: MIT
-- timeout: a deadline around a function, or around waiting for an awaitable.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("timeout #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  describe("around a function", function()
    it("gives its results, all of them", function()
      assert.same(table.pack(1, nil, 3, nil), table.pack(bide.timeout(1,
        function(...) return ... end, 1, nil, 3, nil)))
      assert.equal(0, select("#", bide.timeout(1, function() end)))
    end)

    it("gives results after waits", virtual(function()
      assert.equal("v", bide.timeout(2, function()
        bide.sleep(1)
        return "v"
      end))
    end))

    it("runs it in the calling task", function()
      assert.equal(bide.current(), bide.timeout(1, bide.current))
    end)

    it("raises its error untouched", function()
      local value = {}
      assert.equal(value, tasks.raised(bide.timeout, 1, error, value))
      assert.equal(value, tasks.raised(bide.timeout, 1, function()
        bide.sleep(0)
        error(value)
      end))
    end)

    it("raises ETIMEDOUT past the time", virtual(function()
      local start = bide.now()
      local err = tasks.raised(bide.timeout, 5, bide.sleep, 10)
      assert.equal("ETIMEDOUT", err.code)
      assert.is_true(bide.is_timeout(err))
      assert.is_false(bide.is_cancelled(err))
      assert.near(5, bide.now() - start, 1e-6)
      assert.equal(5, err.after)
    end))

    it("does so on the real clock too", function()
      local start = bide.now()
      assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 0.01, bide.sleep, 1000))
      local took = bide.now() - start
      assert.is_true(took >= 0.01 and took < 5)
    end)

    it("says what it was waiting for", virtual(function()
      local err = tasks.raised(bide.timeout, 5, bide.sleep, 10)
      assert.match("sleep", err.message)
    end))

    it("raises in the caller, whose wait inside was cancelled first", virtual(function()
      local inside
      local err = tasks.raised(bide.timeout, 1, function()
        inside = tasks.raised(bide.sleep, 10)
        error(inside, 0)
      end)
      assert.equal("ECANCELED", inside.code)
      assert.equal("ETIMEDOUT", err.code)
    end))

    it("cancels and joins what the function owns", virtual(function()
      local log = {}
      local err = tasks.raised(bide.timeout, 1, bide.gather, tasks.waiter(log, "a"),
        tasks.waiter(log, "b"))
      assert.equal("ETIMEDOUT", err.code)
      assert.same({ "b", "a" }, log)
    end))

    it("leaves alone what the function spawned", virtual(function()
      local child
      pcall(bide.timeout, 1, function()
        child = bide.spawn(function()
          bide.sleep(5)
          return "lives"
        end)
        bide.sleep(10)
      end)
      assert.equal("lives", child:await())
    end))

    it("lets the task go on as before", virtual(function()
      pcall(bide.timeout, 1, bide.sleep, 10)
      local start = bide.now()
      bide.sleep(2)
      assert.near(2, bide.now() - start, 1e-6)
    end))

    it("leaves no deadline behind when the function ends early", virtual(function()
      bide.timeout(1, function() end)
      bide.sleep(5)
    end))

    it("of forever never ends it", virtual(function()
      assert.equal("v", bide.timeout(math.huge, function()
        bide.sleep(1e6)
        return "v"
      end))
    end))

    it("works in a plain coroutine", virtual(function()
      local code = coroutine.wrap(function()
        return tasks.code(bide.timeout, 1, bide.sleep, 10)
      end)()
      assert.equal("ETIMEDOUT", code)
    end))

    it("around a coroutine that waits", virtual(function()
      local code = tasks.code(bide.timeout, 1, coroutine.wrap(function() bide.sleep(10) end))
      assert.equal("ETIMEDOUT", code)
    end))
  end)

  describe("around an awaitable", function()
    it("gives its results", function()
      local task = bide.spawn(function() return 1, nil, 3 end)
      assert.same(table.pack(1, nil, 3), table.pack(bide.timeout(1, task)))
    end)

    it("raises its error", function()
      assert.equal("x", tasks.raised(bide.timeout, 1, bide.spawn(error, "x")))
    end)

    it("stops waiting and cancels nothing", virtual(function()
      local task = bide.spawn(function()
        bide.sleep(5)
        return "v"
      end)
      assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, task))
      assert.equal("pending", task:status())
      assert.equal("v", task:await())
    end))

    it("that has ended gives its result even at zero", function()
      local future = bide.future()
      future:resolve "v"
      assert.equal("v", bide.timeout(0, future))
    end)
  end)

  describe("nested", function()
    it("the inner one expires first when it is shorter", virtual(function()
      local log = {}
      local result = bide.timeout(10, function()
        log[1] = tasks.raised(bide.timeout, 1, bide.sleep, 5).after
        bide.sleep(1)
        return "outer goes on"
      end)
      assert.equal("outer goes on", result)
      assert.same({ 1 }, log)
    end))

    it("the outer one reaches through the inner", virtual(function()
      local start = bide.now()
      local err = tasks.raised(bide.timeout, 1, bide.timeout, 10, bide.sleep, 100)
      assert.equal(1, err.after)
      assert.near(1, bide.now() - start, 1e-6)
    end))

    it("twenty deep", virtual(function()
      local function nest(depth)
        if depth == 0 then
          bide.sleep(100)
        end
        return bide.timeout(depth + 1, nest, depth - 1)
      end
      local err = tasks.raised(nest, 20)
      assert.equal(2, err.after)
    end))
  end)

  it("in ten thousand tasks at once", virtual(function()
    local expired, ended = 0, 0
    local all, n = {}, tasks.many(10000)
    for i = 1, n do
      all[i] = function()
        local ok = pcall(bide.timeout, i % 10 + 0.5, bide.sleep, 5)
        if ok then ended = ended + 1 else expired = expired + 1 end
      end
    end
    bide.gather(all)
    assert.same({ n // 2, n // 2 }, { expired, ended })
  end))
end)
