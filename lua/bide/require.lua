-- SPDX-License-Identifier: MIT
-- bide.require: Lua's `require`, written so that a module may wait while it loads. Two tasks that
-- require the same module at once load it once: the second waits for the first.
--
-- Modules that require each other: in one task they do what they do in Lua, which runs a module
-- anew as long as package.loaded lacks it, down to the same depth. In two tasks, each of which
-- loads what the other waits for, nothing could ever end: the require that would close the circle
-- raises.
--
-- An embedder may have opened no library but the base: tables and strings are done by hand.

local core = require "bide.core"
local loaded = package.loaded

-- So deep Lua's own goes, whose C stack is full then; here a wait begins it anew.
local DEPTH_MAX = 190

-- name → its load while a task loads it. That of a task that was stopped for good, with no
-- clean-up, stays, and tells nothing: no task is waited for that has ended.
local loading = {}

-- task → the load that it waits for; task → the names of what it loads, the outermost first.
local waits = setmetatable({}, { __mode = "k" })
local stacks = setmetatable({}, { __mode = "k" })

local OUTSIDE = {} -- stands for the task where there is none

--- As `error`, but `level` is that of the caller of `require`. When that was a tail call, this file
--- stands there: nothing to tell of.
local function raise(message, level)
  local _, text = pcall(error, message, level + 2)
  local _, here = pcall(error, "", 2) -- "file:line: "
  local file = string and here:match "^(.*:)%d+: $"
  if file and text:sub(1, #file) == file then text = message end
  error(text, 0)
end

-- A searcher is called by a C function, as in Lua, so that what it raises is not given a line here.
local function search(searcher, name)
  local ok, loader, data = pcall(searcher, name)
  if not ok then error(loader, 0) end
  return loader, data
end

local function find_loader(name)
  local searchers = package.searchers
  if type(searchers) ~= "table" then raise("'package.searchers' must be a table", 4) end
  local messages, i = "", 1
  while true do
    local searcher = rawget(searchers, i)
    if searcher == nil then raise("module '" .. name .. "' not found:" .. messages, 4) end
    local loader, data = search(searcher, name)
    if type(loader) == "function" then return loader, data end
    if type(loader) == "string" then messages = messages .. "\n\t" .. loader end
    i = i + 1
  end
end

--- To be called by `require` itself, for the levels of errors.
local function load(name)
  local loader, data = find_loader(name)
  local value = loader(name, data)
  if value ~= nil then loaded[name] = value end
  if loaded[name] == nil then loaded[name] = true end
  return loaded[name], data
end

--- The words for a circle: names[first] requires the next, and so on, and the last one requires it
--- again.
local function circle(names, first)
  local name = "'" .. names[first] .. "'"
  local text = "loop while loading module " .. name .. ": " .. name
  for i = first + 1, #names do text = text .. " requires '" .. names[i] .. "'" end
  return text .. " requires " .. name
end

-- ---- loads ----

local load_meta = { __close = function(self)
  local stack = self.stack
  local at = #stack
  while stack[at] ~= self.name do at = at - 1 end -- not the last where coroutines take turns
  for i = at, #stack do stack[i] = stack[i + 1] end
  if not self.future then return end
  loading[self.name] = nil
  self.future:resolve()
end }

local function check_depth(stack, name)
  if #stack < DEPTH_MAX then return end
  for i = #stack, 1, -1 do
    if stack[i] == name then raise(circle(stack, i), 4) end
  end
end

--- The load that the task begins, to be closed. Others wait for its future; it has none when the
--- task is loading the module already, or there is no task. To be called by `require` itself.
local function begin(name, task)
  local stack = stacks[task] or {}
  check_depth(stack, name)
  local self = { name = name, task = task, stack = stack }
  stacks[task] = stack
  stack[#stack + 1] = name
  if task ~= OUTSIDE and not (loading[name] and loading[name].task == task) then
    self.future = core.future()
    loading[name] = self
  end
  return setmetatable(self, load_meta)
end

-- ---- waiting for the loads of other tasks ----

local wait_meta = { __close = function(self) waits[self.task] = nil end }

local function check_circle(entry, task)
  local names, other = { entry.name }, waits[entry.task]
  while other and not other.task:done() do
    names[#names + 1] = other.name
    if other.task == task then
      core.raise("EDEADLK", "require", nil,
        circle(names, 1) .. ", in tasks that wait for each other")
    end
    other = waits[other.task]
  end
end

local function await_load(entry, task)
  check_circle(entry, task)
  local _ <close> = setmetatable({ task = task }, wait_meta)
  waits[task] = entry
  entry.future:await()
end

--- Waits for other tasks to load the module; ends when it is loaded, or when none of them loads it.
local function await_others(name, task)
  local entry = loading[name]
  while not loaded[name] and entry and entry.task ~= task and not entry.task:done() do
    await_load(entry, task)
    entry = loading[name]
  end
  return loaded[name]
end

local function require(name)
  if type(name) == "number" then name = tostring(name) end
  if type(name) ~= "string" then
    local got = name == nil and "no value" or type(name)
    raise("bad argument #1 to 'require' (string expected, got " .. got .. ")", 2)
  end
  local value = loaded[name]
  if value then return value end
  local task = core.current() or OUTSIDE
  value = task ~= OUTSIDE and await_others(name, task)
  if value then return value end
  local _load <close> = begin(name, task)
  return load(name) -- no tail call: what was begun is to be closed
end

return require
