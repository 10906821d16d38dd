-- SPDX-License-Identifier: MIT
-- Grows random trees of tasks from a seed and checks what must hold whatever they do:
--  * every task that started ends, once, and its handle says so;
--  * nothing that a combinator owns runs when the combinator has returned;
--  * results stand in their places; what is handed over arrives whole or not at all;
--  * no item of a channel and no permit of a lock is lost, or there twice;
--  * a cancellation that was swallowed is raised again by the next wait;
--  * every error that was raised reaches somebody: a waiter, the details of another, or the report;
--  * no waiter is left linked, no task, timer or handle is left; memory is where it was.
-- Most rounds run under the virtual clock, so that a seed always gives the same round; one in 64
-- under the real one. Odd seeds have the ready tasks run in a random order.
local bide = require "bide"
local acts = require "spec.stress.acts"
local testing = require "bide.core".testing
local world_of = require "spec.stress.world"

local M = {}

local MOST_TASKS, KILOBYTES = 300, 64

--- Is it the cancellation of the running task itself, or of a scope of its own?
local function own_cancel(err)
  return bide.is_cancelled(err) and err.task == nil
end

--- The caller's own cancellation: mostly goes on upwards, at times after it was swallowed.
local function bear_cancel(world, err)
  if world:random(4) > 1 then error(err, 0) end
  world:ensure(not pcall(bide.sleep, 0), "a swallowed cancellation was not raised again")
  if world:random(2) == 1 then error(err, 0) end
end

--- Calls an act, and mostly bears with what it raises.
local function bear(world, name, depth)
  local ok, err = pcall(acts[name], world, depth)
  if ok then return end
  if own_cancel(err) then return bear_cancel(world, err) end
  world:received(err)
  if world:random(4) == 1 then world:raised_on(err, name) end
end

--- The function of a task: runs `depth` more levels of the tree inside `scope`.
local function body(world, depth, scope, value)
  local id = world:task()
  return function()
    world:begin(id)
    local _ <close> = setmetatable({}, { __close = function()
      world:finish(id)
      world:ensure(not scope or scope.open, "an owned task outlived its owner")
    end })
    for _ = 1, world:random(3) do
      world:act(depth - 1)
      world:ensure(not scope or scope.open, "an owned task ran when its owner was gone")
    end
    return value
  end
end

local names, leaves = {}, {}
for name in pairs(acts) do names[#names + 1] = name end
for name in ("sleep yield cancel await wait hand_over send recv try select hold event condition")
  :gmatch "%S+" do leaves[#leaves + 1] = name end
table.sort(names)

local function act(world, depth)
  if world.tasks > MOST_TASKS then depth = 0 end
  local list = depth > 0 and names or leaves
  bear(world, list[world:random(#list)], depth)
end

--- The main task of a round: six trees; in the end whoever waits for what never comes is cancelled.
local function main(world)
  local roots = {}
  for i = 1, 6 do roots[i] = world:keep(bide.spawn(world:body(5))) end
  bide.sleep(world:time(20))
  roots[world:random(6)]:cancel()
  repeat
    local _, pending = bide.wait(world.handles, { timeout = 50 * world.unit })
    for _, task in ipairs(pending) do task:cancel() end
  until #pending == 0
end

local function play(world)
  local before = bide.on_unhandled(function(err) world:received(err) end)
  local ok, err = pcall(bide.run, main, world)
  bide.on_unhandled(before)
  world:ensure(ok, "main failed: " .. tostring(err))
end

local counted = { "tasks", "timers", "alarms", "deadlines", "handles", "requests" }

--- Grows the tree of a seed. Raises when anything does not hold.
function M.round(seed)
  local real = seed % 64 == 0
  local world = world_of.new(seed, real and 0.0005 or 1, not real)
  world.act, world.body, world.own_cancel = act, body, own_cancel
  local before = testing.counts()
  testing.virtual(not real)
  testing.shuffle(seed % 2 == 1 and seed or nil)
  play(world)
  testing.shuffle(nil)
  testing.virtual(false)
  local now = testing.counts()
  for _, name in ipairs(counted) do
    world:ensure(now[name] == before[name],
      ("%d %s were %d"):format(now[name], name, before[name]))
  end
  world:check()
end

--- Kilobytes in use after two collections, Lua's and the host's own.
local function kilobytes()
  testing.forget()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count" + testing.counts().bytes / 1024
end

--- Grows trees from seed `first` on for so many seconds, twice as long again the same ones, and
--- compares memory after the last two passes: what has grown once to its size stays there, what
--- leaks goes on. Returns how many.
function M.grow(first, seconds)
  local n, till = 0, os.clock() + seconds / 3
  repeat
    M.round(first + n)
    n = n + 1
  until os.clock() > till
  local kept = { 0, 0 } -- made before it is measured
  for pass = 1, 2 do
    for seed = first, first + n - 1 do M.round(seed) end
    kept[pass] = kilobytes()
  end
  local left = next(world_of.alive)
  if left then error("something outlives its tree: " .. tostring(left), 0) end
  if kept[2] - kept[1] > KILOBYTES then
    error(("seeds %d to %d: %.0f KB more"):format(first, first + n - 1, kept[2] - kept[1]), 0)
  end
  return n
end

return M
