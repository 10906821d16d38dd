-- SPDX-License-Identifier: MIT
-- A peer that vanishes without a word: the network between the two ends is taken away, in a network
-- namespace of its own (skipped where there may be none). Takes as long as the kernel's probes.

local bide = require "bide"
local outside = require "spec.support.outside"
local process = require "spec.support.process"

local script = [[
  local bide = require "bide"
  local far = bide.future()
  local server = bide.tcp.listen("127.0.0.1", 0, function(s) far:resolve(s:detach()) end)
  local a = bide.tcp.connect(server:address())
  local b = far:await()
  server:close()
  a:keepalive(1)
  a:write "x"
  assert(b:read() == "x")
  assert(os.execute "ip link set lo down")
  print(select(2, bide.try(bide.timeout, 0.1, b.read, b)))
  local started = bide.now()
  local _, err = bide.try(a.read, a)
  print(err)
  print(bide.now() - started < 20)
  print(select(2, bide.try(a.write, a, "y")).code)
]]

describe("a peer that has vanished", function()
  it("is noticed by a deadline at once, by keepalive in its time", function()
    if not os.execute "unshare -rn sh -c 'ip link set lo up' >/dev/null 2>&1" then
      return pending "no network namespaces here"
    end
    local dir = process.temporary_directory()
    process.write_file(dir .. "/script.lua", script)
    local out = outside.run(("cd %s; unshare -rn sh -c 'ip link set lo up; exec %s %s/script.lua'")
      :format(os.getenv "PWD", process.program, dir))
    process.remove(dir)
    assert.matches("^timeout: after 0.1 s, waiting in read 127%.0%.0%.1:%d+ %(ETIMEDOUT%)\n"
      .. "read 127%.0%.0%.1:%d+: .-%(E%w+%)\ntrue\nE", out)
    assert.truthy(bide)
  end)
end)
