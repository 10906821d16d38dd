-- SPDX-License-Identifier: MIT
-- gsub.lua BYTES: substitutes in a text of about that many bytes; CPU ns per match. Runs unchanged
-- in stock Lua.

local SENTENCE = "A text of words, as long as it has to be. "
local text = SENTENCE:rep(tonumber(arg[1]) // #SENTENCE)

local function measure(name, pattern, replacement, expected)
  collectgarbage()
  local start = os.clock()
  local result, n = string.gsub(text, pattern, replacement)
  local took = os.clock() - start
  assert(result == expected and n > 0)
  print(("%s %.2f"):format(name, took / n * 1e9))
end

measure("words", "%a+", function(word) return word end, text)
measure("bytes", ".", function(byte) return byte end, text)
measure("text", "%a+", "%0", text)
