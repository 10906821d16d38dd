-- SPDX-License-Identifier: MIT
-- bide.pipe: copies between two streams, for proxies and tunnels. What keeps a fast side from
-- filling memory is that each piece is written before the next is read.

local core = require("bide.core").module

local M = {}

-- Copies until the end of `from`, hands that end on, and returns how many bytes there were.
local function copy(from, to)
  local n = 0
  local data = from:read()
  while data do
    to:write(data)
    n = n + #data
    data = from:read()
  end
  to:shutdown()
  return n
end

local function check(arg, value)
  local ok = type(value) == "userdata" or type(value) == "table"
  if ok and value.read and value.write and value.shutdown then return end
  local text = "bad argument #%d to 'bide.pipe_streams' (stream expected, got %s)"
  error(text:format(arg, type(value)), 3)
end

---Copies both ways until both ends have come; an end of one side is handed on to the other, which
---may go on sending. An error of either side ends both directions. Closes neither stream.
---@param a any a stream: has read, write and shutdown
---@param b any
---@return integer a_to_b bytes
---@return integer b_to_a bytes
function M.pipe_streams(a, b)
  check(1, a)
  check(2, b)
  return core.gather(function() return copy(a, b) end, function() return copy(b, a) end)
end

return M
