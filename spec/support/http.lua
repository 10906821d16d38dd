-- SPDX-License-Identifier: MIT
-- Raw ends of HTTP connections for the specs: a server that answers with given bytes, a client that
-- sends given bytes.

local bide = require "bide"
local process = require "spec.support.process"

local M = {}

--- Reads a request head (and no body) from a stream; nil at the end.
function M.read_head(stream)
  local lines = {}
  for line in stream:lines() do
    if line == "" then return table.concat(lines, "\n") end
    lines[#lines + 1] = line
  end
  return nil
end

--- A server that calls `script(stream, n)` for its n-th connection; returns base URL and server.
function M.raw_server(script)
  local n = 0
  local server = bide.tcp.listen("127.0.0.1", 0, function(stream)
    n = n + 1
    -- a client that leaves in the middle is part of what is tested
    bide.try(script, stream, n)
  end, { daemon = true })
  local _, port = server:address()
  return ("http://127.0.0.1:%d"):format(port), server
end

--- A server whose every connection reads one request and answers with `bytes`, then ends (or stays
--- open, with `keep`).
function M.answering(bytes, keep)
  return M.raw_server(function(stream)
    while M.read_head(stream) do
      stream:write(bytes)
      if not keep then return end
    end
  end)
end

--- Serves `handler` on a free port for the rest of the run, quietly; returns base URL and server.
function M.serve(handler, opts)
  local all = { port = 0, daemon = true, log = false }
  for k, v in pairs(opts or {}) do all[k] = v end
  local server = bide.http.serve(all, handler)
  local _, port = server:address()
  return ("http://127.0.0.1:%d"):format(port), server
end

--- A server that tells what it was asked: method and target, the headers, an empty line, the body.
function M.mirror(opts)
  return M.serve(function(req)
    local lines = { req.method .. " " .. req.target }
    for name, value in pairs(req.headers) do lines[#lines + 1] = name .. ": " .. value end
    lines[#lines + 1] = ""
    lines[#lines + 1] = req.body
    return table.concat(lines, "\n")
  end, opts)
end

--- Connects to the server of a base URL.
function M.connect(base)
  return bide.tcp.connect("127.0.0.1", tonumber(base:match(":(%d+)$")))
end

--- Sends bytes on a connection of its own, and returns all that comes until the server closes.
function M.exchange(base, bytes)
  local stream <close> = M.connect(base)
  if bytes ~= "" then stream:write(bytes) end
  stream:shutdown()
  return stream:read_all()
end

--- Reads one response from a stream whose length is announced: status, body, head.
function M.read_response(stream)
  local head = M.read_head(stream)
  if not head then return nil end
  local length = tonumber(head:lower():match("content%-length: (%d+)") or "0")
  local body = length > 0 and stream:read_exactly(length) or ""
  return tonumber(head:match("^HTTP/1%.%d (%d+)")), body, head
end

--- What the kernel says that the process holds, in kB.
local function resident()
  local file = io.open "/proc/self/status"
  if not file then return 0 end
  local _ <close> = file
  return tonumber(file:read "a":match "VmRSS:%s+(%d+)")
end

--- Runs f, which must take less than `seconds` and leave the process with less than `megabytes`
--- more. (Sanitizers keep what is freed.)
function M.bounded(seconds, megabytes, f)
  local began, before = bide.now(), resident()
  f()
  local took, more = bide.now() - began, resident() - before
  assert(took < seconds, ("took %.1f s"):format(took))
  assert(process.build:find "san" or more < megabytes * 1024, ("took %d kB"):format(more))
end

--- The error that f raises.
function M.error_of(f, ...)
  local results = table.pack(pcall(f, ...))
  assert(not results[1], "no error was raised")
  return results[2]
end

return M
