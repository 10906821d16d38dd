-- SPDX-License-Identifier: MIT
-- tight_loop.lua: CPU ns per turn of an empty loop, in steps that are shorter than a slice.

local bide = require "bide"

local STEPS, TURNS = 1000, 100000

local start = os.clock()
for _ = 1, STEPS do
  for _ = 1, TURNS do end
  bide.sleep(0)
end
print(("ns %.4f"):format((os.clock() - start) / STEPS / TURNS * 1e9))
