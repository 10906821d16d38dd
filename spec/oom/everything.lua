-- SPDX-License-Identifier: MIT
-- A script that uses everything, while memory runs out: tasks, combinators, channels, compute;
-- streams over tcp, unix sockets and tls; datagrams, names, LuaSocket's interface; http, gzip.
local bide = require "bide"
local socket = require "bide.socket"

local zipped = "\031\139\008\000\000\000\000\000\002\003K" ..
  "\206\207-(J-.NMQH\030e\1422\1773\001\1841\1622&" ..
  "\002\000\000"
-- Of nobody, for nobody: valid for a hundred years.
local cert = [[
-----BEGIN CERTIFICATE-----
MIIBfjCCASWgAwIBAgIUA0+1h1ifc4Jr8lWeEyt8mF6upb0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjE3MTcxNVoYDzIxMjYxMDI5
MTcxNzE1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQUhHq0QJ6SVuiuYW/TnaXbla4ew2Lx90hqbCk5jzDbJDqJsbg8UWIP
8PzE3ONtPowyLCQJ9dShEFsYP7hmaCwDo1MwUTAdBgNVHQ4EFgQUxVPe7cgLxI1q
XX6MvizZsZJznsQwHwYDVR0jBBgwFoAUxVPe7cgLxI1qXX6MvizZsZJznsQwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBAgynK50bCtuL7No8YtvtH
3Z4lVWesOYzH3tqv8EjRcQIgbts6neYnqx9vxHgYuDBka2ZQFxo95XFPHkhhdo0q
XzY=
-----END CERTIFICATE-----
]]
local key = [[
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8Hejz7Uj7WRn0Kow
rlMHb7bQG+JWVUwMaEqdGCRkqnGhRANCAAQUhHq0QJ6SVuiuYW/TnaXbla4ew2Lx
90hqbCk5jzDbJDqJsbg8UWIP8PzE3ONtPowyLCQJ9dShEFsYP7hmaCwD
-----END PRIVATE KEY-----
]]

-- Memory that a server's side lacks reaches its client as a connection that breaks, or a silence.
local function check(what)
  if not what then error("not enough memory", 0) end
  return what
end

local broken = { ECONNRESET = true, EPIPE = true, EPROTO = true, ETIMEDOUT = true, ETLS = true,
  ECONNREFUSED = true }
local function attempt(f, ...)
  local results = table.pack(pcall(bide.timeout, 5, f, ...))
  if results[1] then return table.unpack(results, 2) end
  local err = results[2]
  check(type(err) ~= "table" or not broken[err.code])
  error(err, 0)
end

local function echo(s)
  for line in s:lines() do s:write(line, "\n") end
end

local function ask(s)
  s:write("one\n")
  s:write("two\n")
  check(s:read_line() == "one" and s:read_line() == "two")
  s:shutdown()
  check(s:read() == nil)
  s:close()
end

-- ---- tasks --------------------------------------------------------------------------------------

attempt(function()
  local ch = bide.channel(1)
  local sum = bide.spawn(function()
    local n = 0
    for v in ch.recv, ch do n = n + v end
    return n
  end)
  bide.group(function(g)
    for i = 1, 3 do g:spawn(ch.send, ch, i) end
  end)
  ch:close()
  assert(sum:await() == 6)
  local function one() bide.sleep(0) return 1 end
  assert(#bide.gather { one, one, one } == 3 and bide.race { one, one } == 1)
  assert(bide.settle { one, error }[2].ok == false and bide.any { error, one } == 1)
  for _, ok in bide.as_completed { one, one } do assert(ok) end
  assert(#bide.map({ 1, 2, 3 }, function(v) bide.sleep(0) return v end, { limit = 2 }) == 3)
  assert(bide.compute(function() local x = 0 for i = 1, 1000 do x = x + i end return x end):await()
    == 500500)
  local lock, event = bide.lock(), bide.event()
  local waiting = bide.spawn(function()
    event:wait()
    local _ <close> = lock:acquire()
    return "held"
  end)
  event:set()
  assert(waiting:await() == "held")
  pcall(bide.timeout, 0.001, bide.shield, bide.sleep, 0.002)
  local late = bide.spawn(bide.sleep, 60)
  late:cancel()
  assert(not pcall(late.await, late))
end)

-- ---- streams ------------------------------------------------------------------------------------

attempt(function()
  local server <close> = bide.tcp.listen("127.0.0.1", 0, echo)
  local _, port = server:address()
  ask(bide.tcp.connect("localhost", port, { family = 4 }))
  local raw = socket.tcp()
  raw:settimeout(2)
  check(raw:connect("127.0.0.1", port))
  check(raw:send("line\n"))
  check(raw:receive("*l") == "line")
  raw:close()
end)

attempt(function()
  local path = os.tmpname()
  os.remove(path)
  local server <close> = bide.unix.listen(path, echo)
  assert(server:address() == path)
  ask(bide.unix.connect(path))
end)

attempt(function()
  local server <close> = bide.tls.listen("127.0.0.1", 0, echo, { cert = cert, key = key })
  local _, port = server:address()
  ask(bide.tls.connect("localhost", port, { family = 4, ca = cert, verify = false }))
end)

attempt(function()
  local a <close> = bide.udp.bind("127.0.0.1", 0)
  local waiting = bide.spawn(a.recv, a)
  a:send("datagram", a:address())
  assert(waiting:await() == "datagram")
  assert(bide.dns.resolve("localhost", { family = 4 })[1] == "127.0.0.1")
end)

-- ---- http ---------------------------------------------------------------------------------------

attempt(function()
  local server <close> = bide.http.serve({ port = 0 }, function(req)
    if req.path == "/zip" then return 200, { ["Content-Encoding"] = "gzip" }, zipped end
    local n = 0
    return 200, { ["X-Got"] = req.body }, function()
      n = n + 1
      return n < 3 and "piece " or nil
    end
  end)
  local base = "http://127.0.0.1:" .. select(2, server:address())
  local session <close> = bide.http.session { base = base, cookies = true, timeout = 2 }
  local results = bide.gather {
    function() return session:get("/zip").body end,
    function() return session:post("/", { form = { a = "1 2" } }).headers["x-got"] end,
  }
  check(results[1] == ("compressed "):rep(50))
  check(results[2] == "a=1+2" or results[2] == "a=1%202")
  local res <close> = session:get("/", { stream = true })
  local parts = {}
  for part in res:chunks() do parts[#parts + 1] = part end
  check(table.concat(parts) == "piece piece ")
end)
