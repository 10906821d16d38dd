-- SPDX-License-Identifier: MIT
-- What tasks of a random tree do (spec/stress/tree.lua): act(world, depth), each checking what must
-- hold of it. Those that wait for something that may never come are bounded in a shield.
local bide = require "bide"

local M = {}

local function closing(f)
  return setmetatable({}, { __close = function(_, err) f(err) end })
end

--- Calls f with a scope that is open as long as that runs.
local function owning(f)
  local scope = { open = true }
  local _ <close> = closing(function() scope.open = false end)
  return f(scope)
end

local function items(world, depth, scope)
  local list = {}
  for i = 1, world:random(4) do list[i] = world:body(depth, scope, i) end
  return list
end

--- Calls f: mostly, and always in a shield, under a deadline whose ETIMEDOUT is no error.
local function bounded(world, f, ...)
  if not world.shielded:get() and world:random(3) == 1 then return f(...) end
  local seconds = world:time(9)
  local results = table.pack(pcall(bide.timeout, seconds, f, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  if bide.is_timeout(results[2]) then return nil end
  error(results[2], 0)
end

-- ---- waits ----

function M.sleep(world) bide.sleep(world:time(20)) end

function M.yield() bide.sleep(0) end

function M.await(world)
  if #world.handles == 0 then return end
  local task = world.handles[world:random(#world.handles)]
  -- it may be an owner of this one, that is a cycle: so not forever
  local ok, err = pcall(bide.timeout, world:time(30), task)
  if ok then return end
  if world.own_cancel(err) then error(err, 0) end
  world:received(err)
end

function M.wait(world)
  if #world.handles == 0 then return end
  local list = {}
  for i = 1, world:random(4) do list[i] = world.handles[world:random(#world.handles)] end
  local count = world:random(#list)
  local ok, ended, pending = pcall(bide.wait, list, { count = count, timeout = world:time(10) })
  if not ok then
    if ended.code == "EDEADLK" then return end -- a list with the task itself
    error(ended, 0)
  end
  world:ensure(#ended + #pending == #list, "wait has lost one")
end

--- A waiter and a filler: the value arrives, or stays in the future.
function M.hand_over(world)
  local future, token = bide.future(), {}
  local filler = world:keep(bide.spawn(function()
    bide.sleep(world:time(10))
    future:resolve(token)
  end))
  local ok, got = pcall(bide.timeout, world:time(10), future)
  if ok then world:ensure(got == token, "a value changed on its way") end
  if not ok and bide.is_timeout(got) then
    world:ensure(not future:done(), "a value that was there was lost to a timeout")
  end
  if not ok and world.own_cancel(got) then error(got, 0) end
  if not ok and not bide.is_timeout(got) then world:received(got) end
  if filler:status() == "done" then world:ensure(future:result() == token, "a value was lost") end
end

-- ---- channels, locks, events ----

function M.send(world)
  local ch, item = world.channels[world:random(3)], world:item()
  local sent = false
  local _ <close> = closing(function() if not sent then world:unsent(item) end end)
  bounded(world, function()
    ch:send(item)
    sent = true
  end)
end

M.send_more = M.send

function M.recv(world)
  bounded(world, function() world:took(world.channels[world:random(3)]:recv()) end)
end

function M.try(world)
  world:took(world.channels[world:random(3)]:try_recv())
  local item = world:item()
  if not world.channels[world:random(3)]:try_send(item) then world:unsent(item) end
end

--- Two receives and a send at once: one is done, or none.
function M.select(world)
  local item, index = world:item(), nil
  local _ <close> = closing(function() if index ~= 3 then world:unsent(item) end end)
  local got
  index, got = bide.select { { world.channels[world:random(3)] },
    { world.channels[world:random(3)] }, { world.channels[world:random(3)], item },
    timeout = world:time(5) }
  if index ~= 3 then world:took(got) end
end

local function hold(world)
  local which = world:random(2)
  local _ <close> = world.locks[which]:acquire()
  world:acquired(which)
  local _ <close> = closing(function() world:released(which) end)
  bide.sleep(world:time(3))
end

function M.hold(world) bounded(world, hold, world) end

M.hold_again = M.hold

function M.event(world)
  if world:random(2) == 1 then return bounded(world, world.event.wait, world.event) end
  world.event:set()
  bide.sleep(0)
  world.event:clear()
end

function M.condition(world)
  local condition = world.condition
  if world:random(2) == 1 then
    condition:with(condition.notify, condition, world:random(2))
  else
    bounded(world, condition.with, condition, condition.wait, condition)
  end
end

-- ---- combinators ----

function M.gather(world, depth)
  owning(function(scope)
    for i, value in ipairs(bide.gather(items(world, depth, scope))) do
      world:ensure(value == i, "a result of gather is out of place")
    end
  end)
end

function M.map(world, depth)
  owning(function(scope)
    local opts = { limit = world:random(3), collect = world:random(2) == 1 }
    local list = items(world, depth, scope)
    local results = bide.map(list, function(f, i)
      local value = f()
      world:ensure(value == i, "an item of map is out of place")
      return value
    end, opts)
    if opts.collect then world:ensure(#results == #list, "map has lost a result")
    else world:ensure(results == #list, "map has lost an item") end
  end)
end

function M.settle(world, depth)
  owning(function(scope)
    local list = items(world, depth, scope)
    local entries = bide.settle(list)
    world:ensure(entries.n == #list, "settle told of too few")
    for i, entry in ipairs(entries) do
      if entry.ok then world:ensure(entry[1] == i, "an entry of settle is out of place") end
      if not entry.ok then world:received(entry.err) end
    end
  end)
end

function M.race(world, depth)
  owning(function(scope)
    local value = bide.race(items(world, depth, scope))
    world:ensure(math.type(value) == "integer", "a race gave no result")
  end)
end

function M.any(world, depth)
  owning(function(scope)
    local list, failed = items(world, depth, scope), {}
    for i, item in ipairs(list) do
      list[i] = function()
        local _ <close> = closing(function(err) failed[#failed + 1] = err end)
        return item()
      end
    end
    bide.any(list)
    for _, err in ipairs(failed) do world:received(err) end -- any bears with those
  end)
end

function M.as_completed(world, depth)
  owning(function(scope)
    local list, seen, leave = items(world, depth, scope), {}, world:random(6)
    for index, ok, value in bide.as_completed(list) do
      world:ensure(not seen[index], "as_completed gave one twice")
      seen[index] = true
      if ok then world:ensure(value == index, "a result of as_completed is out of place") end
      if not ok then world:received(value) end
      if #seen == leave then break end
    end
  end)
end

function M.group(world, depth)
  owning(function(scope)
    bide.group(function(g)
      for _ = 1, world:random(3) do
        local task = world:keep(g:spawn(world:body(depth, scope)))
        if world:random(4) == 1 then world:act(depth - 1) end
        if world:random(6) == 1 then task:cancel() end
      end
      if world:random(6) == 1 then g:cancel() end
    end)
  end)
end

function M.run(world, depth)
  owning(function(scope) bide.run(world:body(depth, scope)) end)
end

-- ---- scopes ----

function M.timeout(world, depth)
  local seconds = world:time(30)
  local start, shields = bide.now(), world.shields
  local ok, err = pcall(bide.timeout, seconds, world.act, world, depth - 1)
  if ok then return end
  if not (bide.is_timeout(err) and err.after == seconds) then error(err, 0) end
  local late = bide.now() - start - seconds
  world:ensure(late >= -1e-6, "a timeout came early")
  if world.exact and world.shields == shields then
    world:ensure(late <= 1e-6, "a timeout came late")
  end
end

function M.shield(world, depth)
  world.shields = world.shields + 1
  local ended, before = false, world.shielded:get()
  world.shielded:set(true)
  local _ <close> = closing(function() world.shielded:set(before) end)
  bide.shield(function()
    local start, seconds = bide.now(), 0.1 * world.unit
    local ok = pcall(bide.sleep, seconds)
    world:ensure(ok and bide.now() - start >= seconds - 1e-6, "a shield let something through")
    if world:random(2) == 1 then world:act(depth - 1) end
    ended = true
  end)
  world:ensure(ended, "a shield returned early")
end

function M.clean_up(world, depth)
  local _ <close> = closing(function()
    world.shields = world.shields + 1
    bide.shield(bide.sleep, 0.1 * world.unit)
  end)
  world:act(depth - 1)
end

-- ---- the rest ----

function M.spawn(world, depth) world:keep(bide.spawn(world:body(depth))) end

function M.daemon(world, depth) world:keep(bide.daemon(world:body(depth))) end

function M.cancel(world)
  if #world.handles > 0 then world.handles[world:random(#world.handles)]:cancel() end
end

function M.coroutine(world, depth)
  local generate = coroutine.wrap(function()
    for i = 1, 3 do
      world:act(depth - 1)
      coroutine.yield(i)
    end
  end)
  for i = 1, 3 do world:ensure(generate() == i, "a generator lost its place") end
end

function M.raise(world)
  if world:random(2) == 1 then world:raise() end
  bide.sleep(world:time(20))
end

return M
