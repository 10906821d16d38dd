-- SPDX-License-Identifier: MIT
-- echo_server.lua: writes back what it reads, on a free port of 127.0.0.1.

local bide = require "bide"

local server = bide.tcp.listen("127.0.0.1", 0, function(stream)
  for data in stream.read, stream do stream:write(data) end
end, { max_connections = 12000 })
local _, port = server:address()
print(("port %d"):format(port))
io.stdout:flush()
server:wait()
