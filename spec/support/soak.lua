-- SPDX-License-Identifier: MIT
-- Handshakes by the thousand, full and resumed, through one process: what is left of them.

local bide = require "bide"
local certs = require "spec.support.certs"

local function resident()
  local file <close> = assert(io.open "/proc/self/statm")
  return tonumber(file:read("a"):match "^%d+ (%d+)") * 4096
end

---Makes `count` connections, eight at a time, and returns how many were resumed and by how many
---bytes the process has grown since the first `round` of them.
return function(count, round)
  local server <close> = bide.tls.listen("127.0.0.1", 0, function(s) s:write(s:read()) end,
    certs.server "good")
  local _, port = server:address()
  local left, resumed, after_first = count, 0, nil
  local function worker(stop)
    while left > stop do
      left = left - 1
      local name = left % 2 == 0 and "localhost" or "x" .. left .. ".b.example"
      local s <close> = bide.tls.connect("127.0.0.1", port,
        { ca = certs.path "ca.pem", servername = name, timeout = 60 })
      s:write "x"
      assert(s:read_all() == "x")
      if s:tls_info().resumed then resumed = resumed + 1 end
    end
  end
  for _ = 1, count // round do
    local stop, workers = left - round, {}
    for i = 1, 8 do workers[i] = function() worker(stop) end end
    bide.gather(workers)
    collectgarbage()
    collectgarbage()
    after_first = after_first or resident()
  end
  return resumed, resident() - after_first
end
