-- SPDX-License-Identifier: MIT
-- The `bide` command: what it does is what lua5.4 does, but that everything may wait.

local process = require "spec.support.process"

local bide = process.bide

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  local pipe <close> = assert(io.popen "pwd")
  return pipe:read "l" .. "/" .. path
end

describe("the command line", function()
  local dir

  setup(function() dir = process.temporary_directory() end)
  teardown(function() process.remove(dir) end)

  local function script(name, text)
    local path = dir .. "/" .. name
    process.write_file(path, text)
    return path
  end

  -- Runs both with the same words; the name of the interpreter is all that may differ.
  local function compare(words, opts)
    local ours = process.run({ process.program, table.unpack(words) }, opts)
    local stock = process.run({ "lua5.4", table.unpack(words) }, opts)
    assert.equal(stock.out, (ours.out:gsub(process.program:gsub("%p", "%%%0"), "lua5.4")))
    assert.equal(stock.status, ours.status)
    assert.equal(stock.err:match "^lua5.4: ([^\n]*)", ours.err:match "^bide: ([^\n]*)")
    return ours
  end

  it("gives a script its arguments in `...` and in `arg`, negative indices included", function()
    local path = script("args.lua", [[
      print(...)
      local low = 0
      while arg[low - 1] do low = low - 1 end
      for i = low, #arg do print(i, arg[i]) end
    ]])
    compare { path, "a", "", "c d" }
    compare { "-e", "x = 1", "-W", path, "-e", "--" }
    compare { "--", path, "-v" }
    compare { "-e", "arg[1] = 'changed'", path, "given" }
  end)

  it("runs -e and -l in order, before the script", function()
    compare { "-e", "x = 1", "-l", "table", "-e", "x = x + 1", script("x.lua", "print(x)") }
    compare { "-e", "print(arg[0], #arg)", "-e", "print(2)" }
    compare { "-l", "s=string", "-e", "print(s == string)" }
    compare { "-l", "no.such.module", "-e", "print 'never'" }
  end)

  it("reads standard input for `-`, and when there is neither script nor terminal", function()
    compare({ "-", "x", "y" }, { stdin = "print(arg[0], ...)" })
    compare({}, { stdin = "print('no script', arg[0])" })
    compare({ "-" }, { stdin = "x =" })
  end)

  it("skips a first line that starts with #", function()
    compare { script("hash.lua", "#!/usr/bin/env bide\nprint 'run'\nerror 'line 3'") }
  end)

  it("honours LUA_INIT, but not under -E", function()
    compare({ "-e", "print 'code'" }, { env = { LUA_INIT = "print 'init'" } })
    compare({ "-e", "print 'code'" }, { env = { LUA_INIT = "x", LUA_INIT_5_4 = "print '5.4'" } })
    compare({ "-e", "" }, { env = { LUA_INIT = "@" .. script("init.lua", "print 'file'") } })
    compare({ "-e", "print 'code'" }, { env = { LUA_INIT = "error 'in init'" } })
    compare({ "-E", "-e", "print 'code'" }, { env = { LUA_INIT = "print 'init'" } })
    local env = { LUA_PATH = "/elsewhere/?.lua", LUA_CPATH = "/elsewhere/?.so" }
    compare({ "-E", "-e", "print(package.path, package.cpath)" }, { env = env })
    compare({ "-e", "print(package.path, package.cpath)" }, { env = env })
  end)

  it("ends with status 1 after an error and shows it as lua5.4 does", function()
    compare { "-e", "error 'text'" }
    compare { "-e", "error {}" }
    compare { "-e", "error(nil)" }
    compare { "-e", "error(12)" }
    compare { "-e", "error(setmetatable({}, { __tostring = function() return 'shown' end }))" }
    compare { "-e", "x = = 1" }
    compare { dir .. "/missing.lua" }
    compare { "-e", "arg = 3", script("any.lua", "") }
  end)

  it("shows a traceback with the failing function and the main chunk", function()
    local path = script("deep.lua", "local function inner()\n  error 'deep'\nend\ninner()\n")
    local result = bide(path)
    assert.equal(1, result.status)
    assert.matches("deep.lua:2: deep\n", result.err, 1, true)
    assert.matches("stack traceback:", result.err, 1, true)
    assert.matches("deep.lua:2: in [^\n]*'inner'", result.err)
    assert.matches("deep.lua:4: in main chunk", result.err, 1, true)
  end)

  it("says in one line why a script does not load", function()
    for _, args in ipairs { { dir .. "/missing.lua" }, { "-e", "x = = 1" } } do
      local result = bide(table.unpack(args))
      assert.equal(1, result.status)
      assert.matches("^bide: [^\n]+\n$", result.err)
    end
  end)

  it("survives an error value whose __tostring fails", function()
    local result = bide("-e", "error(setmetatable({}, { __tostring = function() error {} end }))")
    assert.equal(1, result.status)
    assert.matches("^bide: %S", result.err)
  end)

  it("ends with os.exit's status, and flushes", function()
    compare { "-e", "io.write 'text' os.exit(3)" }
    compare { "-e", "io.write 'text' os.exit(false)" }
    compare { "-e", "io.write 'text' os.exit(true, true)" }
  end)

  it("opens no socket in place of a standard file that is closed", function()
    local code = [[
      local bide = require "bide"
      local server <close> = bide.tcp.listen("127.0.0.1", 0, function(s) s:write "hello" end)
      local s <close> = bide.tcp.connect(server:address())
      print "text"
      io.stderr:write "text"
      os.exit(s:read_all() == "hello" and 7 or 8)
    ]]
    local result = process.run({ process.program, "-e", code }, { redirect = "<&- >&- 2>&-" })
    assert.equal(7, result.status)
  end)

  it("ends with status 2 and tells its usage after a wrong option", function()
    for _, word in ipairs { "-x", "--nothing", "-e", "-l" } do
      local result = bide(word)
      assert.equal(2, result.status)
      assert.matches("usage: bide", result.err, 1, true)
      assert.equal("", result.out)
    end
  end)

  it("tells its version and its usage", function()
    assert.matches("^bide %d+%.%d+%.%d+ %(Lua 5%.4", bide("-v").out)
    assert.matches("^usage: bide", bide("-h").out)
    assert.equal(0, bide("--help").status)
  end)

  it("has each option that its usage tells in its man page too", function()
    local page = process.read_file "docs/bide.1":gsub("\\", "")
    local n = 0
    for option in bide("-h").out:gmatch "\n  (%-%-?%a*)" do
      n = n + 1
      assert.matches("\n%.%u+ \"?" .. option:gsub("%-", "%%-"), page, 1, false, option)
    end
    assert.is_true(n >= 10)
  end)

  it("turns warnings on with -W alone", function()
    assert.equal("Lua warning: said\n", bide("-W", "-e", "warn 'said'").err)
    assert.equal("", bide("-e", "warn 'said'").err)
  end)

  it("requires by the searchers that the script has set, from the first time on", function()
    compare { "-e", "package.searchers = { function(name) return function() return name .. '!' end "
      .. "end } print((require 'foo'))" }
    compare { "-e", "_G = nil print(require 'table' == table)" }
  end)

  it("requires modules that wait, though the script has not required bide", function()
    script("waits.lua", "local bide = require 'bide' bide.sleep(0.001) return 'waited'")
    local path = script("uses_waits.lua", [[
      local require = require -- as some do
      print(require "waits", require "waits", package.loaded.waits)
    ]])
    assert.same({ status = 0, out = "waited\twaited\twaited\n", err = "" }, bide(path))
    compare { script("wants.lua", "require 'not there'") }
  end)

  it("finds Lua modules beside the script, also through a link", function()
    script("beside.lua", "return 'found'")
    os.execute(("mkdir -p %s/pack && echo 'return \"init\"' >%s/pack/init.lua"):format(dir, dir))
    local path = script("uses.lua", "print(require 'beside', require 'pack')")
    assert.equal("found\tinit\n", bide(path).out:gsub("\t%S*/%S*", ""))
    os.execute(("mkdir -p %s/links && ln -sf ../uses.lua %s/links/tool"):format(dir, dir))
    assert.matches("^found", bide(dir .. "/links/tool").out)
    local program = absolute(process.program)
    assert.matches("^found", process.run({ program, "uses.lua" }, { directory = dir }).out)
  end)

  it("finds C modules beside the script", function()
    local find = "print(package.searchpath('lfs', package.cpath))"
    local stock = process.run({ "lua5.4", "-e", find }).out:match "%S+"
    os.execute(("cp %s %s/lfs.so"):format(stock, dir))
    local path = script("native.lua", "print(require 'lfs' ~= nil)")
    local env = { LUA_PATH = "", LUA_CPATH = "" }
    assert.equal("true\n", process.run({ process.program, path }, { env = env }).out)
  end)

  it("works alone, from any directory, with no path set", function()
    local program = dir .. "/alone"
    os.execute(("cp %s %s"):format(process.quote(process.program), process.quote(program)))
    local env = { LUA_PATH = "", LUA_CPATH = "" }
    local code = "local bide = require 'bide' bide.sleep(0) print(type(bide.run))"
    local result = process.run({ program, "-e", code }, { directory = "/", env = env })
    assert.same({ status = 0, out = "function\n", err = "" }, result)
  end)

  it("loads C modules that were built for stock Lua", function()
    local result = bide("-e", "print(require 'cjson'.encode { 1, 2 }, require 'lfs' ~= nil)")
    assert.same({ status = 0, out = "[1,2]\ttrue\n", err = "" }, result)
  end)
end)

