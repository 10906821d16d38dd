-- SPDX-License-Identifier: MIT
-- bide.socket: LuaSocket's interface on bide, so that what was written for blocking sockets waits
-- as a task does, and runs beside others, unchanged. `bide.socket.install()` makes
-- `require "socket"` give it. LuaSocket's own modules over it (socket.http, ftp, smtp, ltn12, mime)
-- are used where they are installed.

local bide = require("bide.core").module
local base = require "bide.socket.base"
local tcp = require "bide.socket.tcp"
local udp = require "bide.socket.udp"
local raw = base.raw

local M = {
  _VERSION = "LuaSocket 3.1.0", -- whose interface this is
  _DEBUG = false,
  _SETSIZE = 16384,
  _DATAGRAMSIZE = 8192,
  _SOCKETINVALID = -1,
  BLOCKSIZE = 2048,
  tcp = tcp.tcp, tcp4 = tcp.tcp4, tcp6 = tcp.tcp6, connect = tcp.connect,
  udp = udp.udp, udp4 = udp.udp4, udp6 = udp.udp6,
  gettime = raw.gettime,
}

M.unix = setmetatable({ stream = tcp.unix, tcp = tcp.unix }, {
  __call = function() return tcp.unix() end,
})

function M.sleep(seconds)
  if type(seconds) ~= "number" then error("bad argument #1 to 'sleep' (number expected)", 2) end
  bide.sleep(seconds > 0 and seconds or 0)
end

function M.connect4(host, port, local_host, local_port)
  return M.connect(host, port, local_host, local_port, "inet")
end

function M.connect6(host, port, local_host, local_port)
  return M.connect(host, port, local_host, local_port, "inet6")
end

local function serve_at(address, port, backlog)
  local make = base.family_of(address) == "inet6" and M.tcp6 or M.tcp4
  local server, err = make()
  if not server then return nil, err end
  local ok
  server:setoption("reuseaddr", true)
  ok, err = server:bind(address, port)
  if ok then ok, err = server:listen(backlog) end
  if ok then return server end
  server:close()
  return nil, err
end

--- bind(host, port, backlog): a server
function M.bind(host, port, backlog)
  local addresses, err = base.addresses(host)
  for _, address in ipairs(addresses or {}) do
    local server
    server, err = serve_at(address, port, backlog)
    if server then return server end
  end
  return nil, err
end

-- select

