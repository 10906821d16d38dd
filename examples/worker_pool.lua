-- SPDX-License-Identifier: MIT
-- A pool of workers: jobs go in through one channel, results come out through another. Closing the
-- channel of jobs ends the workers; when the last of them has ended, the results are closed.
local bide = require "bide"

local WORKERS, JOBS = 4, 20

local function work(n)
  bide.sleep(0.01) -- an HTTP request, a query…
  return n * n
end

local function pool(jobs, results)
  bide.group(function(group)
    for _ = 1, WORKERS do
      group:spawn(function()
        for n in jobs do results:send { n, work(n) } end
      end)
    end
  end)
  results:close()
end

bide.run(function()
  local jobs, results = bide.channel(), bide.channel()
  local start = bide.now()
  bide.spawn(pool, jobs, results)
  bide.spawn(function()
    for n = 1, JOBS do jobs:send(n) end
    jobs:close()
  end)

  local sum, count = 0, 0
  for result in results do
    sum = sum + result[2]
    count = count + 1
  end
  print(("%d results, sum %d"):format(count, sum))
  print("faster than one by one", bide.now() - start < JOBS * 0.01)
end)
