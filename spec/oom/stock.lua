-- SPDX-License-Identifier: MIT
-- table.sort and string.gsub with callbacks that wait.
local bide = require "bide"

local list = { 5, 3, 9, 1, 7, 2, 8 }
table.sort(list, function(a, b)
  bide.sleep(0)
  return a < b
end)
assert(table.concat(list, " ") == "1 2 3 5 7 8 9")

local text, n = ("ab "):rep(50):gsub("(%a)%a", function(c)
  bide.sleep(0)
  return c:rep(8)
end)
assert(text == ("aaaaaaaa "):rep(50) and n == 50)
