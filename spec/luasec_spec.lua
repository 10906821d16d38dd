-- SPDX-License-Identifier: MIT
-- LuaSec's interface over bide's TLS: the same program sees the same over LuaSec and over
-- bide.socket; LuaSec's own unmodified ssl.https, and smtp over TLS, run many at once. What is not
-- installed is skipped.

local bide = require "bide"
local certs = require "spec.support.certs"
local outside = require "spec.support.outside"
local process = require "spec.support.process"
local tasks = require "spec.support.tasks"
local socket = require("bide.socket").install()
local ssl = require "ssl"

local have_luasec = os.execute "lua5.4 -e 'require \"ssl\"' 2>/dev/null" == true
local https_path = package.searchpath("ssl.https", package.path)

---What ssl_pairs.lua asks for. `full` is set when it says so, on another connection.
local full = bide.event()

local function answer(s)
  for line in s:lines() do
    local word, rest = line:match "^(%S*) ?(.*)$"
    if word == "echo" then s:write(rest, "\n")
    elseif word == "size" then s:write(("x"):rep(tonumber(rest)))
    elseif word == "half" then s:write "half a "
    elseif word == "go" then s:write "line\n"
    elseif word == "full" then full:set() s:write "noted\n"
    elseif word == "last" then s:write "these are they"; return
    elseif word == "sleep" then
      full:wait() -- until nothing goes into the pipe any more
      full:clear()
      local n = 0
      repeat
        local piece = s:read()
        n = n + #piece
      until piece:sub(-1) == "\n"
      s:write(tostring(n - 1), "\n")
    end
  end
end

local function serve(handler, more)
  local opts = certs.server("good", more)
  local server = bide.tls.listen("127.0.0.1", 0, handler, opts)
  return select(2, server:address())
end

describe("a program for LuaSec", function()
  it("sees over bide what it sees over LuaSec", function()
    if not have_luasec then return pending "LuaSec is missing" end
    local port = serve(function(s) pcall(answer, s) end, { alpn = { "a", "b" } })
    local silent = bide.tcp.listen("127.0.0.1", 0, function(s)
      bide.future():await()
      return s -- which until then is not garbage
    end, { daemon = true })
    local line = ("%s %d %d %s"):format("spec/support/ssl_pairs.lua", port,
      select(2, silent:address()), (certs.path "ca.pem":gsub("/ca.pem$", "")))
    local here = os.getenv "PWD"
    local over_luasec = outside.run(("cd %s; OVER=luasec lua5.4 %s"):format(here, line))
    local over_bide = outside.run(("cd %s; OVER=bide %s %s"):format(here, process.program, line))
    assert.matches("context 2:\ttrue\n$", over_luasec)
    assert.equal(over_luasec, over_bide)
  end)
end)

---A wrapped client of `port`, its handshake done.
local function dial(port, more)
  local params = {
    mode = "client", protocol = "any", verify = "peer", cafile = certs.path "ca.pem",
  }
  for k, v in pairs(more or {}) do params[k] = v end
  local s = assert(ssl.wrap(assert(socket.connect("127.0.0.1", port)), params))
  s:sni "localhost"
  assert(s:dohandshake())
  return s
end

---A server as one writes it for LuaSec; `handle` gets each wrapped connection.
local function wrapping(params, handle, names)
  local server = assert(socket.bind("127.0.0.1", 0))
  local context = assert(ssl.newcontext(params))
  bide.daemon(function()
    while true do
      local tcp = server:accept()
      bide.daemon(function()
        local s = assert(ssl.wrap(tcp, context))
        if names then s:sni(names, true) end
        handle(s, s:dohandshake())
        s:close()
      end)
    end
  end)
  return select(2, server:getsockname())
end

local function server_params(name, more)
  local params = { mode = "server", protocol = "any", certificate = certs.path(name .. ".pem"),
    key = certs.path(name .. ".key") }
  for k, v in pairs(more or {}) do params[k] = v end
  return params
end

