-- SPDX-License-Identifier: MIT
-- A graceful shutdown: what is under way is finished, what is queued is done, nothing new is taken,
-- and what takes too long is cancelled. Whoever wants it to stop sets the event: here a task, after
-- a while; elsewhere the handler of a request, or what reads commands from a socket.
local bide = require "bide"

local GRACE = 0.2

local stop, queue = bide.event(), bide.channel(100)

--- Takes orders until it is told to stop.
local function intake()
  for tick in bide.interval(0.002) do
    if stop:is_set() then break end
    queue:send(tick)
  end
  queue:close() -- the workers go on to the end of the queue
end

local done = 0
local function worker()
  for _ in queue do
    bide.shield(bide.sleep, 0.001) -- an order that was begun is finished
    done = done + 1
  end
end

--- Never ends by itself.
local function follow()
  local _ <close> = setmetatable({}, { __close = function() print "connection closed" end })
  bide.future():await()
end

bide.run(function()
  bide.spawn(function()
    bide.sleep(0.03)
    print "stop requested"
    stop:set()
  end)

  local follower = bide.spawn(follow)
  local orders = bide.spawn(intake)
  local workers = { bide.spawn(worker), bide.spawn(worker) }

  stop:wait()
  orders:await()
  local ended, late = bide.wait(workers, { timeout = GRACE })
  for _, task in ipairs(late) do task:cancel() end
  print(("%d workers ended in time, %d cancelled"):format(#ended, #late))
  follower:cancel()
  bide.wait { follower }
  print("orders were done, none is left", done > 0 and #queue == 0)
end)
