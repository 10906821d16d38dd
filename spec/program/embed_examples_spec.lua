-- SPDX-License-Identifier: MIT
-- The C examples, each built by pkg-config alone against an installed bide, run, and compared.
local installed = require "spec.support.installed"
local process = require "spec.support.process"

local expected = {
  minimal = { "hello, world" },
  own_loop = {
    "quick: after 0.02 s",
    "bad failed: script:4: it went wrong",
    "slow: after 0.06 s",
    "0 tasks left, 0 errors unhandled",
  },
  shared_loop = {
    "script: echo line 1", "script: echo line 2", "script: echo line 3",
    "the script has ended",
    "the timer ticked meanwhile: yes",
    "2 handles are left on the loop, both the program's",
    "they go on: 10 bytes read, the timer ticks",
    "uv_loop_close: 0",
  },
  poll_loop = {
    "heard: you asked for /a", "heard: you asked for /b", "heard: you asked for /c",
    "slept in poll, not busy: yes",
  },
  frame_loop = {
    "the scripts took many frames: yes",
    "and left time to draw in most: yes",
    "0 tasks left, result true",
  },
  await_poll = {
    "read message 1", "read message 2", "read message 3",
    "nothing more\tETIMEDOUT",
    "false\treadable: bad file descriptor (EBADF)",
    "1 watch is open",
    "0 watches after bide_free",
  },
  userdata = {
    "pages\t1 2 3",
    "ETIMEDOUT\tin line\t0",
    "EBADF",
    "EBADF",
  },
  threads = { "sum of squares\t2870" },
}

describe("the C example", function()
  local bide
  setup(function() bide = installed.install() end)
  teardown(function() bide:remove() end)

  for name, lines in pairs(expected) do
    it(name .. ".c builds by pkg-config and does what it says", function()
      local r = bide:run(bide:build(("examples/embed/%s.c"):format(name)))
      assert.same({ status = 0, out = table.concat(lines, "\n") .. "\n", err = "" }, r)
    end)
  end

  it("sqlite.c is a module, in under 150 lines, that the program loads", function()
    local source = "examples/embed/sqlite.c"
    local _, lines = process.read_file(source):gsub("\n", "")
    assert.is_true(lines < 150, lines .. " lines")
    bide:sh("cc -Wall -Wextra -Wpedantic -Werror -shared -fPIC -o %s/sqlite.so %s "
      .. "$(pkg-config --cflags bide sqlite3) -lsqlite3", bide.root, source)
    local script = bide:sh "realpath examples/embed/notes.lua":match "[^\n]+"
    local r = process.run({ bide.prefix .. "/bin/bide", script },
      { env = { LUA_CPATH = bide.root .. "/?.so" }, directory = "/" })
    assert.same({
      status = 0,
      out = table.concat({
        "others ran meanwhile\ttrue",
        "40\t205.0",
        "note 8\t1\tnil",
        "false\tESQLITE\texec: no such column: nonsense (ESQLITE)",
        "false\tETIMEDOUT",
        "40\n",
      }, "\n"),
      err = "",
    }, r)
  end)

  it("is listed here if it is there", function()
    for path in bide:sh "ls examples/embed/*.c":gmatch "[^\n]+" do
      local name = path:match "([^/]+)%.c$"
      assert.is_truthy(expected[name] or name == "sqlite", name)
    end
  end)
end)
