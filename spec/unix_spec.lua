-- SPDX-License-Identifier: MIT
-- bide.unix: streams over unix sockets.

local bide = require "bide"
local process = require "spec.support.process"
local unix = bide.unix

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(code, type(err) == "table" and err.code or err, tostring(err))
  return err
end

local function exists(path) return (os.rename(path, path)) end

describe("unix", function()
  local directory, path
  before_each(function()
    directory = process.temporary_directory()
    path = directory .. "/socket"
  end)
  after_each(function() process.remove(directory) end)

  local function echo(s)
    for line in s:lines() do s:write(line, "\n") end
  end

  it("carries lines both ways and the end", function()
    local server <close> = unix.listen(path, echo)
    assert.equal(path, server:address())
    local s <close> = unix.connect(path)
    assert.equal(path, s:peer())
    s:write("one\ntwo\n")
    assert.equal("one", s:read_line())
    assert.equal("two", s:read_line())
    s:shutdown()
    assert.is_nil(s:read())
  end)

  it("carries much, against a slow reader", function()
    local big = ("0123456789"):rep(300000)
    local server <close> = unix.listen(path, function(s) s:write(big) end)
    local s <close> = unix.connect(path)
    bide.sleep(0.01)
    assert.equal(big, s:read_all())
    assert.truthy(server)
  end)

  it("serves many at once, beyond the backlog", function()
    local server <close> = unix.listen(path, echo, { backlog = 2 })
    local work = {}
    for i = 1, 50 do
      work[i] = function()
        local s <close> = unix.connect(path)
        s:write(tostring(i), "\n")
        return s:read_line()
      end
    end
    local got = bide.gather(work)
    for i = 1, 50 do assert.equal(tostring(i), got[i]) end
    assert.truthy(server)
  end)

  it("removes its file at close", function()
    local server = unix.listen(path, echo)
    assert.truthy(exists(path))
    server:close()
    assert.falsy(exists(path))
  end)

  it("replaces a socket that nobody listens on, and nothing else", function()
    local script = directory .. "/leave.lua"
    process.write_file(script, ([[
      local bide = require "bide"
      bide.unix.listen(%q, function() end)
      os.exit(0, false)
    ]]):format(path))
    process.bide(script)
    if exists(path) then
      local server <close> = unix.listen(path, echo)
      raises("EADDRINUSE", unix.listen, path, echo)
      assert.truthy(server)
    end
    process.write_file(directory .. "/file", "precious")
    raises("EADDRINUSE", unix.listen, directory .. "/file", echo)
    assert.equal("precious", process.read_file(directory .. "/file"))
  end)

  it("says what it could not reach", function()
    local err = raises("ENOENT", unix.connect, path)
    assert.equal(path, err.path)
    assert.equal(("connect %s: no such file or directory (ENOENT)"):format(path), tostring(err))
  end)

  it("speaks in the abstract space", function()
    local name = "\0bide-spec-" .. directory
    local server <close> = unix.listen(name, echo)
    local s <close> = unix.connect(name)
    s:write("x\n")
    assert.equal("x", s:read_line())
    assert.equal(name, s:peer())
    assert.truthy(server)
  end)

  it("sets the permissions of its file", function()
    local server <close> = unix.listen(path, echo, { mode = tonumber("600", 8) })
    local pipe <close> = assert(io.popen("stat -c %a " .. process.quote(path)))
    assert.equal("600", pipe:read "l")
    assert.truthy(server)
  end)

  it("survives a peer that goes away", function()
    local server <close> = unix.listen(path, function(s) s:write(("x"):rep(10)) end)
    local s <close> = unix.connect(path)
    assert.equal(("x"):rep(10), s:read_all())
    local err
    for _ = 1, 10 do
      local ok
      ok, err = pcall(s.write, s, "more")
      if not ok then break end
      bide.sleep(0)
    end
    assert.equal("EPIPE", err.code)
    assert.matches("^write unix socket: broken pipe", tostring(err))
    assert.truthy(server)
  end)

  it("refuses wrong arguments as Lua does", function()
    local cases = {
      { "path (string) expected", unix.connect, 5 },
      { "not empty", unix.connect, "" },
      { "NUL", unix.connect, "a\0b" },
      { "path of at most 107 bytes", unix.connect, ("x"):rep(108) },
      { "unknown option", unix.connect, "x", { family = 4 } },
      { "function expected", unix.listen, "x", {} },
      { "option 'mode'", unix.listen, "x", echo, { mode = "600" } },
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(table.unpack(case, 2, 5))
      assert.is_false(ok)
      assert.equal("string", type(err), tostring(err))
      assert.truthy(err:find(case[1], 1, true), err)
    end
  end)
end)
