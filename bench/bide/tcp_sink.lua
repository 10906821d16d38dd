-- SPDX-License-Identifier: MIT
-- tcp_sink.lua: reads, counts and forgets; answers with the count at the end of each stream.

local bide = require "bide"

local server = bide.tcp.listen("127.0.0.1", 0, function(stream)
  local total = 0
  local data = stream:read()
  while data do
    total = total + #data
    data = stream:read()
  end
  stream:write(("%d\n"):format(total))
end)
local _, port = server:address()
print(("port %d"):format(port))
io.stdout:flush()
server:wait()
