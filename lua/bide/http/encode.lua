-- SPDX-License-Identifier: MIT
-- bide.http.encode: values into what goes over the wire: queries, forms, multipart, credentials,
-- JSON. A wrong value is nil and a message, which the caller makes an argument error.

local url = require("bide.core").http.url

local M = {}

local scalar = { string = true, number = true, boolean = true }

local function sorted_names(t)
  local names = {}
  for name in pairs(t) do
    if type(name) ~= "string" then return nil end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- Calls put(name, value) for a map (sorted, so that the result is the same each time; a list as
-- value repeats the name) or for a list of pairs (in order).
local function each(value, what, put)
  if type(value) ~= "table" then
    return nil, ("option '%s' must be a table (got %s)"):format(what, type(value))
  end
  local function one(name, v)
    if type(name) ~= "string" or not scalar[type(v)] then
      return nil, ("option '%s': '%s' must be a string, number or boolean (got %s)"):format(what,
        tostring(name), type(v))
    end
    put(name, tostring(v))
    return true
  end
  if #value > 0 then
    for _, pair in ipairs(value) do
      if type(pair) ~= "table" then
        return nil, ("option '%s': a list must hold pairs {name, value}"):format(what)
      end
      local ok, err = one(pair[1], pair[2])
      if not ok then return nil, err end
    end
    return true
  end
  local names = sorted_names(value)
  if not names then return nil, ("option '%s': names must be strings"):format(what) end
  for _, name in ipairs(names) do
    local v = value[name]
    if type(v) == "table" and #v == 0 and next(v) ~= nil then
      return nil, ("option '%s': '%s' must be a list, or a string, number or boolean"):format(what,
        name)
    end
    for _, item in ipairs(type(v) == "table" and v or { v }) do
      local ok, err = one(name, item)
      if not ok then return nil, err end
    end
  end
  return true
end

