-- SPDX-License-Identifier: MIT
-- bide.http: what of the client need not be fast: rewriting of options, redirects, cookies,
-- sessions.
--
-- The functions given to `setup` are called from C in the middle of a request; they wait for
-- nothing, and tell a wrong argument by returning nil and a message.

local core = require "bide.core"
local cookies = require "bide.http.cookies"
local encode = require "bide.http.encode"

local http = core.http
local setup, new_session, blame = http.setup, http.new_session, http.blame
http.setup, http.new_session, http.blame = nil, nil, nil

---@class bide.http.config
---@field base? string
---@field headers? table
---@field cookies? table a jar
---@field defaults table options for every request

-- ---- headers ----------------------------------------------------------------------------------

-- A list of pairs out of whatever the `headers` option may be; nothing is checked here.
local function pairs_of(headers)
  local list = {}
  if headers == nil then return list end
  for name, value in pairs(headers) do
    if type(name) == "number" then
      if type(value) == "table" then list[#list + 1] = value end
    elseif type(value) == "table" then
      for _, v in ipairs(value) do list[#list + 1] = { name, v } end
    else
      list[#list + 1] = { name, value }
    end
  end
  return list
end

local function has(list, name)
  for _, pair in ipairs(list) do
    if type(pair[1]) == "string" and pair[1]:lower() == name then return true end
  end
  return false
end

-- Headers of the session come first, unless the request has its own of that name.
local function merge(defaults, own)
  local list, result = pairs_of(own), {}
  for _, pair in ipairs(pairs_of(defaults)) do
    if not has(list, tostring(pair[1]):lower()) then result[#result + 1] = pair end
  end
  table.move(list, 1, #list, #result + 1, result)
  return result
end

-- ---- options ----------------------------------------------------------------------------------

local rewrite = {}

function rewrite.query(value, req)
  local query, err = encode.query(value)
  if not query then return nil, err end
  local url, fragment = req.url:match("^([^#]*)(#?.*)$")
  local glue = url:find("?", 1, true) and (url:find("[?&]$") and "" or "&") or "?"
  if query ~= "" then req.url = url .. glue .. query .. fragment end
  return true
end

local function set_body(req, body, content_type)
  if req.body ~= nil then return nil,
    "only one of 'body', 'json', 'form' and 'multipart' may be given" end
  req.body = body
  if not has(req.headers, "content-type") then
    req.headers[#req.headers + 1] = { "content-type", content_type }
  end
  return true
end

function rewrite.json(value, req)
  local encoder, err = encode.json "encode"
  if not encoder then return nil, "option 'json': " .. err end
  local ok, body = pcall(encoder, value)
  if not ok then return nil, "option 'json': " .. tostring(body) end
  return set_body(req, body, "application/json")
end

function rewrite.form(value, req)
  local body, err = encode.form(value)
  if not body then return nil, err end
  return set_body(req, body, "application/x-www-form-urlencoded")
end

function rewrite.multipart(value, req)
  local body, kind = encode.multipart(value)
  if not body then return nil, kind end
  return set_body(req, body, kind)
end

function rewrite.auth(value, req)
  local text, err = encode.auth(value)
  if not text then return nil, err end
  if not has(req.headers, "authorization") then
    req.headers[#req.headers + 1] = { "authorization", text }
  end
  return true
end

local order = { "query", "json", "form", "multipart", "auth" }

-- (config, method, url, opts) → url, opts that C understands; or nil, message, and whether it is
-- about the URL.
local function prepare(config, _, url, opts)
  opts = opts or {}
  local req = { url = url, body = opts.body, headers = pairs_of(opts.headers) }
  if config then
    if config.base then
      local full, err = encode.resolve(config.base, url)
      if not full then return nil, err, true end
      req.url = full
    end
    req.headers = merge(config.headers, opts.headers)
  end
  local credentials
  credentials, req.url = encode.url_auth(req.url)
  local result = {}
  for name, value in pairs(config and config.defaults or {}) do result[name] = value end
  for name, value in pairs(opts) do result[name] = value end
  for _, name in ipairs(order) do
    local value = result[name]
    result[name] = nil
    if value ~= nil then
      local ok, err = rewrite[name](value, req)
      if not ok then return nil, err end
    end
  end
  if credentials and not has(req.headers, "authorization") then
    req.headers[#req.headers + 1] = { "authorization", credentials }
  end
  if type(result.proxy) == "string" then
    local text, proxy = encode.url_auth(result.proxy)
    result.proxy = proxy
    if text then req.headers[#req.headers + 1] = { "proxy-authorization", text } end
  end
  if config and config.cookies then
    local text = config.cookies:header(req.url)
    if text and not has(req.headers, "cookie") then
      req.headers[#req.headers + 1] = { "cookie", text }
    end
  end
  result.body, result.headers = req.body, req.headers
  return req.url, result
end

-- (config, url, response): a response has come.
local function received(config, url, res)
  if config and config.cookies then config.cookies:store(url, res.headers:all("set-cookie")) end
end

-- ---- redirects --------------------------------------------------------------------------------

-- Headers that describe a body, or that are meant for one origin alone.
local of_body = { ["content-type"] = true, ["content-length"] = true, ["content-encoding"] = true,
  ["content-language"] = true, ["content-location"] = true }
local of_origin = { authorization = true, cookie = true, host = true }

local function keep_headers(headers, drop_body, drop_origin)
  local list = {}
  for _, pair in ipairs(pairs_of(headers)) do
    local name = tostring(pair[1]):lower()
    if not (drop_body and of_body[name]) and not (drop_origin and of_origin[name])
      and name ~= "host" then
      list[#list + 1] = pair
    end
  end
  return list
end

local function refuse(code, format, ...) return false, code, format:format(...) end

-- (config, response, method, url, opts, hops, limit) → method, url, opts of the next request; nil
-- when the response is the last; false, code, message when it must not be followed.
local function follow(config, res, method, url, opts, hops, limit)
  local location = res.headers.location
  if not location then return nil end
  if #res.headers:all("location") > 1 then
    return refuse("EREDIRECT", "more than one Location in a redirect")
  end
  if hops >= limit then return refuse("ELOOP", "more than %d redirects", limit) end
  local target, err = encode.redirect(url, location)
  if not target then return refuse("EREDIRECT", "redirect to '%s' refused: %s", location, err) end
  local status, next_opts = res.status, {}
  for name, value in pairs(opts or {}) do next_opts[name] = value end
  local turns = (status == 303 and method ~= "HEAD")
    or ((status == 301 or status == 302) and method == "POST")
  if target == url and not turns and not (config and config.cookies) then
    return refuse("ELOOP", "redirect to itself")
  end
  if turns then
    if method ~= "GET" then next_opts.body = nil end
    method = "GET"
  elseif type(next_opts.body) == "function" then
    return refuse("EREDIRECT", "redirect to '%s' refused: the body cannot be sent again", location)
  end
  local same = encode.same_origin(url, target)
  if not same then next_opts.cert, next_opts.key = nil, nil end
  next_opts.headers = keep_headers(next_opts.headers, turns, not same)
  if config and config.cookies then
    next_opts.headers = keep_headers(next_opts.headers, false, false)
    for i = #next_opts.headers, 1, -1 do
      if tostring(next_opts.headers[i][1]):lower() == "cookie" then
        table.remove(next_opts.headers, i)
      end
    end
    local text = config.cookies:header(target)
    if text then table.insert(next_opts.headers, { "cookie", text }) end
  end
  return method, target, next_opts
end

-- ---- sessions ---------------------------------------------------------------------------------

local session_options = { base = "string", headers = "table", cookies = "boolean or table",
  limit = "number", limit_per_host = "number", keepalive = "number", timeout = "number or table",
  max_body = "number", redirects = "number", decompress = "boolean", auth = "table or string",
  proxy = "string", verify = "boolean", ca = "string", cert = "string", key = "string" }
local of_pool = { base = true, headers = true, cookies = true, limit = true,
  limit_per_host = true, keepalive = true }

-- `level`: where the caller of http.session stands, from here.
local function refuse_argument(level, format, ...)
  error("bad argument #1 to 'bide.http.session' (" .. format:format(...) .. ")", level + 1)
end

local function refuse_option(level, name, expected, value)
  local found = type(value) == "number" and tostring(value) or type(value)
  refuse_argument(level + 1, "option '%s': %s expected, got %s", name, expected, found)
end

local function count(opts, name, default)
  local n = opts[name]
  if n == nil then return default end
  if n == math.huge then return 0xffffffff end
  if math.type(n) ~= "integer" or n < 1 or n > 0xffffffff then
    refuse_option(3, name, "integer of at least 1", n)
  end
  return n
end

---A session: its own pool of connections, and defaults for every request.
---@param opts? table
function http.session(opts)
  opts = opts or {}
  if type(opts) ~= "table" then refuse_argument(2, "table expected, got %s", type(opts)) end
  for name, value in pairs(opts) do
    local expected = session_options[name]
    if not expected then refuse_argument(2, "unknown option '%s'", tostring(name)) end
    if not (" " .. expected .. " "):find(" " .. type(value) .. " ", 1, true) then
      refuse_option(2, name, expected, value)
    end
  end
  if opts.key and not opts.cert then refuse_argument(2, "option 'key': without option 'cert'") end
  local keepalive = opts.keepalive or 15
  if keepalive ~= keepalive or keepalive < 0 then
    refuse_option(2, "keepalive", "number, 0 or more,", keepalive)
  end
  local config = { base = opts.base, headers = opts.headers, defaults = {} }
  if opts.cookies then config.cookies = opts.cookies == true and cookies.jar() or opts.cookies end
  for name, value in pairs(opts) do
    if not of_pool[name] then config.defaults[name] = value end
  end
  if config.base then
    local ok, err = encode.resolve(config.base, "")
    if not ok then refuse_argument(2, "option 'base': %s", err) end
  end
  local plain = not (config.base or config.headers or config.cookies or next(config.defaults))
  return new_session(config, plain, count(opts, "limit", 1000), count(opts, "limit_per_host", 100),
    keepalive)
end

http.cookie_jar = cookies.jar

-- ---- bodies as values -------------------------------------------------------------------------

-- Of a request: what is no JSON is the client's fault.
local function decode_json(what, text, request)
  local decoder, missing = encode.json "decode"
  if not decoder then core.raise("ENOTSUP", "json", what, missing) end
  local ok, value = pcall(decoder, text)
  if ok then return value end
  local _, err = pcall(core.raise, "EPROTO", "json", what, "not JSON: " .. tostring(value))
  if request then blame(request, err) end
  error(err, 0)
end

setup {
  prepare = prepare,
  follow = follow,
  received = received,
  request_json = function(req) return decode_json("request body", req.body, req) end,
  response_json = function(res) return decode_json("response body", res.body) end,
  stream_json = function(res) return decode_json("response body", res:read_all()) end,
}

return http
