-- SPDX-License-Identifier: MIT
-- Calls whatever can be reached with whatever there is: every function in every table and
-- metatable, with values of every kind, the wrong userdata above all; results join the values.
-- What the host sets: `seed`, `port` of a server.
local bide = require "bide"
local seed, port = rawget(_G, "seed"), rawget(_G, "port") or 1

math.randomseed(seed or 1)
local random = math.random
local values, functions, known = {}, {}, {}
local POOL, ROUNDS = 400, 3000

local quiet = { [print] = true, [warn] = true, [math.randomseed] = true,
  [bide.on_unhandled] = true }
-- What others may break in the course of it.
local unpack, pcall, select, next, rawset, type, setmetatable = -- luacheck: ignore
  table.unpack, pcall, select, next, rawset, type, setmetatable -- luacheck: ignore
local getmetatable, wrap, globals = getmetatable, coroutine.wrap, _G -- luacheck: ignore
local timeout, spawn, sleep = bide.timeout, bide.spawn, bide.sleep

local function add(v)
  local kind = type(v)
  if kind == "function" then
    if not known[v] and not quiet[v] then
      known[v] = true
      functions[#functions + 1] = v
    end
  elseif kind == "userdata" or kind == "table" or kind == "thread" then
    if #values < POOL then values[#values + 1] = v else values[random(POOL)] = v end
  end
end

local function walk(v, depth)
  if v == nil or known[v] or depth > 5 then return end
  add(v)
  if type(v) == "function" then return end
  known[v] = true
  local meta = getmetatable(v)
  if type(meta) == "table" then walk(meta, depth + 1) end
  if type(v) ~= "table" or v == known or v == values or v == functions then return end
  for k, x in next, v do
    walk(k, depth + 1)
    walk(x, depth + 1)
  end
end

local function methods_of(v, names)
  for _, name in next, names do
    local ok, f = pcall(function() return v[name] end)
    if ok then add(f) end
  end
end

local names = {
  "await", "cancel", "status", "done", "result", "name", "traceback", "on_done", "resolve",
  "reject", "spawn", "send", "recv", "close", "closed", "try_send", "try_recv",
  "acquire", "release", "wait", "notify", "set", "get", "clear", "read", "write", "read_line",
  "read_all", "read_exactly", "read_until", "lines", "shutdown", "peer", "local_address",
  "nodelay", "keepalive",
  "starttls", "detach", "address", "request", "post", "chunks", "events", "json", "all", "receive",
  "settimeout", "bind", "connect", "listen", "accept", "getpeername", "setoption",
  "with", "is_set",
}

local function first_values()
  local odd = { 0, -1, 1, 2, 3.5, 100, 1e5, 0 / 0, math.huge, -math.huge, 2 ^ 53, math.maxinteger,
    math.mininteger, "", "x", "\0", ("x"):rep(1000), ("a?"):rep(30), "%b()", "[", "127.0.0.1", "k",
    true, false, "collect", "r", "http://127.0.0.1:1/" }
  for _, v in next, odd do values[#values + 1] = v end
  functions[#functions + 1] = function(...) return ... end
  functions[#functions + 1] = function() sleep(0) end
  functions[#functions + 1] = function() error { } end
  functions[#functions + 1] = function() coroutine.yield(1) end
  functions[#functions + 1] = function() while true do pcall(sleep, 0) end end
end

local function things()
  local made = {
    bide.future(), bide.channel(2), bide.lock(), bide.semaphore(1), bide.event(), bide.condition(),
    bide.spawn(bide.sleep, 0.01), bide.spawn(error, "x"), bide.compute(function() end),
    coroutine.create(function() coroutine.yield() end), bide.http.session {}, setmetatable({}, {
      __index = function() sleep(0) end, __close = error, __len = function() return 1e9 end }),
    bide.Error, (bide.as_completed { bide.future() }),
  }
  local list = { bide.future(), function() end }
  local ok, iterator, state, _, closing = pcall(bide.as_completed, list)
  if ok then made[#made + 1], made[#made + 2], made[#made + 3] = iterator, state, closing end
  local s_ok, s = pcall(bide.tcp.connect, "127.0.0.1", port)
  if s_ok then made[#made + 1] = s end
  local r_ok, r = pcall(bide.http.get, "http://127.0.0.1:" .. port, { stream = true })
  made[#made + 1] = r_ok and r or nil
  made[#made + 1] = select(2, pcall(function() return made[3]:acquire() end))
  return made
end

local function any()
  local n = random(10)
  if n <= 4 and #functions > 0 then return functions[random(#functions)] end
  if n == 5 then return nil end
  return values[random(#values)]
end

local function call()
  local f = functions[random(#functions)]
  local n, args = random(0, 4), {}
  for i = 1, n do args[i] = any() end
  local function body()
    local results = { pcall(f, unpack(args, 1, n)) }
    for i = 2, 5 do add(results[i]) methods_of(results[i], random(20) == 1 and names or {}) end
  end
  local how = random(6)
  if how == 1 then wrap(body)()
  elseif how == 2 then spawn(body)
  elseif how == 3 then
    local _ <close> = setmetatable({}, { __close = body })
  elseif how == 4 then local _ = setmetatable({}, { __index = body }).x
  else body() end
end

walk(_G, 0)
walk(bide, 0)
first_values()

local reached = 0
local function work()
  while reached < ROUNDS do
    reached = reached + 1
    if reached % 50 == 1 then
      local ok, made = pcall(things)
      for _, v in next, ok and made or {} do
        add(v)
        methods_of(v, names)
        walk(getmetatable(v), 0)
      end
    end
    pcall(timeout, 0.005, call)
    rawset(globals, "reached", reached)
    if reached % 10 == 0 then pcall(sleep, 0) end
  end
end

-- Several: one may wait for ever, behind a shield.
for _ = 1, 8 do spawn(work) end
