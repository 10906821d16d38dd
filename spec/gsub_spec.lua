-- SPDX-License-Identifier: MIT
-- string.gsub in the program: Lua's, but for replacements that may wait.
local bide = require "bide"
local process = require "spec.support.process"

local in_program = os.getenv "BIDE_MODE" == "program"
if not in_program then return end -- the module leaves Lua's own alone

-- Prints what thousands of random calls give, errors and their places included.
local everything = [==[
  math.randomseed(SEED)
  local pieces = { "a", "b", ".", "%a", "%d", "[a-c]", "[^b]", "[%w_]", "[]]", "[^]]", "[a-]", "(",
    ")", "()", "*", "+", "-", "?", "%b()", "%f[%a]", "%f[^%a]", "%1", "%2", "$", "^", "%", "[", "x",
    "%%", "%.", "[a", "%f", "%b", "%z", "\0", "[%a-z]", "%S", "%u", "[\0-b]" }
  local letters = { "a", "b", "(", ")", "ab", "c", "1", "_", " ", "]", "-", "\0", "x", "A" }
  local replacements = { "<%0>", "%1", "%%", "%2", "x", "", "%", "%a", 12, 1.5,
    { a = "A", b = false },
    function(...) return (select("#", ...)) end, function(a) return a end, function() end,
    function() return {} end, setmetatable({}, { __index = function(_, k) return k .. k end }),
    setmetatable({}, { __index = { a = "Q" } }), true }
  local function pick(list, n)
    local t = {}
    for i = 1, math.random(0, n) do t[i] = list[math.random(#list)] end
    return table.concat(t)
  end
  for i = 1, 6000 do
    local s, p, r = pick(letters, 14), pick(pieces, 5), replacements[math.random(#replacements)]
    local max = ({ nil, 0, 1, 2, -1 })[math.random(9)]
    print(i, pcall(function() return s:gsub(p, r, max) end))
  end
  for _, n in ipairs { 31, 32, 33, 199, 200, 300 } do
    print(pcall(string.gsub, ("x"):rep(300), ("(x)"):rep(n), "%1"))
    print(pcall(string.gsub, ("x"):rep(300), ("x?"):rep(n), "."))
  end
  print(pcall(string.gsub))
  print(pcall(string.gsub, "a", {}))
  print(pcall(string.gsub, "a", "b"))
  print(pcall(string.gsub, "a", "b", nil, "x"))
  print(pcall(string.gsub, "a", "b", "c", 1.5))
  print(pcall(function() return ("a"):gsub("a", print) end))
  print(("hello world"):rep(1000):gsub("o", "%0%0"))
  print(("hello world"):rep(1000):gsub("%w+", function(w) return w:rep(3) end))
]==]

describe("string.gsub in the program #core", function()
  it("does what Lua's does: results, counts, errors", function()
    local seed = os.time()
    local code = everything:gsub("SEED", seed)
    local stock = process.run { "lua5.4", "-e", code }
    assert.equal(0, stock.status)
    local own = process.bide("-e", code)
    assert.equal(stock.err, own.err)
    assert.is_true(stock.out == own.out, "outputs differ, seed " .. seed)
  end)

  it("waits in the function, as a method too, with captures and count", function()
    local function double(key, value)
      bide.sleep(0)
      return key .. "=" .. value * 2
    end
    assert.same({ "a=2, b=40", 2 }, { ("a:1, b:20"):gsub("(%w+):(%d+)", double) })
    assert.same({ "a=2, b:20", 1 }, { string.gsub("a:1, b:20", "(%w+):(%d+)", double, 1) })
    assert.same({ "a=2, b:20", 1 }, { ("a:1, b:20"):gsub("^(%w+):(%d+)", double) })
  end)

  it("waits in a table's __index, found along a chain of tables", function()
    local slow = { __index = function(_, key)
      bide.sleep(0)
      return key:upper()
    end }
    local replacements = setmetatable({ b = "<b>" }, { __index = setmetatable({}, slow) })
    assert.same({ "A<b>C", 3 }, { ("abc"):gsub(".", replacements) })
  end)

  it("keeps what a waiting function leaves alone", function()
    local function only_b(s)
      bide.sleep(0)
      return s == "b" and "B"
    end
    assert.same({ "aBcaBc", 6 }, { ("abcabc"):gsub(".", only_b) })
    assert.same({ "xyz", 3 }, { ("xyz"):gsub(".", only_b) })
    assert.same({ "-a-b-", 3 }, { ("ab"):gsub("", function() bide.sleep(0) return "-" end) })
  end)

  it("waits amid long outputs and long patterns", function()
    local text = ("word "):rep(300)
    local function longer(word)
      bide.sleep(0)
      return word:rep(10)
    end
    assert.same({ ((("word"):rep(10)) .. " "):rep(300), 300 }, { text:gsub("%a+", longer) })
    local pattern = ("[a-z]"):rep(4) .. (" ?"):rep(60)
    assert.same({ (("word "):rep(10)):rep(300), 300 }, { text:gsub(pattern, longer) })
  end)

  it("lets other tasks run meanwhile", function()
    local function slow(s)
      bide.sleep(0)
      return s .. s
    end
    local a, b = bide.gather(function() return (("abc"):gsub(".", slow)) end,
      function() return (("xyz"):gsub(".", slow)) end)
    assert.equal("aabbcc", a)
    assert.equal("xxyyzz", b)
  end)

  it("works inside itself and inside a plain coroutine, which may also yield", function()
    local words = coroutine.wrap(function()
      return ("ab cd"):gsub("%a+", function(word)
        coroutine.yield(word)
        return word:gsub(".", function(c)
          bide.sleep(0)
          return c .. c
        end)
      end)
    end)
    assert.equal("ab", words())
    assert.equal("cd", words())
    assert.same({ "aabb ccdd", 2 }, { words() })
  end)

  it("raises what the function raises after a wait, the value untouched", function()
    local value = {}
    local ok, err = pcall(string.gsub, "abc", "b", function()
      bide.sleep(0)
      error(value)
    end)
    assert.is_false(ok)
    assert.equal(value, err)
  end)

  it("refuses a value that is no string, also after a wait", function()
    local ok, err = pcall(string.gsub, "abc", "b", function()
      bide.sleep(0)
      return {}
    end)
    assert.is_false(ok)
    assert.matches("invalid replacement value %(a table%)", err)
  end)

  it("is left by a cancellation in the middle", function()
    local calls, task = 0, nil
    task = bide.spawn(function()
      return ("abcdef"):gsub(".", function()
        calls = calls + 1
        if calls == 3 then task:cancel() end
        bide.sleep(0)
      end)
    end)
    local _, err = pcall(task.await, task)
    assert.is_true(bide.is_cancelled(err))
    assert.equal(3, calls)
  end)
end)
