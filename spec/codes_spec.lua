-- SPDX-License-Identifier: MIT
-- Every code that the sources raise by name: an example of each carries code, op, where and
-- message, reads as it should, tells the details that help, and stands in the reference.
local bide = require "bide"
local http = require "spec.support.http"
local process = require "spec.support.process"
local tasks = require "spec.support.tasks"
local testing = require "bide.testing"

-- ---- the codes of the sources ------------------------------------------------------------------

-- Literals that look like codes and are none of an error of bide's.
local OTHERS = {
  ECHUNKSIZE = "in a comment", ECONNREFUSED = "in a comment", EIO = "in a comment",
  EINPROGRESS = "of LuaSocket's interface", ENOTSUP = "needs a module of another build",
}

-- These need a host with limits, an interrupt or no memory: spec/embed/test_codes.c has examples.
local EMBEDDED = { EBUDGET = true, EINTR = true, ELIMIT = true, ENOMEM = true }

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local function codes_of_sources()
  local found = {}
  local listed = process.run { "find", "host", "bindings", "lua", "-name", "*.[ch]", "-o",
    "-name", "*.lua" }
  for path in listed.out:gmatch "[^\n]+" do
    if not path:find "^lua/bide/socket" and not path:find "^lua/bide/meta" then
      for code in read(path):gmatch '"(E[A-Z][A-Z]+)"' do
        if not OTHERS[code] then found[code] = path end
      end
    end
  end
  return found
end

-- ---- examples ----------------------------------------------------------------------------------

local function future() return bide.future() end

local function closed_channel()
  local ch = bide.channel()
  ch:close()
  return ch
end

local function port_without_tls()
  local server = bide.tcp.listen("127.0.0.1", 0, function(s) s:write "no TLS here\r\n\r\n" end,
    { daemon = true })
  local _, port = server:address()
  return port
end

-- A stream whose peer has sent these bytes and ended.
local function stream_with(bytes)
  local server = bide.tcp.listen("127.0.0.1", 0, function(s) s:write(bytes) end, { daemon = true })
  local _, port = server:address()
  return bide.tcp.connect("127.0.0.1", port)
end

local function refused_port()
  local server = bide.tcp.listen("127.0.0.1", 0, function() end)
  local _, port = server:address()
  server:close()
  return port
end

-- What only a report tells of.
local function reported(f)
  local seen = tasks.unhandled(function() bide.run(f) end)
  return seen[1].err
end

