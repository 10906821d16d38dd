-- SPDX-License-Identifier: MIT
-- The C snippets of docs/embedding.md compile; those with a `main` run, and print what stands
-- behind `-->`. (The Lua ones are run by spec/docs_spec.lua.)
local installed = require "spec.support.installed"
local process = require "spec.support.process"

local page = "docs/embedding.md"

local prelude = [[
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bide.h>
#include <lauxlib.h>
]]

--- A snippet as a file of its own: statements stand in a function.
local function file_of(code)
  if code:find "#include" then return code end
  if code:find "\nstatic " or code:find "^static " then return prelude .. code end
  return prelude .. "void snippet(bide_host *host);\nvoid snippet(bide_host *host) {\n(void)host;\n"
    .. code .. "\n}\n"
end

local function promised(code)
  local lines = {}
  for text in code:gmatch "/%* %-%-> (.-) %*/" do lines[#lines + 1] = text .. "\n" end
  return table.concat(lines)
end

describe(page, function()
  local bide
  setup(function() bide = installed.install() end)
  teardown(function() bide:remove() end)

  local number = 0
  for code in process.read_file(page):gmatch "\n```c\n(.-\n)```" do
    number = number + 1
    local name = "snippet" .. number
    it(("has a C snippet %d that compiles"):format(number), function()
      local source = ("%s/%s.c"):format(bide.root, name)
      process.write_file(source, file_of(code))
      if not code:find "int main%(" then
        bide:sh("cc -Wall -Wextra -Werror -Wno-unused-function -c -o %s.o %s "
          .. "$(pkg-config --cflags bide)", source, source)
        return
      end
      local r = bide:run(bide:build(source))
      assert.same({ status = 0, out = promised(code), err = "" }, r)
    end)
  end

  it("was looked at", function() assert.is_true(number >= 8, number .. " snippets") end)
end)
