-- SPDX-License-Identifier: MIT
-- Random trees of tasks, for as long as the suite can spare (BIDE_STRESS_SECONDS).
local tasks = require "spec.support.tasks"
local books = require "spec.stress.books"

describe("random trees of tasks #core", function()
  before_each(tasks.mark)
  after_each(tasks.check)

  it("keep their books", function() books(tonumber(os.getenv "BIDE_STRESS_SECONDS" or 3)) end)
end)
