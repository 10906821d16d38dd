-- SPDX-License-Identifier: MIT
-- Random trees of tasks, for as long as BIDE_STRESS_SECONDS says (300), from a seed of the day's or
-- from BIDE_SEED.
local laws = require "spec.stress.laws"

describe("the laws of random trees of tasks, many of them,", function()
  it("hold, and memory stays where it was", function()
    local seed = tonumber(os.getenv "BIDE_SEED") or os.time()
    local stop = os.time() + (tonumber(os.getenv "BIDE_STRESS_SECONDS") or 300)
    print(("first seed %d"):format(seed))
    local before
    local rounds = 0
    while os.time() < stop do
      laws.round(seed + rounds)
      rounds = rounds + 1
      if rounds == 1000 then before = laws.memory() end
    end
    local grown = before and laws.memory() - before or 0
    assert.is_true(grown < 64, ("%.0f KB more"):format(grown))
    print(("%d rounds"):format(rounds))
  end)
end)
