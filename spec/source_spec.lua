-- SPDX-License-Identifier: MIT
-- The tree of files itself: licences, sizes, the arrows between the floors, and what the documents
-- say of it.
local process = require "spec.support.process"

-- Paths that `find` prints for these words, sorted.
local function find(...)
  local result = process.run { "find", ... }
  assert(result.status == 0, result.err)
  local paths = {}
  for path in result.out:gmatch "[^\n]+" do paths[#paths + 1] = (path:gsub("^%./", "")) end
  table.sort(paths)
  return paths
end

local function exists(path)
  return process.run({ "sh", "-c", 'ls -d -- $1', "sh", path }).status == 0
end

local sources = find(".ci", "Makefile", "host", "bindings", "lua", "spec", "examples", "bench",
  "bide-scm-1.rockspec", "docs/bide.1", "-type", "f", "-not", "-path", "*/corpus/*")
local documents = find(".", "-name", "build", "-prune", "-o", "-name", "*.md", "-print")

describe("a source file", function()
  it("names its licence on one of its first lines", function()
    assert.is_true(#sources > 300)
    for _, path in ipairs(sources) do
      if not path:find "%.in$" and not path:find "%.md$" and not path:find "%.list$" and
        not path:find "%.map$" then
        local head = process.read_file(path):sub(1, 200)
        assert.matches("SPDX%-License%-Identifier: MIT", head, 1, false, path)
      end
    end
  end)

  it("says what it is, in a comment at its head", function()
    for _, path in ipairs(sources) do
      if path:find "%.[ch]$" then
        local text = process.read_file(path)
        assert.matches("^/%* SPDX[^\n]*%*/\n/%*", text, path)
      end
    end
  end)
end)

-- The floors, and what each sees besides itself and the C library, Lua and libuv.
local sees = {
  ["host/core"] = {},
  ["host/net"] = { "host/core" },
  ["host/http"] = { "host/net", "host/core" },
  bindings = { "host/core", "host/net", "host/http" },
  ["host/program"] = { "bindings" },
}

local function folder_of(path) return path:match "^(.*)/" end

-- The file that an #include in `path` names, as the compiler looks for it; nil: a system header.
local function included(path, name)
  for _, folder in ipairs { folder_of(path) .. "/", "host/", "bindings/", "" } do
    local file <close> = io.open(folder .. name)
    if file then return folder .. name end
  end
end

local function includes(path)
  local list = {}
  for line in io.lines(path) do
    local name = line:match '^#%s*include%s*["<]([^">]+)[">]'
    if name then list[#list + 1] = name end
  end
  return list
end

describe("the floors", function()
  it("include downwards only", function()
    local checked = 0
    for _, path in ipairs(find("host", "bindings", "-name", "*.[ch]")) do
      local floor = folder_of(path)
      local allowed = { [floor] = true }
      for _, lower in ipairs(assert(sees[floor], path)) do allowed[lower] = true end
      for _, name in ipairs(includes(path)) do
        local target = included(path, name)
        if target then
          checked = checked + 1
          assert.is_true(allowed[folder_of(target)], path .. " includes " .. target)
        end
      end
    end
    assert.is_true(checked > 300)
  end)

  it("keep Lua, libuv and the other floors out of the protocol code", function()
    local files = find("host/http", "-name", "h1*", "-o", "-name", "url*", "-o", "-name", "sse*")
    assert.is_true(#files > 8)
    for _, path in ipairs(files) do
      for _, name in ipairs(includes(path)) do
        local target = included(path, name)
        local own = target and (target:find "^host/http/h1" or target:find "^host/http/url" or
          target:find "^host/http/sse" or target == "host/http/text.h")
        local system = not target and not name:find "^lua" and not name:find "^lauxlib"
          and not name:find "^uv" and not name:find "^ares" and not name:find "^openssl"
        assert.truthy(own or system, path .. " includes " .. name)
      end
    end
  end)
end)

-- A document's text without its fenced blocks.
local function prose(path)
  return (process.read_file(path):gsub("\n```.-\n```", "\n"))
end

-- What a heading is called in links, as forges do it.
local function anchors(path)
  local set = {}
  for heading in ("\n" .. prose(path)):gmatch "\n#+ +([^\n]+)" do
    local name = heading:lower():gsub("[^%w%s_%-\128-\255]", ""):gsub("%s", "-")
    set[name] = true
  end
  return set
end

describe("a document", function()
  it("links to what is there", function()
    local checked = 0
    for _, path in ipairs(documents) do
      local here = folder_of(path)
      for target in prose(path):gmatch "%]%(([^)%s]+)%)" do
        if not target:find "^https?:" then
          local file, anchor = target:match "^([^#]*)#?(.*)$"
          local full = file == "" and path or (here and here .. "/" or "") .. file
          assert.is_true(exists(full), path .. " links to " .. target)
          if anchor ~= "" then
            assert.is_true(anchors(full)[anchor], path .. " links to " .. target)
          end
          checked = checked + 1
        end
      end
    end
    assert.is_true(checked > 5)
  end)

  it("names files that are there", function()
    for _, path in ipairs { "README.md", "ARCHITECTURE.md" } do
      for name in prose(path):gmatch "`([^`\n]+)`" do
        if name:find "^[%w_]+/[%w_/*.-]*$" and not name:find "^build/" then
          assert.is_true(exists(name), path .. " names " .. name)
        elseif name:find "^[%w_]+%.[ch]$" then
          local found = find("host", "bindings", "-name", name)
          assert.is_true(#found > 0, path .. " names " .. name)
        end
      end
    end
  end)
end)

-- (Those in C: spec/program/embed_examples_spec.lua.)
describe("an example", function()
  it("is run by a spec", function()
    local text = process.read_file "spec/examples_spec.lua"
    for _, path in ipairs(find("examples", "-maxdepth", "1", "-type", "f")) do
      local name = path:match "([%w_]+)%.lua$"
      assert.truthy(text:find('output "' .. name .. '"', 1, true) or
        text:find('output("' .. name .. '"', 1, true), path)
    end
  end)
end)

describe("ARCHITECTURE.md", function()
  it("names functions that are there", function()
    local text = {}
    for _, path in ipairs(find("host", "bindings", "-name", "*.[ch]")) do
      text[#text + 1] = process.read_file(path)
    end
    text = table.concat(text)
    local checked = 0
    for name in process.read_file "ARCHITECTURE.md":gmatch "[%a_]+[(`% ]" do
      name = name:sub(1, -2)
      if name:find "^bide__%a[%w_]*%a$" or name:find "^[lk]_%a%a+$" or name:find "^on_%a+$" then
        checked = checked + 1
        assert.truthy(text:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
      end
    end
    assert.is_true(checked > 15)
  end)
end)

describe("the map in ARCHITECTURE.md", function()
  local map = process.read_file "ARCHITECTURE.md":match "\n## The map.-\n## "

  it("has each folder of sources", function()
    for _, path in ipairs(find("host", "bindings", "lua/bide", "-name", "*.[chl]*")) do
      local folder = path:match "^lua/bide" or folder_of(path)
      assert.matches("`" .. folder .. "/`", map, 1, true)
    end
  end)
end)
