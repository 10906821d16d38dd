-- SPDX-License-Identifier: MIT
-- Every fenced Lua snippet of README.md, docs/*.md and docs/reference/*.md runs as it stands, and
-- prints what stands behind `-->`.
local bide = require "bide"
local process = require "spec.support.process"

--- The snippets of a page: {line=, code=}.
local function snippets(path)
  local list, current, number = {}, nil, 0
  for line in io.lines(path) do
    number = number + 1
    if current and line:match "^```" then
      current.code = table.concat(current, "\n")
      list[#list + 1], current = current, nil
    elseif current then
      current[#current + 1] = line
    elseif line:match "^```lua$" then
      current = { line = number }
    end
  end
  assert(not current, path .. " ends within a snippet")
  return list
end

--- The lines that the snippet says it prints.
local function promised(code)
  local lines = {}
  for line in code:gmatch "[^\n]+" do
    lines[#lines + 1] = line:match "%-%->%s?(.*)$"
  end
  return lines
end

--- Runs the snippet; returns the lines that it printed.
local function run(snippet, name)
  local lines = {}
  local env = setmetatable({
    print = function(...)
      local words = table.pack(...)
      for i = 1, words.n do words[i] = tostring(words[i]) end
      lines[#lines + 1] = table.concat(words, "\t")
    end,
  }, { __index = _G })
  local f = assert(load(("\n"):rep(snippet.line) .. snippet.code, "@" .. name, "t", env))
  -- bide.testing switches the clock, which it can't while a timeout runs.
  local plain = snippet.code:find("bide.testing", 1, true)
  if plain then bide.run(f) else bide.timeout(30, bide.run, f) end
  return lines
end

-- Nothing is sliced under the thread sanitizer and in the portable build (spec/compute_spec.lua).
local build = os.getenv "BIDE_BUILD" or ""
local sliced = not build:find "tsan" and not build:find "portable"

local pages = process.run({ "sh", "-c", "ls README.md docs/*.md docs/reference/*.md" }).out
for path in pages:gmatch "[^\n]+" do
  describe(path .. " #core", function()
    for _, snippet in ipairs(snippets(path)) do
      local spec = (sliced or not snippet.code:find("bide.compute", 1, true)) and it or pending
      spec(("runs and prints what it says, at line %d"):format(snippet.line), function()
        assert.same(promised(snippet.code), run(snippet, path))
      end)
    end
  end)
end
