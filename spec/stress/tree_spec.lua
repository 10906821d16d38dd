-- SPDX-License-Identifier: MIT
-- Random trees of tasks (spec/stress/tree.lua says what is checked), for as long as the suite can
-- spare: BIDE_STRESS_SECONDS of processor time. BIDE_STRESS_SEED sets the first seed; a failure
-- names its own.
local tasks = require "spec.support.tasks"
local tree = require "spec.stress.tree"

describe("random trees of tasks #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("end in order, lose nothing, leave nothing", function()
    local seed = tonumber(os.getenv "BIDE_STRESS_SEED") or 1
    local n = tree.grow(seed, tonumber(os.getenv "BIDE_STRESS_SECONDS") or 3)
    print((" seeds %d to %d"):format(seed, seed + n - 1))
  end)
end)
