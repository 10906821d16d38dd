-- SPDX-License-Identifier: MIT
-- A server and its clients: keep-alive, streams both ways, a redirect, an error on the way.
local bide = require "bide"

local server <close> = bide.http.serve({ port = 0 }, function(req)
  if req.path == "/redirect" then return 302, { Location = "/" }, "" end
  if req.path == "/stream" then
    local n = 0
    return function()
      n = n + 1
      return n < 3 and ("piece " .. n .. "\n") or nil
    end
  end
  return 200, { ["X-Method"] = req.method, ["X-Agent"] = req.headers["user-agent"] }, req.body
end)
local _, port = server:address()
local base = "http://127.0.0.1:" .. port

-- Memory that the server's side lacks reaches the client as a broken connection, a silence, or an
-- answer such as 500 or 503.
local function check(what)
  if not what then error("not enough memory", 0) end
  return what
end

local broken = { ECONNRESET = true, EPIPE = true, EPROTO = true, ETIMEDOUT = true,
  ECONNREFUSED = true }
local function attempt(f)
  local results = table.pack(pcall(f))
  if results[1] then return table.unpack(results, 2) end
  local err = results[2]
  check(type(err) ~= "table" or not broken[err.code])
  error(err, 0)
end

local opts = { timeout = 1 }
local function get() return bide.http_get(base .. "/?a=1", opts).status end
attempt(function() bide.gather(get, get) end)

attempt(function()
  local parts = { "ab", "cd" }
  local body = function() return table.remove(parts, 1) end
  check(bide.http.post(base, { body = body, timeout = 1 }).body == "abcd")
  check(bide.http.get(base .. "/redirect", { timeout = 1, query = { x = 1 } }).url == base .. "/")
end)

attempt(function()
  local res <close> = bide.http.get(base .. "/stream", { stream = true, timeout = 1 })
  local lines = {}
  for line in res:lines() do lines[#lines + 1] = line end
  check(#lines == 2)
end)

attempt(function()
  local session <close> = bide.http.session { base = base, cookies = true, limit_per_host = 1,
    timeout = 1 }
  bide.gather(function() return session:get("/") end, function() return session:get("/x") end)
end)

-- More origins than a pool has places for at first, in line for two connections.
attempt(function()
  local session <close> = bide.http.session { limit = 2, timeout = 1 }
  local list = {}
  for i = 1, 18 do
    list[i] = function() return session:get(("http://h%d.localhost:%d/"):format(i, port)).status end
  end
  bide.gather(list)
end)
