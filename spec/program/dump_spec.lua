-- SPDX-License-Identifier: MIT
-- Ctrl-\ on the program prints the tree of tasks.
local process = require "spec.support.process"

-- The program sends the signal to itself, so that nothing has to be waited for.
local quit = "io.popen('kill -QUIT $PPID'):close()\n"

describe("Ctrl-\\", function()
  it("prints the tasks and where code runs, and the program goes on", function()
    local result = process.bide("-e", [[
      local bide = require "bide"
      bide.spawn(function() bide.sleep(0) print "goes on" end):name "other"
      local function busy()
        ]] .. quit .. [[
        for _ = 1, 1e5 do end
      end
      busy()
    ]])
    assert.equal(0, result.status)
    assert.equal("goes on\n", result.out)
    assert.matches("^2 tasks\n", result.err)
    assert.matches("\n  main: running, at %(command line%):%d+ %(age", result.err)
    assert.matches("\n  other: new, spawned at %(command line%):2 %(age", result.err)
    assert.matches("the running task: stack traceback:\n.*in local 'busy'", result.err)
  end)

  it("does so while all wait", function()
    -- A shell sends the signal after the program has told it that it waits from now on.
    local line = ([[
      mkfifo "$1/told"
      TOLD="$1/told" env --default-signal=QUIT,INT %s -e '
        local bide = require "bide"
        bide.spawn(function() bide.sleep(60) end):name "sleeper"
        bide.spawn(function()
          bide.sleep(0)
          local told <close> = io.open(os.getenv "TOLD", "w")
        end)
        bide.sleep(60)
      ' 2>"$1/err" &
      read -r _ <"$1/told"
      while ! grep -q sleeper "$1/err"; do kill -QUIT $!; done
      kill -INT $!
      wait $!
      cat "$1/err"
    ]]):format(process.quote(process.program))
    local dir = process.temporary_directory()
    local result = process.run { "sh", "-c", line, "sh", dir }
    process.remove(dir)
    assert.matches("\n  sleeper: sleep %(%d+%.%d+ s left%), %d+%.%d s, at ", result.out)
  end)

  it("is left alone when it was ignored from the start", function()
    local code = quit .. "for _ = 1, 10 do end require 'bide'.sleep(0) print 'goes on'"
    local line = ("trap '' QUIT; exec %s -e %s"):format(process.program, process.quote(code))
    assert.same({ status = 0, out = "goes on\n", err = "" }, process.run { "sh", "-c", line })
  end)
end)
