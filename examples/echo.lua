-- SPDX-License-Identifier: MIT
-- An echo server and its clients: a task per connection, each reads top to bottom.
--
--     bide examples/echo.lua             serves itself, ten clients at once
--     bide examples/echo.lua HOST PORT   serves there until it is interrupted
local bide = require "bide"

local function echo(stream)
  for line in stream:lines() do stream:write(line, "\n") end
end

local function ask(host, port, text)
  local stream <close> = bide.tcp.connect(host, port)
  stream:write(text, "\n")
  return stream:read_line()
end

bide.run(function(host, port)
  local server <close> = bide.tcp.listen(host or "127.0.0.1", tonumber(port or 0), echo)
  if host then return server:wait() end
  local jobs = {}
  for i = 1, 10 do
    jobs[i] = function()
      local address, at = server:address()
      return ask(address, at, "hello " .. i)
    end
  end
  for _, answer in ipairs(bide.gather(jobs)) do print(answer) end
end, ...)
