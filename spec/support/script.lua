-- SPDX-License-Identifier: MIT
-- Runs a script in a process of its own, the way in which the suite runs: by the program under
-- test,
-- or by a stock lua5.4 that finds the module where this one does (the environment is inherited).
local process = require "spec.support.process"

local M = {}

M.in_program = (os.getenv "BIDE_MODE" or "program") == "program"

--- Runs the text of a script.
---@param code string
---@param opts? { stdin?: string, env?: table, seconds?: number, redirect?: string }
---@return { status: integer, out: string, err: string }
function M.run(code, opts)
  local dir = process.temporary_directory()
  local _remove <close> = setmetatable({}, { __close = function() process.remove(dir) end })
  local path = dir .. "/script.lua"
  process.write_file(path, code)
  return process.run({ M.in_program and process.program or "lua5.4", path }, opts)
end

--- Runs a script file with these arguments.
---@param path string
---@param ... string
function M.file(path, ...)
  return process.run { M.in_program and process.program or "lua5.4", path, ... }
end

return M
