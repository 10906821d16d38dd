-- SPDX-License-Identifier: MIT
-- The prompt: what is typed runs as a task, and the tasks it started run on.

local process = require "spec.support.process"

-- What the prompt printed for these lines, without its own texts.
local function type_in(...)
  local lines = table.concat({ ... }, "\n") .. "\n"
  local code = "_PROMPT, _PROMPT2 = '', ''"
  return process.run({ process.program, "-e", code, "-i" }, { stdin = lines, seconds = 30 })
end

describe("the prompt", function()
  it("prints the values of an expression, and nothing for a statement", function()
    assert.equal("3\ta\tnil\n5\n\n", type_in("1 + 2, 'a', nil", "x = 5", "x").out)
  end)

  it("takes = before an expression, as lua5.4 does", function()
    local result = type_in("=1, 2", "= {", "} ~= nil")
    assert.equal("1\t2\ntrue\n\n", result.out)
    assert.equal("", result.err)
  end)

  it("goes on reading while a chunk is incomplete", function()
    assert.equal("1\n2\n\n", type_in("for i = 1, 2 do", "print(i)", "end").out)
    assert.equal("a\nb\n\n", type_in("s = [[a", "b]]", "s").out)
  end)

  it("shows _PROMPT and _PROMPT2", function()
    local lines = "_PROMPT, _PROMPT2 = 'one ', 'two '\nprint(\n1)\n"
    local result = process.run({ process.program, "-i" }, { stdin = lines })
    assert.equal("> one two 1\none \n", result.out)
  end)

  it("tells an error with its traceback and goes on", function()
    local result = type_in("local function f() error 'told' end f()", "* 1", "error(nil)", "'on'")
    assert.matches("bide: stdin:1: told\n", result.err, 1, true)
    assert.matches("stack traceback:", result.err, 1, true)
    assert.matches("unexpected symbol near '*'", result.err, 1, true)
    assert.equal("on\n\n", result.out)
    assert.equal(0, result.status)
  end)

  it("lets a line wait, and the tasks of earlier lines run on", function()
    local result = type_in(
      "bide = require 'bide'",
      "task = bide.spawn(function() bide.sleep(0.01) return 'slept' end)",
      "task:status()",
      "task:await()")
    assert.equal("pending\nslept\n\n", result.out)
    assert.equal("", result.err)
  end)

  it("cancels the running chunk at Ctrl-C, and no more", function()
    local result = type_in(
      "bide = require 'bide'",
      "io.popen('kill -INT $PPID'):close() bide.sleep(60)",
      "'still here'")
    assert.equal("still here\n\n", result.out)
    assert.matches("cancel", result.err)
    assert.equal(0, result.status)
  end)

  it("reads its line only: the next is for io.read, or for what the chunk starts", function()
    assert.equal("line\n\n", type_in("x = io.read()", "line", "x").out)
    local out = type_in("_ = os.execute 'head -n 1'", "line", "7").out
    assert.equal("line\n7\n\n", out)
    local lines = "x = io.read()\nline\nx\n_ = os.execute 'cat'\nrest\n"
    local command = 'printf %s "$1" | "$0" -e "_PROMPT = \'\'" -i'
    local result = process.run { "sh", "-c", command, process.program, lines }
    assert.equal("line\nrest\n\n", result.out)
  end)

  it("lets tasks run on while a line is half there", function()
    local command = [[{
      echo "_ = bide.spawn(function() bide.sleep(0) io.stderr:write 'ran' end)"
      printf "'who"
      until grep -q ran "$1/err"; do sleep 0.01; done
      echo "le'"
    } | "$0" -e "_PROMPT = ''" -i 2>"$1/err"]]
    local dir = process.temporary_directory()
    local _remove <close> = setmetatable({}, { __close = function() process.remove(dir) end })
    local words = { "sh", "-c", command, process.program, dir }
    assert.equal("whole\n\n", process.run(words, { seconds = 30 }).out)
    assert.equal("ran", process.read_file(dir .. "/err"))
  end)

  it("ends at the end of input, whatever still runs", function()
    local result = type_in("require 'bide'.spawn(require 'bide'.sleep, 60)")
    assert.equal(0, result.status)
  end)

  it("has the module at hand, and does not overwrite a global of that name", function()
    assert.equal("slept\n\n", type_in("bide.sleep(0)", "'slept'").out)
    local code = "_PROMPT, bide = '', 'mine'"
    local words = { process.program, "-e", code, "-i" }
    assert.equal("mine\n\n", process.run(words, { stdin = "bide\n" }).out)
  end)

  it("does not tell that it was the prompt that spawned the chunk", function()
    local err = type_in("error 'told'").err
    assert.matches("stdin:1: in main chunk", err, 1, true)
    assert.is_nil(err:find("spawned at", 1, true))
  end)

  it("comes after the script under -i", function()
    local dir = process.temporary_directory()
    local _remove <close> = setmetatable({}, { __close = function() process.remove(dir) end })
    process.write_file(dir .. "/first.lua", "x, _PROMPT = ..., ''")
    local command = { process.program, "-i", dir .. "/first.lua", "given" }
    local result = process.run(command, { stdin = "x\n" })
    assert.equal("given\n\n", result.out)
  end)
end)

