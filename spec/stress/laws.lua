-- SPDX-License-Identifier: MIT
-- Builds random trees of tasks from a seed and checks what must hold whatever they do:
--  * every task that started ends, once, and its handle says so;
--  * nothing that a combinator owns runs when the combinator has returned;
--  * results stand in their places; what is handed over arrives whole or not at all;
--  * a cancellation that was swallowed is raised again by the next wait;
--  * every error that was raised reaches somebody: a waiter, the details of another, or the report.
-- A round runs under the virtual clock, so that a seed always gives the same round.
local bide = require "bide"
local testing = require "bide.core".testing

local M = {}

local Round = {}
Round.__index = Round

local function closing(f)
  return setmetatable({}, { __close = function(_, err) f(err) end })
end

--- A number from 1 to n.
function Round:random(n)
  local x = self.state
  x = x ~ (x << 13)
  x = x ~ (x >> 7)
  x = x ~ (x << 17)
  self.state = x
  return (x >> 33) % n + 1
end

function Round:fail(text)
  if not self.failure then
    self.failure = ("seed %d: %s"):format(self.seed, text)
  end
end

--- Notes that an error has reached somebody, and all that came with it.
function Round:received(err)
  if type(err) ~= "table" then
    self:fail("an error of no round: " .. tostring(err))
    return
  end
  if err.number then
    self.lost[err.number] = nil
  end
  for _, other in ipairs(bide.details(err).others or {}) do
    self:received(other)
  end
  for _, other in ipairs(err.errors or {}) do
    self:received(other)
  end
end

function Round:raise()
  self.errors = self.errors + 1
  self.lost[self.errors] = debug.traceback()
  error { number = self.errors }
end

--- Is it the cancellation of the running task itself, or of a scope of its own?
local function own_cancel(err)
  return bide.is_cancelled(err) and err.task == nil and not err.made
end

