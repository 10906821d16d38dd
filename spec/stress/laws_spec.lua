-- SPDX-License-Identifier: MIT
-- Random trees of tasks (spec/stress/laws.lua says what is checked). BIDE_SEED sets the first seed;
-- a failure names its own.
local laws = require "spec.stress.laws"
local tasks = require "spec.support.tasks"

describe("the laws of random trees of tasks #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("hold: they end in order, lose nothing and leave nothing", function()
    local first = tonumber(os.getenv "BIDE_SEED") or 1
    for seed = first, first + tasks.many(200) - 1 do
      laws.round(seed)
    end
  end)

  it("hold, and memory stays where it was", function()
    for seed = 1, 30 do laws.round(seed) end
    local before = laws.memory()
    for seed = 1, 30 do laws.round(seed) end
    local grown = laws.memory() - before
    assert.is_true(grown < 64, ("%.0f KB more"):format(grown))
  end)
end)
