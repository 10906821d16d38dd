-- SPDX-License-Identifier: MIT
-- bide.socket.udp: LuaSocket's udp objects, connected or not.

local base = require "bide.socket.base"

local Udp = base.class "udp"
local M = {}

local SIZE = 8192

local function is(self, state, method)
  base.check(self, "^udp{" .. state .. "}$", method)
end

--- Calls `step` until it gives something but "try again".
local function retry(self, events, step)
  base.mark(self)
  while self.raw do
    base.raw.breathe()
    local a, b, c = step(self.raw)
    if a then return a, b, c end
    if b ~= "EAGAIN" then return nil, b == "EBADF" and "refused" or base.text(b, c) end
    local ok, err = base.wait(self, events)
    if not ok then return nil, err end
  end
  return nil, "closed"
end

local function data_of(data, method)
  if type(data) == "number" then return tostring(data) end
  if type(data) == "string" then return data end
  error(("bad argument #1 to '%s' (string expected, got %s)"):format(method, type(data)), 3)
end

function Udp:send(data)
  is(self, "connected", "send")
  data = data_of(data, "send")
  return retry(self, 2, function(socket) return socket:send(data) end)
end

function Udp:sendto(data, host, port)
  is(self, "unconnected", "sendto")
  data = data_of(data, "sendto")
  local number, err = base.port(port)
  if not number then return nil, err end
  if not host:find "^[%x.:%%]+$" then return nil, base.text "EAI_NONAME" end -- addresses only
  local socket
  socket, err = base.open(self, self.opened or base.family_of(host), "dgram")
  if not socket then return nil, err end
  return retry(self, 2, function(s) return s:sendto(data, host, number) end)
end

function Udp:receive(size)
  base.check(self, "^udp{", "receive")
  return retry(self, 1, function(socket) return socket:recv(size or SIZE, true) end)
end

function Udp:receivefrom(size)
  is(self, "unconnected", "receivefrom")
  return retry(self, 1, function(socket) return socket:recvfrom(size or SIZE) end)
end

local function each_address(self, host, port, f)
  local number, err = base.port(port)
  if not number then return nil, err end
  local addresses
  addresses, err = base.addresses(host, self.opened or self.family, base.limit(self))
  for _, address in ipairs(addresses or {}) do
    local socket, failure = base.open(self, base.family_of(address), "dgram")
    if not socket then return nil, failure end
    local ok, code, text = f(socket, address, number)
    if ok then return 1 end
    err = base.text(code, text)
  end
  return nil, err
end

function Udp:setsockname(host, port)
  is(self, "unconnected", "setsockname")
  base.mark(self)
  return each_address(self, host, port, function(s, address, n) return s:bind(address, n) end)
end

function Udp:setpeername(host, port)
  base.check(self, "^udp{", "setpeername")
  base.mark(self)
  if host == "*" then
    if self.raw then self.raw:disconnect() end
    self.class = "udp{unconnected}"
    return 1
  end
  local ok, err = each_address(self, host, port,
    function(s, address, n) return s:connect(address, n) end)
  if not ok then return nil, err end
  self.class = "udp{connected}"
  return 1
end

Udp.getpeername = function(self)
  is(self, "connected", "getpeername")
  return getmetatable(Udp).__index.getpeername(self)
end

local function create(family)
  local self = base.new(Udp, "udp{unconnected}", family)
  if family then
    local ok, err = base.open(self, family, "dgram")
    if not ok then return nil, err end
  end
  return self
end

function M.udp() return create(nil) end
function M.udp4() return create "inet" end
function M.udp6() return create "inet6" end

return M
