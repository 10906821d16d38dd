-- SPDX-License-Identifier: MIT
-- A few hundred handshakes: nothing is left of them. Ten thousand: tls_stress.lua.

local bide = require "bide"
local process = require "spec.support.process"
local soak = require "spec.support.soak"
local tasks = require "spec.support.tasks"

describe("tls", function()
  it("keeps no task, handle or memory of handshakes that are over", function()
    local count = tasks.many(400)
    bide.run(soak, 8, 8)
    tasks.mark()
    local resumed, grown = bide.run(soak, count, count // 4)
    tasks.turns(3)
    tasks.check()
    assert.is_true(resumed > count // 4)
    local checked = process.build:find "asan" ~= nil -- which keeps what is freed for a while
    assert.is_true(checked or grown < 2 << 20, ("grown by %d bytes"):format(grown))
  end)
end)