describe("ssl.wrap", function()
  ---A spec after which nothing is left, daemons of its run included.
  local function clean(name, f)
    it(name, function()
      bide.run(function() socket.bind("127.0.0.1", 0):close() end)
      tasks.mark()
      bide.run(f)
      collectgarbage()
      tasks.turns(3)
      tasks.check()
    end)
  end

  clean("serves, under the names of sni, with each its certificate, and no others", function()
    local named = assert(ssl.newcontext(server_params "named"))
    local good = assert(ssl.newcontext(server_params "good"))
    local names = { ["c.example"] = named, localhost = good }
    local results = bide.channel(10)
    local port = wrapping(server_params "good", function(s, ok, err)
      results:send { ok, err }
      if ok then s:send((s:receive():upper()) .. "\n") end
    end, names)
    for _, name in ipairs { "localhost", "c.example", "localhost" } do
      local s <close> = bide.tls.connect("127.0.0.1", port,
        { ca = certs.path "ca.pem", servername = name })
      s:write "hello\n"
      assert.equal("HELLO", s:read_line())
      assert.same({ true }, results:recv())
    end
    local s <close> = bide.tls.connect("127.0.0.1", port,
      { ca = certs.path "ca.pem", servername = "a.example" })
    assert.is_nil((bide.try(s.read, s)))
    assert.same({ false, "unrecognized name" }, results:recv())
  end)

  clean("asks for certificates of clients, or requires them", function()
    local flags = { { "peer" }, { "peer", "fail_if_no_peer_cert" } }
    for i, verify in ipairs(flags) do
      local port = wrapping(server_params("good",
        { verify = verify, cafile = certs.path "ca.pem", protocol = "tlsv1_2" }), function(s, ok)
        local cert = ok and s:getpeercertificate()
        if ok then s:send((cert and cert:subject()[1].value or "nobody") .. "\n") end
      end)
      local s = dial(port, { certificate = certs.path "client.pem", key = certs.path "client.key" })
      assert.equal("client", s:receive())
      s:close()
      local bare = assert(ssl.wrap(assert(socket.connect("127.0.0.1", port)),
        { mode = "client", protocol = "any", verify = "none" }))
      local ok = bare:dohandshake()
      assert.equal(i == 1 and "nobody" or nil, ok and bare:receive() or nil)
      bare:close()
    end
  end)

  clean("expects the certificate of the name it asked for", function()
    local port = serve(function() end)
    local s = assert(ssl.wrap(assert(socket.connect("127.0.0.1", port)),
      { mode = "client", protocol = "any", verify = "peer", cafile = certs.path "ca.pem" }))
    s:sni "elsewhere.example"
    local ok, err, text = s:dohandshake()
    assert.same({ false, "certificate verify failed" }, { ok, err })
    assert.matches("not for elsewhere.example", text, 1, true)
    s:close()
  end)

  clean("ends a wait when another task closes, or it is cancelled", function()
    local port = serve(function(s) pcall(function() while s:read() do end end) end)
    local silent = bide.tcp.listen("127.0.0.1", 0, function(s) pcall(s.read_all, s) end,
      { daemon = true })
    local function raw(to)
      return assert(ssl.wrap(assert(socket.connect("127.0.0.1", to)),
        { mode = "client", protocol = "any", verify = "none" }))
    end
    for _, how in ipairs { "close", "cancel" } do
      for _, what in ipairs { "receive", "dohandshake", "send" } do
        local s = what == "dohandshake" and raw(select(2, silent:address())) or dial(port)
        local waiting = bide.spawn(function()
          if what ~= "send" then return s[what](s) end
          local ok, err
          repeat ok, err = s:send(("x"):rep(1 << 20)) until not ok
          return ok, err
        end)
        if what == "send" then -- the server reads on: there is always room, or soon
          tasks.turns(20)
        else
          tasks.turns(5)
          assert.equal("pending", waiting:status())
        end
        if how == "close" then
          s:close()
          local ok, err = waiting:await()
          assert.falsy(ok)
          assert.equal("closed", err)
        else
          waiting:cancel()
          assert.equal("ECANCELED", tasks.code(waiting.await, waiting))
          s:close()
        end
      end
    end
  end)

  clean("refuses what came before the handshake, and tells what is wrong with the files", function()
    local server = bide.tcp.listen("127.0.0.1", 0, function(s) s:write "220 go on\r\nmore" end,
      { daemon = true })
    local tcp = assert(socket.connect("127.0.0.1", select(2, server:address())))
    assert.equal("220 go on", tcp:receive())
    assert.same({ nil, "bytes came before the handshake" },
      { ssl.wrap(tcp, { mode = "client", protocol = "any" }) })
    tcp:close()
    assert.is_nil((ssl.wrap(tcp, { mode = "client", protocol = "any" }))) -- it is closed
    local twice = dial(serve(function(s) pcall(s.read_all, s) end))
    assert.same({ nil, "already encrypted" }, { ssl.wrap(twice, { mode = "client" }) })
    twice:close()
    local context, err = ssl.newcontext { mode = "client", cafile = "/nowhere" }
    assert.is_nil(context)
    assert.matches("/nowhere", err, 1, true)
  end)

  clean("serves a client that runs on LuaSec", function()
    if not have_luasec then return pending "LuaSec is missing" end
    local port = wrapping(server_params("good", { alpn = { "b" } }), function(s)
      while true do
        local line = s:receive()
        if not line then return end
        s:send(line:reverse() .. " " .. tostring(s:getalpn()) .. "\n")
      end
    end)
    local out = outside.run(([[lua5.4 -e '
      local s = assert(require "ssl".wrap(assert(require "socket".connect("127.0.0.1", %d)),
        { mode = "client", protocol = "any", verify = "peer", cafile = "%s", alpn = { "a", "b" } }))
      assert(s:dohandshake())
      for _, word in ipairs { "one", "two" } do
        s:send(word .. "\n")
        print((s:receive()))
      end
      s:close()']]):format(port, certs.path "ca.pem"))
    assert.matches("^eno b%s+owt b%s*$", out)
  end)
end)

describe("LuaSec's unmodified ssl.https", function()
  it("fetches many pages at once, and posts", function()
    if not https_path or not have_luasec then return pending "LuaSec is missing" end
    local https = require "ssl.https"
    local inside, most = 0, 0
    local server = bide.http.serve({ host = "127.0.0.1", port = 0, daemon = true,
      cert = certs.path "good.pem", key = certs.path "good.key" }, function(req)
      inside = inside + 1
      most = math.max(most, inside)
      bide.sleep(0.2)
      inside = inside - 1
      return req.method == "POST" and "posted " .. req.body or ("page " .. req.path):rep(1000)
    end)
    local base = ("https://localhost:%d"):format(select(2, server:address()))
    local jobs = {}
    for i = 1, 50 do
      jobs[i] = function()
        local body, status = https.request(base .. "/" .. i)
        assert.equal(200, status)
        return body
      end
    end
    local pages = bide.gather(jobs)
    for i = 1, 50 do assert.equal(("page /" .. i):rep(1000), pages[i]) end
    assert.truthy(most > 10, most)
    assert.equal("posted a=1", (https.request(base .. "/", "a=1")))
    local parts = {}
    assert.equal(1, (https.request { url = base .. "/sunk", verify = "peer",
      cafile = certs.path "ca.pem", sink = require("ltn12").sink.table(parts) }))
    assert.equal(("page /sunk"):rep(1000), table.concat(parts))
    local body, err = https.request { url = base .. "/", verify = "peer",
      cafile = certs.path "other.pem" }
    assert.is_nil(body)
    assert.equal("certificate verify failed", err)
  end)
end)

describe("LuaSocket's unmodified socket.smtp", function()
  it("sends over TLS what create gives it", function()
    if not package.searchpath("socket.smtp", package.path) then
      return pending "LuaSocket is missing"
    end
    local smtp = require "socket.smtp"
    local got
    local port = serve(function(s)
      s:write "220 here\r\n"
      for line in s:lines() do
        if line == "DATA" then
          s:write "354 go on\r\n"
          got = s:read_until "\r\n.\r\n"
        elseif line == "QUIT" then
          return s:write "221 bye\r\n"
        end
        s:write "250 fine\r\n"
      end
    end)
    local ok, err = smtp.send {
      from = "<a@example.org>", rcpt = "<b@example.org>", server = "127.0.0.1", port = port,
      source = smtp.message { headers = { subject = "secret" }, body = "one\r\n" },
      create = function()
        local tcp = socket.tcp()
        return setmetatable({
          connect = function(_, host, n)
            assert(tcp:connect(host, n))
            tcp = assert(ssl.wrap(tcp,
              { mode = "client", protocol = "any", verify = "peer", cafile = certs.path "ca.pem" }))
            return tcp:dohandshake()
          end,
        }, { __index = function(_, name)
          return function(_, ...) return tcp[name](tcp, ...) end
        end })
      end,
    }
    assert.equal(1, ok, err)
    assert.matches("subject: secret\r\n", got:lower(), 1, true)
  end)
end)
