-- SPDX-License-Identifier: MIT
-- The annotations for language servers speak of what is there.
local bide = require "bide"
local process = require "spec.support.process"

local text = process.read_file "lua/bide/meta/bide.lua"

describe("the annotations #core", function()
  it("are Lua", function()
    assert.truthy(load(text))
  end)

  it("name functions that bide has", function()
    for name in text:gmatch "\nfunction bide%.([%w_]+)%(" do
      assert.equal("function", type(bide[name]), name)
    end
  end)

  it("name every function that bide has but those of its libraries", function()
    local of_libraries = { http_get = true, pipe_streams = true }
    for name, value in pairs(bide) do
      if type(value) == "function" and not of_libraries[name] then
        assert.truthy(text:find("\nfunction bide." .. name .. "(", 1, true), name)
      end
    end
  end)

  it("name the methods of tasks, futures and groups", function()
    local task, future = bide.spawn(function() end), bide.future()
    bide.group(function(group)
      local objects = { Awaitable = { task, future }, Task = { task }, Future = { future },
        Group = { group } }
      for class, name in text:gmatch "\nfunction (%u%w+):([%w_]+)%(" do
        for _, object in ipairs(objects[class]) do
          assert.equal("function", type(object[name]), class .. ":" .. name)
        end
      end
    end)
  end)
end)
