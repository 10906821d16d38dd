-- SPDX-License-Identifier: MIT
-- The HTTP benchmarks' tools: the check that an answer is right, wrk, and an nginx of our own.
-- Owns nothing: servers belong to the context.

local process = require "driver.process"

local M = {}

local BODY = "hello world\n"

---An error unless the server answers two GETs on one connection as the benchmark says it must.
function M.check_server(ctx, server)
  local out = ctx:run(ctx:program("probe", "http", server.port, 2)).out
  local head, body = out:match("^(.-\r\n)\r\n(.*)$")
  local lower = head and head:lower() or ""
  local right = head and head:match("^HTTP/1%.1 200 ") and body == BODY
    and lower:find("\ncontent%-length: *12\r\n")
    and lower:find("\ncontent%-type: *text/plain")
  if not right then error("wrong answer:\n" .. out, 0) end
end

---Runs wrk with one thread; the result has `requests`, `per_second` and `cpu` (wrk's own).
---@param seconds integer
---@param header? string an extra request header
function M.wrk(ctx, url, connections, seconds, header)
  local argv = { "wrk", "-t1", "-c" .. connections, "-d" .. seconds .. "s", "--timeout", "10s" }
  if header then table.move({ "-H", header }, 1, 2, #argv + 1, argv) end
  argv[#argv + 1] = url
  local result = ctx:run(argv)
  local out = result.out
  if out:find("Non%-2xx") or out:find("Socket errors") then error("wrk: " .. out, 0) end
  result.requests = assert(tonumber(out:match("(%d+) requests in")), out)
  result.per_second = assert(tonumber(out:match("Requests/sec:%s*([%d.]+)")), out)
  return result
end

---Loads a server for some seconds; microseconds of the server's CPU per request, and the rate.
function M.load(ctx, server, connections, seconds)
  local before = server:cpu()
  local result = M.wrk(ctx, ("http://127.0.0.1:%d/"):format(server.port), connections, seconds)
  local used = server:cpu() - before
  return { us = used / result.requests * 1e6, per_second = result.per_second }
end

local NGINX = [[
daemon off;
master_process off;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 60;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;
  uwsgi_temp_path tmp; scgi_temp_path tmp;
  server {
    listen 127.0.0.1:%d %s backlog=4096;
    %s
    location / { default_type text/plain; return 200 %s; }
  }
}
]]

---nginx on a free port, answering 1,024 bytes to everything; over TLS with the directives in `tls`.
function M.nginx(ctx, tls)
  local program = io.open("/usr/sbin/nginx") and "/usr/sbin/nginx" or "nginx"
  ctx:need(program)
  local prefix = ctx.tmp .. "/nginx" .. #ctx.servers
  local port = ctx:run(ctx:program("probe", "port")).port
  assert(os.execute("mkdir -p " .. process.quote(prefix)))
  local conf <close> = assert(io.open(prefix .. "/nginx.conf", "w"))
  conf:write(NGINX:format(port, tls and "ssl" or "", tls or "", ("x"):rep(1024)))
  conf:flush()
  return ctx:serve({ port = port, program, "-p", prefix, "-e", "error.log", "-c", "nginx.conf" })
end

return M
