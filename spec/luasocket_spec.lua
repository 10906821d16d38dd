-- SPDX-License-Identifier: MIT
-- Libraries written for blocking LuaSocket run concurrently on bide.socket, unchanged: Debian's
-- lua-redis against a redis-server, LuaSocket's own http, ftp and smtp against servers of the
-- suite's. What is not installed is skipped.

local bide = require "bide"
local outside = require "spec.support.outside"
local process = require "spec.support.process"
local socket = require("bide.socket").install()

local have_luasocket = package.searchpath("socket.http", package.path)
local redis_path = package.searchpath("redis",
  package.path .. ";/usr/share/lua/5.3/?.lua;/usr/share/lua/5.1/?.lua")
local redis_program = process.run({ "sh", "-c", "command -v redis-check-rdb" }).out:match "^[^\n]+"

local function serve(handler)
  local server = bide.tcp.listen("127.0.0.1", 0, handler, { daemon = true })
  return select(2, server:address())
end

describe("bide.socket.install", function()
  it("makes require give it", function()
    assert.equal(socket, require "socket")
    assert.equal(socket, require "socket.core")
    assert.equal(socket, require "bide.socket")
    assert.equal("function", type(require("socket.unix").stream))
  end)
end)

describe("lua-redis", function()
  -- The one program is the server as well, when that is its name.
  local directory, server

  local function start()
    directory = process.temporary_directory()
    local name = directory .. "/redis-server"
    assert(os.execute(("ln -s %s %s"):format(redis_program, name)))
    local pipe <close> = io.popen(("%s --port 0 --unixsocket %s/s --save '' --appendonly no "
      .. "--dir %s >%s/log 2>&1 </dev/null & echo $!"):format(name, directory, directory,
      directory))
    server = pipe:read "n"
    for _ = 1, 500 do
      if bide.try(bide.unix.connect, directory .. "/s") then return end
      bide.sleep(0.02)
    end
    error(process.read_file(directory .. "/log"))
  end

  after_each(function()
    if server then os.execute(("kill %d"):format(server)) end
    if directory then process.remove(directory) end
    server, directory = nil, nil
  end)

  local function spec(name, f)
    it(name, function()
      if not redis_path or not redis_program then return pending "lua-redis or redis missing" end
      start()
      f(dofile(redis_path))
    end)
  end

  spec("serves a hundred tasks at once, by path and by TCP", function(redis)
    local port = serve(function(stream)
      local back <close> = bide.unix.connect(directory .. "/s")
      bide.pipe_streams(stream, back)
    end)
    local blocked, running, most = {}, 0, 0
    for i = 1, 100 do
      blocked[i] = function()
        local client = i % 2 == 0 and redis.connect("127.0.0.1", port)
          or redis.connect("unix://" .. directory .. "/s")
        client:set("key" .. i, ("v"):rep(i * 100))
        running = running + 1
        most = math.max(most, running)
        local item = client:blpop("go" .. i, 30) -- waits in the server
        running = running - 1
        for k = 1, 10 do client:incrby("sum", k) end
        assert.equal(("v"):rep(i * 100), client:get("key" .. i))
        client:quit()
        return item[2]
      end
    end
    local all = bide.spawn(bide.gather, blocked)
    local waker = redis.connect("unix://" .. directory .. "/s")
    while running < 100 do bide.sleep(0.005) end
    for i = 100, 1, -1 do waker:rpush("go" .. i, "item" .. i) end
    local items = all:await()
    for i = 1, 100 do assert.equal("item" .. i, items[i]) end
    assert.equal(100, most)
    assert.equal("5500", waker:get "sum")
    waker:quit()
  end)
end)

