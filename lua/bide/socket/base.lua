-- SPDX-License-Identifier: MIT
-- bide.socket.base: what the objects share: time limits, error texts, waiting, options.
--
-- An object is a table; `raw` is its socket (bide.core's) or nil, `class` its state as LuaSocket
-- names it ("tcp{client}"). Options set before there is a socket wait in `pending`.

local core = require "bide.core"
local raw = core.socket
local now = core.module.now

local M = { raw = raw }

-- LuaSocket's own words; other codes have the system's.
local texts = {
  EAGAIN = "timeout", ETIMEDOUT = "timeout", EOF = "closed", EPIPE = "closed",
  ECONNRESET = "closed", ECONNABORTED = "closed", EBADF = "closed",
  EADDRINUSE = "address already in use", EISCONN = "already connected",
  EACCES = "permission denied", ECONNREFUSED = "connection refused",
  EAI_NONAME = "host or service not provided, or not known",
  EAI_NODATA = "host or service not provided, or not known",
  EAI_AGAIN = "temporary failure in name resolution",
  EAI_FAIL = "non-recoverable failure in name resolution",
  EAI_ADDRFAMILY = "ai_family not supported",
}

function M.text(code, text)
  return texts[code] or text or code
end

--- Descriptors → sockets, for select on whatever only has a getfd.
M.by_fd = setmetatable({}, { __mode = "v" })

function M.remember(socket)
  M.by_fd[socket:fd()] = socket
  return socket
end

local Object = {}
M.Object = Object

function M.class(name)
  local class = setmetatable({}, { __index = Object })
  class.__index = class
  class.__name = name
  class.__tostring = function(self) return self.class .. self.id end
  class.__close = function(self) self:close() end
  return class
end

function M.new(class, name, family, socket)
  local self = {
    raw = socket, class = name, family = family, block = -1, total = -1, started = now(),
    pending = {},
  }
  self.id = ": " .. ("%p"):format(self)
  return setmetatable(self, class)
end

--- Raises as a wrong class does in LuaSocket; `classes` is a pattern.
function M.check(self, classes, method)
  local class = type(self) == "table" and self.class
  if class and class:find(classes) then return end
  error(("calling '%s' on bad self (%s expected)"):format(method, (classes:gsub("[%%^$]", ""))), 3)
end

--- Begins an operation: its total time counts from here.
function M.mark(self)
  self.started = now()
end

--- Seconds that a wait may take now: the lesser of the two limits; negative: no limit.
function M.limit(self)
  local block, total = self.block, self.total
  if total < 0 then return block end
  local rest = total - (now() - self.started)
  if rest < 0 then rest = 0 end
  return block >= 0 and block < rest and block or rest
end

--- Waits for the socket: 1 to read, 2 to write. nil and "timeout" when its time is over.
function M.wait(self, events)
  local limit = M.limit(self)
  if limit == 0 then return nil, "timeout" end
  local list = { self.raw, events }
  if limit < 0 then
    raw.select(list, -1)
    return self.raw and 1, "closed"
  end
  local before = now()
  raw.select(list, limit)
  if not self.raw then return nil, "closed" end
  if now() - before < limit then return 1 end
  return raw.ready(list)[1] ~= 0 and 1 or nil, "timeout"
end

--- Makes the socket of an object that has none, or one of another family.
function M.open(self, family, kind)
  if self.raw and self.opened == family then return self.raw end
  local socket, code, text = raw.open(family, kind)
  if not socket then return nil, M.text(code, text) end
  if self.raw then self.raw:close() end
  self.raw, self.opened = M.remember(socket), family
  for _, option in ipairs(self.pending) do socket:setoption(option[1], option[2]) end
  return socket
end

function M.family_of(address)
  return address:find(":", 1, true) and "inet6" or "inet"
end

--- The addresses of a host, of the object's family: a list, or nil and LuaSocket's text. Looking a
--- name up takes at most the object's time limit, unless that is 0.
function M.addresses(host, family, timeout)
  if host == "*" then return { family == "inet6" and "::" or "0.0.0.0" } end
  local opts = {}
  if family == "inet" then opts.family = 4 elseif family == "inet6" then opts.family = 6 end
  if timeout and timeout > 0 then opts.timeout = timeout end
  if host == "" or host:find "[%z%s]" or #host > 253 then return nil, M.text "EAI_NONAME" end
  if raw.literal(host) and (not family or family == M.family_of(host)) then return { host } end
  local list, err = core.module.try(core.module.dns.resolve, host, opts)
  if list then return list end
  if type(err) ~= "table" then error(err, 0) end
  return nil, M.text(err.code, err.message)
end

function M.port(value)
  local port = math.tointeger(tonumber(value))
  if not port or port < 0 or port > 65535 then return nil, M.text "EAI_NONAME" end
  return port
end

-- What every object has.

function Object:getfd()
  return self.raw and self.raw:fd() or -1
end

--- Forgets its descriptor without closing it, and takes another over (a negative one: none).
function Object:setfd(fd)
  if type(fd) ~= "number" then error("bad argument #1 to 'setfd' (number expected)", 2) end
  if self.raw then self.raw:release() end
  local socket = fd >= 0 and raw.wrap(math.tointeger(fd)) or nil
  self.raw = socket and M.remember(socket)
end

function Object:close()
  local socket = self.raw
  self.raw = nil
  if socket then socket:close() end
  return 1
end

function Object:settimeout(value, mode)
  value = value or -1
  if type(value) ~= "number" then error("bad argument #1 to 'settimeout' (number expected)", 2) end
  local first = (mode or "b"):sub(1, 1)
  if first == "b" then
    self.block = value
  elseif first == "t" or first == "r" then
    self.total = value
  else
    error("bad argument #2 to 'settimeout' (invalid timeout mode)", 2)
  end
  return 1
end

function Object:gettimeout()
  return self.block, self.total
end

function Object:setoption(name, value)
  if not self.raw then
    self.pending[#self.pending + 1] = { name, value }
    return 1
  end
  local ok, code, text = self.raw:setoption(name, value)
  if ok then return 1 end
  return nil, M.text(code, text)
end

function Object:getoption(name)
  if not self.raw then return nil, "getsockopt failed" end
  if name == "error" then
    local _, code, text = self.raw:getoption "error"
    return code and M.text(code, text) or nil
  end
  local value, code, text = self.raw:getoption(name)
  if value == nil then return nil, M.text(code, text) end
  return value
end

local function name_of(self, method)
  if not self.raw then return nil, "closed" end
  local host, port, family = self.raw[method](self.raw)
  if not host then return nil, M.text(port, family) end
  return host, port, family
end

function Object:getsockname()
  return name_of(self, "getsockname")
end

function Object:getpeername()
  return name_of(self, "getpeername")
end

function Object:getfamily()
  return self.opened == "inet6" and "inet6" or "inet4"
end

function Object:dirty() -- luacheck: no self
  return false
end

return M
