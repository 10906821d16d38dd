-- SPDX-License-Identifier: MIT
-- Error values that bite: objects whose text raises, waits, or is no text; errors in handlers.
local bide = require "bide"

local values = {
  setmetatable({}, { __tostring = function() error "in tostring" end }),
  setmetatable({}, { __tostring = function() return 42 end }),
  setmetatable({}, { __tostring = function() bide.sleep(1) end }),
  setmetatable({}, { __name = 42 }),
  setmetatable({}, { __index = function() error "in index" end }),
  setmetatable({}, { __gc = function() error "in gc" end }),
  setmetatable({}, { __metatable = false }),
  setmetatable({}, { __mode = "kv" }),
  setmetatable({ code = 42, message = {}, op = print, where = false }, bide.Error),
  setmetatable({}, bide.Error),
  ("x"):rep(1e6), "\0", "", 0 / 0, 2 ^ 63, false, print, coroutine.create(print), io.stdout,
}

local function each(f)
  for _, value in ipairs(values) do pcall(f, value) end
end

bide.on_unhandled(function(err, task, traceback)
  assert(task and type(traceback) == "string", err)
end)
bide.run(function()
  each(function(value) bide.spawn(error, value) end)
  each(function(value) bide.spawn(error, value):await() end)
  each(function(value) bide.gather(function() error(value) end, function() error(value) end) end)
  each(function(value) bide.group(function(g) g:spawn(error, value) error(value) end) end)
  each(function(value) bide.timeout(0, function() pcall(bide.sleep, 1) error(value) end) end)
  each(function(value) bide.run(error, value) end)
  each(function(value) bide.future():reject(value) end)
  each(function(value) bide.spawn(print):cancel(value) end)
  each(function(value) tostring(value) end)
  each(function(value) bide.details(value).x = value end)
  each(function(value) bide.is_cancelled(value) bide.is_timeout(value) end)
  each(function(value) bide.spawn(bide.sleep, 1):name(value) end)
  each(function(value) bide.timeout(0, bide.sleep, value) end)
  each(function(value) bide.unwrap { ok = false, err = value } end)
  each(function(value) bide.unwrap { ok = true, n = value } end)
end)
bide.on_unhandled(nil)
each(function(value) bide.run(function() bide.spawn(error, value) end) end)
print "survived"
os.exit(0) -- what was reported above is not the point
