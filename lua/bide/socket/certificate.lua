-- SPDX-License-Identifier: MIT
-- bide.socket.certificate: a peer's certificate with the methods of LuaSec's that tell who it is
-- for and how long; made of what stream:tls_info() tells.

local M = {}

local Certificate = { __name = "X509" }
Certificate.__index = Certificate

local attributes = {
  CN = { "commonName", "2.5.4.3" }, C = { "countryName", "2.5.4.6" },
  L = { "localityName", "2.5.4.7" }, ST = { "stateOrProvinceName", "2.5.4.8" },
  O = { "organizationName", "2.5.4.10" }, OU = { "organizationalUnitName", "2.5.4.11" },
  DC = { "domainComponent", "0.9.2342.19200300.100.1.25" },
  emailAddress = { "emailAddress", "1.2.840.113549.1.9.1" },
}

local function unescape(value)
  local bytes = value:gsub("\\(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  return (bytes:gsub("\\(.)", "%1"))
end

--- The parts of a name in RFC 4514's form, in the order of the certificate (there: reversed).
local function name_of(text)
  local list, part = {}, ""
  for piece, comma in (text .. ","):gmatch "([^,]*)(,)" do
    part = part .. piece
    if part:match("\\*$"):len() % 2 == 1 then
      part = part .. comma -- an escaped comma is part of the value
    else
      local key, value = part:match "^([^=]+)=(.*)$"
      local known = attributes[key] or { key, key }
      if key then
        table.insert(list, 1, { name = known[1], oid = known[2], value = unescape(value) })
      end
      part = ""
    end
  end
  return list
end

function M.new(facts)
  return setmetatable({ facts = facts }, Certificate)
end

function Certificate:subject() return name_of(self.facts.subject) end
function Certificate:issuer() return name_of(self.facts.issuer) end

local function date_of(time)
  return time and os.date("!%b %e %H:%M:%S %Y GMT", time)
end

function Certificate:notbefore() return date_of(self.facts.not_before) end
function Certificate:notafter() return date_of(self.facts.not_after) end

--- Does it hold at that time?
function Certificate:validat(time)
  local from, to = self.facts.not_before, self.facts.not_after
  return from ~= nil and to ~= nil and from <= time and time <= to
end

--- digest "sha256"; others are not kept.
function Certificate:digest(algorithm)
  if algorithm ~= "sha256" then return nil, "only sha256 is known" end
  return self.facts.sha256
end

--- The subject's alternative names, by the extension's number.
function Certificate:extensions()
  local names = { name = "X509v3 Subject Alternative Name", dNSName = {}, iPAddress = {} }
  for _, name in ipairs(self.facts.names) do
    local is_address = name:find(":", 1, true) or name:find "^%d+%.%d+%.%d+%.%d+$"
    local list = is_address and names.iPAddress or names.dNSName
    list[#list + 1] = name
  end
  return { ["2.5.29.17"] = names }
end

return M
