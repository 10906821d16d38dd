-- SPDX-License-Identifier: MIT
-- bide.http.cookies: a cookie jar (RFC 6265), in memory.
--
-- A cookie without Domain goes back to its own host only. With Domain it must be that of the host
-- that sets it or above; a domain without a dot, or an address, is never taken: no cookie reaches a
-- whole top-level domain by that. (Public suffixes below, such as co.uk, are not known here.)
-- Bounded: 50 cookies a domain, 3,000 in all, 4 KiB each.

local url = require("bide.core").http.url

local M = {}

local MAX_SIZE, MAX_DOMAIN, MAX_ALL = 4096, 50, 3000

---@class bide.http.jar
local jar = {}
jar.__index = jar
jar.__name = "bide.http.cookie_jar"

local months = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9,
  oct = 10, nov = 11, dec = 12 }

-- Seconds since 1970 of a date in UTC (days from civil).
local function to_time(y, m, d, hour, min, sec)
  if m <= 2 then y, m = y - 1, m + 12 end
  local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * (m - 3) + 2) // 5 + d - 1 - 719468
  return ((days * 24 + hour) * 60 + min) * 60 + sec
end

-- A date in whatever order its parts stand (RFC 6265 section 5.1.1); nil when it is none.
local function parse_date(text)
  local d, month, y, hour, min, sec
  for word in text:gmatch "[%w:\128-\255]+" do
    local h1, m1, s1 = word:match "^(%d%d?):(%d%d?):(%d%d?)"
    local digits = word:match "^%d+"
    if h1 and not hour then
      hour, min, sec = tonumber(h1), tonumber(m1), tonumber(s1)
    elseif digits and #digits <= 2 and not d then
      d = tonumber(digits)
    elseif not digits and not month and months[word:sub(1, 3):lower()] then
      month = months[word:sub(1, 3):lower()]
    elseif digits and (#digits == 2 or #digits == 4) and not y then
      y = tonumber(digits)
    end
  end
  if not (d and month and y and hour) then return nil end
  if y < 70 then y = y + 2000 elseif y < 100 then y = y + 1900 end
  if d < 1 or d > 31 or y < 1601 or hour > 23 or min > 59 or sec > 59 then return nil end
  return to_time(y, month, d, hour, min, sec)
end

local function default_path(path)
  return path:match("^(/.*)/[^/]*$") or "/"
end

local function is_address(host) return host:find(":", 1, true) or host:find("^[%d.]+$") end

local function domain_match(host, domain)
  if host == domain then return true end
  return not is_address(host) and host:sub(-#domain - 1) == "." .. domain
end

local function path_match(path, prefix)
  if path == prefix then return true end
  return path:sub(1, #prefix) == prefix
    and (prefix:sub(-1) == "/" or path:sub(#prefix + 1, #prefix + 1) == "/")
end

local function trim(s) return s:match("^[ \t]*(.-)[ \t]*$") end

local attributes = {}
function attributes.domain(cookie, value) cookie.domain = value:lower():gsub("^%.", "") end
function attributes.path(cookie, value) if value:sub(1, 1) == "/" then cookie.path = value end end
function attributes.secure(cookie) cookie.secure = true end
attributes["max-age"] = function(cookie, value)
  local n = value:match("^%-?%d+$") and tonumber(value)
  if n then cookie.max_age = n end
end
function attributes.expires(cookie, value) cookie.expires = parse_date(value) or cookie.expires end

local function parse(text)
  if #text > MAX_SIZE or text:find("[%z\1-\8\10-\31\127]") then return nil end
  local pair, rest = text:match("^([^;]*)(.*)$")
  local name, value = pair:match("^([^=]*)=(.*)$")
  name = name and trim(name)
  if not name or name == "" then return nil end
  local cookie = { name = name, value = trim(value) }
  for attribute in rest:gmatch(";([^;]*)") do
    local key, v = attribute:match("^([^=]*)=?(.*)$")
    local set = attributes[trim(key):lower()]
    if set then set(cookie, trim(v)) end
  end
  return cookie
end

function jar:_remove_expired(now)
  if now < self.soonest then return end
  self.soonest = math.huge
  for i = #self.list, 1, -1 do
    local at = self.list[i].until_time
    if at and at <= now then table.remove(self.list, i)
    elseif at then self.soonest = math.min(self.soonest, at) end
  end
end

-- Room for one more, when there are so many of its domain: the oldest of those goes, or of all.
function jar:_make_room(domain, of_domain)
  if of_domain < MAX_DOMAIN and #self.list < MAX_ALL then return end
  for i, c in ipairs(self.list) do
    if of_domain < MAX_DOMAIN or c.domain == domain then return table.remove(self.list, i) end
  end
end

-- One that replaces another keeps its place; over a connection that all can read, none that is
-- secure is replaced.
function jar:_put(cookie, secure)
  local of_domain = 0
  self.soonest = math.min(self.soonest, cookie.until_time or math.huge)
  for i, c in ipairs(self.list) do
    if c.domain == cookie.domain then
      of_domain = of_domain + 1
      if c.name == cookie.name and c.path == cookie.path then
        if secure or not c.secure then self.list[i] = cookie end
        return
      end
    end
  end
  self:_make_room(cookie.domain, of_domain)
  self.list[#self.list + 1] = cookie
end

-- May `host` set a cookie for `domain`? Not for all of a top-level domain, nor beside itself.
local function allows_domain(host, domain)
  return domain_match(host, domain) and domain:find(".", 1, true) and not is_address(domain)
end

-- Names that promise how they were set (RFC 6265bis section 4.1.3).
local function keeps_promise(cookie)
  local name = cookie.name:lower()
  if name:sub(1, 7) == "__host-" then
    return cookie.secure and cookie.host_only and cookie.path == "/"
  end
  return name:sub(1, 9) ~= "__secure-" or cookie.secure
end

---Takes the Set-Cookie values of a response from `from`.
function jar:store(from, values)
  local u = #values > 0 and url.parse(from)
  if not u then return end
  local now, host = os.time(), u.host:lower()
  for _, text in ipairs(values) do
    local cookie = parse(text)
    if cookie then
      local domain = cookie.domain ~= "" and cookie.domain or nil
      cookie.host_only = not domain or (domain == host and not allows_domain(host, domain))
      cookie.domain = cookie.host_only and host or domain
      cookie.path = cookie.path or default_path(u.path)
      cookie.until_time = cookie.max_age and (cookie.max_age <= 0 and 0 or now + cookie.max_age)
        or cookie.expires
      local allowed = (cookie.host_only or allows_domain(host, domain)) and keeps_promise(cookie)
        and (u.secure or not cookie.secure)
      if allowed then self:_put(cookie, u.secure) end
    end
  end
  self:_remove_expired(now)
end

---The value of the Cookie header for a request to `to`, or nil. Longer paths first.
function jar:header(to)
  local u = url.parse(to)
  if not u then return nil end
  self:_remove_expired(os.time())
  local host, path = u.host:lower(), u.path == "" and "/" or u.path
  local found = {}
  for i, c in ipairs(self.list) do
    local host_ok = c.host_only and host == c.domain or not c.host_only and domain_match(host,
      c.domain)
    if host_ok and path_match(path, c.path) and (u.secure or not c.secure) then
      found[#found + 1] = { c, i }
    end
  end
  if #found == 0 then return nil end
  table.sort(found, function(a, b)
    if #a[1].path ~= #b[1].path then return #a[1].path > #b[1].path end
    return a[2] < b[2]
  end)
  local parts = {}
  for i, f in ipairs(found) do parts[i] = f[1].name .. "=" .. f[1].value end
  return table.concat(parts, "; ")
end

---An empty jar.
function M.jar() return setmetatable({ list = {}, soonest = math.huge }, jar) end

return M
