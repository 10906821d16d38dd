-- SPDX-License-Identifier: MIT
-- The memory of idle connections, by the size of the server; what the kernel holds is not in it.

local M = {}

local COUNT = 10000

---Starts a server, opens the connections, and divides.
---@param kind string `quiet`, or `http`: one request each first
function M.round(ctx, argv, kind)
  local server <close> = ctx:serve(argv)
  server:settle()
  local before = server:memory("VmRSS")
  local _ <close> = ctx:serve(ctx:program("idle_load", server.port, COUNT, kind))
  server:settle()
  local open = server:descriptors()
  if open < COUNT then error(("only %d connections are open"):format(open), 0) end
  return { bytes = (server:memory("VmRSS") - before) * 1024 / COUNT }
end

return M
