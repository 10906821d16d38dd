-- SPDX-License-Identifier: MIT
-- bide.dns: names to addresses.

local bide = require "bide"
local resolve = bide.dns.resolve

local function raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  assert.equal(code, type(err) == "table" and err.code or err, tostring(err))
  return err
end

describe("dns.resolve", function()
  it("gives literals back", function()
    assert.same({ "127.0.0.1" }, resolve "127.0.0.1")
    assert.same({ "::1" }, resolve "0:0:0:0:0:0:0:1")
    assert.same({ "fe80::1" }, resolve "fe80::1")
  end)

  it("knows localhost and what is beneath it", function()
    assert.same({ "127.0.0.1", "::1" }, resolve "localhost")
    assert.same({ "127.0.0.1", "::1" }, resolve "a.LocalHost.")
    assert.same({ "127.0.0.1" }, resolve("localhost", { family = 4 }))
    assert.same({ "::1" }, resolve("localhost", { family = 6 }))
  end)

  it("never answers in the call", function()
    local turns = 0
    local other = bide.spawn(function() turns = turns + 1 end)
    resolve "127.0.0.1"
    assert.equal(1, turns)
    other:await()
  end)

  it("fails on a name that does not exist", function()
    local err = raises("EAI_NONAME", resolve, "no-such-name.invalid", { timeout = 60 })
    assert.equal("no-such-name.invalid", err.host)
    assert.equal("resolve no-such-name.invalid: unknown node or service (EAI_NONAME)",
      tostring(err))
  end)

  it("asks many things at once, equal ones together", function()
    local names = {}
    for i = 1, 300 do
      local name = ("n%d.invalid"):format(i % 3)
      names[i] = function() return (pcall(resolve, name, { timeout = 60 })) end
    end
    for _, ok in ipairs(bide.gather(names)) do assert.is_false(ok) end
  end)

  it("frees its caller at once when it is cancelled", function()
    local started = bide.now()
    local tasks = {}
    for i = 1, 100 do tasks[i] = bide.spawn(resolve, ("c%d.invalid"):format(i)) end
    bide.sleep(0)
    for _, t in ipairs(tasks) do t:cancel() end
    for _, t in ipairs(tasks) do
      local ok, err = pcall(t.await, t)
      if not ok then assert.truthy(err.code == "ECANCELED" or err.code:find("^EAI_")) end
    end
    assert.truthy(bide.now() - started < 2)
  end)

  it("refuses wrong arguments as Lua does", function()
    local cases = {
      { "host name or address", "" },
      { "host name or address", ("x"):rep(254) },
      { "host name or address", 5 },
      { "unknown option 'ttl'", "localhost", { ttl = 1 } },
      { "option 'family'", "localhost", { family = "inet" } },
    }
    for _, case in ipairs(cases) do
      local ok, err = pcall(resolve, table.unpack(case, 2, 3))
      assert.is_false(ok)
      assert.equal("string", type(err), tostring(err))
      assert.truthy(err:find(case[1], 1, true), err)
      assert.truthy(err:find("bide.dns.resolve", 1, true), err)
    end
  end)
end)
