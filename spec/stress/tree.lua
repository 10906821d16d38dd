-- SPDX-License-Identifier: MIT
-- Random trees of tasks over shared channels, locks and semaphores, and the books that are kept of
-- them: what was started and ended, sent and received, acquired and released. One tree is a
-- function of its seed alone, on the virtual clock.
local bide = require "bide"

local M = {}

--- A generator of its own, so that nothing else draws from it.
local function generator(seed)
  local state = seed & 0x7fffffffffffffff
  return function(n)
    state = (state * 6364136223846793005 + 1442695040888963407) & 0xffffffffffffffff
    return (state >> 33) % n + 1
  end
end

local function new_world(seed)
  local world = { pick = generator(seed), started = 0, ended = 0, budget = 60,
    sent = {}, received = {}, next_item = 0, holders = {} }
  world.channels = { bide.channel(), bide.channel(2), bide.channel(math.huge) }
  world.locks = { bide.lock(), bide.semaphore(2) }
  world.permits = { 1, 2 }
  world.event = bide.event()
  world.condition = bide.condition()
  return world
end

--- Notes the first thing that is wrong; an error would be caught by the tree itself.
local function ensure(world, ok, text)
  if not ok and not world.wrong then world.wrong = text end
end

local function closing(f)
  return setmetatable({}, { __close = f })
end

--- Nothing may run in a scope that was left: each child notes that its owner is still there.
local function child_of(world, owner, depth)
  return function()
    world.started = world.started + 1
    local _ <close> = closing(function() world.ended = world.ended + 1 end)
    M.live(world, depth + 1)
    ensure(world, not owner.left, "something owned runs after its owner's scope")
  end
end

local function children(world, depth)
  local owner, list = { left = false }, {}
  for i = 1, world.pick(4) do list[i] = child_of(world, owner, depth) end
  return list, owner
end

local function send(world)
  local ch = world.channels[world.pick(3)]
  local item = world.next_item + 1
  world.next_item = item
  world.sent[item] = true
  local sent <close> = closing(function(self)
    if not self.ok then world.sent[item] = nil end
  end)
  ch:send(item)
  sent.ok = true
end

local function note_received(world, item)
  ensure(world, not world.received[item], "an item came twice")
  world.received[item] = true
end

local function hold(world)
  local which = world.pick(2)
  local _ <close> = world.locks[which]:acquire()
  world.holders[which] = (world.holders[which] or 0) + 1
  ensure(world, world.holders[which] <= world.permits[which], "a permit was given twice")
  local _ <close> = closing(function() world.holders[which] = world.holders[which] - 1 end)
  bide.sleep(world.pick(3) / 10)
end

local actions = {
  function(world) bide.sleep(world.pick(10) / 10) end,
  function() bide.sleep(0) end,
  send,
  send,
  function(world)
    local item = world.channels[world.pick(3)]:recv()
    if item then note_received(world, item) end
  end,
  function(world)
    local item = world.channels[world.pick(3)]:try_recv()
    if item then note_received(world, item) end
  end,
  function(world)
    local a, b = world.pick(3), world.pick(3)
    local _, item = bide.select { { world.channels[a] }, { world.channels[b] },
      timeout = world.pick(5) / 10 }
    if item then note_received(world, item) end
  end,
  hold,
  hold,
  function(world) bide.timeout(world.pick(6) / 10, hold, world) end,
  function(world, depth) bide.timeout(world.pick(8) / 10, M.live, world, depth + 1) end,
  function(world, depth) bide.shield(M.live, world, depth + 2) end,
  function(world, depth)
    local list, owner = children(world, depth)
    local _ <close> = closing(function() owner.left = true end)
    bide.gather(list)
  end,
  function(world, depth)
    local list, owner = children(world, depth)
    local _ <close> = closing(function() owner.left = true end)
    bide.settle(list)
  end,
  function(world, depth)
    local list, owner = children(world, depth)
    local _ <close> = closing(function() owner.left = true end)
    bide.race(list)
  end,
  function(world, depth)
    local list, owner = children(world, depth)
    local _ <close> = closing(function() owner.left = true end)
    for _ in bide.as_completed(list) do
      if world.pick(3) == 1 then break end
    end
  end,
  function(world, depth)
    local list, owner = children(world, depth)
    local _ <close> = closing(function() owner.left = true end)
    bide.map(list, function(f) f() end, { limit = world.pick(2), collect = world.pick(2) == 1 })
  end,
  function(world, depth)
    local list, owner = children(world, depth)
    local _ <close> = closing(function() owner.left = true end)
    bide.group(function(g)
      for _, f in ipairs(list) do g:spawn(f) end
      M.live(world, depth + 1)
      if world.pick(3) == 1 then g:cancel() end
    end)
  end,
  function(world)
    local tasks = { bide.spawn(bide.sleep, world.pick(9) / 10), bide.spawn(bide.sleep, 0) }
    local _ <close> = closing(function()
      for _, task in ipairs(tasks) do task:cancel() end
    end)
    bide.wait(tasks, { count = world.pick(2), timeout = world.pick(5) / 10 })
  end,
  function(world)
    world.event:set()
    bide.sleep(0)
    world.event:clear()
  end,
  function(world) bide.timeout(world.pick(9) / 10, world.event.wait, world.event) end,
  function(world)
    bide.timeout(world.pick(9) / 10, function()
      local _ <close> = world.condition:acquire()
      world.condition:wait()
    end)
  end,
  function(world)
    local _ <close> = world.condition:acquire()
    world.condition:notify(world.pick(2))
  end,
  function() error({ provoked = true }) end,
  function() bide.current():cancel() end,
}

--- A few random actions, some in a pcall; a cancelled one goes on until its end all the same.
function M.live(world, depth)
  for _ = 1, world.pick(4) do
    if depth > 5 or world.budget <= 0 then return bide.sleep(world.pick(3) / 10) end
    world.budget = world.budget - 1
    local action = actions[world.pick(#actions)]
    if world.pick(3) == 1 then action(world, depth)
    else pcall(action, world, depth) end
  end
end

local function drain(world)
  for _, ch in ipairs(world.channels) do
    for item in function() return ch:try_recv() end do note_received(world, item) end
  end
end

local function check(world)
  for item in pairs(world.sent) do ensure(world, world.received[item], "an item was lost") end
  for item in pairs(world.received) do
    ensure(world, world.sent[item], "an item came whose send has failed")
  end
  ensure(world, world.started == world.ended, "a task has not ended")
  ensure(world, not world.locks[1]:locked(), "a lock was lost")
  ensure(world, world.locks[2]:available() == 2, "a permit was lost")
  for _, ch in ipairs(world.channels) do ensure(world, #ch == 0, "a channel is not empty") end
  -- nobody is left linked: nobody takes what is offered, nobody offers
  ensure(world, not world.channels[1]:try_send(0), "a receiver is left linked")
  ensure(world, not world.channels[1]:try_recv(), "a sender is left linked")
  if world.wrong then error(world.wrong, 0) end
end

--- Grows one tree and checks its books. Raises at the first that is wrong.
function M.grow(seed)
  local world = new_world(seed)
  local roots = {}
  for i = 1, 3 do
    roots[i] = bide.spawn(M.live, world, 1)
  end
  bide.sleep(world.pick(20) / 10)
  roots[world.pick(3)]:cancel()
  -- those who wait for what will never come end with this
  if #bide.wait(roots, { timeout = 5 }) < 3 then
    for _, root in ipairs(roots) do root:cancel() end
  end
  bide.settle(roots)
  drain(world)
  check(world)
end

return M
