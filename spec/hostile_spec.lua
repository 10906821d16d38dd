-- SPDX-License-Identifier: MIT
-- Scripts that do their worst, each in a process of its own. What they get back is theirs to see;
-- no crash, no abort, no hang is what is asked: the last line that they print is "survived".
local process = require "spec.support.process"
local script = require "spec.support.script"

local found = process.run { "sh", "-c", "ls spec/hostile/*.lua" }.out

describe("a hostile script #core", function()
  for path in found:gmatch "[^\n]+" do
    it(("survives: %s"):format(path:match "([^/]+)%.lua$"), function()
      local r = script.file(path)
      assert.equal(0, r.status, r.err:sub(-2000))
      assert.match("survived\n$", r.out)
    end)
  end
end)
