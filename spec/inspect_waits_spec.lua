-- SPDX-License-Identifier: MIT
-- What bide.tasks says of each kind of wait: the operation, its target, and who stands in the way.
local bide = require "bide"
local dns = require "spec.support.dns"
local http = require "spec.support.http"
local socket = require "bide.socket"
local tasks = require "spec.support.tasks"

-- A server that accepts and says nothing.
local function silent()
  local server = bide.tcp.listen("127.0.0.1", 0, function(stream)
    bide.sleep(600)
    return stream -- one that nobody refers to is collected, and so closed
  end, { daemon = true })
  local _, port = server:address()
  return port, server
end

-- A port at which a connect waits: the place of the one connection that may wait there is taken.
local function full_port()
  local listener = assert(socket.tcp())
  assert(listener:bind("127.0.0.1", 0))
  assert(listener:listen(0))
  local _, port = listener:getsockname()
  local held = {}
  for i = 1, 2 do
    held[i] = bide.spawn(bide.tcp.connect, "127.0.0.1", port)
    bide.try(bide.timeout, 0.05, held[i])
  end
  return tonumber(port), held, listener
end

local function entry_of(task)
  local function find(list)
    for _, entry in ipairs(list) do
      local found = entry.task == task and entry or find(entry.children)
      if found then return found end
    end
  end
  return find(bide.tasks())
end

-- What the task that runs f waits for once it says so; the task is cancelled.
local function waits_of(f, expected)
  local task, found = bide.spawn(f), nil
  for _ = 1, 2000 do
    local entry = entry_of(task)
    found = entry and entry.waits
    if found and found:find(expected) then break end
    assert(task:status() == "pending", "it waits for nothing")
    bide.sleep(0.001)
  end
  task:cancel()
  pcall(task.await, task)
  return found
end

local function assert_waits(expected, f)
  assert.matches(expected, waits_of(f, expected))
end

describe("bide.tasks tells of", function()
  before_each(tasks.mark)

  it("a connect its address", function()
    local port, held, listener = full_port()
    assert_waits("^connect 127%.0%.0%.1:" .. port, function()
      bide.tcp.connect("127.0.0.1", port)
    end)
    for _, task in ipairs(held) do
      task:cancel()
      bide.wait { task }
    end
    listener:close()
  end)

  it("reads and writes the peer", function()
    local port = silent()
    assert_waits("^read 127%.0%.0%.1:" .. port .. "$", function()
      local s <close> = bide.tcp.connect("127.0.0.1", port)
      s:read()
    end)
    assert_waits("^write 127%.0%.0%.1:" .. port .. "$", function()
      local s <close> = bide.tcp.connect("127.0.0.1", port)
      s:write(("x"):rep(32 * 1024 * 1024))
    end)
    assert_waits("^udp recv", function()
      local s <close> = bide.udp.bind("127.0.0.1", 0)
      s:recv()
    end)
  end)

  it("a TLS handshake its peer", function()
    local port = silent()
    assert_waits("^tls 127%.0%.0%.1:" .. port, function() bide.tls.connect("127.0.0.1", port) end)
  end)

  it("a request its server and phase", function()
    local port = silent()
    assert_waits("^http request to 127%.0%.0%.1:" .. port .. " %(headers%)$", function()
      bide.http.get(("http://127.0.0.1:%d/"):format(port))
    end)
    assert_waits("^http request to 127%.0%.0%.1:" .. port .. " %(tls%)$", function()
      bide.http.get(("https://127.0.0.1:%d/"):format(port))
    end)
    local url = http.raw_server(function(s)
      http.read_head(s)
      s:write "HTTP/1.1 200 ok\r\ncontent-length: 10\r\n\r\n"
      bide.future():await()
    end)
    assert_waits("^http request to [%d.:]+ %(%a+%)$", function() bide.http.get(url) end)
  end)

  it("a lock, a semaphore and a guard who holds it", function()
    local lock, semaphore = bide.lock(), bide.semaphore(1)
    local line = debug.getinfo(1, "l").currentline + 1
    local a, b = lock:acquire(), semaphore:acquire()
    local since = "held since [^)]*inspect_waits_spec.lua:" .. line
    assert_waits("^lock %(" .. since, function() lock:acquire() end)
    assert_waits("^semaphore %(" .. since, function() semaphore:acquire() end)
    a:release()
    b:release()
  end)

  it("a look-up the name, also when a connect needs it", function()
    dns.serve(function() end)
    local resolve = waits_of(function() bide.dns.resolve "silent.test" end, "^resolve ")
    local connect = waits_of(function() bide.tcp.connect("silent.test", 80) end, "^connect ")
    bide.dns.servers()
    assert.equal("resolve silent.test", resolve)
    assert.matches("^connect silent%.test:80", connect)
  end)

  it("the rest its operation", function()
    local channel = bide.channel()
    assert_waits("^channel recv$", function() channel:recv() end)
    assert_waits("^channel send$", function() channel:send(1) end)
    assert_waits("^select$", function() bide.select { { channel } } end)
    assert_waits("^event wait$", function() bide.event():wait() end)
    assert_waits("^sleep %(%d+%.%d+ s left%)$", function() bide.sleep(60) end)
    assert_waits("^interval$", function() bide.interval(60)() end)
    assert_waits("^gather$", function() bide.gather(function() bide.sleep(60) end) end)
    assert_waits("^map$", function() bide.map({ 1 }, function() bide.sleep(60) end) end)
    assert_waits("^future$", function() bide.future():await() end)
  end)
end)
