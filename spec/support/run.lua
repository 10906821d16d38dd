-- SPDX-License-Identifier: MIT
-- Runs busted where waits work: `bide spec/support/run.lua [busted options] [files]`, or the same
-- with `lua5.4` and the module in its path. The whole of busted runs in one run of bide's, and each
-- `it`, with its before_each and after_each, in a run of its own inside it: so a body may wait, in
-- every mode alike, and what it spawned has ended before the next one starts.
-- Owns the time limit of a spec; an error that no task awaited fails the spec or the suite.

local bide = require "bide"

local SPEC_SECONDS = tonumber(os.getenv "BIDE_SPEC_SECONDS") or 60

local failed, stray = false, 0

-- busted leaves through here, in mid-run: note it, and let the run end in order.
require("busted.compatibility").exit = function(code)
  failed = failed or code ~= 0
end

local new_core = require "busted.core"
package.loaded["busted.core"] = function(...)
  local core = new_core(...)
  local register = core.register
  function core.register(descriptor, executor, attributes)
    if descriptor == "it" and type(executor) == "function" then
      local run_spec = executor
      executor = function(element)
        return bide.timeout(SPEC_SECONDS, bide.run, run_spec, element)
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

bide.run(function()
  require "busted.runner" { standalone = false, output = "plainTerminal" }
end)

if stray > 0 then
  io.stderr:write(("%d unhandled errors in the specs\n"):format(stray))
end
if failed or stray > 0 then
  io.stdout:flush()
  os.exit(1)
end
