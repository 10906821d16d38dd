-- SPDX-License-Identifier: MIT
-- The first steps: await a counter that sleeps, await one fetch, then ten fetches at once.
--
--     bide examples/fetch.lua [url...]
--
-- Without arguments it serves itself on 127.0.0.1, with a delay of 0.1 s before each answer.
local bide = require "bide"

local function count(to)
  for i = 1, to do
    bide.sleep(0.05)
    io.write(i, i < to and " " or "\n")
  end
  return to
end

local function fetch(url)
  local res = bide.http_get(url, { timeout = 10 })
  return res.status, #res.body
end

--- Calls f and prints how long it took.
local function stage(name, f, ...)
  local start = bide.now()
  f(...)
  print(("%s: %.2f s"):format(name, bide.now() - start))
end

--- Ten addresses of a server of our own, which ends with the run.
local function serve_ourselves()
  local server = bide.http.serve({ host = "127.0.0.1", port = 0, daemon = true }, function(req)
    bide.sleep(0.1)
    return "you asked for " .. req.path
  end)
  local host, port = server:address()
  local urls = {}
  for i = 1, 10 do
    urls[i] = ("http://%s:%d/page/%d"):format(host, port, i)
  end
  return urls
end

local function main(...)
  local urls = select("#", ...) > 0 and { ... } or serve_ourselves()

  stage("a counter", function()
    local counter = bide.spawn(count, 5)
    print("counted to " .. counter:await())
  end)

  stage("one fetch", function()
    local status, size = fetch(urls[1])
    print(("status %d, %d bytes"):format(status, size))
  end)

  stage(("%d fetches at once"):format(#urls), function()
    local fetches = {}
    for i, url in ipairs(urls) do
      fetches[i] = function() return fetch(url) end
    end
    local statuses = bide.gather(fetches)
    print("statuses " .. table.concat(statuses, " "))
  end)
end

bide.run(main, ...)