describe("LuaSocket's", function()
  local function spec(name, f)
    it(name, function()
      if not have_luasocket then return pending "LuaSocket is missing" end
      f()
    end)
  end

  spec("socket.http fetches many pages at once, follows redirects, posts", function()
    local http = require "socket.http"
    local inside, most = 0, 0
    local server = bide.http.serve({ host = "127.0.0.1", port = 0, daemon = true }, function(req)
      inside = inside + 1
      most = math.max(most, inside)
      bide.sleep(0.1)
      inside = inside - 1
      if req.path == "/moved" then return 302, { Location = "/there" } end
      if req.method == "POST" then return "posted " .. req.body end
      return req.path
    end)
    local base = ("http://%s:%d"):format(server:address())
    local jobs = {}
    for i = 1, 50 do
      jobs[i] = function()
        local body, status = http.request(base .. "/page" .. i)
        assert.equal(200, status)
        return body
      end
    end
    local pages = bide.gather(jobs)
    for i = 1, 50 do assert.equal("/page" .. i, pages[i]) end
    assert.truthy(most > 10, most)
    assert.equal("/there", (http.request(base .. "/moved")))
    assert.equal("posted a=1", (http.request(base .. "/", "a=1")))
    local parts = {}
    local ltn12 = require "ltn12"
    assert.equal(1, (http.request { url = base .. "/sunk", sink = ltn12.sink.table(parts) }))
    assert.equal("/sunk", table.concat(parts))
    local _, err = http.request "http://127.0.0.1:1/"
    assert.equal("connection refused", err)
  end)

  spec("socket.smtp sends a message", function()
    local smtp = require "socket.smtp"
    local got = {}
    local port = serve(function(stream)
      stream:write "220 here\r\n"
      for line in stream:lines() do
        got[#got + 1] = line
        if line == "DATA" then
          stream:write "354 go on\r\n"
          got.data = stream:read_until "\r\n.\r\n"
          stream:write "250 taken\r\n"
        elseif line == "QUIT" then
          return stream:write "221 bye\r\n"
        else
          stream:write "250 fine\r\n"
        end
      end
    end)
    local ok, err = smtp.send {
      from = "<a@example.org>", rcpt = "<b@example.org>", server = "127.0.0.1", port = port,
      source = smtp.message { headers = { subject = "greetings" }, body = "one\r\n.two\r\n" },
    }
    assert.equal(1, ok, err)
    assert.matches("Subject: greetings\r\n", got.data)
    assert.matches("one\r\n%.%.two\r\n", got.data)
  end)

  spec("socket.ftp fetches a file over a passive connection", function()
    local ftp = require "socket.ftp"
    local port = serve(function(stream)
      local data
      stream:write "220 here\r\n"
      for line in stream:lines() do
        local command = line:match "^%a+"
        if command == "USER" then stream:write "331 and the password\r\n"
        elseif command == "PASS" then stream:write "230 in\r\n"
        elseif command == "EPSV" then
          data = bide.tcp.listen("127.0.0.1", 0, function(s) s:write(("file "):rep(50000)) end)
          local _, n = data:address()
          stream:write(("229 here (|||%d|)\r\n"):format(n))
        elseif command == "RETR" then
          stream:write "150 coming\r\n"
          bide.sleep(0.05)
          stream:write "226 sent\r\n"
        elseif command == "QUIT" then
          stream:write "221 bye\r\n"
          break
        else stream:write "200 fine\r\n" end
      end
      if data then data:close() end
    end)
    local text, err = ftp.get(("ftp://127.0.0.1:%d/file;type=i"):format(port))
    assert.equal(("file "):rep(50000), text, err)
  end)
end)

describe("a client and a server", function()
  local pairs_file = "spec/support/socket_pairs.lua"
  local here = os.getenv "PWD"
  local over = { luasocket = "OVER=luasocket lua5.4", bide = "OVER=bide " .. process.program }

  local function run(client, server)
    local port
    local running <close> = outside.serve(
      ("sh -c 'cd %s; %s %s server \"$0/port\"' @DIR@"):format(here, over[server], pairs_file),
      function() return true end)
    while not port do
      bide.sleep(0.01)
      local file <close> = io.open(running.dir .. "/port")
      port = file and file:read "n"
    end
    return (outside.run(("cd %s; %s %s client %d"):format(here, over[client], pairs_file, port)))
  end

  it("see the same over LuaSocket, over bide, and over one of each", function()
    if os.execute "lua5.4 -e 'require \"socket\"' 2>/dev/null" ~= true then
      return pending "LuaSocket is missing"
    end
    local wanted, mixed, mixed_too, own = table.unpack(bide.gather {
      function() return run("luasocket", "luasocket") end,
      function() return run("bide", "luasocket") end,
      function() return run("luasocket", "bide") end,
      function() return run("bide", "bide") end,
    })
    assert.matches("\nclosed:\t%-1\n$", wanted)
    assert.equal(wanted, mixed)
    assert.equal(wanted, mixed_too)
    assert.equal(wanted, own)
  end)
end)
