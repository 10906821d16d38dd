-- SPDX-License-Identifier: MIT
-- The other halves of the pairs in docs/from-asyncio.md and docs/from-javascript.md: the programs
-- in Python and JavaScript print what stands behind `->` in them, where these are installed.
-- (The Lua halves: docs_spec.lua.) Lines are compared as a set: comments stand where the line is
-- printed, which need not be the order of printing.
local process = require "spec.support.process"

--- Does the command succeed: is the language there, and new enough?
local function works(command) return process.run(command).status == 0 end

--- The fenced blocks of a language in a page.
local function blocks(path, language)
  local list = {}
  for code in process.read_file(path):gmatch("\n```" .. language .. "\n(.-)\n```") do
    list[#list + 1] = code
  end
  return list
end

--- The lines that the program says it prints, sorted.
local function promised(code, comment)
  local lines = {}
  for text in code:gmatch(comment .. " %-> ?([^\n]*)") do lines[#lines + 1] = text end
  table.sort(lines)
  return lines
end

local function printed(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  table.sort(lines)
  return lines
end

local languages = {
  { page = "docs/from-asyncio.md", fence = "python", comment = "#", n = 10,
    name = "Python", needs = { "python3", "-c", "import asyncio; asyncio.timeout" },
    command = { "python3", "-" } },
  { page = "docs/from-javascript.md", fence = "js", comment = "//", n = 9,
    name = "JavaScript", needs = { "node", "-e", "fetch.name" },
    command = { "node", "--input-type=module", "-" } },
}

for _, language in ipairs(languages) do
  describe(language.page, function()
    local list = blocks(language.page, language.fence)
    local spec = works(language.needs) and it or pending

    it("has its pairs", function() assert.is_true(#list >= language.n) end)

    for i, code in ipairs(list) do
      spec(("pair %d prints what it says in %s"):format(i, language.name), function()
        local r = process.run(language.command, { stdin = code, seconds = 20 })
        assert.same(promised(code, language.comment), printed(r.out), r.err)
      end)
    end
  end)
end
