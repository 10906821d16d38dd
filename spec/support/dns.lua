-- SPDX-License-Identifier: MIT
-- A DNS server on loopback for the specs: answers as a script says, over UDP and TCP alike.

local bide = require "bide"

local M = {}

local types = { A = 1, AAAA = 28, CNAME = 5 }
local names = { [1] = "A", [28] = "AAAA" }

local function pack_name(name)
  return (name:gsub("[^.]+%.?", function(label)
    return string.pack("s1", (label:gsub("%.", "")))
  end)) .. "\0"
end

local function pack_address(kind, text)
  if kind == "A" then
    return string.char(text:match "(%d+)%.(%d+)%.(%d+)%.(%d+)")
  end
  local before, after = text:match "^(.-)::(.*)$"
  local function words(s)
    return (s:gsub("(%x+):?", function(x) return string.pack(">I2", tonumber(x, 16)) end))
  end
  local head, tail = words(before or text), words(after or "")
  return head .. ("\0"):rep(16 - #head - #tail) .. tail
end

--- What a query asks: {id=, name=, type=, question=}.
function M.parse(packet)
  local at, labels = 13, {}
  while packet:byte(at) ~= 0 do
    labels[#labels + 1] = string.unpack("s1", packet, at)
    at = at + #labels[#labels] + 1
  end
  local kind = string.unpack(">I2", packet, at + 1)
  return { id = packet:sub(1, 2), name = table.concat(labels, "."):lower(), type = names[kind],
    question = packet:sub(13, at + 4) }
end

--- A record of an answer, its data as bytes.
function M.record(name, kind, data)
  return pack_name(name) .. string.pack(">I2I2I4s2", types[kind], 1, 60, data)
end

--- The answer to `q`: `addresses` of its type; opts: ttl, rcode, id, truncated, question, and more
--- `records` as bytes.
function M.answer(q, addresses, opts)
  opts = opts or {}
  local flags = 0x8180 | (opts.truncated and 0x200 or 0) | (opts.rcode or 0)
  local records = {}
  for i, text in ipairs(addresses) do
    records[i] = string.pack(">I2I2I2I4s2", 0xc00c, types[q.type], 1, opts.ttl or 60,
      pack_address(q.type, text))
  end
  table.move(opts.records or {}, 1, #(opts.records or {}), #records + 1, records)
  return (opts.id or q.id) .. string.pack(">I2I2I2I2I2", flags, 1, #records, 0, 0)
    .. (opts.question or q.question) .. table.concat(records)
end

M.pack_name = pack_name

--- Starts a server as daemons of the run and has names looked up there until the run is told
--- otherwise (bide.dns.servers()). `script(q, reply, over)` is called in a task of its own for each
--- query; `reply(packet)` sends, over = "udp" or "tcp". Returns a log, the list of queries, and the
--- server's address.
function M.serve(script)
  local log = {}
  local socket, listener
  for _ = 1, 20 do -- until one port is free for both
    socket = bide.udp.bind("127.0.0.1", 0)
    local _, port = socket:address()
    local ok, server = pcall(bide.tcp.listen, "127.0.0.1", port, function(stream)
      local size = stream:read_exactly(2)
      while size do
        local q = M.parse(stream:read_exactly(string.unpack(">I2", size)))
        q.over, log[#log + 1] = "tcp", q
        script(q, function(packet) stream:write(string.pack(">s2", packet)) end, "tcp")
        size = stream:read_exactly(2)
      end
    end, { daemon = true })
    listener = ok and server
    if ok then break end
    socket:close()
  end
  assert(listener, "no port is free")
  bide.daemon(function()
    local open <close> = socket
    while true do
      local packet, host, port = open:recv()
      local q = M.parse(packet)
      q.over, log[#log + 1] = "udp", q
      bide.spawn(script, q, function(answer) open:send(answer, host, port) end, "udp")
    end
  end)
  local address = ("127.0.0.1:%d"):format(select(2, socket:address()))
  bide.dns.servers { address }
  return log, address
end

return M
