-- SPDX-License-Identifier: MIT
-- What a program written for LuaSec does, and what it sees: run by a stock lua5.4 over LuaSec, and
-- by bide over bide.socket, it has to print the same. Arguments: the port of a server of the spec's
-- (luasec_spec.lua), which answers its commands, that of one that says nothing, and the directory
-- of the certificates.

if os.getenv "OVER" == "bide" then require("bide.socket").install() end
local socket = require "socket"
local ssl = require "ssl"

local port, silent, dir = tonumber(arg[1]), tonumber(arg[2]), arg[3]

local function show(what, ...)
  local list = table.pack(...)
  while list.n > 0 and list[list.n] == nil do list.n = list.n - 1 end
  for i = 1, list.n do
    local v = math.type(list[i]) == "float" and math.tointeger(list[i]) or list[i]
    if type(v) == "string" and #v > 40 then v = ("%d bytes, %s…"):format(#v, v:sub(1, 10)) end
    list[i] = type(v) == "string" and ("%q"):format(v) or tostring(v)
  end
  print(what .. ":", table.concat(list, ", "))
end

local function params(more)
  local p = { mode = "client", protocol = "any", verify = "peer", cafile = dir .. "/ca.pem",
    options = "all" }
  for k, v in pairs(more or {}) do p[k] = v end
  return p
end

local function wrapped(more, to)
  local tcp = assert(socket.connect("127.0.0.1", to or port))
  return assert(ssl.wrap(tcp, params(more))), tcp
end

local function open(more)
  local s = wrapped(more)
  s:sni "localhost"
  assert(s:dohandshake())
  return s
end

local function ask(s, line) assert(s:send(line .. "\n")) end

local ok, err

-- the handshake
local s, tcp = wrapped()
show("the plain socket's descriptor after wrap", tcp:getfd())
show("descriptor", s:getfd() >= 0)
show("handshake", s:dohandshake())
show("a second handshake", s:dohandshake())
show("info", s:info "protocol", s:info().cipher, s:info().protocol)
show("verified", (s:getpeerverification()))
show("certificate", s:getpeercertificate():subject()[1].value,
  s:getpeercertificate():issuer()[1].name, s:getpeercertificate():notbefore(),
  s:getpeercertificate():validat(os.time()), s:getpeercertificate():digest "sha256")
show("names", table.unpack(s:getpeercertificate():extensions()["2.5.29.17"].dNSName))
show("alpn", s:getalpn())

-- receive
ask(s, "echo hello")
show("line", s:receive())
ask(s, "echo one")
ask(s, "echo two")
show("with prefix", s:receive("*l", "pre "))
show("count", s:receive(2))
show("count with prefix", s:receive(4, "tw"))
ask(s, "size 200000")
show("many", s:receive(200000))
ask(s, "echo a\rb")
show("returns are dropped", s:receive())
show("send a number", s:send(12), s:send "\n")
show("send a range", s:send("xxecho range\nyy", 3, 13), s:receive())
show("send to the end", s:send("xxecho rest\n", 3), s:receive())
show("send from behind", s:send("zzecho back\n", -10), s:receive())

-- time limits
s:settimeout(0.5)
ask(s, "half")
show("late", s:receive())
show("late again", s:receive "*a")
s:settimeout(5)
ask(s, "go on")
show("the rest", s:receive())
s:settimeout(0)
show("no time at all", s:receive(5))
show("want", s:want())
s:settimeout(-1)
s:settimeout(5, "t")
ask(s, "size 10")
show("whole", s:receive(10))

-- the end
ask(s, "last words")
show("up to the end", s:receive "*a")
show("behind the end", s:receive())
show("behind it, all", s:receive "*a")
show("count behind it", s:receive(3))
s:close()
show("closed: receive", s:receive())
show("closed: send", s:send "x")
show("closed: descriptor", s:getfd())

-- a partial line at the end
s = open()
ask(s, "last words")
show("a line that is cut", s:receive(100))
s:close()

-- statistics
s = open()
s:send "echo stats\n"
s:receive()
local received, sent, age = s:getstats()
show("statistics", received, sent, age >= 0 and age < 60)
s:close()

-- a slow reader: what was sent, and what is known of it
s = open()
ask(s, "sleep")
s:settimeout(0.1)
ok = true
local sum, last = 0, nil
while ok and sum < 3e7 do
  ok, err, last = s:send(("x"):rep(1000000))
  sum = sum + (ok or last)
end
show("a full pipe", ok, err, last < 1000000, s:want())
local other = open()
ask(other, "full")
other:receive()
other:close()
s:settimeout(20)
local total = sum
local rest = 1000000 - last
ok, err, last = s:send(("x"):rep(rest) .. "\n")
show("the rest of it", ok == rest + 1, err, last)
show("the peer has counted", tonumber((s:receive())) == total + rest)
s:close()

-- what goes wrong in the handshake
s = wrapped { cafile = dir .. "/other.pem" }
ok, err = s:dohandshake()
show("not trusted", ok, err)
s = wrapped { verify = "none", cafile = dir .. "/other.pem" }
show("not verified", s:dohandshake())
s:close()
s = wrapped(nil, silent)
s:settimeout(0.05)
show("silence", s:dohandshake())
show("silence again", s:dohandshake())
s:settimeout(0)
show("no time for a handshake", s:dohandshake())
show("wants", s:want())
s:close()
show("before the handshake", wrapped():receive())
s = wrapped()
s:settimeout(0)
local turns = 0
while true do
  ok, err = s:dohandshake()
  if ok or err ~= "wantread" and err ~= "wantwrite" then break end
  local reading = err == "wantread"
  socket.select(reading and { s } or {}, reading and {} or { s }, 5)
  turns = turns + 1
end
show("with select", ok, turns < 100)
ask(s, "echo selected")
show("readable", socket.select({ s }, nil, 5)[1] == s)
show("writable", select(2, socket.select(nil, { s }, 5))[1] == s)
repeat
  local line, why = s:receive()
  if why == "wantread" then socket.select({ s }, nil, 5) end
until line and show("line", line) == nil
s:close()

-- parameters
show("no such file", ssl.newcontext(params { cafile = dir .. "/none.pem" }) == nil)
show("no such protocol", ssl.newcontext(params { protocol = "sslv2" }) == nil)
show("alpn", (function()
  local with = open { alpn = { "b", "a" } }
  return with:getalpn()
end)())
local context = assert(ssl.newcontext(params()))
for i = 1, 2 do
  local with = assert(ssl.wrap(assert(socket.connect("127.0.0.1", port)), context))
  show("context " .. i, with:dohandshake())
  with:close()
end
