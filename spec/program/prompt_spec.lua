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
    local result = type_in("local function f() error 'told' end f()", "= 1", "error(nil)", "'on'")
    assert.matches("bide: stdin:1: told\n", result.err, 1, true)
    assert.matches("stack traceback:", result.err, 1, true)
    assert.matches("unexpected symbol near '='", result.err, 1, true)
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
  local function at_terminal(typed)
    local words = { "script", "-qec", "exec " .. process.program, "/dev/null" }
    local result = process.run(words, { stdin = typed, seconds = 30 })
    return result.out:gsub("\r", ""), result.status
  end

  it("tells its version and prompts until the end of input", function()
    local out, status = at_terminal "1 + 1\nfor i = 7, 8 do\nprint(i)\nend\n\4"
    assert.equal(0, status)
    assert.matches("\nbide %d+%.%d+%.%d+ %(Lua 5%.4[^\n]*\n> 2\n> >> >> 7\n8\n> \n$", out)
  end)

  it("cancels the chunk that runs at Ctrl-C", function()
    local dir = process.temporary_directory()
    local _remove <close> = setmetatable({}, { __close = function() process.remove(dir) end })
    -- Ctrl-C is typed when the chunk has begun.
    process.write_file(dir .. "/type", [[
      echo "print('be' .. 'gun') bide.sleep(60)"
      until grep -q begun "$1"; do sleep 0.01; done
      printf "\\003'on'\\n\\004"
    ]])
    local line = 'sh $0/type $0/out | script -qefc "exec $1" $0/out'
    local result = process.run({ "sh", "-c", line, dir, process.program }, { seconds = 30 })
    assert.equal(0, result.status)
    assert.matches("> on\r\n> \r\n$", result.out)
  end)
end)
