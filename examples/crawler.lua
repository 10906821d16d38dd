-- SPDX-License-Identifier: MIT
-- A crawler: follows the links of a site, at most four requests at a time, each page once. The
-- pages still to be fetched stand in a channel without limit, which is closed when no page is under
-- way and none is left; `map` draws from it.
--
-- It serves itself a little site on 127.0.0.1.
local bide = require "bide"

local LIMIT = 4

local site = {
  ["/"] = { "/a", "/b", "/c" },
  ["/a"] = { "/a/1", "/a/2", "/" },
  ["/b"] = { "/a", "/b/1", "/missing" },
  ["/c"] = { "/c/1", "/c/2", "/c/3" },
  ["/a/1"] = {}, ["/a/2"] = { "/b/1" }, ["/b/1"] = { "/c" },
  ["/c/1"] = {}, ["/c/2"] = {}, ["/c/3"] = { "/a/1" },
}

local under_way, most = 0, 0

local function answer(req)
  under_way = under_way + 1
  most = math.max(most, under_way)
  bide.sleep(0.01)
  under_way = under_way - 1
  local links = site[req.path]
  if not links then return 404, nil, "not found" end
  local html = {}
  for i, path in ipairs(links) do html[i] = ('<a href="%s">%s</a>'):format(path, path) end
  return 200, { ["Content-Type"] = "text/html" }, table.concat(html, "\n")
end

--- Fetches everything that can be reached from `first`; returns path → status.
local function crawl(base, first)
  local queue, statuses = bide.channel(math.huge), {}
  local left = 0 -- pages queued or under way

  local function add(path)
    if statuses[path] then return end
    statuses[path] = 0
    left = left + 1
    queue:send(path)
  end

  add(first)
  bide.map(queue, function(path)
    local res = bide.http_get(base .. path, { timeout = 10 })
    statuses[path] = res.status
    for link in res.body:gmatch 'href="(/[^"]*)"' do add(link) end
    left = left - 1
    if left == 0 then queue:close() end
  end, { limit = LIMIT, collect = false })
  return statuses
end

bide.run(function()
  local server = bide.http.serve({ host = "127.0.0.1", port = 0, daemon = true }, answer)
  local statuses = crawl(("http://%s:%d"):format(server:address()), "/")
  local paths = {}
  for path in pairs(statuses) do paths[#paths + 1] = path end
  table.sort(paths)
  for _, path in ipairs(paths) do print(statuses[path], path) end
  print("never more at once than", LIMIT, most <= LIMIT)
end)
