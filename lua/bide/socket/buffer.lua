-- SPDX-License-Identifier: MIT
-- bide.socket.buffer: LuaSocket's buffered `send` and `receive`, over whatever has `recv` and
-- `put`: tcp and unix alike.
--
-- What has come and nobody took stands in `self.data` from `self.at` on.

local base = require "bide.socket.base"

local M = {}

local CHUNK = 65536

local function init(self)
  self.data, self.at, self.received, self.sent = "", 1, 0, 0
  self.birthday = base.raw.gettime()
end
M.init = init

--- Fills the empty buffer with what comes next. nil and the error.
local function fill(self)
  while true do
    base.raw.breathe()
    local data, err, events = self:recv(CHUNK)
    if data then
      self.data, self.at = data, 1
      self.received = self.received + #data
      return true
    end
    if err ~= "timeout" then return nil, err end
    local ok, failure = base.wait(self, events or 1)
    if not ok then return nil, failure end
  end
end

local function has_data(self)
  return self.at <= #self.data
end

--- Takes up to `n` bytes off the buffer.
local function take(self, n)
  local last = self.at + n - 1
  if self.at == 1 and last >= #self.data then
    local all = self.data
    self.data = ""
    return all
  end
  local part = self.data:sub(self.at, last)
  self.at = self.at + #part
  if self.at > #self.data then self.data, self.at = "", 1 end
  return part
end

local function receive_line(self, parts)
  while true do
    if not has_data(self) then
      local ok, err = fill(self)
      if not ok then return err end
    end
    local stop = self.data:find("\n", self.at, true)
    local part = take(self, (stop or #self.data) - self.at + 1)
    if stop then part = part:sub(1, -2) end
    parts[#parts + 1] = part:find("\r", 1, true) and part:gsub("\r", "") or part
    if stop then return nil end
  end
end

--- The end of the stream is the end of the data, unless there was none.
local function receive_all(self, parts)
  local any = false
  while true do
    if not has_data(self) then
      local ok, err = fill(self)
      if not ok then return not (err == "closed" and any) and err or nil end
    end
    any = true
    parts[#parts + 1] = take(self, #self.data)
  end
end

--- Even nothing waits until there is something, as in LuaSocket.
local function receive_count(self, parts, n)
  repeat
    if not has_data(self) then
      local ok, err = fill(self)
      if not ok then return err end
    end
    local part = n > 0 and take(self, n) or ""
    parts[#parts + 1] = part
    n = n - #part
  until n <= 0
  return nil
end

local function run(self, pattern, prefix, parts)
  local count = tonumber(pattern)
  if count then
    if count < 0 then error("bad argument #1 to 'receive' (invalid receive pattern)", 3) end
    count = math.floor(count)
    if #prefix > 0 and count <= #prefix then return nil end
    return receive_count(self, parts, count - #prefix)
  end
  local kind = type(pattern) == "string" and pattern:match "^%*?([la])"
  if kind == "l" then return receive_line(self, parts) end
  if kind == "a" then return receive_all(self, parts) end
  error("bad argument #1 to 'receive' (invalid receive pattern)", 3)
end

--- receive(pattern = "*l", prefix = ""): the data; or nil, the error and what there was.
function M.receive(self, pattern, prefix)
  base.mark(self)
  prefix = prefix and tostring(prefix) or ""
  if not self.raw and not has_data(self) then
    run({ recv = function() return nil, "closed" end, data = "", at = 1 }, pattern or "*l", "", {})
    return nil, "closed", prefix
  end
  local parts = { prefix }
  local err = run(self, pattern or "*l", prefix, parts)
  local text = table.concat(parts)
  if err then return nil, err, text end
  return text
end

local function range(size, i, j)
  i, j = math.floor(tonumber(i) or 1), math.floor(tonumber(j) or -1)
  if i < 0 then i = size + i + 1 end
  if j < 0 then j = size + j + 1 end
  return i < 1 and 1 or i, j > size and size or j
end

--- send(data, i = 1, j = -1): the index of the last byte sent; or nil, the error and that index.
function M.send(self, data, i, j)
  if type(data) == "number" then data = tostring(data) end
  if type(data) ~= "string" then
    error(("bad argument #1 to 'send' (string expected, got %s)"):format(type(data)), 2)
  end
  base.mark(self)
  i, j = range(#data, i, j)
  while i <= j do
    if not self.raw then return nil, "closed", i - 1 end
    base.raw.breathe()
    local n, err, events = self:put(data, i, j)
    if n then
      i = i + n
      self.sent = self.sent + n
    else
      if err ~= "timeout" then return nil, err, i - 1 end
      local ok, failure = base.wait(self, events or 2)
      if not ok then return nil, failure, i - 1 end
    end
  end
  return i - 1
end

function M.dirty(self)
  return has_data(self)
end

function M.getstats(self)
  return self.received, self.sent, base.raw.gettime() - self.birthday
end

function M.setstats(self, received, sent, age)
  self.received, self.sent = received or self.received, sent or self.sent
  if age then self.birthday = base.raw.gettime() - age end
  return 1
end

return M
