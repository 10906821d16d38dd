-- SPDX-License-Identifier: MIT
-- Random trees of tasks (spec/support/trees.lua says what is checked). BIDE_SEED sets the first
-- seed;
-- a failure names its own.
local trees = require "spec.support.trees"
local tasks = require "spec.support.tasks"

describe("random trees of tasks #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("end in order, lose nothing and leave nothing", function()
    local first = tonumber(os.getenv "BIDE_SEED") or 1
    for seed = first, first + tasks.many(200) - 1 do
      trees.round(seed)
    end
  end)

  it("leave memory where it was", function()
    for seed = 1, 30 do trees.round(seed) end
    local before = trees.memory()
    for seed = 1, 30 do trees.round(seed) end
    local grown = trees.memory() - before
    assert.is_true(grown < 64, ("%.0f KB more"):format(grown))
  end)
end)