describe("the main chunk", function()
  it("is a task: it waits at top level, in -e and in a script alike", function()
    local result = bide("-e", [[
      local bide = require "bide"
      bide.spawn(function() print "spawned" end)
      bide.sleep(0)
      print(bide.gather(function() return "a" end, function() return "b" end))
    ]])
    assert.same({ status = 0, out = "spawned\na\tb\n", err = "" }, result)
  end)

  it("is waited for together with all it spawned", function()
    local result = bide("-e", [[
      local bide = require "bide"
      bide.spawn(function() bide.sleep(0.01) print "last" end)
      print "first"
    ]])
    assert.same({ status = 0, out = "first\nlast\n", err = "" }, result)
  end)

  it("gives status 1 and a report for an error that no task awaited", function()
    local result = bide("-e", [[
      local bide = require "bide"
      bide.spawn(function() error "nobody looks" end)
      bide.sleep(0)
      print "goes on"
    ]])
    assert.equal(1, result.status)
    assert.equal("goes on\n", result.out)
    assert.matches("nobody looks", result.err, 1, true)
  end)

  it("does not die of a closed pipe", function()
    local code = "for _ = 1, 1e5 do io.write 'text' end io.stderr:write 'alive'"
    local line = ("%s -e %s | true"):format(process.quote(process.program), process.quote(code))
    assert.matches("alive", process.run({ "sh", "-c", line }).err, 1, true)
  end)

  it("ends when it prints to a pipe that nobody reads, or to a full disk", function()
    local code = "while true do print 'text' end"
    local line = ("%s -e %s | head -n 1"):format(process.quote(process.program),
      process.quote(code))
    local result = process.run({ "sh", "-c", line }, { seconds = 10 })
    assert.equal("text\n", result.out)
    assert.matches("^bide: print: broken pipe %(EPIPE%)\n", result.err)
    result = process.run({ process.program, "-e", "print 'text'" }, { redirect = ">/dev/full" })
    assert.equal(1, result.status)
    assert.matches("(ENOSPC)", result.err, 1, true)
  end)

  it("tells at its end of output that was lost, but not to a pipe that nobody reads", function()
    local function to_full_disk(...)
      return process.run({ process.program, ... }, { redirect = ">/dev/full" })
    end
    local full = "bide: standard output: no space left on device\n"
    for _, words in ipairs {
      { "-e", "io.write 'text'" },
      { "-e", "for i = 1, 1e5 do io.write(i, '\\n') end" },
      { "--version" },
      { "--help" },
    } do
      local result = to_full_disk(table.unpack(words))
      assert.equal(1, result.status)
      assert.equal(full, result.err)
    end
    -- It failed long ago, and nothing is left to write.
    local result = to_full_disk("-e", "io.write 'text' io.stdout:flush()")
    assert.equal(1, result.status)
    assert.equal("bide: standard output: not all of it could be written\n", result.err)
    -- What print told is not told again.
    result = to_full_disk("-e", "print 'text'")
    assert.is_nil(result.err:find("standard output", 1, true))
    result = to_full_disk("-e", "pcall(print, 'text')")
    assert.same({ 0, "" }, { result.status, result.err })

    local code = "for i = 1, 1e5 do io.write(i, '\\n') end"
    local line = ("{ %s -e %s; echo $? >&2; } | head -n 1"):format(process.quote(process.program),
      process.quote(code))
    result = process.run({ "sh", "-c", line }, { seconds = 10 })
    assert.same({ "1\n", "1\n" }, { result.out, result.err })
  end)

  it("leaves a closed pipe its usual meaning in the programs that it starts", function()
    local result = bide("-e", [[
      local pipe = io.popen("sh -c 'kill -PIPE $$; echo survived'")
      print(pipe:read "a", pipe:close())
      print(os.execute("sh -c 'kill -PIPE $$; echo survived'"))
    ]])
    assert.equal("\tnil\texit\t141\nnil\texit\t141\n", result.out)
  end)
end)

