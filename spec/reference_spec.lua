-- SPDX-License-Identifier: MIT
-- Each public function and method has an annotation in lua/bide/meta and an entry in a table of
-- docs/reference.
local bide = require "bide"
local process = require "spec.support.process"
local tasks = require "spec.support.tasks"

--- The text of all files that a shell pattern names.
local function all(pattern)
  return process.run({ "sh", "-c", "cat " .. pattern }).out
end

local meta, reference = all "lua/bide/meta/*.lua lua/bide/testing.lua", all "docs/reference/*.md"

--- The code in backquotes within the reference, each piece between blanks.
local entries = " "
for code in reference:gmatch "`([^`\n]+)`" do entries = entries .. code .. " " end

--- Has the reference an entry that calls, or names, this function of `owner` ("bide", "tcp"…), or a
--- method?
local function in_reference(name)
  return entries:find("[%s%.:/]" .. name .. "%f[^%w_]") ~= nil
end

local function assert_described(owner, name)
  assert.is_true(in_reference(name), ("%s.%s: no entry in docs/reference"):format(owner, name))
end

--- What bide's own code calls: no part of the interface.
local internal = { testing = true }

local libraries = { "tcp", "unix", "udp", "dns", "tls" }

describe("the reference and the annotations #core", function()
  before_each(function()
    pcall(bide.tcp.connect, "127.0.0.1", 1) -- what the net opens at its first use stays open
    tasks.mark()
  end)
  after_each(tasks.check)

  it("have every function of bide", function()
    for name, value in pairs(bide) do
      if type(value) == "function" and not internal[name] then
        assert_described("bide", name)
        local annotated = meta:find("function bide." .. name .. "(", 1, true)
          or meta:find("bide." .. name .. " = ", 1, true)
        assert.truthy(annotated, "bide." .. name .. ": no annotation")
      end
    end
  end)

  for _, library in ipairs(libraries) do
    it("have every function of bide." .. library, function()
      for name in pairs(bide[library]) do
        assert_described(library, name)
        assert.truthy(meta:find(("function %s.%s("):format(library, name), 1, true),
          library .. "." .. name .. ": no annotation")
      end
    end)
  end

  it("have every function of bide.testing", function()
    for name in pairs(bide.testing) do
      assert_described("testing", name)
      assert.truthy(meta:find("function M." .. name .. "(", 1, true), name)
    end
  end)

  it("have every method", function()
    local task = bide.spawn(function() end)
    local guard <close> = bide.lock():acquire()
    local server <close> = bide.tcp.listen("127.0.0.1", 0, function() end, { daemon = true })
    local stream <close> = bide.tcp.connect(server:address())
    local socket <close> = bide.udp.bind("127.0.0.1", 0)
    local group
    bide.group(function(g) group = g end)
    for class, object in pairs { Task = task, Future = bide.future(), Group = group,
      Channel = bide.channel(), Lock = bide.lock(), Semaphore = bide.semaphore(1),
      Event = bide.event(), Condition = bide.condition(), Var = bide.var(), Guard = guard,
      StreamServer = server, Stream = stream, Datagrams = socket } do
      for name in pairs(debug.getmetatable(object).__index) do
        assert_described(class, name)
        local annotated = meta:find(("function %s:%s("):format(class, name), 1, true)
          or meta:find("function Awaitable:" .. name .. "(", 1, true)
        assert.truthy(annotated, class .. ":" .. name .. ": no annotation")
      end
    end
  end)
end)
