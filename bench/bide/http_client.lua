-- SPDX-License-Identifier: MIT
-- http_client.lua URL COUNT TASKS keep|new: that many GETs, TASKS at a time; every answer checked.

local bide = require "bide"

local url, left, tasks = arg[1], tonumber(arg[2]), tonumber(arg[3])
local get, opts = bide.http_get, {}
local count = left

if arg[4] == "new" then opts.headers = { Connection = "close" } end
if arg[5] then opts.ca = arg[5] end

local function worker()
  while left > 0 do
    left = left - 1
    local res = get(url, opts)
    assert(res.status == 200 and #res.body == 1024)
  end
end

local start = bide.now()
bide.run(function()
  for _ = 1, tasks do bide.spawn(worker) end
end)
print(("per_second %.1f"):format(count / (bide.now() - start)))
