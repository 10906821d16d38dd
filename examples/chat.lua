-- SPDX-License-Identifier: MIT
-- A line-based chat: the first line is a name, each further one goes to everybody else. Whoever
-- does not read is left out rather than waited for.
--
--     bide examples/chat.lua             serves itself, with three guests
--     bide examples/chat.lua HOST PORT   serves there; try it with `nc HOST PORT`
local bide = require "bide"

local SLOW = 1 -- seconds that one guest may hold up a line for all

local guests = {} -- stream → name

local function tell(line, except)
  local jobs = {}
  for stream in pairs(guests) do
    if stream ~= except then
      jobs[#jobs + 1] = function() bide.timeout(SLOW, stream.write, stream, line, "\n") end
    end
  end
  bide.settle(jobs) -- one who is slow or gone is no concern of the others
end

local function guest(stream)
  stream:write "your name?\n"
  local name = stream:read_line { limit = 40 }
  if not name or name == "" then return end
  guests[stream] = name
  local _leave <close> = setmetatable({}, { __close = function() guests[stream] = nil end })
  stream:write("welcome ", name, "\n")
  tell(name .. " is here", stream)
  for line in stream:lines { limit = 1000 } do tell(name .. ": " .. line, stream) end
  guests[stream] = nil
  tell(name .. " has left")
end

--- Comes in and waits to be let in.
local function enter(server, name)
  local stream = bide.tcp.connect(server:address())
  stream:write(name, "\n")
  assert(stream:read_line() == "your name?")
  assert(stream:read_line() == "welcome " .. name)
  return stream
end

bide.run(function(host, port)
  local server <close> = bide.tcp.listen(host or "127.0.0.1", tonumber(port or 0), guest,
    { max_connections = 1000 })
  if host then return server:wait() end
  local ada = enter(server, "ada")
  local grace = enter(server, "grace")
  print("ada reads", ada:read_line())
  grace:write "good evening\n"
  print("ada reads", ada:read_line())
  ada:write "and to you\n"
  print("grace reads", grace:read_line())
  grace:close()
  print("ada reads", ada:read_line())
  ada:close()
end, ...)
