-- SPDX-License-Identifier: MIT
-- bide.socket.tcp: LuaSocket's tcp and unix stream objects: master, then client or server.

local base = require "bide.socket.base"
local buffer = require "bide.socket.buffer"

local Tcp = base.class "tcp"
local M = { class = Tcp }

local function new(class, family, socket)
  local self = base.new(Tcp, class, family, socket)
  buffer.init(self)
  return self
end

local function is(self, state, method)
  base.check(self, "^%a+{" .. state .. "}$", method)
end

local function become(self, state)
  self.class = self.class:gsub("{%a+}", "{" .. state .. "}")
end

function Tcp:receive(...)
  is(self, "client", "receive")
  return buffer.receive(self, ...)
end

function Tcp:send(...)
  is(self, "client", "send")
  return buffer.send(self, ...)
end

--- For the buffer: bytes, or nil, the error and, when that is "timeout", what to wait for.
function Tcp:recv(max)
  local socket = self.raw
  if not socket then return nil, "closed" end
  local data, code, text = socket:recv(max)
  if data then return data end
  return nil, base.text(code, text), 1
end

function Tcp:put(data, i, j)
  local n, code, text = self.raw:send(data, i, j)
  if n then return n end
  return nil, base.text(code, text), 2
end

Tcp.dirty, Tcp.getstats, Tcp.setstats = buffer.dirty, buffer.getstats, buffer.setstats

local function bind_path(self, path)
  local socket, err = base.open(self, "unix", "stream")
  if not socket then return nil, err end
  local ok, code, text = socket:bind(path)
  if ok then return 1 end
  return nil, base.text(code, text)
end

function Tcp:bind(host, port)
  is(self, "master", "bind")
  if self.family == "unix" then return bind_path(self, host) end
  local number, err = base.port(port)
  if not number then return nil, err end
  local addresses
  addresses, err = base.addresses(host, self.family)
  for _, address in ipairs(addresses or {}) do
    local socket, failure = base.open(self, base.family_of(address), "stream")
    if not socket then return nil, failure end
    local ok, code, text = socket:bind(address, number)
    if ok then return 1 end
    err = base.text(code, text)
  end
  return nil, err
end

--- Waits until the connection stands or has failed.
local function finish(self)
  local ok, err = base.wait(self, 2)
  if not ok then return nil, err end
  local _, code, text = self.raw:getoption "error"
  if code then return nil, base.text(code, text) end
  return 1
end

local function try(self, address, port)
  local family = self.family == "unix" and "unix" or base.family_of(address)
  local socket, err = base.open(self, family, "stream")
  if not socket then return nil, err end
  local ok, code, text = socket:connect(address, port)
  if ok then return 1 end
  if code == "EINPROGRESS" then return finish(self) end
  return nil, base.text(code, text)
end

local function connect(self, host, port)
  base.raw.breathe()
  if self.family == "unix" then return try(self, host) end
  local number, err = base.port(port)
  if not number then return nil, err end
  local addresses
  addresses, err = base.addresses(host, self.opened or self.family, base.limit(self))
  for i, address in ipairs(addresses or {}) do
    local ok
    if i > 1 and not self.bound then
      self.opened = nil -- a socket that has failed once is not used again
    end
    ok, err = try(self, address, number)
    if ok or err == "timeout" or err == "already connected" then return ok, err end
  end
  return nil, err
end

function Tcp:connect(host, port)
  base.mark(self)
  local ok, err = connect(self, tostring(host), port)
  become(self, "client")
  if ok then return 1 end
  return nil, err
end

Tcp.setpeername, Tcp.setsockname = Tcp.connect, Tcp.bind

function Tcp:listen(backlog)
  is(self, "master", "listen")
  if not self.raw then return nil, "closed" end
  local ok, code, text = self.raw:listen(math.floor(tonumber(backlog) or 32))
  if not ok then return nil, base.text(code, text) end
  become(self, "server")
  return 1
end

function Tcp:accept()
  is(self, "server", "accept")
  base.mark(self)
  while self.raw do
    base.raw.breathe()
    local socket, code, text = self.raw:accept()
    if socket then
      local client = new(self.class:gsub("{%a+}", "{client}"), self.family, base.remember(socket))
      client.opened = self.opened
      return client
    end
    if code ~= "EAGAIN" and code ~= "ECONNABORTED" then return nil, base.text(code, text) end
    if code == "EAGAIN" then
      local ok, err = base.wait(self, 1)
      if not ok then return nil, err end
    end
  end
  return nil, "closed"
end

function Tcp:shutdown(how)
  is(self, "client", "shutdown")
  how = how or "both"
  if how ~= "both" and how ~= "send" and how ~= "receive" then
    error(("bad argument #1 to 'shutdown' (invalid option '%s')"):format(tostring(how)), 2)
  end
  if self.raw then self.raw:shutdown(how) end
  return 1
end

local function create(family)
  local self = new("tcp{master}", family)
  if family then
    local ok, err = base.open(self, family, "stream")
    if not ok then return nil, err end
  end
  return self
end

function M.tcp() return create(nil) end
function M.tcp4() return create "inet" end
function M.tcp6() return create "inet6" end

function M.unix()
  return new("unix{master}", "unix")
end

--- connect(host, port, local host, local port, family): a client
function M.connect(host, port, local_host, local_port, family)
  local self = create(nil)
  if family and family ~= "unspec" then self.family = family end
  if local_host then
    local ok, err = self:bind(local_host, local_port or 0)
    if not ok then return nil, err end
    self.bound = true
  end
  local ok, err = self:connect(host, port)
  if ok then return self end
  self:close()
  return nil, err
end

return M
