-- SPDX-License-Identifier: MIT
-- Ten thousand handshakes, full and resumed, through one process: nothing may be left of them.

local bide = require "bide"
local certs = require "spec.support.certs"

local COUNT, ROUND = tonumber(os.getenv "TLS_HANDSHAKES" or 10000), 1000

local function resident()
  local file <close> = assert(io.open "/proc/self/statm")
  return tonumber(file:read("a"):match "^%d+ (%d+)") * 4096
end

describe("tls", function()
  it("keeps no memory of handshakes that are over", function()
    local server <close> = bide.tls.listen("127.0.0.1", 0, function(s) s:write(s:read()) end,
      certs.server "good")
    local _, port = server:address()
    local left, resumed, after_first = COUNT, 0, nil
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
    for _ = 1, COUNT // ROUND do
      local stop, workers = left - ROUND, {}
      for i = 1, 8 do workers[i] = function() worker(stop) end end
      bide.gather(workers)
      collectgarbage()
      after_first = after_first or resident()
    end
    assert.is_true(resumed > COUNT // 4)
    local grown = resident() - after_first
    assert.is_true(grown < 4 << 20, ("grown by %d bytes"):format(grown))
    assert.truthy(server)
  end)
end)
