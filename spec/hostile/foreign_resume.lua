-- SPDX-License-Identifier: MIT
-- Coroutines and tasks that wait are resumed again and again, with values, by a function that was
-- taken before bide was loaded: their waits are none the wiser.
local create, resume, running = coroutine.create, coroutine.resume, coroutine.running
local bide = require "bide"

local waits = {
  function() bide.sleep(0.003) return 1 end,
  function() return #{ bide.gather(function() bide.sleep(0.003) end, function() end) } + 1 end,
  function() return bide.race { function() bide.sleep(0.003) return 1 end } end,
  function() return bide.group(function(g) g:spawn(bide.sleep, 0.003) return 1 end) end,
  function() return bide.timeout(1, function() bide.sleep(0.003) return 1 end) end,
  function() return bide.timeout(0.003, bide.sleep, 1) end,
  function() return bide.run(function() bide.sleep(0.003) return 1 end) end,
  function() return #bide.map({ 1 }, function() bide.sleep(0.003) end) + 1 end,
  function() return select(2, bide.select { { bide.channel() }, timeout = 0.003 }) or 1 end,
  function() return coroutine.wrap(function() bide.sleep(0.003) return 1 end)() end,
  function() return select(2, pcall(function() bide.sleep(0.003) return 1 end)) end,
  function() bide.current():cancel() pcall(bide.sleep, 1) bide.sleep(1) end,
  function()
    local channel = bide.channel()
    bide.spawn(function() bide.sleep(0.003) channel:send(1) end)
    return channel:recv()
  end,
  function()
    local server <close> = bide.tcp.listen("127.0.0.1", 0, function(c) c:write(c:read_line()) end)
    local stream <close> = bide.tcp.connect("127.0.0.1", (select(2, server:address())))
    bide.sleep(0.003)
    stream:write "1\n"
    return tonumber(stream:read())
  end,
}

--- Resumes what `get` returns with those values, and perhaps with what came back, until the task
--- has ended.
local function pester(task, get, passed)
  while not task:done() do
    local thread = get()
    if thread then
      local got = table.pack(resume(thread, table.unpack(passed, 1, passed.n)))
      if passed.back then resume(thread, table.unpack(got, 2, got.n)) end
    end
    bide.sleep(0)
  end
end

bide.run(function()
  for _, passed in ipairs {
    { n = 0, back = true }, { n = 2, "x", "y" }, { n = 2, "x", "y", back = true },
    { n = 3, 1, nil, {} },
  } do
    for _, wait in ipairs(waits) do
      local expected = { bide.spawn(function() return pcall(wait) end):await() }
      local thread
      local task = bide.spawn(function()
        thread = running()
        return pcall(wait)
      end)
      pester(task, function() return thread end, passed)
      assert(select(2, pcall(task.await, task)) == expected[1])
      local co = create(wait)
      task = bide.spawn(function() return coroutine.resume(co) end)
      bide.sleep(0)
      bide.timeout(2, pester, task, function() return co end, passed)
      local got = { select(2, pcall(task.await, task)) }
      assert(got[1] == expected[1] and (not got[1] or got[2] == expected[2]))
    end
  end
end)
print "survived"
