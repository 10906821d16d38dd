-- SPDX-License-Identifier: MIT
-- Ten thousand handshakes (TLS_HANDSHAKES=n for others): nothing may be left of them. A smaller
-- soak is part of the suite (tls/soak_spec.lua).

local soak = require "spec.support.soak"

local COUNT = tonumber(os.getenv "TLS_HANDSHAKES" or 10000)

describe("tls", function()
  it("keeps no memory of handshakes that are over", function()
    local resumed, grown = soak(COUNT, 1000)
    assert.is_true(resumed > COUNT // 4)
    assert.is_true(grown < 4 << 20, ("grown by %d bytes"):format(grown))
    print(("%d handshakes, %d resumed, grown by %d bytes"):format(COUNT, resumed, grown))
  end)
end)
