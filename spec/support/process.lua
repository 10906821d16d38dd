-- SPDX-License-Identifier: MIT
-- Runs other programs and tells what they did. Blocks the caller; every run has a time limit.
-- Owns the temporary files it makes, and removes them.

local M = {}

--- The build directory under test, and the program in it.
M.build = os.getenv "BIDE_BUILD" or "build"
M.program = M.build .. "/bin/bide"

--- Quotes a word for the shell.
---@param word string
---@return string
function M.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

---@param path string
---@return string
function M.read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

---@param path string
---@param text string
function M.write_file(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

--- A new directory; `rm -rf` it, or call M.remove.
---@return string
function M.temporary_directory()
  local pipe <close> = assert(io.popen "mktemp -d")
  return assert(pipe:read "l")
end

---@param path string
function M.remove(path)
  os.execute("rm -rf " .. M.quote(path))
end

local known = { stdin = true, env = true, directory = true, seconds = true, redirect = true }

--- Runs the list of words `command`. Signals that the suite's caller ignores have their usual
--- meaning in it. A command past its time ends with status 124. `redirect` is for the shell.
---@param command string[]
---@param opts? { stdin?: string, env?: table, directory?: string, seconds?: number,
---  redirect?: string }
---@return { status: integer, out: string, err: string }
function M.run(command, opts)
  opts = opts or {}
  for name in pairs(opts) do
    if not known[name] then error("unknown option " .. name, 2) end
  end
  local dir = M.temporary_directory()
  local _remove <close> = setmetatable({}, { __close = function() M.remove(dir) end })
  M.write_file(dir .. "/in", opts.stdin or "")
  local words = { "env --default-signal=INT,PIPE" }
  for name, value in pairs(opts.env or {}) do
    words[#words + 1] = M.quote(name .. "=" .. value)
  end
  words[#words + 1] = ("timeout -k 5 %g"):format(opts.seconds or 50)
  for _, word in ipairs(command) do
    words[#words + 1] = M.quote(word)
  end
  local line = ("%s <%s/in >%s/out 2>%s/err %s"):format(table.concat(words, " "), dir, dir, dir,
    opts.redirect or "")
  if opts.directory then line = ("cd %s && %s"):format(M.quote(opts.directory), line) end
  local _, _, status = os.execute(line)
  return { status = status, out = M.read_file(dir .. "/out"), err = M.read_file(dir .. "/err") }
end

--- Runs the program under test.
---@param ... string
---@return { status: integer, out: string, err: string }
function M.bide(...)
  return M.run { M.program, ... }
end

return M
