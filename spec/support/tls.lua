-- SPDX-License-Identifier: MIT
-- What the specs of TLS share: servers and clients with certificates made on the fly, both ends of
-- a connection.

local assert = require "luassert"
local bide = require "bide"
local certs = require "spec.support.certs"
local tls = bide.tls

local M = {}

---Calls f: the error of this code that it raises.
function M.raises(code, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "no error was raised")
  assert.equal(code, type(err) == "table" and err.code or err)
  return err
end

---The error with which `connect` fails, for this reason.
function M.refused(reason, ...)
  local err = M.raises("ETLS", tls.connect, ...)
  assert.equal(reason, err.reason)
  return err
end

function M.echo(s)
  for data in function() return s:read() end do s:write(data) end
end

---A server for one test, with the certificate of that name; returns it and its port.
function M.serve(name, handler, more)
  local server = tls.listen("127.0.0.1", 0, handler or M.echo, certs.server(name, more))
  local _, port = server:address()
  return server, port
end

---Options that trust the specs' own authority.
function M.trusting(more)
  local opts = { ca = certs.path "ca.pem" }
  for k, v in pairs(more or {}) do opts[k] = v end
  return opts
end

function M.dial(port, more) return tls.connect("127.0.0.1", port, M.trusting(more)) end

---Closes both when the variable goes out of scope.
function M.both(a, b)
  return setmetatable({}, { __close = function()
    a:close()
    b:close()
  end })
end

---Both ends of one TLS connection.
function M.pair(server_opts, client_opts)
  local taken = bide.future()
  local server, port = M.serve("good", function(s) taken:resolve(s:detach()) end, server_opts)
  local client = M.dial(port, client_opts)
  local accepted = taken:await()
  server:close()
  return client, accepted
end

-- The network floor's own handles come with its first use.
bide.run(function() bide.tcp.listen("127.0.0.1", 0, M.echo):close() end)

return M