describe("--slice", function()
  -- Signals wait for system calls under the thread sanitizer: nothing is sliced there.
  local sliced = not (os.getenv "BIDE_BUILD" or ""):find "tsan"
  local compute = [[
    local bide = require "bide"
    local turns = 0
    bide.daemon(function() while true do turns = turns + 1 bide.sleep(0) end end)
    local task = bide.spawn(function() local x = 0 for i = 1, 3e7 do x = x + i end return x end)
    assert(task:await() == 3e7 * (3e7 + 1) // 2)
    print(turns > 3)
  ]]

  it("lets others run while a task computes; without it none does", function()
    assert.same({ status = 0, out = tostring(sliced) .. "\n", err = "" },
      bide("--slice=5", "-e", compute))
    assert.same({ status = 0, out = "false\n", err = "" }, bide("-e", compute))
  end)

  it("wants milliseconds", function()
    for _, text in ipairs { "", "0", "-1", "x", "5x", "nan", "inf" } do
      local result = bide("--slice=" .. text, "-e", "")
      assert.equal(2, result.status)
      assert.equal(("bide: --slice: milliseconds expected, got '%s'\n"):format(text), result.err)
    end
    assert.equal(0, bide("--slice", "0.5", "-e", "").status)
  end)

  it("is told of in the help", function()
    assert.matches("%-%-slice=MS", bide("--help").out)
  end)
end)

describe("Ctrl-C", function()
  -- The program sends the signal to itself, so that nothing has to be waited for. (Not through
  -- os.execute, during which system() ignores it.)
  local interrupt = "io.popen('kill -INT $PPID'):close()\n"

  it("cancels the run: clean-up runs, the status is 130", function()
    local result = bide("-e", [[
      local bide = require "bide"
      local function hold(name)
        local function closed() print("closed " .. name) end
        local guard <close> = setmetatable({}, { __close = closed })
        bide.sleep(60)
        return guard
      end
      bide.spawn(hold, "spawned")
      bide.spawn(function() ]] .. interrupt .. [[ end)
      hold "main"
    ]])
    assert.equal(130, result.status)
    assert.matches("closed main", result.out, 1, true)
    assert.matches("closed spawned", result.out, 1, true)
    assert.equal("", result.err)
  end)

  it("ends the program at once when it comes twice", function()
    local result = bide("-e", interrupt .. interrupt .. "while true do end")
    assert.equal(130, result.status)
  end)

  local compute_it = process.build:find "portable" and pending or it -- it has no slices
  compute_it("stops what bide.compute runs, which waits for nothing", function()
    local result = bide("-e", "local bide = require 'bide' bide.compute(function() " .. interrupt
      .. [[
        local done <close> = setmetatable({}, { __close = function() print "closed" end })
        while done do end
      end) bide.sleep(60)]])
    assert.same({ status = 130, out = "closed\n", err = "" }, result)
  end)

  it("is left alone when it was ignored from the start", function()
    local code = interrupt .. "require 'bide'.sleep(0) print 'goes on'"
    local line = ("trap '' INT; exec %s -e %s"):format(process.program, process.quote(code))
    assert.same({ status = 0, out = "goes on\n", err = "" }, process.run { "sh", "-c", line })
  end)
end)
