-- SPDX-License-Identifier: MIT
-- A quick producer and a slow consumer. The channel between them buffers three values: then `send`
-- waits, and the producer goes at the pace of the consumer, however much there is to produce.
local bide = require "bide"

local COUNT, BUFFER = 12, 3

bide.run(function()
  local queue = bide.channel(BUFFER)
  local produced, furthest = 0, 0

  bide.spawn(function()
    local _ <close> = queue -- closed at the end, whatever way it comes
    for i = 1, COUNT do
      queue:send(i)
      produced = i
    end
  end)

  local consumed = 0
  for _ in queue do
    bide.sleep(0.005)
    consumed = consumed + 1
    furthest = math.max(furthest, produced - consumed)
  end
  print(("%d produced, %d consumed"):format(produced, consumed))
  print("never further ahead than the buffer and one more", furthest <= BUFFER + 1)
end)
