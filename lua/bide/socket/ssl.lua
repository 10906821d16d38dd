-- SPDX-License-Identifier: MIT
-- bide.socket.ssl: LuaSec's interface over bide's TLS: after bide.socket.install() what
-- `require "ssl"` gives. What was written for LuaSec (its own ssl.https too) waits as a task does.
--
-- A wrapped object is a table over a stream (`raw`). The handshake runs in a task of its own, so
-- that who asks for it may give up waiting and ask again.

local bide = require("bide.core").module
local base = require "bide.socket.base"
local buffer = require "bide.socket.buffer"
local certificate = require "bide.socket.certificate"
local config = require "bide.socket.ssl_config"
local raw = base.raw

local M = {
  _VERSION = "1.2.0", -- whose interface this is
  config = config.known,
  newcontext = config.newcontext,
}

local HANDSHAKE = 60 -- seconds at the most, also where nobody asked for a limit
local PIECE = 65536  -- bytes handed over at once when there is a time limit

local Ssl = {}
Ssl.__index = Ssl
Ssl.__name = "SSL connection"
M.class = Ssl

-- Those who look through the methods (as ssl.https does) find all of them here.
for _, name in ipairs { "settimeout", "gettimeout" } do Ssl[name] = base.Object[name] end
Ssl.dirty, Ssl.getstats, Ssl.setstats = buffer.dirty, buffer.getstats, buffer.setstats

function Ssl:__tostring()
  return (self.raw and "SSL connection" or "SSL connection (closed)") .. self.id
end

--- The result of `f` within the time limit; or nil and the error.
local function within(self, f, ...)
  local limit = base.limit(self)
  if limit < 0 then return bide.try(f, ...) end
  return bide.try(bide.timeout, limit, f, ...)
end

--- Is it the object's own time limit that is over?
local function is_late(err)
  return type(err) == "table" and err.op == "timeout" and err.code == "ETIMEDOUT"
end

-- Trust that is missing has one name in LuaSec; the rest says what was wrong.
local untrusted = {
  expired = true, not_yet_valid = true, wrong_host = true, unknown_issuer = true,
  self_signed = true, revoked = true, wrong_purpose = true, bad_certificate = true,
}

--- LuaSec's word for an error, and bide's own text.
local function text_of(err)
  if type(err) ~= "table" then error(err, 0) end
  if err.code == "ETLS" then
    if untrusted[err.reason] then return "certificate verify failed", err.message end
    if err.reason == "truncated" then return "unexpected eof while reading", err.message end
    if err.reason == "closed" then return "closed", err.message end
    return err.message, err.message
  end
  return base.text(err.code, err.message), err.message
end

--- wrap(socket, context or parameters): the socket gives its descriptor up to a new object.
function M.wrap(socket, cfg)
  local context, wrong = cfg, nil
  if not config.is_context(cfg) then context, wrong = config.newcontext(cfg) end
  if not context then return nil, wrong end
  if getmetatable(socket) == Ssl then return nil, "already encrypted" end
  if socket.dirty and socket:dirty() then return nil, "bytes came before the handshake" end
  local stream, code, text = raw.stream(type(socket.raw) == "userdata" and socket.raw
    or socket:getfd())
  if not stream then return nil, base.text(code, text) end
  if type(socket.raw) == "userdata" then socket.raw = nil else socket:setfd(-1) end
  local self = { raw = stream, context = context, block = -1, total = -1, started = bide.now() }
  self.id = ": " .. ("%p"):format(self)
  buffer.init(self)
  return setmetatable(self, Ssl)
end

--- sni(name) of a client; sni{name = context, …} of a server, strict: no others.
function Ssl:sni(names, strict)
  if type(names) == "string" then
    self.name = names
  elseif type(names) == "table" then
    self.context, self.strict = config.with_names(self.context, names), strict and names
  else
    error(("bad argument #1 to 'sni' (string or table expected, got %s)"):format(type(names)), 2)
  end
end

