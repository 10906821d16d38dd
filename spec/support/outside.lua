-- SPDX-License-Identifier: MIT
-- Other programs beside the specs' own tasks: started in the background, waited for without
-- blocking the loop, ended by their process id.

local bide = require "bide"
local process = require "spec.support.process"

local M = {}

local function exists(path)
  local file <close> = io.open(path)
  return file ~= nil
end

---Is the program installed?
function M.has(name) return os.execute("command -v " .. name .. " >/dev/null 2>&1") == true end

---Runs a shell command beside the loop: its output (both streams) and exit status.
function M.run(command)
  local dir = process.temporary_directory()
  local _remove <close> = setmetatable({}, { __close = function() process.remove(dir) end })
  local full = ("(cd '%s'; timeout -k 5 90 sh -c %s >out 2>&1 </dev/null; "
    .. "echo $? >rc.new; mv rc.new rc) &")
    :format(dir, process.quote(command))
  os.execute(full)
  while not exists(dir .. "/rc") do bide.sleep(0.005) end
  return process.read_file(dir .. "/out"), tonumber(process.read_file(dir .. "/rc"))
end

---Starts a server outside; returns a value that ends it when closed. `ready` is asked again and
---again until it is true.
function M.serve(command, ready)
  local dir = process.temporary_directory()
  os.execute(("cd '%s'; (exec timeout -k 5 60 %s) >out 2>&1 </dev/null & echo $! >'%s/pid'")
    :format(dir,
    command:gsub("@DIR@", dir), dir))
  local pid = process.read_file(dir .. "/pid"):match "%d+"
  local server = setmetatable({ dir = dir }, { __close = function()
    os.execute("kill " .. pid)
    process.remove(dir)
  end })
  local ok, err = pcall(bide.timeout, 20, function()
    while not ready() do bide.sleep(0.01) end
  end)
  if not ok then
    local out = process.read_file(dir .. "/out")
    os.execute("kill " .. pid)
    error(tostring(err) .. "\n" .. out, 0)
  end
  return server
end

---A port that was free a moment ago.
function M.port()
  local server = bide.tcp.listen("127.0.0.1", 0, function() end, { daemon = true })
  local _, port = server:address()
  server:close()
  return port
end

---Does somebody listen there?
function M.listens(port)
  local s = bide.try(bide.tcp.connect, "127.0.0.1", port)
  if s then s:close() end
  return s ~= nil
end

return M
