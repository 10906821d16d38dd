-- SPDX-License-Identifier: MIT
-- deadline, extend: how much time is left, and more of it.
local bide = require "bide"
local tasks = require "spec.support.tasks"
local virtual = tasks.virtual

describe("a deadline #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("is the time left to the nearest one", virtual(function()
    bide.timeout(10, function()
      assert.near(10, bide.deadline(), 1e-6)
      bide.sleep(3)
      assert.near(7, bide.deadline(), 1e-6)
      bide.timeout(2, function() assert.near(2, bide.deadline(), 1e-6) end)
      bide.timeout(100, function() assert.near(7, bide.deadline(), 1e-6) end)
    end)
  end))

  it("is seen by the children of a combinator inside it", virtual(function()
    local left
    bide.timeout(10, bide.gather, function() left = bide.deadline() end)
    assert.near(10, left, 1e-6)
  end))

  it("is nil where there is none, and in a spawned task", virtual(function()
    assert.is_nil(bide.deadline())
    local left = 1
    bide.timeout(10, function() bide.spawn(function() left = bide.deadline() end):await() end)
    assert.is_nil(left)
  end))

  it("can be moved", virtual(function()
    local start = bide.now()
    assert.equal("ETIMEDOUT", tasks.code(bide.timeout, 1, function()
      bide.extend(4)
      bide.sleep(100)
    end))
    assert.near(5, bide.now() - start, 1e-6)
  end))

  it("cannot be moved where there is none", function()
    assert.equal("EINVAL", tasks.code(bide.extend, 1))
  end)
end)