-- `script` gives it a terminal, whose echo is part of what it prints.
describe("bide alone on a terminal", function()
  --- `command`: what runs there, by default the program; `reader`: what takes the output.
  local function at_terminal(typed, command, reader)
    local line = ('script -qec "$0" /dev/null | %s'):format(reader or "cat")
    local words = { "bash", "-o", "pipefail", "-c", line, command or "exec " .. process.program }
    local result = process.run(words, { stdin = typed, seconds = 30 })
    return result.out:gsub("\r", ""), result.status
  end

  it("tells its version and prompts until the end of input", function()
    local out, status = at_terminal "1 + 1\nfor i = 7, 8 do\nprint(i)\nend\n\4"
    assert.equal(0, status)
    assert.matches("\nbide %d+%.%d+%.%d+ %(Lua 5%.4[^\n]*\n> 2\n> >> >> 7\n8\n> \n$", out)
  end)

  --- What is shown when `command` has the terminal and the shell script `typist` types: `await
  --- TEXT` there waits until TEXT is shown.
  local function type_at_terminal(command, typist)
    local dir = process.temporary_directory()
    local _remove <close> = setmetatable({}, { __close = function() process.remove(dir) end })
    local await = 'await() { until grep -q "$1" "$out"; do sleep 0.01; done; }\nout=$1\n'
    process.write_file(dir .. "/type", await .. typist)
    local line = 'sh $0/type $0/out | script -qefc "$1" $0/out'
    local result = process.run({ "sh", "-c", line, dir, command }, { seconds = 30 })
    return result.out:gsub("\r", ""), result.status
  end

  -- What is non-blocking is so for all that have the terminal, whatever they do with it.
  it("leaves the terminal as it found it to what comes after", function()
    local command = ("%s; echo af''ter; cat"):format(process.program)
    for _, line in ipairs { [[1\n\004]], [[os.exit(0)\n]] } do
      local out = type_at_terminal(command, ([[
        printf "%s"
        await after
        printf "typed\n\004"
      ]]):format(line))
      assert.matches("after\ntyped\ntyped\n$", out)
    end
  end)

  it("leaves the terminal as it found it to the chunk", function()
    local out = at_terminal("x = io.read()\ntyped\nx\n\4")
    assert.matches("\n> > typed\n> \n$", out)
    out = at_terminal("print(('x'):rep(300000)) print 'END'\n\4", nil, "{ sleep 0.1; cat; }")
    assert.matches(("x"):rep(300000) .. "\nEND\n", out, 1, true)
  end)

  it("cancels the chunk that runs at Ctrl-C", function()
    local out, status = type_at_terminal("exec " .. process.program, [[
      echo "print('be' .. 'gun') bide.sleep(60)"
      await begun
      printf "\\003'on'\\n\\004"
    ]])
    assert.equal(0, status)
    assert.matches("> on\n> \n$", out)
  end)
end)
