-- SPDX-License-Identifier: MIT
-- A deadlock is reported, not slept through. Each case runs in a process of its own: a deadlock is
-- of the whole loop, and the runner of specs is a task of it too.
local script = require "spec.support.script"

local run = script.run

describe("a deadlock #core", function()
  it("raises EDEADLK in the wait that can never end", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        local future = bide.future()
        local ok, err = pcall(future.await, future)
        print(ok, err.code)
      end)
    ]]
    assert.equal("false\tEDEADLK\n", r.out)
    assert.equal(0, r.status)
  end)

  it("raises it in each such wait, shields included", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        local codes = {}
        local function stuck()
          local ok, err = pcall(bide.shield, function() bide.future():await() end)
          codes[#codes + 1] = err.code
        end
        local a, b = bide.spawn(stuck), bide.spawn(stuck)
        a:await()
        b:await()
        print(table.concat(codes, " "))
      end)
    ]]
    assert.equal("EDEADLK EDEADLK\n", r.out)
  end)

  it("lists the waiting tasks and where each waits", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        bide.spawn(function()
          bide.future():await() -- line 4
        end):name "stuck one"
        bide.spawn(function()
          bide.future():await() -- line 7
        end):name "stuck two"
      end)
    ]]
    local text = r.out .. r.err
    assert.match("EDEADLK", text)
    assert.match("stuck one", text)
    assert.match("stuck two", text)
    assert.match(":4", text)
    assert.match(":7", text)
    assert.equal(script.in_program and 1 or 0, r.status)
  end)

  it("says how many more wait, when there are many", function()
    local r = run [[
      local bide = require "bide"
      local _, err = pcall(bide.run, function()
        for i = 1, 500 do
          bide.spawn(function() pcall(bide.sleep, 0) bide.future():await() end):name("one of " .. i)
        end
        bide.future():await()
      end)
      local listed = select(2, err.message:gsub("\n  task ", ""))
      local more = err.message:match "\n  and (%d+) more %(bide.dump shows all%)$"
      print(listed > 20, #err.message < 5000, listed + more)
    ]]
    assert.equal(("true\ttrue\t%d\n"):format(script.in_program and 502 or 501), r.out)
  end)

  it("is told by its place in the tree: those whose children end with it go on", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        local codes = {}
        bide.gather(function() -- owns the one below, which catches what it gets
          bide.group(function(g)
            g:spawn(function()
              local ok, err = pcall(bide.gather, bide.future(), bide.future())
              codes[1] = err.code
            end):name "stuck"
          end)
        end)
        print(codes[1])
      end)
    ]]
    assert.same({ out = "EDEADLK\n", err = "", status = 0 }, r)
  end)

  it("is none of the processor: a deadline that never strikes is no time to wait for", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        local ok, err = pcall(bide.timeout, math.huge, bide.future())
        print(err.code)
      end)
    ]]
    assert.same({ out = "EDEADLK\n", err = "", status = 0 }, r)
  end)

  it("of a cycle of a hundred tasks is one of the run", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        local ring, codes = {}, 0
        for i = 1, 100 do
          ring[i] = bide.spawn(function()
            local following = ring[i % 100 + 1]
            local ok, err = pcall(following.await, following)
            if not ok and err.code == "EDEADLK" then codes = codes + 1 end
          end)
        end
        pcall(bide.gather, table.unpack(ring))
        print(codes)
      end)
    ]]
    assert.equal("100\n", r.out)
  end)

  it("is none while a task sleeps, however long", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        local future = bide.future()
        bide.spawn(function()
          bide.sleep(0.05)
          future:resolve "in time"
        end)
        print(future:await())
      end)
    ]]
    assert.equal("in time\n", r.out)
  end)

  it("is none under a deadline: that ends the wait", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        local ok, err = pcall(bide.timeout, 0.02, bide.future())
        print(err.code)
      end)
    ]]
    assert.equal("ETIMEDOUT\n", r.out)
  end)

  it("leaves the loop fit for a next run", function()
    local r = run [[
      local bide = require "bide"
      print(pcall(bide.run, function() bide.future():await() end) == false)
      bide.run(function()
        bide.sleep(0.001)
        print "next"
      end)
    ]]
    assert.equal("true\nnext\n", r.out)
  end)

  it("of daemons alone is none: they are cancelled", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        bide.daemon(function()
          local ok, err = pcall(function() bide.future():await() end)
          print(err.code)
        end)
        bide.sleep(0)
      end)
    ]]
    assert.equal("ECANCELED\n", r.out)
  end)

  it("inside a gather ends it with EDEADLK", function()
    local r = run [[
      local bide = require "bide"
      bide.run(function()
        local ok, err = pcall(bide.gather, function() bide.future():await() end)
        print(err.code)
      end)
    ]]
    assert.equal("EDEADLK\n", r.out)
  end)
end)
