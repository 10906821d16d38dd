-- SPDX-License-Identifier: MIT
-- bide: async Lua. The module is bide.core (C) with what is written in Lua over it.

local core = require "bide.core"
local bide = core.module

-- A `require` that may wait while it loads: the same as Lua's otherwise.
local own_require = require "bide.require"
if _G.require then _G.require = own_require end

local debugging = os and os.getenv and os.getenv "BIDE_DEBUG"
if debugging and debugging ~= "" and debugging ~= "0" then bide.testing.debug(true) end

-- For tests, loaded at its first use: core keeps the C side, a sandbox takes it away.
core.testing, bide.testing = bide.testing, nil
setmetatable(bide, { __index = function(_, name)
  if name ~= "testing" or not rawget(core, "testing") then return nil end
  bide.testing = require "bide.testing"
  return bide.testing
end })

bide.pipe_streams = require("bide.pipe").pipe_streams

return bide