--- A name that no certificate could be for is not looked at, as in LuaSec.
local function servername(self)
  local name = self.name
  if name and (name == "" or #name > 253 or name:find "[^%w%-%._:%%*]") then return nil end
  return name
end

local function greet(stream, context, name, names, timeout)
  raw.secure(stream, context, name, timeout)
  local info = stream:tls_info()
  if not names or info.server_name and names[info.server_name] then return info end
  stream:close()
  error("unrecognized name", 0)
end

--- The handshake's task, begun when it is first asked for. A daemon: the run does not wait for it.
local function handshake_of(self)
  if not self.handshake then
    local limit = base.limit(self)
    self.handshake = bide.daemon(bide.try, greet, self.raw, self.context.hold, servername(self),
      self.strict, limit > HANDSHAKE and limit or HANDSHAKE)
  end
  return self.handshake
end

--- dohandshake(): true; or false and the error, "wantread" when its time is over: ask again.
function Ssl:dohandshake()
  if not self.raw then return false, "closed" end
  if self.facts then return true end
  base.mark(self)
  local info, err = within(self, bide.await, handshake_of(self))
  self.wanted = is_late(err) and "read" or nil
  if self.wanted then return false, "wantread" end
  if not self.raw then return false, "closed" end -- by another task meanwhile
  if info then
    self.facts = info
    return true
  end
  if type(err) == "string" then return false, err end
  return false, text_of(err)
end

--- For the buffer: bytes, or nil and the error.
function Ssl:recv(max)
  if not self.raw then return nil, "closed" end
  local data, err = within(self, self.raw.read, self.raw, max)
  self.wanted = is_late(err) and "read" or nil
  if data then return data end
  if err == nil then return nil, "closed" end
  return nil, self.wanted and "wantread" or (text_of(err))
end

--- For the buffer: how many bytes were taken, or nil and the error. What was taken is on its way.
function Ssl:put(data, i, j)
  local stream = self.raw
  local limited = base.limit(self) >= 0
  local last = limited and math.min(j, i + PIECE - 1) or j
  local piece = i == 1 and last == #data and data or data:sub(i, last)
  local ok, err
  if limited then
    ok, err = within(self, stream.write, stream) -- waits until there is room
    self.wanted = is_late(err) and "write" or nil
    if ok then ok, err = bide.try(bide.timeout, 0, stream.write, stream, piece) end
    ok = ok or not self.wanted and is_late(err) -- it is in the queue
  else
    ok, err = bide.try(stream.write, stream, piece)
    self.wanted = nil
  end
  if ok then return #piece end
  return nil, self.wanted and "wantwrite" or (text_of(err))
end

function Ssl:receive(...)
  if not self.facts then return nil, "closed", "" end
  return buffer.receive(self, ...)
end

function Ssl:send(...)
  if not self.facts then return nil, "closed", 0 end
  return buffer.send(self, ...)
end

function Ssl:close()
  local stream, handshake = self.raw, self.handshake
  self.raw, self.handshake = nil, nil
  if handshake and not handshake:done() then handshake:cancel() end
  if stream then stream:close() end
end

Ssl.__close = Ssl.close

function Ssl:getfd()
  return self.raw and raw.stream_fd(self.raw) or -1
end

--- Forgets the descriptor; another can't be taken over.
function Ssl:setfd(fd)
  if type(fd) ~= "number" then error("bad argument #1 to 'setfd' (number expected)", 2) end
  self.raw = nil
end

--- What the last call was waiting for: "read", "write" or "nothing".
function Ssl:want()
  return self.wanted or "nothing"
end

--- info(field): the field of, or a table with, protocol and cipher.
function Ssl:info(field)
  local facts = self.facts or {}
  local info = { protocol = facts.version, cipher = facts.cipher }
  if field then return info[field] end
  return info
end

function Ssl:getalpn()
  return self.facts and self.facts.alpn
end

--- The peer's certificate, or nil.
function Ssl:getpeercertificate(index)
  if index and index ~= 1 then return nil end
  local peer = self.facts and self.facts.peer
  return peer and certificate.new(peer) or nil
end

function Ssl:getpeerchain()
  return { self:getpeercertificate() }
end

--- Was the peer's certificate verified?
function Ssl:getpeerverification()
  if self.facts and self.facts.verified then return true end
  return false, "not verified"
end

return M
