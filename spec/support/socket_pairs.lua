-- SPDX-License-Identifier: MIT
-- Operations of a client and a server in pairs, after the manner of LuaSocket's own tests: two
-- processes, each over LuaSocket or over bide.socket, and whichever they run on, the client has to
-- print the same. `server FILE` writes its port into FILE; `client PORT` sends it commands over
-- one connection and has them act upon another.

if os.getenv "OVER" == "bide" then require("bide.socket").install() end
local socket = require "socket"

-- What the server does with `data`, its end of the second connection, when it is told to.

local commands, data, server = {}, nil, nil

function commands.accept()
  if data then data:close() end
  return function() data = assert(server:accept()) end
end
function commands.close()
  if data then data:close() end
  data = nil
end
function commands.line() return function() data:send((data:receive()) .. "\n") end end
function commands.echo(n) return function() data:send((data:receive(n))) end end
function commands.bytes(n) return function() data:send(("a"):rep(n)) end end
function commands.text(n) return function() data:send(("7890"):rep(n)) end end
function commands.twice(n, pause)
  return function()
    data:send(("a"):rep(n))
    socket.sleep(pause)
    data:send(("b"):rep(n))
  end
end
function commands.take(n, pause)
  return function()
    local first = data:receive(n)
    socket.sleep(pause)
    local all = data:receive(2 * n, first)
    data:send(#(all or "") .. "\n")
  end
end
function commands.mixed(n)
  return function()
    local all = data:receive(n)
    data:send(all)
    data:close()
  end
end
function commands.leave(n)
  return function()
    data:send(("7890"):rep(n))
    data:close()
    data = nil
  end
end

--- Each command is answered before what it waits for begins.
local function serve(file)
  server = assert(socket.bind("127.0.0.1", 0))
  local out = assert(io.open(file .. ".new", "w"))
  out:write((select(2, server:getsockname())))
  out:close()
  os.rename(file .. ".new", file)
  local control = assert(server:accept())
  control:setoption("tcp-nodelay", true)
  for line in function() return (control:receive()) end do
    local name, a, b = line:match "^(%S+) ?(%S*) ?(%S*)$"
    local act = commands[name](tonumber(a), tonumber(b))
    control:send "done\n"
    if act then act() end
  end
end

if arg[1] == "server" then return serve(arg[2]) end

local port = tonumber(arg[2])
local control = assert(socket.connect("127.0.0.1", port))
control:setoption("tcp-nodelay", true)

local function remote(...)
  assert(control:send(table.concat({ ... }, " ") .. "\n"))
  assert(control:receive() == "done")
end

local function connect()
  if data then data:close() end
  remote "accept"
  data = assert(socket.connect("127.0.0.1", port))
  data:setoption("tcp-nodelay", true)
end

local function show(what, ...)
  local list = table.pack(...)
  while list.n > 0 and list[list.n] == nil do list.n = list.n - 1 end
  for i = 1, list.n do
    local v = list[i]
    if math.type(v) == "float" then v = math.tointeger(v) or v end
    if type(v) == "string" and #v > 40 then v = ("%d bytes"):format(#v) end
    list[i] = type(v) == "string" and ("%q"):format(v) or tostring(v)
  end
  print(what .. ":", table.concat(list, ", "))
end

local sizes = { 1, 17, 200, 4091, 80199, 2000000, 80199, 17, 1 }

for _, binary in ipairs { "aZb.c#dAe?", "x\21M\4\5\0\7$,d" } do
  for _, n in ipairs(sizes) do
    connect()
    local text = binary:rep(n // 10) .. ("/"):rep(n % 10)
    remote "line"
    show("line sent", data:send(text .. "\n"))
    show("line back", data:receive() == text)
  end
end

for _, n in ipairs(sizes) do
  connect()
  remote("echo", n)
  show("raw sent", data:send(("x"):rep(n // 2)), data:send(("y"):rep(n - n // 2)))
  show("raw back", data:receive(n) == ("x"):rep(n // 2) .. ("y"):rep(n - n // 2))
end

for _, n in ipairs(sizes) do
  connect()
  local unix, dos, raw = "unix " .. ("x"):rep(n), "dos " .. ("y"):rep(n), "raw " .. ("z"):rep(n)
  local text = unix .. "\n" .. dos .. "\r\n" .. raw .. "rest"
  remote("mixed", #text)
  data:send(text)
  show("mixed", data:receive() == unix, data:receive "*l" == dos, data:receive(#raw) == raw,
    data:receive "*a")
  show("behind it", data:receive "*a")
end

connect()
remote("text", 1)
data:settimeout(1)
show("with a prefix", data:receive(10, "123456"))
show("of that length", data:receive(8, "87654321"))
show("of more", data:receive(4, "87654321"))

-- time limits, on each wait and on the whole
for _, mode in ipairs { "b", "t" } do
  for _, times in ipairs { { 0.5, 2 }, { 3, 0.1 } } do
    connect()
    remote("twice", 1000, times[2])
    data:settimeout(times[1], mode)
    show("receive, " .. mode, data:receive(2000))
    connect()
    remote("take", 12000000, times[2])
    data:settimeout(times[1], mode)
    local sent, err, last = data:send(("a"):rep(24000000))
    show("send, " .. mode, sent, err, last and last < 24000000)
    if sent then show("taken", data:receive()) end
  end
end

-- no time at all: the loop of a program that never waits
for _, n in ipairs { 1, 200, 80199, 800000 } do
  connect()
  remote("twice", n, 0.05)
  data:settimeout(0)
  local got, err, part
  repeat got, err, part = data:receive(2 * n, part or "") until err ~= "timeout"
  show("received without waiting", got == ("a"):rep(n) .. ("b"):rep(n), err)
  connect()
  remote("take", n, 0.05)
  data:settimeout(0)
  local text, last = ("c"):rep(2 * n), nil
  repeat got, err, last = data:send(text, (last or 0) + 1) until err ~= "timeout"
  data:settimeout(-1)
  show("sent without waiting", got, err)
  show("taken", data:receive())
end

-- the other end goes, or this one
connect()
remote("leave", 2)
show("closed in a line", data:receive())
show("closed", data:receive())
connect()
remote("leave", 2)
show("closed, all", data:receive "*a")
show("closed, all again", data:receive "*a")
connect()
remote "close"
local sent, err
repeat sent, err = data:send "little string" until not sent
show("closed while sending", sent, err)
for _, pattern in ipairs { "*a", "*l", 1, 0 } do
  connect()
  remote "close"
  data:close()
  show("closed by itself, " .. pattern, data:receive(pattern))
end
show("descriptor", data:getfd())

connect()
local total = 0
for n = 1, 25 do
  remote("echo", n)
  data:send(("a"):rep(n))
  data:receive(n)
  total = total + n
  local received, out = data:getstats()
  if received ~= total or out ~= total then show("statistics", received, out, total) end
end
show("statistics", data:getstats() == total)

-- accept, bind, connect, select
local s = assert(socket.bind("127.0.0.1", 0))
s:settimeout(0.1)
show("accept", s:accept())
local other = socket.tcp()
show("bound twice", other:bind("127.0.0.1", (select(2, s:getsockname()))))
s:close()
show("refused", socket.connect("127.0.0.1", 1))
show("not found", (socket.connect("host.is.invalid", 1)))
show("empty host", (socket.connect("", port)))
for _, lists in ipairs { {}, { { s }, { s } } } do
  local r, w, why = socket.select(lists[1], lists[2], 0.05)
  show("select", #r, #w, why)
end
show("select with what is no list", (pcall(socket.select, "wrong", 1, 0.1)))
remote("bytes", 10)
show("select", #socket.select({ data, control }, nil, 5))
show("by place", socket.select({ data }, nil, 5)[1] == data)
local readable, writable = socket.select({ data }, { data, control }, 5)
show("both", #readable, #writable, writable[data] ~= nil, writable[control] ~= nil)

-- datagrams
local a, b = assert(socket.udp()), assert(socket.udp())
assert(a:setsockname("127.0.0.1", 0))
assert(b:setsockname("127.0.0.1", 0))
show("sendto", b:sendto("one", a:getsockname()))
local text, from, from_port = a:receivefrom()
show("receivefrom", text, from, from_port == tonumber((select(2, b:getsockname()))))
show("truncated", b:sendto("longer", a:getsockname()), a:receive(3))
show("setpeername", b:setpeername(a:getsockname()), a:setpeername(b:getsockname()))
show("send", b:send "two", a:receive())
show("empty", b:send "", a:receive())
a:settimeout(0.05)
show("late", a:receive())
a:close()
show("nobody listens", b:send "three", b:receive())
show("closed", a:getfd())
