-- SPDX-License-Identifier: MIT
-- echo_server.lua [CERT KEY]: writes back what it reads, on a free port of 127.0.0.1; with a
-- certificate, over TLS.

local bide = require "bide"

local library, opts = bide.tcp, { max_connections = 12000 }
if arg[1] then
  library, opts.cert, opts.key = bide.tls, arg[1], arg[2]
end

local server = library.listen("127.0.0.1", 0, function(stream)
  local data = stream:read()
  while data do
    stream:write(data)
    data = stream:read()
  end
end, opts)
local _, port = server:address()
print(("port %d"):format(port))
io.stdout:flush()
server:wait()
