-- SPDX-License-Identifier: MIT
-- compute_server.lua: an HTTP server; with the argument `compute` beside a task that never ends.

local bide = require "bide"

local options = { host = "127.0.0.1", port = 0 }
local server = bide.http.serve(options, function() return "hello world\n" end)
local _, port = server:address()
if ... == "compute" then bide.compute(function() while true do end end) end
print(("port %d"):format(port))
io.stdout:flush()
server:wait()
