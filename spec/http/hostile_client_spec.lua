-- SPDX-License-Identifier: MIT
-- What a wrong or malicious client sends, what the server answers, and that it serves others.
local bide = require "bide"
local raw = require "spec.support.http"
local socket = require "bide.socket"
local testing = require "bide.core".testing

local function status_of(answer) return tonumber((answer or ""):match("^HTTP/1%.1 (%d%d%d) ")) end

local post = "POST / HTTP/1.1\r\nHost: x\r\n"

describe("a hostile client that sends", function()
  local base

  local function serve(opts)
    base = raw.serve(function(req) return req.body end, opts)
    return base
  end

  before_each(function() serve() end)
  after_each(function() assert.equal("alive", bide.http.post(base, { body = "alive" }).body) end)

  local refused = {
    ["garbage"] = { 400, "hello\r\n\r\n" },
    ["TLS"] = { 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" .. ("\0"):rep(32) },
    ["no Host"] = { 400, "GET / HTTP/1.1\r\n\r\n" },
    ["two Hosts"] = { 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" },
    ["a Host that is none"] = { 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
    ["bare line feeds"] = { 400, "GET / HTTP/1.1\nHost: x\n\n" },
    ["a bare carriage return"] = { 400, "GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n" },
    ["a folded header"] = { 400, "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n" },
    ["a space before the colon"] = { 400, "GET / HTTP/1.1\r\nHost : x\r\n\r\n" },
    ["NUL"] = { 400, "GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n" },
    ["a space in the target"] = { 400, "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n" },
    ["two lengths"] = { 400, post .. "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd" },
    ["equal lengths twice"] = { 400, post .. "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" },
    ["a negative length"] = { 400, post .. "Content-Length: -3\r\n\r\nabc" },
    ["a length that overflows"] = { 400, post .. "Content-Length: 99999999999999999999\r\n\r\n" },
    ["length and chunked"] = { 400,
      post .. "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    ["chunked twice"] = { 400, post .. "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" },
    ["chunked that is not last"] = { 400, post .. "Transfer-Encoding: chunked, gzip\r\n\r\n" },
    ["chunked in HTTP/1.0"] = { 400,
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
    ["a coding nobody knows"] = { 501, post .. "Transfer-Encoding: gzip, chunked\r\n\r\n" },
    ["another version"] = { 505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n" },
    ["a version that is none"] = { 400, "GET / HTTQ/1.1\r\nHost: x\r\n\r\n" },
    ["another expectation"] = { 417, post .. "Expect: magic\r\nContent-Length: 1\r\n\r\nx" },
    ["a method too long"] = { 501, ("A"):rep(1000) .. " / HTTP/1.1\r\nHost: x\r\n\r\n" },
    ["a target too long"] = { 414, "GET /" .. ("a"):rep(9000) .. " HTTP/1.1\r\nHost: x\r\n\r\n" },
    ["a header too long"] = { 431,
      "GET / HTTP/1.1\r\nHost: x\r\nX: " .. ("a"):rep(20000) .. "\r\n\r\n" },
    ["too many headers"] = { 431,
      "GET / HTTP/1.1\r\nHost: x\r\n" .. ("X: a\r\n"):rep(200) .. "\r\n" },
    ["a body too large"] = { 413, post .. "Content-Length: 1000000000000\r\n\r\n" },
    ["a chunk size that is none"] = { 400, post .. "Transfer-Encoding: chunked\r\n\r\nxyz\r\n" },
    ["a chunk size that overflows"] = { 413,
      post .. "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" },
    ["a chunk longer than its size"] = { 400,
      post .. "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" },
  }
  for what, case in pairs(refused) do
    it(("%s is answered %d, and the connection closed"):format(what, case[1]), function()
      local answer = raw.exchange(base, case[2])
      assert.equal(case[1], status_of(answer))
      assert.matches("\r\nconnection: close\r\n", answer)
      assert.equal(1, select(2, answer:gsub("HTTP/1%.1 ", "")))
    end)
  end

  it("a refused request after a good one gets both answers", function()
    local answer = raw.exchange(base, "GET / HTTP/1.1\r\nHost: x\r\n\r\n" .. "bad\r\n\r\n")
    assert.equal(200, status_of(answer))
    assert.equal(400, status_of(answer:sub(10):match("HTTP/1.1 %d.*")))
  end)

  it("a request hidden in a body is body", function()
    local seen = {}
    local other = raw.serve(function(req)
      seen[#seen + 1] = req.path
      return req.body
    end)
    local hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    raw.exchange(other, ("POST /outer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"):format(
      #hidden, hidden))
    assert.same({ "/outer" }, seen)
  end)

  it("too large a body in chunks is answered 413, and nothing is reported", function()
    serve { max_body = 1000 }
    local answer = raw.exchange(base, post .. "Transfer-Encoding: chunked\r\n\r\n" ..
      ("ff\r\n" .. ("x"):rep(255) .. "\r\n"):rep(5) .. "0\r\n\r\n")
    assert.equal(413, status_of(answer))
  end)

  it("a large body past a 413 still gets to read it", function()
    serve { max_body = 1000 }
    local stream <close> = raw.connect(base)
    stream:write(post .. "Content-Length: 900000\r\n\r\n")
    bide.try(stream.write, stream, ("x"):rep(900000))
    assert.equal(413, status_of(stream:read_all()))
  end)

  it("half a head and then nothing is answered 408", function()
    serve { header_timeout = 0.05 }
    local stream <close> = raw.connect(base)
    stream:write("GET / HTTP/1.1\r\nHost: x\r\n")
    assert.equal(408, status_of(stream:read_all()))
  end)

  it("a head byte by byte does not gain time by it", function()
    serve { header_timeout = 0.1 }
    local stream <close> = raw.connect(base)
    local writer = bide.spawn(function()
      while bide.try(stream.write, stream, "G") do bide.sleep(0.01) end
    end)
    assert.equal(408, status_of(stream:read_all()))
    writer:cancel()
  end)

  it("nothing at all is closed without an answer", function()
    serve { header_timeout = 0.05 }
    local stream <close> = raw.connect(base)
    assert.equal("", stream:read_all())
  end)

  it("nothing after a request is closed when idle for too long", function()
    serve { idle_timeout = 0.05 }
    local stream <close> = raw.connect(base)
    stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.equal(200, (raw.read_response(stream)))
    assert.equal("", stream:read_all())
  end)

  it("half a body and then nothing is answered 408", function()
    serve { body_timeout = 0.05 }
    local stream <close> = raw.connect(base)
    stream:write(post .. "Content-Length: 10\r\n\r\nabc")
    assert.equal(408, status_of(stream:read_all()))
  end)

  it("half a body and leaves is no error of the handler's", function()
    local entered = bide.future()
    base = raw.serve(function(req)
      entered:resolve()
      return req.body
    end)
    do
      local stream <close> = raw.connect(base)
      stream:write(post .. "Content-Length: 10\r\n\r\nabc")
      entered:await()
    end
  end)

  it("a request and reads the answer never is dropped in time", function()
    local ended = bide.future()
    base = raw.serve(function(req)
      if req.method == "POST" then return req.body end
      return setmetatable({}, {
        __call = function() return ("x"):rep(100000) end,
        __close = function() ended:resolve() end,
      })
    end, { write_timeout = 0.05 })
    local stream <close> = raw.connect(base)
    stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    ended:await()
  end)

  it("a body byte by byte does not gain time by it", function()
    serve { min_rate = 2000, rate_grace = 0.05 }
    local stream <close> = raw.connect(base)
    stream:write(post .. "Content-Length: 100000\r\n\r\n")
    local writer = bide.spawn(function()
      while bide.try(stream.write, stream, "G") do bide.sleep(0.005) end
    end)
    local began = bide.now()
    assert.equal(408, status_of(stream:read_all()))
    assert.is_true(bide.now() - began < 5)
    writer:cancel()
  end)

  it("a body in pieces byte by byte neither", function()
    base = raw.serve(function(req)
      local n = 0
      for piece in req:chunks() do n = n + #piece end
      return tostring(n == 5 and "alive" or n)
    end, { min_rate = 2000, rate_grace = 0.05 })
    local stream <close> = raw.connect(base)
    stream:write(post .. "Content-Length: 100000\r\n\r\n")
    local writer = bide.spawn(function()
      while bide.try(stream.write, stream, "G") do bide.sleep(0.005) end
    end)
    assert.equal(408, status_of(stream:read_all()))
    writer:cancel()
  end)

  it("a body slowly, but fast enough, is answered", function()
    serve { min_rate = 100, rate_grace = 0.02 }
    local stream <close> = raw.connect(base)
    stream:write(post .. "Content-Length: 100\r\n\r\n")
    for _ = 1, 10 do
      stream:write(("x"):rep(10)) -- worth 0.1 s
      bide.sleep(0.01)
    end
    local status, body = raw.read_response(stream)
    assert.same({ 200, ("x"):rep(100) }, { status, body })
  end)

  it("a request and reads the answer too slowly is dropped in time", function()
    local entries, ended = {}, bide.future()
    base = raw.serve(function(req)
      if req.method == "POST" then return req.body end
      return setmetatable({}, {
        __call = function() return ("x"):rep(100000) end,
        __close = function() ended:resolve() end,
      })
    end, { min_rate = 1e12, rate_grace = 0.05, log = function(e) entries[#entries + 1] = e end })
    local stream <close> = raw.connect(base)
    stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    local reader = bide.spawn(function()
      while bide.try(stream.read, stream, 1000) do bide.sleep(0.002) end
    end)
    ended:await()
    reader:cancel()
    assert.is_nil(entries[1].status)
    assert.equal("the response was not taken in time", entries[1].reason)
  end)

  it("a request and takes its time over an answer is served, at the least rate", function()
    local size = 20 * 1024 * 1024
    local body = ("x"):rep(size)
    base = raw.serve(function(req)
      return req.method == "POST" and req.body or body
    end, { min_rate = 1000000, rate_grace = 0.02 })
    local stream <close> = raw.connect(base)
    stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    raw.read_head(stream)
    local n = 0
    while n < size do
      n = n + #stream:read_exactly(math.min(1000000, size - n)) -- worth 1 s
      bide.sleep(0.01)
    end
  end)

  it("a pipeline without end is made to wait", function()
    local gate, handled = bide.future(), 0
    base = raw.serve(function(req)
      handled = handled + 1
      if req.method == "GET" then gate:await() end
      return req.body
    end)
    local stream <close> = raw.connect(base)
    local sent = 0
    local writer = bide.spawn(function()
      local many = ("GET / HTTP/1.1\r\nHost: x\r\n\r\n"):rep(1000)
      for _ = 1, 10000 do
        stream:write(many)
        sent = sent + #many
      end
    end)
    local before
    raw.bounded(15, 32, function()
      repeat
        before = sent
        bide.sleep(0.02)
      until before == sent
    end)
    assert.equal(1, handled)
    assert.is_true(sent < 32 * 1024 * 1024)
    writer:cancel()
    gate:resolve()
  end)

  it("leaves at each byte of a request, politely or by a reset, leaves nothing behind", function()
    local bytes = post .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    local before = testing.counts()
    for _, linger in ipairs { false, true } do
      for i = 0, #bytes do
        local client = socket.tcp()
        assert(client:connect("127.0.0.1", base:match ":(%d+)$"))
        if linger then assert(client:setoption("linger", { on = true, timeout = 0 })) end
        if i > 0 then client:send(bytes:sub(1, i)) end
        bide.sleep(0)
        client:close()
      end
    end
    local after
    repeat
      bide.sleep(0)
      after = testing.counts()
    until after.tasks <= before.tasks
    assert.equal(before.handles, after.handles)
  end)

  it("resets at each byte of the answer costs nobody else anything", function()
    local large = ("x"):rep(2000000)
    base = raw.serve(function(req) return req.method == "POST" and req.body or large end)
    for i = 1, 40 do
      local client = socket.tcp()
      assert(client:connect("127.0.0.1", base:match ":(%d+)$"))
      client:setoption("linger", { on = true, timeout = 0 })
      client:send "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      if i > 1 then client:receive(i * i * 10) end
      client:close()
    end
  end)

  it("every split of a request gets the same answer", function()
    local bytes = post .. "X-Y: z\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for i = 1, #bytes - 1 do
      local stream <close> = raw.connect(base)
      stream:write(bytes:sub(1, i))
      bide.sleep(0)
      stream:write(bytes:sub(i + 1))
      local status, body = raw.read_response(stream)
      assert.same({ 200, "abc" }, { status, body })
    end
  end)

  it("a flood of connections past the limit is told 503 or waits, in bounded memory", function()
    serve { max_connections = 5, idle_timeout = 30 }
    local streams = {}
    for i = 1, 5 do
      streams[i] = raw.connect(base)
      streams[i]:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.equal(200, (raw.read_response(streams[i])))
    end
    collectgarbage()
    local before, told = collectgarbage "count", 0
    local served = bide.daemon(function() -- meanwhile
      while true do
        streams[3]:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert(raw.read_response(streams[3]) == 200)
        bide.sleep(0)
      end
    end)
    local list = {}
    for i = 1, 400 do
      list[i] = function()
        local stream <close> = raw.connect(base)
        if status_of(stream:read_all()) == 503 then told = told + 1 end
      end
    end
    raw.bounded(15, 16, function() bide.gather(list) end)
    assert.equal(400, told)
    list = nil -- luacheck: ignore 311
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 2048)
    assert.equal("pending", served:status())
    served:cancel()
    bide.sleep(0)
    for i = 1, 5 do streams[i]:close() end
    while status_of(raw.exchange(base, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")) ~= 200 do
      bide.sleep(0)
    end
  end)

  it("a thousand requests in a pipeline, then one that is wrong, gets all answers", function()
    local stream <close> = raw.connect(base)
    local writer = bide.spawn(function()
      stream:write((post .. "Content-Length: 2\r\n\r\nhi"):rep(1000) .. "G\0T / HTTP/1.1\r\n\r\n")
    end)
    for _ = 1, 1000 do
      local status, body = raw.read_response(stream)
      assert(status == 200 and body == "hi")
    end
    assert.equal(400, (raw.read_response(stream)))
    assert.equal("", stream:read_all())
    writer:await()
  end)

  it("slow heads, slow bodies and slow reading, from many at once, keeps nobody else waiting",
    function()
      local large = ("x"):rep(4000000)
      base = raw.serve(function(req)
        if req.path == "/large" then return large end
        return req.body
      end, { log = false })
      local slow = {}
      for i = 1, 40 do
        slow[i] = { raw.connect(base), raw.connect(base), raw.connect(base) }
        slow[i][1]:write "GET / HTTP/1.1\r\nHost: x\r\nX: "
        slow[i][2]:write(post .. "Content-Length: 1000\r\n\r\n")
        slow[i][3]:write "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
      end
      local drip = bide.daemon(function()
        while true do
          for _, s in ipairs(slow) do
            s[1]:write "x"
            s[2]:write "x"
            s[3]:read(1)
          end
          bide.sleep(0.005)
        end
      end)
      raw.bounded(10, 64, function()
        for i = 1, 100 do
          assert(bide.http.post(base, { body = "n" .. i, timeout = 5 }).body == "n" .. i)
        end
      end)
      assert.equal("pending", drip:status())
      drip:cancel()
      bide.sleep(0)
      for _, s in ipairs(slow) do for i = 1, 3 do s[i]:close() end end
    end)

  it("what one hop may see as two requests is answered once, and closed", function()
    local seen = {}
    base = raw.serve(function(req)
      seen[#seen + 1] = req.method .. req.path
      return req.body
    end)
    local hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    local smuggled = {
      "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
      "Transfer-Encoding:\v chunked\r\n\r\n0\r\n\r\n",
      "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "Content-Length: 0\r\nContent-Length: " .. #hidden .. "\r\n\r\n",
      "Content-Length: 0, " .. #hidden .. "\r\n\r\n",
      "Content-Length: +0\r\n\r\n", "Content-Length: 0x0\r\n\r\n",
      "Content Length: 0\r\n\r\n", "Content-Length:\r\n\r\n", "\rX",
    }
    for _, lines in ipairs(smuggled) do
      local answer = raw.exchange(base, post .. lines .. hidden)
      assert.equal(400, status_of(answer), lines)
      assert.equal(1, select(2, answer:gsub("HTTP/1%.1 ", "")), lines)
    end
    assert.same({}, seen)
    -- what is well-formed but odd is one request, and the next one begins where it ends
    for _, lines in ipairs { "Transfer-Encoding: chunked\r\n\r\n0;x=\"\r\"\r\n\r\n",
      "Transfer-Encoding: chunked\r\n\r\n1\r\nZ\n0\r\n\r\n" } do
      raw.exchange(base, post .. lines .. hidden)
    end
    assert.same({ "POST/", "POST/" }, seen)
  end)

  it("more connections than allowed is told 503, and the others are served", function()
    serve { max_connections = 5 }
    local streams = {}
    for i = 1, 5 do
      streams[i] = raw.connect(base)
      streams[i]:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.equal(200, (raw.read_response(streams[i])))
    end
    for _ = 1, 20 do
      local stream <close> = raw.connect(base)
      assert.equal(503, status_of(stream:read_all()))
    end
    streams[3]:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.equal(200, (raw.read_response(streams[3])))
    for i = 1, 5 do streams[i]:close() end
    while status_of(raw.exchange(base, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")) ~= 200 do
      bide.sleep(0)
    end
  end)
end)
