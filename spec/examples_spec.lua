-- SPDX-License-Identifier: MIT
-- The examples run as they stand, in a process of their own, and print what they should.
local certs = require "spec.support.certs"
local script = require "spec.support.script"

--- Runs an example that must succeed; returns what it printed.
local function output(name, ...)
  local r = script.file("examples/" .. name .. ".lua", ...)
  assert.equal("", r.err)
  assert.equal(0, r.status)
  return r.out
end

describe("the example #core", function()
  it("fetch.lua counts, fetches one, then ten at once, and times each stage", function()
    local out = output "fetch"
    local counter, one, ten = out:match(
      "^1 2 3 4 5\ncounted to 5\na counter: ([%d.]+) s\n" ..
      "status 200, 21 bytes\none fetch: ([%d.]+) s\n" ..
      "statuses 200 200 200 200 200 200 200 200 200 200\n10 fetches at once: ([%d.]+) s\n$")
    assert.truthy(counter, out)
    assert.is_true(tonumber(counter) >= 0.25)
    assert.is_true(tonumber(one) >= 0.1)
    -- ten delays of 0.1 s one after the other would take a second
    assert.is_true(tonumber(ten) >= 0.1 and tonumber(ten) < 0.9, out)
  end)

  it("fetch.lua fetches the URLs that it is given", function()
    local r = script.run [[
      local bide = require "bide"
      bide.run(function()
        local paths = {}
        local server = bide.http.serve({ host = "127.0.0.1", port = 0, daemon = true },
          function(req)
            paths[#paths + 1] = req.path
            return req.path == "/missing" and 404 or 200, nil, "hello"
          end)
        local base = ("http://%s:%d/"):format(server:address())
        assert(loadfile "examples/fetch.lua")(base .. "page", base .. "missing")
        table.sort(paths)
        print(table.concat(paths, " "))
      end)
    ]]
    assert.equal("", r.err)
    assert.match("status 200, 5 bytes\n", r.out)
    assert.match("statuses 200 404\n2 fetches at once: [%d.]+ s\n/missing /page /page\n$", r.out)
  end)

  it("generator.lua generates, receives and chains", function()
    assert.equal(table.concat({
      "generated\t1", "generated\t4", "generated\t9", "generated\t16",
      "sent\t5\tsum\t5", "sent\t10\tsum\t15", "sent\t20\tsum\t35",
      "even\t4", "even\t16",
      "others ran meanwhile\ttrue\n",
    }, "\n"), output "generator")
  end)

  it("llm_stream.lua prints the tokens as they arrive", function()
    assert.equal("Coroutines suspend and resume, " ..
      "so one thread can wait for many things at once.\n" ..
      '16 tokens for "hello"\n' ..
      "the first token came before the last\ttrue\n", output("llm_stream", "hello"))
  end)

  it("two_runs.lua runs several times in a row", function()
    assert.equal(table.concat({
      "first run\t6", "second run\t60", "third run\tfalse\tit went wrong", "fourth run\tquick",
      "fifth run\t303\n",
    }, "\n"), output "two_runs")
  end)

  it("worker_pool.lua has its results from all workers", function()
    assert.equal("20 results, sum 2870\nfaster than one by one\ttrue\n", output "worker_pool")
  end)

  it("crawler.lua finds every page once, within its limit", function()
    assert.equal(table.concat({
      "200\t/", "200\t/a", "200\t/a/1", "200\t/a/2", "200\t/b", "200\t/b/1", "200\t/c",
      "200\t/c/1", "200\t/c/2", "200\t/c/3", "404\t/missing",
      "never more at once than\t4\ttrue\n",
    }, "\n"), output "crawler")
  end)

  it("back_pressure.lua holds the producer to the consumer's pace", function()
    assert.equal("12 produced, 12 consumed\n" ..
      "never further ahead than the buffer and one more\ttrue\n", output "back_pressure")
  end)

  it("deadline.lua undoes all that is beneath the deadline", function()
    assert.equal(table.concat({
      "cleaned up\ta", "cleaned up\tb", "first\ta\tb", "cleaned up\tslow", "in time\tfalse",
      "ETIMEDOUT\tafter 0.1 s", "the lock is held\tfalse", "somebody still receives\tfalse\n",
    }, "\n"), output "deadline")
  end)

  it("shutdown.lua finishes what is under way", function()
    assert.equal(table.concat({
      "stop requested", "2 workers ended in time, 0 cancelled", "connection closed",
      "orders were done, none is left\ttrue\n",
    }, "\n"), output "shutdown")
  end)

  it("echo.lua answers its clients", function()
    local lines = {}
    for i = 1, 10 do lines[i] = ("hello %d\n"):format(i) end
    assert.equal(table.concat(lines), output "echo")
  end)

  it("chat.lua tells everybody else", function()
    assert.equal(table.concat({
      "ada reads\tgrace is here", "ada reads\tgrace: good evening", "grace reads\tada: and to you",
      "ada reads\tgrace has left\n",
    }, "\n"), output "chat")
  end)

  it("proxy.lua reads no faster than the other side takes", function()
    assert.equal("held back\ttrue\nwent on\ttrue\n", output "proxy")
  end)

  it("dns_query.lua asks again, and understands the answer", function()
    assert.equal("2 addresses, at try 2\n192.0.2.1\n192.0.2.2\n", output "dns_query")
  end)

  it("proxy.lua ends TLS when it is given a certificate", function()
    local r = script.run(([[
      local bide = require "bide"
      bide.run(function()
        local back = bide.tcp.listen("127.0.0.1", 0, function(s)
          s:write("plain: ", s:read_line(), "\n")
        end, { daemon = true })
        local free = bide.tcp.listen("127.0.0.1", 0, function() end)
        local _, port = free:address()
        free:close()
        bide.daemon(assert(loadfile "examples/proxy.lua"), port, "127.0.0.1",
          (select(2, back:address())), "%s", "%s")
        local s
        for _ = 1, 100 do
          s = bide.try(bide.tls.connect, "127.0.0.1", port, { ca = "%s" })
          if s then break end
          bide.sleep(0.01)
        end
        s:write "through\n"
        print(s:read_line())
      end)
    ]]):format(certs.path "good.pem", certs.path "good.key", certs.path "ca.pem"))
    assert.same({ status = 0, out = "plain: through\n", err = "" }, r)
  end)
end)
