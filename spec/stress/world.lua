-- SPDX-License-Identifier: MIT
-- The books of a random tree of tasks (spec/stress/tree.lua): its random numbers, what was started
-- and ended, raised and received, sent and received, acquired and released; and the check of them.
local bide = require "bide"

local World = {}
World.__index = World

--- What was made in all worlds, for as long as anything keeps it: nothing may outlive its round.
local alive = setmetatable({}, { __mode = "k" })

local M = { alive = alive }

--- A world of a seed; `unit` is the length of a second in it, `exact` whether time is (on the
--- virtual clock).
function M.new(seed, unit, exact)
  local self = setmetatable({
    seed = seed, state = seed * 2654435761 + 88172645463325252, unit = unit, exact = exact,
    tasks = 0, started = {}, ended = {}, handles = {},
    errors = 0, lost = {}, shields = 0, shielded = bide.var(false),
    items = 0, sent = {}, got = {},
    channels = { bide.channel(), bide.channel(2), bide.channel(math.huge) },
    locks = { bide.lock(), bide.semaphore(2) }, permits = { 1, 2 }, holders = { 0, 0 },
    event = bide.event(), condition = bide.condition(),
  }, World)
  for _, list in ipairs { self.channels, self.locks, { self.event, self.condition } } do
    for _, object in ipairs(list) do alive[object] = true end
  end
  return self
end

--- A number from 1 to n.
function World:random(n)
  local x = self.state
  x = x ~ (x << 13)
  x = x ~ (x >> 7)
  x = x ~ (x << 17)
  self.state = x
  return (x >> 33) % n + 1
end

--- Seconds: up to n tenths of the world's.
function World:time(n) return self:random(n) / 10 * self.unit end

--- Notes the first thing that is wrong: an error would be caught by the tree itself.
function World:fail(text)
  self.failure = self.failure or text
end

function World:ensure(ok, text)
  if not ok then self:fail(text) end
end

function World:keep(task)
  alive[task] = true
  self.handles[#self.handles + 1] = task
  return task
end

-- ---- errors: each that was raised reaches a waiter, the details of another, or the report ----

function World:raise()
  self.errors = self.errors + 1
  self.lost[self.errors] = debug.traceback()
  error { number = self.errors }
end

--- Notes that an error has reached somebody, and all that came with it.
function World:received(err)
  if type(err) ~= "table" then return self:fail("an error of no tree: " .. tostring(err)) end
  if err.number then self.lost[err.number] = nil end
  for _, other in ipairs(bide.details(err).others or {}) do self:received(other) end
  for _, other in ipairs(err.errors or {}) do self:received(other) end
end

--- It goes on upwards, and must be received once more.
function World:raised_on(err, by)
  if err.number then self.lost[err.number] = "raised on by " .. by end
  error(err, 0)
end

-- ---- tasks ----

--- A number for a new task, to be given to `begin` and `finish`.
function World:task()
  self.tasks = self.tasks + 1
  return self.tasks
end

function World:begin(id)
  self:ensure(not self.started[id], "a task started twice")
  self.started[id] = true
end

function World:finish(id)
  self:ensure(not self.ended[id], "a task ended twice")
  self.ended[id] = true
end

-- ---- items and permits ----

--- A new item, about to be sent; `unsent` when that has failed.
function World:item()
  self.items = self.items + 1
  self.sent[self.items] = true
  return self.items
end

function World:unsent(item) self.sent[item] = nil end

function World:took(item)
  if item == nil then return end
  self:ensure(not self.got[item], "an item came twice")
  self.got[item] = true
end

function World:acquired(which)
  self.holders[which] = self.holders[which] + 1
  self:ensure(self.holders[which] <= self.permits[which], "a permit was given twice")
end

function World:released(which) self.holders[which] = self.holders[which] - 1 end

-- ---- the end ----

local function check_tasks(self)
  for id in pairs(self.started) do self:ensure(self.ended[id], "a task did not end") end
  for _, task in ipairs(self.handles) do self:ensure(task:done(), "a task is not done") end
  local _, origin = next(self.lost)
  if origin then self:fail("an error was lost, raised at " .. origin) end
end

local function check_items(self)
  for _, ch in ipairs(self.channels) do
    for item in function() return ch:try_recv() end do self:took(item) end
    self:ensure(#ch == 0, "a channel is not empty")
  end
  for item in pairs(self.sent) do self:ensure(self.got[item], "an item was lost") end
  for item in pairs(self.got) do
    self:ensure(self.sent[item], "an item came whose send has failed")
  end
  self:ensure(not self.locks[1]:locked(), "a lock was lost")
  self:ensure(self.locks[2]:available() == 2, "a permit was lost")
  self:ensure(self.holders[1] == 0 and self.holders[2] == 0, "somebody holds a lock still")
end

--- Nobody is left linked: nobody takes what is offered, nobody offers; all that is made is free.
local function check_waiters(self)
  self:ensure(not self.channels[1]:try_send(0), "a receiver is left linked")
  self:ensure(not self.channels[1]:try_recv(), "a sender is left linked")
  self.channels[2]:try_send(0)
  self:ensure(#self.channels[2] == 1, "a receiver is left linked to a buffer")
end

--- Raises when the books are wrong.
function World:check()
  check_tasks(self)
  check_items(self)
  check_waiters(self)
  if self.failure then error(("seed %d: %s"):format(self.seed, self.failure), 0) end
end

return M
