-- SPDX-License-Identifier: MIT
-- bide.require: Lua's `require`, written so that a module may wait while it loads. Two tasks that
-- require the same module at once load it once: the second waits for the first.

local core = require "bide.core"
local loaded = package.loaded

-- name → {task=, future=} while a task loads it. The entry of a task that was stopped for good,
-- with no clean-up, stays, and tells nothing: no task is waited for that has ended.
local loading = {}

-- `level`: of the caller of `require`, for errors.
local function find_loader(name, level)
  local searchers = package.searchers
  if type(searchers) ~= "table" then error("'package.searchers' must be a table", level) end
  local messages, i = {}, 1
  while true do
    local searcher = rawget(searchers, i)
    if searcher == nil then
      error(("module '%s' not found:%s"):format(name, table.concat(messages)), level)
    end
    local loader, data = searcher(name)
    if type(loader) == "function" then return loader, data end
    if type(loader) == "string" then messages[#messages + 1] = "\n\t" .. loader end
    i = i + 1
  end
end

local function load(name, level)
  local loader, data = find_loader(name, level)
  local value = loader(name, data)
  if value ~= nil then loaded[name] = value end
  if loaded[name] == nil then loaded[name] = true end
  return loaded[name], data
end

local finish = { __close = function(self)
  loading[self.name] = nil
  self.future:resolve()
end }

local function require(name)
  if type(name) == "number" then name = tostring(name) end
  if type(name) ~= "string" then
    local got = name == nil and "no value" or type(name)
    error(("bad argument #1 to 'require' (string expected, got %s)"):format(got), 2)
  end
  local value = loaded[name]
  if value then return value end
  local task = core.current()
  if not task then return load(name, 3) end
  local other = loading[name]
  while other and other.task ~= task and not other.task:done() do
    other.future:await()
    if loaded[name] then return loaded[name] end
    other = loading[name]
  end
  -- The task itself, in a cycle: as Lua does.
  if other and other.task == task then return load(name, 3) end
  local entry <close> = setmetatable({ name = name, task = task, future = core.future() }, finish)
  loading[name] = entry
  return load(name, 4) -- no tail call: the entry is to be closed
end

return require
