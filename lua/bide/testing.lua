-- SPDX-License-Identifier: MIT
-- bide.testing: runs a function with time under control, in a random order that can be repeated,
-- and tells what it left behind.

local core = require "bide.core"
local bide, control = core.module, core.testing

local M = {}

--- What the values of the options must be, and the words for it.
local kinds = {
  clock = { "'virtual' or 'real'", function(v) return v == "virtual" or v == "real" end },
  left = { "'fail' or 'wait'", function(v) return v == "fail" or v == "wait" end },
  seed = { "integer", function(v) return math.type(v) == "integer" end },
  times = { "integer of 1 or more", function(v) return math.type(v) == "integer" and v > 0 end },
}

local function bad_argument(n, name, what)
  error(("bad argument #%d to 'bide.testing.%s' (%s)"):format(n, name, what), 4)
end

--- To be called by the function `name` itself; `more`: an option that only it has.
local function check_options(opts, name, more)
  if opts == nil then return {} end
  if type(opts) ~= "table" then
    bad_argument(2, name, ("table expected, got %s"):format(type(opts)))
  end
  for key, value in pairs(opts) do
    local kind = kinds[key]
    if not kind or (key == "times" and more ~= "times") then
      bad_argument(2, name, ("unknown option '%s'"):format(tostring(key)))
    elseif not kind[2](value) then
      bad_argument(2, name,
        ("option '%s': %s expected, got %s"):format(key, kind[1], tostring(value)))
    end
  end
  return opts
end

local function check_function(f, name)
  local meta = getmetatable(f)
  if type(f) == "function" or type(meta) == "table" and meta.__call then return end
  bad_argument(1, name, ("function expected, got %s"):format(f == nil and "no value" or type(f)))
end

--- A line for the entry of a task (bide.tasks).
local function task_line(entry)
  local line = { "task ", entry.name }
  if entry.waits then line[#line + 1] = (", waits: %s"):format(entry.waits) end
  if entry.where then line[#line + 1] = (", at %s"):format(entry.where) end
  if entry.spawned then line[#line + 1] = (", spawned at %s"):format(entry.spawned) end
  return table.concat(line)
end

--- Fills `found` with the entries of the tasks that are keys of `wanted`.
local function find_entries(wanted, list, found)
  for _, entry in ipairs(list) do
    if wanted[entry.task] then found[#found + 1] = entry end
    find_entries(wanted, entry.children, found)
  end
  return found
end

--- What lives of the running task's run beside it, and what is open: a list of lines. Cancels the
--- tasks.
local function left_behind()
  local mates, wanted, lines = control.mates(), {}, {}
  for _, task in ipairs(mates) do wanted[task] = true end
  for _, entry in ipairs(find_entries(wanted, bide.tasks(), {})) do
    lines[#lines + 1] = task_line(entry)
  end
  for _, task in ipairs(mates) do task:cancel() end
  return lines
end

local function left_open(lines)
  for _, entry in ipairs(control.open()) do
    lines[#lines + 1] = ("%s, opened at %s"):format(entry.what, entry.opened)
  end
end

local function raise_left(lines)
  table.sort(lines)
  core.raise("ELEFT", "testing.run", nil, "left at the end:\n  " .. table.concat(lines, "\n  "),
    { left = lines })
end

--- The whole of a test, as main task of its run.
local function main(f, opts)
  local lines = {}
  local results = table.pack(f())
  if opts.left ~= "wait" then
    bide.sleep(0)
    lines = left_behind()
  end
  return lines, results
end

--- "unhandled error in task NAME: what" and the traceback.
local function lost_text(lost)
  local where = lost.task and " in task " .. lost.task:name() or ""
  local text = ("unhandled error%s: %s"):format(where, lost.err)
  return lost.traceback and text .. "\n" .. lost.traceback or text
end

local function write_lost(lost)
  io.stderr:write("bide: ", lost_text(lost), "\n")
end

--- Errors that nobody awaited go into the list that is returned; the second result is to be closed:
--- it writes those that are still in the list.
local function catch_lost()
  local list = {}
  local handler = bide.on_unhandled(function(err, source, traceback)
    local task = source and source.name and source
    list[#list + 1] = { err = err, task = task, traceback = traceback }
  end)
  return list, setmetatable({}, { __close = function()
    bide.on_unhandled(handler)
    for _, lost in ipairs(list) do write_lost(lost) end
  end })
end

--- The first is raised, a string with where it came from; of any other value that is written.
local function raise_lost(list)
  local lost = list[1]
  if type(lost.err) == "string" then
    table.remove(list, 1)
    error(lost_text(lost), 0)
  end
  error(lost.err, 0)
end

local function restore(clock, tracked, order)
  return setmetatable({}, { __close = function()
    control.shuffle(nil, order)
    control.track(tracked)
    control.virtual(clock)
  end })
end

--- Runs f() in a run of its own and returns its results. The clock is virtual unless
--- `clock = "real"`: time stands still while anything is ready and jumps to the next timer when
--- nothing is. `seed` (an integer) has the ready tasks of each turn run in a random order, the same
--- for the same seed. What is left when f has returned, tasks and open streams and sockets, is an
--- error with code "ELEFT" that lists where each was made; with `left = "wait"` tasks are waited
--- for, as bide.run does. An error that nobody has awaited by then is raised, unless f has raised.
---@param f fun(): ...
---@param opts? { clock?: "virtual"|"real", seed?: integer, left?: "fail"|"wait" }
---@return ...
function M.run(f, opts)
  check_function(f, "run")
  opts = check_options(opts, "run")
  local _restore <close> = restore(control.virtual(opts.clock ~= "real"), control.track(true),
    control.shuffle(opts.seed))
  local list, _lost <close> = catch_lost()
  local lines, results = bide.run(main, f, opts)
  if #list > 0 then raise_lost(list) end
  left_open(lines)
  if #lines > 0 then raise_left(lines) end
  return table.unpack(results, 1, results.n)
end

--- Raises the error of a run under that seed: a string begins with it; any other value is left as
--- it is and the seed told on standard error.
local function raise_with_seed(err, seed)
  if type(err) == "string" then error(("seed %d: %s"):format(seed, err), 0) end
  io.stderr:write(("bide.testing.shake: failed under seed %d\n"):format(seed))
  error(err, 0)
end

--- Runs f under `times` seeds (100), from `seed` (1) on. The first error ends it and is raised,
--- with its seed told.
---@param f fun()
---@param opts? { clock?: "virtual"|"real", seed?: integer, times?: integer, left?: "fail"|"wait" }
function M.shake(f, opts)
  check_function(f, "shake")
  opts = check_options(opts, "shake", "times")
  local first, times = opts.seed or 1, opts.times or 100
  for seed = first, first + times - 1 do
    local ok, err = pcall(M.run, f, { clock = opts.clock, left = opts.left, seed = seed })
    if not ok then raise_with_seed(err, seed) end
  end
end

--- An `it` for busted whose bodies may wait: `local it = require("bide.testing").it(it)`. Each runs
--- as `run` with these options.
---@param it fun(name: string, body: fun())
---@param opts? table
---@return fun(name: string, body: fun())
function M.it(it, opts)
  check_function(it, "it")
  check_options(opts, "it")
  return function(name, body)
    return it(name, function() M.run(body, opts) end)
  end
end

return M