local function encode_pairs(value, what, form)
  local parts = {}
  local ok, err = each(value, what, function(name, v)
    parts[#parts + 1] = url.encode(name, form) .. "=" .. url.encode(v, form)
  end)
  if not ok then return nil, err end
  return table.concat(parts, "&")
end

---A query: a table, or a string that is taken as it stands.
function M.query(value)
  if type(value) == "string" then
    if value:find("[%c #]") then return nil, "option 'query': invalid character" end
    return value
  end
  return encode_pairs(value, "query", false)
end

function M.form(value) return encode_pairs(value, "form", true) end

-- ---- multipart (RFC 7578) -----------------------------------------------------------------------

local function quoted(text)
  return '"' .. text:gsub('[\r\n"]', { ["\r"] = "%0D", ["\n"] = "%0A", ['"'] = "%22" }) .. '"'
end

local function put_part(out, name, part)
  local data, head = part, 'content-disposition: form-data; name=' .. quoted(name)
  if type(part) == "table" then
    data = part.data or part[1]
    if part.filename then
      head = head .. "; filename=" .. quoted(tostring(part.filename))
    end
    local kind = part.type or (part.filename and "application/octet-stream")
    if kind then
      if tostring(kind):find("[%c]") then return nil, "option 'multipart': invalid type" end
      head = head .. "\r\ncontent-type: " .. kind
    end
  end
  if not scalar[type(data)] then
    return nil, ("option 'multipart': '%s' must be a string or a table with 'data'"):format(name)
  end
  out[#out + 1] = head .. "\r\n\r\n" .. tostring(data)
  return true
end

local function boundary_for(parts)
  local boundary
  repeat
    boundary = ("bide-%08x%08x%08x"):format(math.random(0, 0xffffffff), math.random(0, 0xffffffff),
      math.random(0, 0xffffffff))
    local found = false
    for _, part in ipairs(parts) do found = found or part:find(boundary, 1, true) end
  until not found
  return boundary
end

---A map name → string or {data=, filename=, type=}, or a list of {name, part}.
function M.multipart(value)
  if type(value) ~= "table" then
    return nil, ("option 'multipart' must be a table (got %s)"):format(type(value))
  end
  local parts = {}
  if #value > 0 then
    for _, pair in ipairs(value) do
      if type(pair) ~= "table" or type(pair[1]) ~= "string" then
        return nil, "option 'multipart': a list must hold pairs {name, part}"
      end
      local ok, err = put_part(parts, pair[1], pair[2])
      if not ok then return nil, err end
    end
  else
    local names = sorted_names(value)
    if not names then return nil, "option 'multipart': names must be strings" end
    for _, name in ipairs(names) do
      local ok, err = put_part(parts, name, value[name])
      if not ok then return nil, err end
    end
  end
  local boundary = boundary_for(parts)
  local body = {}
  for _, part in ipairs(parts) do body[#body + 1] = "--" .. boundary .. "\r\n" .. part .. "\r\n" end
  body[#body + 1] = "--" .. boundary .. "--\r\n"
  return table.concat(body), "multipart/form-data; boundary=" .. boundary
end

-- ---- credentials ------------------------------------------------------------------------------

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  return (text:gsub("..?.?", function(s)
    local a, b, c = s:byte(1, 3)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    local out = ""
    for i = 0, 3 do
      local k = n >> (18 - 6 * i) & 63
      out = out .. (i <= #s and alphabet:sub(k + 1, k + 1) or "=")
    end
    return out
  end))
end

---{user, password} or {basic = {user, password}} or {bearer = token}.
function M.auth(value)
  if type(value) ~= "table" then
    return nil, ("option 'auth' must be a table (got %s)"):format(type(value))
  end
  if value.bearer ~= nil then
    if type(value.bearer) ~= "string" or value.bearer:find("[%c ]") or value.bearer == "" then
      return nil, "option 'auth': 'bearer' must be a token"
    end
    return "Bearer " .. value.bearer
  end
  local pair = value.basic or value
  local user, password = pair[1] or pair.user, pair[2] or pair.password or ""
  if type(user) ~= "string" or type(password) ~= "string" then
    return nil, "option 'auth' must be {user, password} or {bearer = token}"
  end
  if user:find("[%c:]") or password:find("%c") then
    return nil, "option 'auth': invalid character in user or password"
  end
  return "Basic " .. base64(user .. ":" .. password)
end

---The credentials in a URL, all that stands before its last @, as a header's value, or nil, and the
---URL without them.
function M.url_auth(text)
  local scheme, user, rest = text:match("^(%a[%w+.-]*://)([^/?#]*)@(.*)$")
  if not user then return nil, text end
  if user == "" then return nil, scheme .. rest end
  if not user:find(":", 1, true) then user = user .. ":" end
  user = user:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  return "Basic " .. base64(user), scheme .. rest
end

-- ---- JSON -------------------------------------------------------------------------------------

local cjson

local function json()
  if not cjson then
    local ok, library = pcall(require, "cjson")
    if not ok then return nil, "lua-cjson is needed for JSON and was not found" end
    cjson = library.new()
  end
  return cjson
end

---lua-cjson's "encode" or "decode", or nil and why not. It is for pcall to call: what it raises
---names the line of its caller, and pcall has none.
function M.json(name)
  local library, err = json()
  return library and library[name], err
end

-- ---- URLs -------------------------------------------------------------------------------------

---A reference against a base, as a link on a page.
function M.resolve(base, reference)
  local full, err = url.resolve(base, reference)
  if full then return full end
  if reference == "" then return nil, ("invalid URL '%s': %s"):format(base, err) end
  return nil, ("invalid URL '%s' (base '%s'): %s"):format(reference, base, err)
end

---Where a redirect leads, or nil and why not.
function M.redirect(from, location)
  if location:find("[%z\r\n]") then return nil, "invalid character" end
  local target, user = url.resolve(from, location, true)
  if not target then return nil, user end
  if user then return nil, "it carries credentials" end
  local a, b = url.parse(from), url.parse(target)
  if not b then return nil, "not an http URL" end
  if a.secure and not b.secure then return nil, "from https to http" end
  return target
end

function M.same_origin(a, b)
  local x, y = url.parse(a), url.parse(b)
  return x ~= nil and y ~= nil and x.origin == y.origin
end

return M
