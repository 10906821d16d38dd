-- SPDX-License-Identifier: MIT
-- http_server.lua: a Lua handler that answers 12 bytes, on a free port of 127.0.0.1.

local bide = require "bide"

local headers = { ["Content-Type"] = "text/plain" }

local server = bide.http.serve({ host = "127.0.0.1", port = 0, max_connections = 12000 },
  function() return 200, headers, "hello world\n" end)
local _, port = server:address()
print(("port %d"):format(port))
io.stdout:flush()
server:wait()