--- Adds the objects of `list` to `all` (events by descriptor, see below); those with data in their
--- buffer go to `dirty`.
local function collect(all, list, events, dirty)
  if list == nil then return end
  if type(list) ~= "table" then
    error(("bad argument #%d to 'select' (table expected, got %s)"):format(events, type(list)), 3)
  end
  for _, object in ipairs(list) do
    local fd = type(object) ~= "string" and object.getfd and object:getfd() or -1
    if type(fd) == "number" and fd >= 0 then
      if dirty and object.dirty and object:dirty() then
        dirty[#dirty + 1] = object
      else
        local known = base.by_fd[fd]
        local socket = known and known:fd() == fd and known or fd
        all.list[#all.list + 1] = socket
        all.list[#all.list + 1] = events
        all.objects[#all.objects + 1] = object
      end
    end
  end
  if #all.objects > M._SETSIZE then
    error(("bad argument #%d to 'select' (too many sockets)"):format(events), 3)
  end
end

local function associate(list)
  for i = 1, #list do list[list[i]] = i end
  return list
end

local function sort_out(all, readable, writable)
  local ready = raw.ready(all.list)
  for i, events in ipairs(ready) do
    if events ~= 0 then
      local to = all.list[2 * i] == 1 and readable or writable
      to[#to + 1] = all.objects[i]
    end
  end
  return #readable + #writable > 0
end

--- select(readers, writers, timeout): lists of those that can be read from and written to; both
--- also say at which place an object stands.
function M.select(readers, writers, timeout)
  local readable, writable = {}, {}
  local all = { list = {}, objects = {} }
  collect(all, readers, 1, readable)
  collect(all, writers, 2)
  timeout = timeout or -1
  local deadline = timeout >= 0 and bide.now() + timeout
  raw.breathe()
  while not sort_out(all, readable, writable) do
    local rest = deadline and deadline - bide.now() or -1
    if deadline and rest <= 0 then return {}, {}, "timeout" end
    local _, code, text = raw.select(all.list, rest)
    if code and code ~= "EBADF" then error("select failed: " .. text, 2) end
  end
  return associate(readable), associate(writable)
end

-- Exceptions, as LuaSocket has them: a table with a private metatable.

local exception = { __metatable = false, __tostring = function(e) return tostring(e[1]) end }

function M.newtry(finalize)
  return function(...)
    if ... then return ... end
    if finalize then finalize() end
    error(setmetatable({ (select(2, ...)) }, exception), 0)
  end
end

local function unprotect(ok, ...)
  if ok then return ... end
  local err = ...
  if type(err) == "table" and rawequal(debug.getmetatable(err), exception) then
    return nil, err[1]
  end
  error(err, 0)
end

function M.protect(f)
  return function(...) return unprotect(pcall(f, ...)) end
end

M.try = M.newtry()

function M.skip(n, ...)
  return select(n + 1, ...)
end

function M.choose(options)
  return function(name, a, b)
    if type(name) ~= "string" then name, a, b = "default", name, a end
    local f = options[name]
    if not f then error("unknown key (" .. name .. ")", 3) end
    return f(a, b)
  end
end

-- Sources and sinks, for ltn12

local function pump(socket, call)
  return setmetatable({
    getfd = function() return socket:getfd() end,
    dirty = function() return socket:dirty() end,
  }, { __call = call })
end

M.sinkt, M.sourcet = {}, {}

M.sinkt["close-when-done"] = function(socket)
  return pump(socket, function(_, chunk)
    if chunk then return socket:send(chunk) end
    socket:close()
    return 1
  end)
end

M.sinkt["keep-open"] = function(socket)
  return pump(socket, function(_, chunk)
    if chunk then return socket:send(chunk) end
    return 1
  end)
end
M.sinkt.default = M.sinkt["keep-open"]

M.sourcet["by-length"] = function(socket, length)
  return pump(socket, function()
    if length <= 0 then return nil end
    local chunk, err = socket:receive(math.min(M.BLOCKSIZE, length))
    if err then return nil, err end
    length = length - #chunk
    return chunk
  end)
end

M.sourcet["until-closed"] = function(socket)
  local done
  return pump(socket, function()
    if done then return nil end
    local chunk, err, partial = socket:receive(M.BLOCKSIZE)
    if not err then return chunk end
    if err ~= "closed" then return nil, err end
    socket:close()
    done = true
    return partial
  end)
end
M.sourcet.default = M.sourcet["until-closed"]

M.sink, M.source = M.choose(M.sinkt), M.choose(M.sourcet)

-- dns

local dns = { gethostname = raw.gethostname }
M.dns = dns

function dns.getaddrinfo(host)
  local addresses, err = base.addresses(host)
  if not addresses then return nil, err end
  local list = {}
  for i, address in ipairs(addresses) do
    list[i] = { family = base.family_of(address), addr = address }
  end
  return list
end

local function resolved(host)
  local addresses, err = base.addresses(host, "inet")
  if not addresses then return nil, err == base.text "EAI_NONAME" and "host not found" or err end
  return addresses, { name = host, ip = addresses, alias = {} }
end

function dns.toip(host)
  local addresses, info = resolved(host)
  if not addresses then return nil, info end
  return addresses[1], info
end

--- The name of a name; that of an address only where it is the loopback's: nothing is asked the
--- other way round.
function dns.tohostname(host)
  if host:find "^127%." then host = "localhost"
  elseif host:find "^[%d.]+$" then return nil, "host not found" end
  local addresses, info = resolved(host)
  if not addresses then return nil, info end
  return host, info
end

function dns.getnameinfo(host, service)
  if not host and not service then error("host and serv cannot be both nil", 2) end
  local names, err = {}, nil
  if host then names, err = base.addresses(host) end
  if not names then return nil, err end
  return names, service
end

-- Taking LuaSocket's place

local over = { "socket.http", "socket.ftp", "socket.smtp", "socket.tp", "ssl", "ssl.https" }

--- Makes `require "socket"` (and "socket.core", "socket.unix") give this module from now on, and
--- `require "ssl"` LuaSec's interface over bide's TLS; lets LuaSocket's and LuaSec's modules that
--- stand on others be loaded again. Returns the module.
function M.install()
  local loaded = package.loaded
  if loaded.socket ~= M then
    for _, name in ipairs(over) do loaded[name] = nil end
  end
  loaded.socket, loaded["socket.core"], loaded["socket.unix"] = M, M, M.unix
  package.preload.ssl = function() return require "bide.socket.ssl" end
  return M
end

return M
