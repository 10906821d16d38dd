-- SPDX-License-Identifier: MIT
-- select: the first of several receives and sends.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

local function started(f)
  local task = bide.spawn(f)
  tasks.turns(1)
  return task
end

describe("select #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("takes what is ready at once, the lowest index first", function()
    local a, b = bide.channel(1), bide.channel(1)
    b:send "b"
    assert.same({ 2, "b" }, { bide.select { { a }, { b } } })
    a:send "a"
    b:send "b"
    assert.same({ 1, "a" }, { bide.select { { a }, { b } } })
    assert.equal(1, #b)
  end)

  it("sends what can be sent, with the index alone as result", function()
    local a, b = bide.channel(), bide.channel(1)
    assert.same(table.pack(2), table.pack(bide.select { { a }, { b, "v" } }))
    assert.equal("v", b:recv())
  end)

  it("waits for the first that can go on", virtual(function()
    local a, b = bide.channel(), bide.channel()
    bide.spawn(function()
      bide.sleep(1)
      b:send "v"
    end)
    assert.same({ 2, "v" }, { bide.select { { a }, { b } } })
  end))

  it("waits for a receiver too", virtual(function()
    local a, b = bide.channel(), bide.channel()
    local got = started(function()
      bide.sleep(1)
      return b:recv()
    end)
    assert.same(table.pack(2), table.pack(bide.select { { a }, { b, false } }))
    assert.is_false(got:await())
  end))

  it("leaves the other channels untouched", function()
    local a, b = bide.channel(), bide.channel()
    local task = started(function() return bide.select { { a }, { b, "mine" } } end)
    a:send "v"
    assert.same({ 1, "v" }, { task:await() })
    assert.is_nil(b:try_recv())
    assert.is_false(a:try_send "w")
  end)

  it("decided once stays decided, though others come before it runs", function()
    local a, b = bide.channel(), bide.channel()
    local task = started(function() return bide.select { { a }, { b } } end)
    assert.is_true(b:try_send "first")
    assert.is_false(a:try_send "second")
    assert.same({ 2, "first" }, { task:await() })
  end)

  it("never meets itself", function()
    local ch = bide.channel()
    local task = started(function() return bide.select { { ch }, { ch, "v" } } end)
    assert.equal("pending", task:status())
    assert.equal("v", ch:recv())
    assert.same({ 2 }, { task:await() })
  end)

  it("meets another select", function()
    local ch = bide.channel()
    local a = started(function() return bide.select { { ch }, { ch, "a" } } end)
    local b = started(function() return bide.select { { ch }, { ch, "b" } } end)
    assert.same({ 2 }, { a:await() })
    assert.same({ 1, "a" }, { b:await() })
  end)

  it("takes its turn among those who wait", function()
    local ch = bide.channel()
    local a = started(function() return "a", ch:recv() end)
    local b = started(function() return "b", bide.select { { ch } } end)
    local c = started(function() return "c", ch:recv() end)
    for i = 1, 3 do ch:send(i) end
    assert.same({ "a", 1 }, { a:await() })
    assert.same({ "b", 1, 2 }, { b:await() })
    assert.same({ "c", 3 }, { c:await() })
  end)

  it("takes a channel twice", function()
    local ch = bide.channel()
    local task = started(function() return bide.select { { ch }, { ch } } end)
    ch:send "v"
    assert.same({ 1, "v" }, { task:await() })
    assert.is_false(ch:try_send "w")
  end)

  describe("of a closed channel", function()
    it("receives the end: the index and nil", function()
      local a, b = bide.channel(), bide.channel()
      b:close()
      assert.same(table.pack(2, nil), table.pack(bide.select { { a }, { b } }))
      local task = started(function() return table.pack(bide.select { { a } }) end)
      a:close()
      assert.same(table.pack(1, nil), task:await())
    end)

    it("refuses to send", function()
      local a, b = bide.channel(), bide.channel()
      b:close()
      assert.equal("EBADF", tasks.code(bide.select, { { a }, { b, "v" } }))
      local task = started(function() return bide.select { { a, "v" } } end)
      a:close()
      local err = tasks.raised(task.await, task)
      assert.equal("EBADF", err.code)
      assert.match("case 1", err.message)
    end)
  end)

  describe("with a timeout", function()
    it("returns nothing when it is past", virtual(function()
      local ch, start = bide.channel(), bide.now()
      assert.equal(0, select("#", bide.select { { ch }, { ch, "v" }, timeout = 2 }))
      assert.near(2, bide.now() - start, 1e-6)
      assert.is_nil(ch:try_recv())
      assert.is_false(ch:try_send "v")
    end))

    it("of 0 looks once", virtual(function()
      local ch, start = bide.channel(1), bide.now()
      assert.is_nil(bide.select { { ch }, timeout = 0 })
      ch:send "v"
      assert.same({ 1, "v" }, { bide.select { { ch }, timeout = 0 } })
      assert.equal(start, bide.now())
    end))

    it("loses to a completion in the same turn", virtual(function()
      local ch = bide.channel()
      bide.spawn(function()
        bide.sleep(1)
        ch:send "v"
      end)
      assert.same({ 1, "v" }, { bide.select { { ch }, timeout = 1 } })
    end))

    it("leaves no deadline behind", virtual(function()
      local ch = bide.channel(1)
      ch:send "v"
      bide.select { { ch }, timeout = 5 }
      assert.is_nil(bide.deadline())
      bide.spawn(function()
        bide.sleep(1)
        ch:send "v"
      end)
      bide.select { { ch }, timeout = 5 }
      assert.is_nil(bide.deadline())
    end))

    it("is not taken for the deadline around it", virtual(function()
      local ch = bide.channel()
      assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, bide.select, { { ch }, timeout = 2 }))
      assert.is_nil(bide.timeout(2, bide.select, { { ch }, timeout = 1 }))
    end))
  end)

  it("cancelled is undone in all its channels", function()
    local a, b = bide.channel(), bide.channel()
    local task = started(function() bide.select { { a }, { b, "v" } } end)
    task:cancel()
    pcall(task.await, task)
    assert.equal("cancelled", task:status())
    assert.is_false(a:try_send "w")
    assert.is_nil(b:try_recv())
  end)

  it("cancelled after it was decided keeps the value; the next wait raises", function()
    local ch = bide.channel()
    local got, code
    local task = started(function()
      got = table.pack(bide.select { { ch } })
      code = tasks.code(bide.sleep, 1)
    end)
    ch:send "v"
    task:cancel()
    pcall(task.await, task)
    assert.same({ 1, "v", n = 2 }, got)
    assert.equal("ECANCELED", code)
  end)

  it("is not confused by changes to its list meanwhile", function()
    local a, b = bide.channel(), bide.channel()
    local list = { { a }, { b } }
    local task = started(function() return bide.select(list) end)
    list[1], list[2] = nil, nil
    a = nil
    collectgarbage()
    collectgarbage()
    b:send "v"
    assert.same({ 2, "v" }, { task:await() })
    assert.is_nil(a)
  end)

  it("raises for wrong arguments before anything is done", function()
    local ch = bide.channel(1)
    assert.match("'bide.select'.*empty", tasks.raised(bide.select, {}))
    assert.match("empty", tasks.raised(bide.select, { timeout = 1 }))
    assert.match("case 2: a channel expected", tasks.raised(bide.select, { { ch, 1 }, { 1 } }))
    assert.match("case 1: {channel}", tasks.raised(bide.select, { ch }))
    assert.match("unknown key 'time'", tasks.raised(bide.select, { { ch }, time = 1 }))
    assert.match("'timeout'", tasks.raised(bide.select, { { ch }, timeout = -1 }))
    assert.match("'timeout'", tasks.raised(bide.select, { { ch }, timeout = "1" }))
    assert.match("table expected", tasks.raised(bide.select))
    assert.equal(0, #ch)
  end)

  it("of many over one channel leaves memory flat", function()
    local ch, quiet = bide.channel(), bide.channel()
    local function round()
      for i = 1, tasks.many(2000) do
        local task = bide.spawn(bide.select, { { quiet, {} }, { ch }, { quiet } })
        tasks.turns(1)
        ch:send(i)
        task:await()
      end
    end
    round()
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    round()
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 16)
  end)
end)