-- code → a list of {what raises it, its op, the fields that tell more}; what raises it may return
-- the error instead, where it is not raised here.
local EXAMPLES = {
  EALLFAILED = { { function() bide.any { function() error("no", 0) end } end, "any", "errors" } },
  EBADF = {
    { function() closed_channel():send(1) end, "send" },
    { function() closed_channel():try_send(1) end, "try_send" },
    { function() bide.select { { closed_channel(), 1 } } end, "select" },
    { function() local s = stream_with "" s:close() s:read() end, "read" },
    { function() local u = bide.udp.bind("127.0.0.1", 0) u:close() u:recv() end, "recv" },
    { function() local s = bide.http.session() s:close() s:get "http://127.0.0.1/" end, "GET" },
  },
  EBUSY = { { function()
    local s <close> = stream_with ""
    bide.gather(function() s:read() end, function() s:read() end)
  end, "read" } },
  ECANCELED = {
    { function() local t = bide.spawn(future().await, future()) t:cancel "why" t:await() end,
      "await", "task", "reason" },
    { function()
      local err
      local task = bide.spawn(function() err = select(2, pcall(function() bide.sleep(60) end)) end)
      bide.sleep(0)
      task:cancel "why"
      pcall(task.await, task)
      return err
    end, "sleep", "reason" },
  },
  ECLOSED = { { function()
    local g
    bide.group(function(group) g = group end)
    g:spawn(print)
  end, "group:spawn" } },
  EDEADLK = {
    { function() bide.current():await() end, "await" },
    { function() bide.gather(bide.current()) end, "gather" },
    { function() bide.timeout(60, bide.current()) end, "await" },
  },
  EINVAL = { { function() bide.extend(1) end, "extend" } },
  ECONNRESET = { { function()
    local url = http.raw_server(function(s) http.read_head(s) end)
    bide.http.get(url .. "/x", { redirects = 0 })
  end, "GET", "url", "phase" } },
  ELEFT = { { function()
    testing.run(function() bide.spawn(bide.sleep, 60) end, { clock = "real" })
  end, "testing.run", "left" } },
  ELOOP = { { function()
    local url = http.answering "HTTP/1.1 302 x\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"
    bide.http.get(url .. "/")
  end, "GET", "url" } },
  ELOST = { { function()
    return reported(function()
      bide.lock():acquire()
      collectgarbage()
      collectgarbage()
    end)
  end, "lock" } },
  ENORUN = { { function()
    -- once the run is over, its handler of unhandled errors runs in no task
    local code = [==[load([[
      local bide = require "bide"
      bide.on_unhandled(function()
        local _, e = pcall(bide.sleep, 1)
        print(e.message) print(e.where)
      end)
      bide.spawn(error, "lost")]], '=codes_spec.lua')()]==]
    local result = process.bide("-e", code)
    local message, where = result.out:match "^(.-)\n(.-)\n$"
    return setmetatable({ code = "ENORUN", op = "sleep", message = message, where = where },
      bide.Error)
  end, "sleep" } },
  ENOYIELD = { { function()
    table.concat(setmetatable({}, { __len = function() return 1 end,
      __index = function() bide.sleep(0) end }))
  end, "sleep" } },
  EOF = { { function() local s <close> = stream_with "ab" s:read_exactly(4) end, "read_exactly",
    "target", "partial" } },
  EPENDING = { { function() future():result() end, "result" } },
  EPERM = { { function() local l = bide.lock() bide.condition(l):notify() end, "notify" } },
  EPROTO = {
    { function() bide.http.get((http.answering "nonsense\r\n\r\n") .. "/") end, "GET", "url" },
    { function()
      bide.http.get((http.answering "HTTP/1.1 200 x\r\ncontent-length: 1\r\n\r\n{") .. "/"):json()
    end, "json", "target" },
  },
  EPROXY = { { function()
    local proxy = http.answering "HTTP/1.1 403 no\r\ncontent-length: 0\r\n\r\n"
    bide.http.get("https://example.invalid/", { proxy = proxy })
  end, "GET", "url", "phase" } },
  EREDIRECT = { { function()
    local url = http.answering
      "HTTP/1.1 302 x\r\nlocation: gopher://a/\r\ncontent-length: 0\r\n\r\n"
    bide.http.get(url .. "/")
  end, "GET", "url" } },
  ETIMEDOUT = {
    { function() bide.timeout(0, bide.sleep, 60) end, "timeout", "after" },
    { function()
      local url = http.raw_server(function(s) s:read() bide.sleep(60) end)
      bide.http.get(url .. "/", { timeout = 0.01 })
    end, "GET", "url", "phase", "target" },
  },
  ETLS = { { function()
    bide.tls.connect("127.0.0.1", port_without_tls())
  end, "connect", "target" } },
  ETOOBIG = {
    { function() local s <close> = stream_with "abcdef" s:read_line { limit = 3 } end, "read_line",
      "target", "limit" },
    { function()
      bide.http.get((http.answering "HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n123456789") .. "/",
        { max_body = 3 })
    end, "GET", "url" },
  },
  -- by their status, so that no literal stands in the sources
  ECONNREFUSED = {
    { function() bide.tcp.connect("127.0.0.1", refused_port()) end, "connect", "target", "host",
      "port" },
    { function() bide.http.get("http://127.0.0.1:" .. refused_port() .. "/") end, "GET", "url",
      "phase" },
  },
  ENOENT = { { function() bide.unix.connect "/nowhere/at all" end, "connect", "target", "path" } },
  EADDRINUSE = { { function()
    local first <close> = bide.tcp.listen("127.0.0.1", 0, print, { daemon = true })
    local _, port = first:address()
    bide.tcp.listen("127.0.0.1", port, print)
  end, "listen", "target", "host", "port" } },
}

local function example_of(raise)
  local results = table.pack(pcall(raise))
  if not results[1] then return results[2] end
  return assert(results[2], "no error")
end

local function assert_explains(err, code, op, fields)
  assert.equal(bide.Error, getmetatable(err), tostring(err))
  assert.equal(code, err.code, tostring(err))
  assert.equal(op, err.op, tostring(err))
  assert.equal("string", type(err.message))
  assert.matches("^[^\n]+:%d+$", err.where)
  local target = err.target and " " or ": "
  assert.equal(op .. target .. err.message .. " (" .. code .. ")", tostring(err))
  if err.target then assert.equal(err.target .. ": ", err.message:sub(1, #err.target + 2)) end
  for _, field in ipairs(fields) do
    assert.is_not_nil(err[field], field .. " of " .. tostring(err))
  end
end

describe("the codes of errors", function()
  before_each(tasks.mark)

  it("all have an example here", function()
    for code, path in pairs(codes_of_sources()) do
      assert(EXAMPLES[code] or EMBEDDED[code], ("%s, raised in %s, has none"):format(code, path))
    end
    local embedded = read "spec/embed/test_codes.c"
    for code in pairs(EMBEDDED) do assert.matches(code, embedded, 1, true) end
  end)

  it("all stand in the reference", function()
    local reference = read "docs/reference/errors.md"
    for code, path in pairs(codes_of_sources()) do
      assert(reference:find("`" .. code .. "`", 1, true), code .. " of " .. path)
    end
  end)

  for code, examples in pairs(EXAMPLES) do
    for i, example in ipairs(examples) do
      local raise, op = example[1], example[2]
      it(("%s, %s: carries code, op, where and its details (%d)"):format(code, op, i), function()
        local err = example_of(raise)
        assert_explains(err, code, op, { table.unpack(example, 3) })
        assert.matches("codes_spec.lua:%d+$", err.where)
      end)
    end
  end
end)