--- Calls f, and mostly bears with what it raises.
function Round:bear(name, f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then return table.unpack(results, 1, results.n) end
  local err = results[2]
  if own_cancel(err) then
    if self:random(4) > 1 then error(err, 0) end
    self.refusals = self.refusals + 1
    if pcall(bide.sleep, 0) then self:fail "a swallowed cancellation was not raised again" end
    if self:random(2) == 1 then error(err, 0) end
    return false
  end
  self:received(err)
  if self:random(4) == 1 then
    if err.number then self.lost[err.number] = "raised on by " .. name end
    error(err, 0)
  end
  return false
end

--- The function of a task: runs `depth` more levels of the tree inside `scope`.
function Round:body(depth, scope, value)
  self.tasks = self.tasks + 1
  local id = self.tasks
  return function()
    if self.started[id] then self:fail "a task started twice" end
    self.started[id] = true
    local _ <close> = closing(function()
      if self.ended[id] then self:fail "a task ended twice" end
      self.ended[id] = true
      if scope and not scope.open then self:fail "an owned task outlived its owner" end
    end)
    for _ = 1, self:random(3) do
      self:act(depth - 1)
      if scope and not scope.open then self:fail "an owned task ran when its owner was gone" end
    end
    return value
  end
end

--- Calls a combinator with a scope that is open as long as it runs.
local function owning(f)
  local scope = { open = true }
  local _ <close> = closing(function() scope.open = false end)
  return f(scope)
end

function Round:items(depth, scope)
  local items = {}
  for i = 1, self:random(4) do
    items[i] = self:body(depth, scope, i)
  end
  return items
end

local acts = {}

function acts.sleep(self)
  bide.sleep(self:random(20) / 10)
end

function acts.yield()
  bide.sleep(0)
end

function acts.gather(self, depth)
  owning(function(scope)
    local items = self:items(depth, scope)
    for i, value in ipairs(bide.gather(items)) do
      if value ~= i then self:fail "a result of gather is out of place" end
    end
  end)
end

function acts.settle(self, depth)
  owning(function(scope)
    local items = self:items(depth, scope)
    local entries = bide.settle(items)
    if entries.n ~= #items then self:fail "settle told of too few" end
    for i, entry in ipairs(entries) do
      if entry.ok and entry[1] ~= i then self:fail "an entry of settle is out of place" end
      if not entry.ok then self:received(entry.err) end
    end
  end)
end

function acts.race(self, depth)
  owning(function(scope)
    local value = bide.race(self:items(depth, scope))
    if math.type(value) ~= "integer" then self:fail "a race gave no result" end
  end)
end

function acts.any(self, depth)
  owning(function(scope)
    local items, failed = self:items(depth, scope), {}
    for i, item in ipairs(items) do
      items[i] = function()
        local _ <close> = closing(function(err) failed[#failed + 1] = err end)
        return item()
      end
    end
    bide.any(items)
    for _, err in ipairs(failed) do self:received(err) end -- any bears with those
  end)
end

function acts.group(self, depth)
  owning(function(scope)
    bide.group(function(g)
      for _ = 1, self:random(3) do
        local task = g:spawn(self:body(depth, scope))
        self.handles[#self.handles + 1] = task
        if self:random(4) == 1 then self:act(depth - 1) end
        if self:random(6) == 1 then task:cancel() end
      end
      if self:random(6) == 1 then g:cancel() end
    end)
  end)
end

function acts.timeout(self, depth)
  local seconds = self:random(30) / 10
  local start, shields = bide.now(), self.shields
  local ok, err = pcall(bide.timeout, seconds, self.act, self, depth - 1)
  if ok then return end
  if bide.is_timeout(err) and err.after == seconds then
    local late = bide.now() - start - seconds
    if late < -1e-6 then self:fail "a timeout came early" end
    if late > 1e-6 and self.shields == shields then self:fail "a timeout came late" end
    return
  end
  error(err, 0)
end

function acts.shield(self, depth)
  self.shields = self.shields + 1
  local ended = false
  bide.shield(function()
    local before = bide.now()
    local ok = pcall(bide.sleep, 0.1)
    if not ok or bide.now() - before < 0.1 - 1e-6 then
      self:fail "a shield let something through"
    end
    if self:random(2) == 1 then
      self:act(depth - 1)
    end
    ended = true
  end)
  if not ended then self:fail "a shield returned early" end
end

function acts.spawn(self, depth)
  self.handles[#self.handles + 1] = bide.spawn(self:body(depth))
end

function acts.daemon(self, depth)
  self.handles[#self.handles + 1] = bide.daemon(self:body(depth))
end

function acts.cancel(self)
  if #self.handles > 0 then self.handles[self:random(#self.handles)]:cancel() end
end

function acts.await(self)
  if #self.handles == 0 then return end
  local task = self.handles[self:random(#self.handles)]
  -- it may be an owner of this one, that is a cycle: so not forever
  local ok, err = pcall(bide.timeout, self:random(30) / 10, task)
  if not ok then
    if own_cancel(err) then error(err, 0) end
    self:received(err)
  end
end

--- A waiter and a filler: the value arrives, or stays in the future.
function acts.hand_over(self)
  local future, token = bide.future(), {}
  local filler = bide.spawn(function()
    bide.sleep(self:random(10) / 10)
    future:resolve(token)
  end)
  local ok, got = pcall(bide.timeout, self:random(10) / 10, future)
  if ok and got ~= token then self:fail "a value changed on its way" end
  if not ok and bide.is_timeout(got) and future:done() then
    self:fail "a value that was there was lost to a timeout"
  end
  if not ok and own_cancel(got) then error(got, 0) end
  if not ok and not bide.is_timeout(got) then self:received(got) end
  if filler:done() and future:result() ~= token then self:fail "a value was lost" end
end

function acts.coroutine(self, depth)
  local generate = coroutine.wrap(function()
    for i = 1, 3 do
      self:act(depth - 1)
      coroutine.yield(i)
    end
  end)
  for i = 1, 3 do
    if generate() ~= i then self:fail "a generator lost its place" end
  end
end

function acts.clean_up(self, depth)
  local _ <close> = closing(function()
    self.shields = self.shields + 1
    bide.shield(bide.sleep, 0.1)
  end)
  self:act(depth - 1)
end

function acts.run(self, depth)
  owning(function(scope) bide.run(self:body(depth, scope)) end)
end

function acts.raise(self)
  self:raise()
end

local names = {}
for name in pairs(acts) do names[#names + 1] = name end
table.sort(names)
local leaves = { "sleep", "yield", "cancel", "await", "hand_over" }

function Round:act(depth)
  if self.tasks > 300 then depth = 0 end
  local name = depth > 0 and names[self:random(#names)] or leaves[self:random(#leaves)]
  if name == "raise" and self:random(2) == 1 then name = "sleep" end
  self:bear(name, acts[name], self, depth)
end

local function counts()
  local all = testing.counts()
  return ("%d tasks, %d timers, %d deadlines"):format(all.tasks, all.timers, all.deadlines)
end

local function play(self)
  local before = bide.on_unhandled(function(err) self:received(err) end)
  local ok, err = pcall(bide.run, function()
    for _ = 1, 6 do
      self.handles[#self.handles + 1] = bide.spawn(self:body(5))
    end
  end)
  bide.on_unhandled(before)
  if not ok then self:fail("main failed: " .. tostring(err)) end
end

--- Plays the round of a seed. Raises when anything does not hold.
function M.round(seed)
  local self = setmetatable({
    seed = seed, state = seed * 2654435761 + 88172645463325252, tasks = 0, errors = 0, shields = 0,
    refusals = 0, started = {}, ended = {}, handles = {}, lost = {},
  }, Round)
  local left = counts()
  testing.virtual(true)
  play(self)
  testing.virtual(false)
  for id in pairs(self.started) do
    if not self.ended[id] then self:fail "a task did not end" end
  end
  for _, task in ipairs(self.handles) do
    if not task:done() then self:fail "a task is not done" end
  end
  local _, origin = next(self.lost)
  if origin then self:fail("an error was lost, raised at " .. origin) end
  if counts() ~= left then self:fail(("left behind: %s, not %s"):format(counts(), left)) end
  if self.failure then error(self.failure, 0) end
  return self
end

--- Kilobytes in use after two collections.
function M.memory()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

return M
