-- SPDX-License-Identifier: MIT
-- Runs busted where waits work: `bide spec/support/run.lua [options] [files]`, or the same with
-- `lua5.4` and the module in its path. Each `it`, with its before_each and after_each, is a run of
-- its own: they may wait, in every mode alike, and what they spawned has ended before the next one
-- starts; what a failed one left running is cancelled. (setup and teardown stand outside: in a
-- stock lua5.4 they cannot wait.)
-- An error that no task awaited fails the suite. The file that BIDE_SPEC_AT names, when it is set,
-- holds the spec that runs: should the suite hang or crash, its caller can tell where.

local bide = require "bide"

local STOP = {} -- raised to end the run of a spec that failed
local failed, stray, troubles = false, 0, 0

local function count_trouble()
  troubles = troubles + 1
  return nil, true
end

local function note(text)
  local path = os.getenv "BIDE_SPEC_AT"
  local file <close> = path and assert(io.open(path, "w"))
  if file then assert(file:write(text, "\n")) end
end

-- busted leaves through here, in mid-run: note it, and let the run end in order.
require("busted.compatibility").exit = function(code)
  failed = failed or code ~= 0
end

local new_core = require "busted.core"
package.loaded["busted.core"] = function(...)
  local core = new_core(...)
  local register = core.register
  core.subscribe({ "failure" }, count_trouble)
  core.subscribe({ "error" }, count_trouble)
  function core.register(descriptor, executor, attributes)
    if descriptor == "it" and type(executor) == "function" then
      local run_spec = executor
      executor = function(element)
        note(("%s:%d: %s"):format(element.trace.short_src, element.trace.currentline, element.name))
        local before = troubles
        local ok, err = pcall(bide.run, function()
          run_spec(element)
          if troubles > before then error(STOP) end
        end)
        if not ok and err ~= STOP then error(err, 0) end
      end
    end
    return register(descriptor, executor, attributes)
  end
  return core
end

bide.on_unhandled(function(err, _, traceback)
  stray = stray + 1
  io.stderr:write("unhandled error in the specs: ", tostring(err), "\n", traceback or "", "\n")
end)

require "busted.runner" { standalone = false, output = "plainTerminal" }
note "all specs have ended"

if stray > 0 then
  io.stderr:write(("%d unhandled errors in the specs\n"):format(stray))
end
io.stdout:flush()
-- Not the program's own status: specs that make unhandled errors on purpose count there too.
os.exit(not failed and stray == 0, true)
