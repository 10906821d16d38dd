-- SPDX-License-Identifier: MIT
-- http_client.lua URL COUNT TASKS keep|new [CERT]: that many GETs, TASKS at a time; every answer
-- checked. With `keep` each task has made its connection before anything is measured.

local bide = require "bide"

local url, left, tasks = arg[1], tonumber(arg[2]), tonumber(arg[3])
local get, opts = bide.http_get, {}
local count = left

if arg[4] == "new" then opts.headers = { Connection = "close" } end
if arg[5] then opts.ca = arg[5] end

local function once()
  local res = get(url, opts)
  assert(res.status == 200 and #res.body == 1024)
end

local function worker()
  while left > 0 do
    left = left - 1
    once()
  end
end

---Runs f in every task at once.
local function all(f)
  local list = {}
  for i = 1, tasks do list[i] = f end
  bide.gather(list)
end

bide.run(function()
  if arg[4] == "keep" then all(once) end -- the connections are there
  local start, cpu = bide.now(), os.clock()
  all(worker)
  print(("per_second %.1f"):format(count / (bide.now() - start)))
  print(("us %.3f"):format((os.clock() - cpu) / count * 1e6)) -- of CPU time a request
end)
