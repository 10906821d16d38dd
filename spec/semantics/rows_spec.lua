-- SPDX-License-Identifier: MIT
-- Each row of the tables in docs/reference/semantics.md has its block of specs, and each block its
-- row.
local process = require "spec.support.process"

--- The first cells of each table: {["spec/semantics/x_spec.lua"] = {"words", …}}.
local function rows()
  local tables, current = {}, nil
  for line in io.lines "docs/reference/semantics.md" do
    local file = line:match "^`(spec/semantics/[%w_]+%.lua)`$"
    if file then
      tables[file], current = {}, file
    end
    local words = line:match "^| (.-) | "
    if words and words ~= "case" and words ~= "---" then table.insert(tables[current], words) end
  end
  return tables
end

--- The titles of the blocks within the outermost one of a spec file, in order.
local function titles(path)
  local list = {}
  local text = process.read_file(path):gsub('"%s*%.%. "', "")
  for words in text:gmatch '\n  describe%("(.-)", ?function' do
    list[#list + 1] = words
  end
  return list
end

describe("the table of edge cases #core", function()
  local n = 0
  for path, words in pairs(rows()) do
    n = n + #words
    it("has a block of specs for each of its rows, in order: " .. path, function()
      assert.same(words, titles(path))
    end)
  end

  it("is not shorter than it was", function() assert.is_true(n >= 46) end)
end)
