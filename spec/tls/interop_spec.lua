-- SPDX-License-Identifier: MIT
-- TLS streams and the implementations of others, under load and at their ends: openssl's s_client
-- and s_server, curl, nginx. What is not installed is skipped.

local bide = require "bide"
local outside = require "spec.support.outside"
local process = require "spec.support.process"
local certs = require "spec.support.certs"
local support = require "spec.support.tls"
local serve, dial = support.serve, support.dial

describe("tls streams:", function()
  -- Bytes that no two places have in common.
  local function pattern(n)
    local words = {}
    for i = 1, n // 8 do words[i] = ("%08x"):format(i * 2654435761 & 0xffffffff) end
    return table.concat(words)
  end
  local big = pattern(8 << 20)

  it("openssl s_client sends much, and then its end; much comes back", function()
    for _, flag in ipairs { "-tls1_3", "-tls1_2" } do
      local got = bide.future()
      local server <close>, port = serve("good", function(s)
        local ok, all = pcall(s.read_exactly, s, #big)
        s:write(big)
        got:resolve(ok, all)
      end)
      local dir = process.temporary_directory()
      process.write_file(dir .. "/in", big)
      outside.run(("(cat %s/in; sleep 1) | openssl s_client -quiet %s -connect 127.0.0.1:%d "
        .. "2>/dev/null >%s/out"):format(dir, flag, port, dir))
      local ok, all = got:await()
      assert.is_true(ok, tostring(all))
      assert.is_true(all == big)
      assert.is_true(process.read_file(dir .. "/out") == big)
      process.remove(dir)
      assert.truthy(server)
    end
  end)

  it("openssl s_client half-closes: its end is an end, no error", function()
    local got = bide.future()
    local server <close>, port = serve("good", function(s)
      got:resolve(pcall(s.read_all, s))
    end)
    outside.run(("printf 'last words' | openssl s_client -no_ign_eof -nocommands "
      .. "-connect 127.0.0.1:%d"):format(port))
    assert.same({ true, "last words" }, { got:await() })
    assert.truthy(server)
  end)

  it("openssl s_server sends much to our client, and its end", function()
    local port, dir = outside.port(), process.temporary_directory()
    process.write_file(dir .. "/in", big)
    local server <close> = outside.serve(("sh -c 'cd %s && exec openssl s_server -quiet -WWW "
      .. "-accept 127.0.0.1:%d -cert %s -key %s'")
      :format(dir, port, certs.path "good.pem", certs.path "good.key"),
      function() return outside.listens(port) end)
    local s <close> = dial(port)
    s:write "GET /in HTTP/1.0\r\n\r\n"
    s:read_until "\r\n\r\n"
    assert.is_true(s:read_all() == big)
    process.remove(dir)
    assert.truthy(server)
  end)

  it("openssl s_server may ask to renegotiate: our client does not", function()
    local port = outside.port()
    local server <close> = outside.serve(("sh -c '(sleep 1; echo r; sleep 2) | openssl s_server "
      .. "-tls1_2 -naccept 1 -accept 127.0.0.1:%d -cert %s -key %s'")
      :format(port, certs.path "good.pem", certs.path "good.key"),
      function() return os.execute(("ss -ltnH sport = :%d | grep -q ."):format(port)) end)
    local s <close> = dial(port)
    bide.try(bide.timeout, 10, s.read_all, s)
    local out
    for _ = 1, 500 do -- until the other process has said what it has to say
      out = process.read_file(server.dir .. "/out")
      if out:find("no renegotiation", 1, true) then return end
      bide.sleep(0.02)
    end
    error(out)
  end)

  it("curl sends and takes much, and sees an orderly end", function()
    if not outside.has "curl" then return pending "curl is missing" end
    local server <close>, port = serve("good", function(s)
      local head = s:read_until "\r\n\r\n"
      local body = s:read_exactly(tonumber(head:match "[Cc]ontent%-[Ll]ength: (%d+)"))
      s:write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", body) -- its end is the stream's
    end)
    local dir = process.temporary_directory()
    process.write_file(dir .. "/in", big)
    local out, status = outside.run(("curl -sS --http1.1 -H Expect: --cacert %s "
      .. "--data-binary @%s/in -o %s/out https://localhost:%d/")
      :format(certs.path "ca.pem", dir, dir, port))
    assert.equal(0, status, out)
    assert.is_true(process.read_file(dir .. "/out") == big)
    process.remove(dir)
    assert.truthy(server)
  end)

  it("nginx takes much and sends much, and its end", function()
    if not outside.has "nginx" then return pending "nginx is missing" end
    local port, dir = outside.port(), process.temporary_directory()
    process.write_file(dir .. "/file", big)
    os.execute("chmod 755 " .. dir)
    process.write_file(dir .. "/conf", ([[
daemon off; master_process off; pid nginx.pid; error_log error.log;
events { worker_connections 64; }
http { access_log off; client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;
  uwsgi_temp_path tmp; scgi_temp_path tmp; client_max_body_size 20m; client_body_buffer_size 10m;
  server { listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s; root %s;
    location /echo { proxy_pass http://127.0.0.1:%d; proxy_request_buffering on; } } }
]]):format(port, certs.path "good.pem", certs.path "good.key", dir, (select(2, bide.http.serve(
      { host = "127.0.0.1", port = 0, daemon = true, max_body = 20 << 20 },
      function(req) return req.body end):address()))))
    local server <close> = outside.serve(("nginx -p @DIR@ -e error.log -c %s/conf"):format(dir),
      function() return outside.listens(port) end)
    local function answer(s)
      s:read_until "\r\n\r\n"
      return s:read_all()
    end
    local s <close> = dial(port)
    s:write "GET /file HTTP/1.0\r\nHost: localhost\r\n\r\n"
    assert.is_true(answer(s) == big)
    local p <close> = dial(port)
    p:write("POST /echo HTTP/1.0\r\nHost: localhost\r\nContent-Length: ", #big, "\r\n\r\n", big)
    assert.is_true(answer(p) == big)
    process.remove(dir)
    assert.truthy(server)
  end)
end)
