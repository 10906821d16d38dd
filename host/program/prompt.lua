-- SPDX-License-Identifier: MIT
-- The prompt: reads a chunk, runs it as a task, prints what it returns. Other tasks run on while it
-- waits for a line. Ctrl-C cancels the chunk that runs.
-- Called with what the program lends it: read_line(text) waits and returns a line or nil at the
-- end; wait_interrupt() waits for the next Ctrl-C; report(err, traceback) shows an error; leave()
-- ends the run.

local system = ...
local read_line, report = system.read_line, system.report
local bide = require "bide"

local running -- the task of the chunk, while it runs

-- The text that stands before the cursor, as lua5.4 lets it be set.
local function prompt_text(first)
  local text = first and _PROMPT or not first and _PROMPT2
  return text and tostring(text) or first and "> " or ">> "
end

local function is_incomplete(message)
  return message:find "<eof>'?$" ~= nil
end

-- A function, or nil and a message; or nothing at the end of input.
local function read_chunk()
  local text = read_line(prompt_text(true))
  if not text then return end
  text = text:gsub("^=", "return ") -- as Lua 5.2 wanted it, and lua5.4 still takes it
  local chunk = load("return " .. text, "=stdin")
  if chunk then return chunk end
  while true do
    local message
    chunk, message = load(text, "=stdin")
    if chunk then return chunk end
    if not is_incomplete(message) then return nil, message end
    local more = read_line(prompt_text(false))
    if not more then return nil, message end
    text = text .. "\n" .. more
  end
end

local function show(ok, ...)
  if not ok then
    local details = bide.details((...))
    local traceback = details and details.traceback
    -- Where the prompt spawned it tells nothing.
    report((...), traceback and traceback:gsub("\nspawned at bide/prompt%.lua:%d+$", ""))
  elseif select("#", ...) > 0 then
    local shown, message = pcall(print, ...)
    if not shown then report("error calling 'print' (" .. tostring(message) .. ")") end
  end
end

if _G.bide == nil then _G.bide = bide end

bide.daemon(function()
  while true do
    system.wait_interrupt()
    if running then running:cancel() end
  end
end)

while true do
  local chunk, message = read_chunk()
  if chunk then
    running = bide.spawn(chunk)
    show(pcall(running.await, running))
    running = nil
  elseif message then
    report(message)
  else
    return system.leave()
  end
end
