-- SPDX-License-Identifier: MIT
-- A DNS query over UDP, by hand (bide.dns.resolve does it for you): packs a question, sends it,
-- tries again when nothing comes, and unpacks the addresses.
--
--     bide examples/dns_query.lua NAME SERVER [PORT]
--
-- Without arguments it asks a server of its own, which loses the first question.
local bide = require "bide"

local function pack_query(id, name)
  local labels = name:gsub("([^.]+)%.?", function(label) return string.pack("s1", label) end)
  return string.pack(">I2I2I2I2I2I2", id, 0x0100, 1, 0, 0, 0) .. labels .. "\0"
    .. string.pack(">I2I2", 1, 1)
end

--- The place behind a name, which may be cut short by a pointer (RFC 1035, 4.1.4).
local function skip_name(packet, at)
  while true do
    local n = packet:byte(at) or error "the answer is cut"
    if n == 0 then return at + 1 end
    if n >= 0xc0 then return at + 2 end
    at = at + 1 + n
  end
end

local function unpack_answer(packet)
  local _, flags, questions, answers = string.unpack(">I2I2I2I2", packet)
  if flags & 15 ~= 0 then error(("the server says %d"):format(flags & 15)) end
  local at, list = 13, {}
  for _ = 1, questions do at = skip_name(packet, at) + 4 end
  for _ = 1, answers do
    local kind, _, _, data, after = string.unpack(">I2I2I4s2", packet, skip_name(packet, at))
    if kind == 1 and #data == 4 then list[#list + 1] = table.concat({ data:byte(1, 4) }, ".") end
    at = after
  end
  return list
end

local function query(name, server, port)
  local socket <close> = bide.udp.bind("0.0.0.0", 0)
  socket:connect(server, port) -- nobody else is heard
  local id = math.random(0, 0xffff)
  for try = 1, 3 do
    socket:send(pack_query(id, name))
    local answer, err = bide.try(bide.timeout, 0.3 * try, function()
      local packet
      repeat packet = socket:recv() until #packet >= 12 and string.unpack(">I2", packet) == id
      return packet
    end)
    if answer then return unpack_answer(answer), try end
    if not bide.is_timeout(err) then error(err, 0) end
  end
  error("no answer from " .. server, 0)
end

local function our_own_server()
  local socket = bide.udp.bind("127.0.0.1", 0)
  bide.daemon(function()
    socket:recv()
    while true do
      local q, host, port = socket:recv()
      socket:send(q:sub(1, 2) .. "\x81\x80\0\1\0\2\0\0\0\0" .. q:sub(13)
        .. "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\192\0\2\1" .. "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\192\0\2\2",
        host, port)
    end
  end)
  return socket:address()
end

bide.run(function(name, server, port)
  if not server then server, port = our_own_server() end
  local list, tries = query(name or "two.example", server, tonumber(port or 53))
  print(("%d addresses, at try %d"):format(#list, tries))
  for _, address in ipairs(list) do print(address) end
end, ...)
