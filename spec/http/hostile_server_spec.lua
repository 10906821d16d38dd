-- SPDX-License-Identifier: MIT
-- What a wrong or malicious server sends, and the error that it becomes, in bounded time and
-- memory.
local bide = require "bide"
local process = require "spec.support.process"
local raw = require "spec.support.http"
local tasks = require "spec.support.tasks"
local http, bounded = bide.http, raw.bounded

local ok_head = "HTTP/1.1 200 OK\r\n"

local function code_for(bytes, opts)
  local code
  opts = opts or {}
  opts.timeout = opts.timeout or 5
  bounded(4, 8, function() code = raw.error_of(http.get, (raw.answering(bytes)), opts).code end)
  return code
end

describe("a hostile server that sends", function()
  local protocol = {
    ["garbage"] = "hello\r\n\r\n",
    ["TLS"] = "\x15\x03\x01\x00\x02\x02\x46\r\n",
    ["another version"] = "HTTP/2.0 200 OK\r\n\r\n",
    ["no version"] = "200 OK\r\n\r\n",
    ["a status of two digits"] = "HTTP/1.1 20 OK\r\n\r\n",
    ["a status of four digits"] = "HTTP/1.1 2000 OK\r\n\r\n",
    ["bare line feeds"] = "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ["a bare carriage return"] = ok_head .. "X: a\rb\r\n\r\n",
    ["a folded header"] = ok_head .. "X: a\r\n b\r\n\r\n",
    ["a space before the colon"] = ok_head .. "Content-Length : 1\r\n\r\nx",
    ["NUL in a header"] = ok_head .. "X: a\0b\r\n\r\n",
    ["a negative length"] = ok_head .. "Content-Length: -1\r\n\r\n",
    ["a length with a plus"] = ok_head .. "Content-Length: +1\r\n\r\nx",
    ["a length that overflows"] = ok_head .. "Content-Length: 99999999999999999999999\r\n\r\n",
    ["a length in hex"] = ok_head .. "Content-Length: 0x1\r\n\r\nx",
    ["an empty length"] = ok_head .. "Content-Length:\r\n\r\n",
    ["two lengths"] = ok_head .. "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    ["a list of different lengths"] = ok_head .. "Content-Length: 1, 2\r\n\r\nxx",
    ["length and chunked"] = ok_head ..
      "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ["chunked that is not last"] = ok_head .. "Transfer-Encoding: chunked, gzip\r\n\r\n",
    ["a transfer coding nobody knows"] = ok_head .. "Transfer-Encoding: gzip\r\n\r\nx",
    ["a body cut short"] = ok_head .. "Content-Length: 10\r\n\r\nabc",
    ["chunks cut short"] = ok_head .. "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ["chunks without the last"] = ok_head .. "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    ["a chunk size that is none"] = ok_head .. "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ["a negative chunk size"] = ok_head .. "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    ["a chunk size that overflows"] = ok_head ..
      "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ["a chunk longer than its size"] = ok_head ..
      "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    ["a head cut short"] = ok_head .. "X: y\r\n",
    ["an upgrade that nobody asked for"] = "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ["gzip that is none"] = ok_head ..
      "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
  }
  for what, bytes in pairs(protocol) do
    it(what .. " is a protocol error", function() assert.equal("EPROTO", code_for(bytes)) end)
  end

  it("nothing at all is a reset connection", function()
    assert.equal("ECONNRESET", raw.error_of(http.get, (raw.raw_server(function(stream)
      raw.read_head(stream)
    end))).code)
  end)

  it("a length beyond max_body is refused before the body", function()
    assert.equal("ETOOBIG", code_for(ok_head .. "Content-Length: 1000000000000\r\n\r\n"))
    assert.equal("ETOOBIG", code_for(ok_head .. "Content-Length: 4\r\n\r\nabcd", { max_body = 3 }))
  end)

  it("more than max_body without a length is refused", function()
    assert.equal("ETOOBIG", code_for(ok_head .. "\r\nabcd", { max_body = 3 }))
    assert.equal("ETOOBIG", code_for(
      ok_head .. "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
      { max_body = 3 }))
  end)

  local function endless(first, more)
    local sent = 0
    local base = raw.raw_server(function(stream)
      raw.read_head(stream)
      stream:write(first)
      for _ = 1, 100000 do
        stream:write(more)
        sent = sent + #more
      end
    end)
    bounded(15, 32, function()
      local err = raw.error_of(http.get, base, { timeout = 20 })
      assert.equal("EPROTO", err.code)
    end)
    assert.is_true(sent < 16 * 1024 * 1024)
  end

  it("headers without end is stopped", function()
    endless(ok_head, "X: " .. ("y"):rep(1000) .. "\r\n")
  end)

  it("one header without end is stopped", function() endless(ok_head .. "X: ", ("y"):rep(1000)) end)

  it("a status line without end is stopped", function()
    endless("HTTP/1.1 200 ", ("O"):rep(1000))
  end)

  it("informational responses without end is stopped", function()
    endless("", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
  end)

  it("chunk extensions without end is stopped", function()
    endless(ok_head .. "Transfer-Encoding: chunked\r\n\r\n1", (";x=y"):rep(250))
  end)

  it("trailers without end is stopped", function()
    endless(ok_head .. "Transfer-Encoding: chunked\r\n\r\n0\r\n",
      "X: " .. ("y"):rep(1000) .. "\r\n")
  end)

  it("the same length several times is taken at its word", function()
    for _, lengths in ipairs { "Content-Length: 2\r\nContent-Length: 2\r\n",
      "Content-Length: 2, 2\r\n" } do
      local res = http.get((raw.answering(ok_head .. lengths .. "\r\nhi")))
      assert.equal("hi", res.body)
      assert.equal("2", res.headers["content-length"])
    end
  end)

  it("a few informational responses is heard out", function()
    local base = raw.answering("HTTP/1.1 100 Continue\r\n\r\n" ..
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" .. ok_head .. "Content-Length: 2\r\n\r\nhi")
    assert.equal("hi", http.get(base).body)
  end)

  it("in any split, byte by byte, is read as well", function()
    local bytes = "HTTP/1.1 100 Continue\r\n\r\n" .. ok_head ..
      "Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n02\r\nde\r\n0\r\nT: x\r\n\r\n"
    local base = raw.raw_server(function(stream)
      raw.read_head(stream)
      for i = 1, #bytes do
        stream:write(bytes:sub(i, i))
        bide.sleep(0)
      end
    end)
    assert.equal("abcde", http.get(base).body)
  end)

  it("a body to HEAD, 204 or 304 gets no second request on that connection", function()
    for _, status in ipairs { "204 No Content", "304 Not Modified" } do
      local connections = 0
      local base = raw.raw_server(function(stream, n)
        connections = n
        while raw.read_head(stream) do
          stream:write("HTTP/1.1 " .. status .. "\r\nContent-Length: 3\r\n\r\nabc")
        end
      end)
      assert.equal("", http.get(base).body)
      assert.equal("", http.get(base).body)
      assert.equal(2, connections)
    end
  end)

  describe("a response before the whole request has left", function()
    local bodies = {
      ["a string"] = function() return ("x"):rep(8000000) end,
      ["a function"] = function() return function() return ("x"):rep(100000) end end,
    }
    for what, body in pairs(bodies) do
      for _, last in ipairs { "Connection: close\r\n", "" } do
        it(("counts: %s, %s"):format(what, last == "" and "kept" or "closed"), function()
          local answered = bide.future()
          local base = raw.raw_server(function(stream)
            raw.read_head(stream)
            stream:write(ok_head .. last .. "Content-Length: 5\r\n\r\nearly")
            if last ~= "" then stream:shutdown() end
            answered:await()
          end)
          assert.equal("early", http.post(base, { body = body() }).body)
          answered:resolve()
        end)
      end
    end
  end)

  for what, last in pairs { ["a piece"] = "piece", ["its end"] = false } do
    it("a response before the body has given " .. what .. " ends its connection", function()
      local answered, told = bide.future(), bide.future()
      local base = raw.raw_server(function(stream, n)
        raw.read_head(stream)
        if n > 1 then
          stream:write(ok_head .. "Content-Length: 1\r\n\r\n" .. n)
          return
        end
        stream:write(ok_head .. "Content-Length: 4\r\n\r\nab")
        answered:resolve()
        told:await()
        stream:write "cd"
        stream:read_all()
      end)
      local session <close> = http.session {}
      local res = session:post(base, { body = function()
        answered:await()
        tasks.turns(5)
        told:resolve()
        return last or nil
      end })
      assert.equal("abcd", res.body)
      assert.matches(" 0 connections", tostring(session))
      assert.equal("2", session:get(base).body)
    end)
  end

  it("a response before the request gets none", function()
    local connections = 0
    local base = raw.raw_server(function(stream, n)
      connections = n
      raw.read_head(stream)
      stream:write(ok_head .. "Content-Length: 1\r\n\r\n" .. n)
      if n == 1 then stream:write(ok_head .. "Content-Length: 5\r\n\r\nwrong") end
      raw.read_head(stream)
      stream:write(ok_head .. "Content-Length: 1\r\n\r\n" .. n)
    end)
    local session <close> = http.session {}
    assert.equal("1", session:get(base).body)
    assert.equal("2", session:get(base).body)
    assert.equal(2, connections)
  end)

  describe("compressed bodies", function()
    -- gzip of 64 MiB of zeros, and of "hello" made with zlib at its best level
    local hello = "\31\139\8\0\0\0\0\0\2\3\203\72\205\201\201\7\0\134\166\16\54\5\0\0\0"
    local zlib_hello = "\120\156\203\72\205\201\201\7\0\6\44\2\21"
    local raw_hello = "\203\72\205\201\201\7\0"

    local function served(body, coding, split)
      local base = raw.raw_server(function(stream)
        while raw.read_head(stream) do
          stream:write(("%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"):format(ok_head,
            coding, #body))
          for i = 1, #body, split or #body do
            stream:write(body:sub(i, i + (split or #body) - 1))
            bide.sleep(0)
          end
        end
      end)
      return base
    end

    it("are decoded, gzip and both kinds of deflate, in any split", function()
      for _, split in ipairs { 1, 2, 3, 100 } do
        assert.equal("hello", http.get(served(hello, "gzip", split)).body)
        assert.equal("hello", http.get(served(zlib_hello, "deflate", split)).body)
        assert.equal("hello", http.get(served(raw_hello, "deflate", split)).body)
        assert.equal("hellohello", http.get(served(hello .. hello, "gzip", split)).body)
        local res <close> = http.get(served(hello, "x-gzip", split), { stream = true })
        local parts = {}
        for piece in res:chunks() do parts[#parts + 1] = piece end
        assert.equal("hello", table.concat(parts))
      end
    end)

    it("are left alone when that is asked for, or the coding is unknown", function()
      assert.equal(hello, http.get(served(hello, "gzip"), { decompress = false }).body)
      assert.equal("??", http.get(served("??", "br")).body)
    end)

    it("that are corrupt or cut short are refused", function()
      for i = 1, #hello - 1 do
        assert.equal("EPROTO", raw.error_of(http.get, served(hello:sub(1, i), "gzip")).code)
      end
      for i = 1, #zlib_hello - 1 do
        assert.equal("EPROTO",
          raw.error_of(http.get, served(zlib_hello:sub(1, i), "deflate")).code)
      end
      for i = 1, #raw_hello - 1 do
        assert.equal("EPROTO",
          raw.error_of(http.get, served(raw_hello:sub(1, i), "deflate")).code)
      end
      for i = 1, #hello do -- any byte another one: an error, or what it was (time, system)
        local bent = hello:sub(1, i - 1) .. string.char(hello:byte(i) ~ 0x15) .. hello:sub(i + 1)
        local ok, res = pcall(http.get, served(bent, "gzip"), { timeout = 5 })
        assert.equal(ok and "hello" or "EPROTO", ok and res.body or res.code)
      end
      assert.equal("EPROTO", raw.error_of(http.get, served(hello .. hello:sub(1, 9), "gzip")).code)
      local wrong_sum = hello:sub(1, -9) .. "\0" .. hello:sub(-7)
      assert.equal("EPROTO", raw.error_of(http.get, served(wrong_sum, "gzip")).code)
      assert.equal("EPROTO", raw.error_of(http.get, served(hello .. "x", "gzip")).code)
    end)

    it("may be longer than they are decoded, and than max_body", function()
      assert.equal("hello", http.get(served(hello, "gzip"), { max_body = 5 }).body)
      assert.equal("ETOOBIG", raw.error_of(http.get, served(hello, "gzip"), { max_body = 4 }).code)
      local res <close> = http.get(served(hello, "gzip"), { max_body = 5, stream = true })
      assert.equal("hello", res:read_all())
    end)

    it("that decode to nothing, for ever, are refused", function()
      local nothing = "\31\139\8\0\0\0\0\0\2\3\3\0\0\0\0\0\0\0\0\0"
      local base = raw.raw_server(function(stream)
        raw.read_head(stream)
        stream:write(ok_head .. "Content-Encoding: gzip\r\n\r\n")
        while true do stream:write(nothing:rep(1000)) end
      end)
      assert.equal("ETOOBIG", raw.error_of(http.get, base, { max_body = 100000 }).code)
      local res <close> = http.get(base, { max_body = 100000, stream = true })
      assert.equal("ETOOBIG", raw.error_of(res.read, res).code)
    end)

    it("that expand beyond max_body are refused", function()
      -- stored in 45 bytes per 32 KiB of zeros: one deflate block, repeated
      local dir = process.temporary_directory()
      os.execute(("head -c 100000000 /dev/zero | gzip -9 >%s/bomb"):format(dir))
      local bomb = process.read_file(dir .. "/bomb")
      process.remove(dir)
      assert.is_true(#bomb < 120000)
      local base = served(bomb, "gzip")
      collectgarbage()
      bounded(5, 16, function()
        assert.equal("ETOOBIG", raw.error_of(http.get, base, { max_body = 1000000 }).code)
      end)
      -- streamed, it comes in small pieces
      local res <close> = http.get(served(bomb, "gzip"), { stream = true })
      for _ = 1, 10 do assert.is_true(#res:read() <= 65536) end
    end)
  end)

  describe("bodies of several codings", function()
    local dir
    setup(function() dir = process.temporary_directory() end)
    teardown(function() process.remove(dir) end)

    local function gzip(text)
      local file <close> = assert(io.open(dir .. "/plain", "wb"))
      file:write(text)
      file:close()
      os.execute(("gzip -9 <%s/plain >%s/coded"):format(dir, dir))
      return process.read_file(dir .. "/coded")
    end

    -- zlib's format (RFC 1950) without any compression
    local function deflate(text)
      local a, b = 1, 0
      for i = 1, #text do
        a = (a + text:byte(i)) % 65521
        b = (b + a) % 65521
      end
      return "\x78\1\1" .. string.pack("<I2I2", #text, ~#text & 0xffff) .. text ..
        string.pack(">I4", b << 16 | a)
    end

    local function served(body, fields)
      local base = raw.raw_server(function(stream)
        while raw.read_head(stream) do
          stream:write(("%s%sContent-Length: %d\r\n\r\n"):format(ok_head, fields, #body))
          local half = #body // 2
          stream:write(body:sub(1, half))
          bide.sleep(0)
          stream:write(body:sub(half + 1))
        end
      end)
      return base
    end

    local function coded(body, list)
      return served(body, "Content-Encoding: " .. list .. "\r\n")
    end

    it("are decoded, the one applied last first", function()
      local text = ("hello, world; "):rep(5000)
      assert.equal(text, http.get(coded(gzip(gzip(text)), "gzip, gzip")).body)
      assert.equal(text, http.get(coded(gzip(gzip(gzip(text))), "gzip,x-gzip, gzip")).body)
      assert.equal("abc", http.get(coded(gzip(deflate "abc"), "deflate, gzip")).body)
      assert.equal(text, http.get(coded(deflate(gzip(text)), "gzip, identity, , deflate")).body)
      local lines = "Content-Encoding: deflate\r\nContent-Encoding: gzip\r\n"
      assert.equal("abc", http.get(served(gzip(deflate "abc"), lines)).body)
      local res <close> = http.get(coded(gzip(gzip(text)), "gzip, gzip"), { stream = true })
      assert.equal(text, res:read_all())
    end)

    it("are left alone when one of the codings is unknown", function()
      assert.equal("??", http.get(coded("??", "br, gzip")).body)
      assert.equal("??", http.get(coded("??", "gzip, gzip, gzip, gzip, br")).body)
    end)

    it("are refused beyond three of them", function()
      local err = raw.error_of(http.get, coded("x", "gzip, gzip, gzip, gzip"))
      assert.equal("EPROTO", err.code)
      assert.matches("too many content codings", err.message)
      err = raw.error_of(http.get, coded("x", ("gzip, "):rep(1000)), { stream = true })
      assert.equal("EPROTO", err.code)
    end)

    it("that are corrupt or cut short are refused, wherever", function()
      local inner = gzip "hello"
      for i = 1, #inner - 1 do
        local err = raw.error_of(http.get, coded(gzip(inner:sub(1, i)), "gzip, gzip"))
        assert.equal("EPROTO", err.code)
      end
      local outer = gzip(inner)
      for i = 1, #outer - 1 do
        local err = raw.error_of(http.get, coded(outer:sub(1, i), "gzip, gzip"))
        assert.equal("EPROTO", err.code)
      end
      assert.equal("EPROTO", raw.error_of(http.get, coded(gzip(deflate "a" .. "x"),
        "deflate, gzip")).code)
    end)

    it("have max_body as the bound of each form", function()
      local nothing = gzip ""
      local bomb = gzip(nothing:rep(200000))
      assert.is_true(#bomb < 40000)
      local base = coded(bomb, "gzip, gzip")
      assert.equal("ETOOBIG", raw.error_of(http.get, base, { max_body = 100000 }).code)
      local thrice = gzip(gzip(("\0"):rep(3000000)))
      assert.is_true(#thrice < 1000)
      assert.equal(3000000, #http.get(coded(thrice, "gzip, gzip")).body)
      assert.equal("ETOOBIG", raw.error_of(http.get, coded(thrice, "gzip, gzip"),
        { max_body = 1000000 }).code)
    end)

    it("expand a hundred times between two codings, at most, also where nothing is bounded",
      function()
        local bomb = gzip(gzip(gzip "":rep(1000000)))
        assert.is_true(#bomb < 1000)
        local res <close> = http.get(coded(bomb, "gzip, gzip, gzip"), { stream = true })
        bounded(2, 16, function() assert.equal("ETOOBIG", raw.error_of(res.read, res).code) end)
      end)
  end)

  it("a body byte by byte, for ever, is stopped by the time for the whole", function()
    local base = raw.raw_server(function(stream)
      raw.read_head(stream)
      stream:write(ok_head .. "Content-Length: 1000000\r\n\r\n")
      while true do
        stream:write "x"
        bide.sleep(0.005)
      end
    end)
    local err = raw.error_of(http.get, base, { timeout = { total = 0.1, read = 0.05 } })
    assert.same({ "ETIMEDOUT", "total" }, { err.code, err.phase })
  end)

  it("bytes that nobody asked for loses its idle connection", function()
    local go, connections = bide.event(), 0
    local base = raw.raw_server(function(stream, n)
      connections = n
      raw.read_head(stream)
      stream:write(ok_head .. "Content-Length: 1\r\n\r\n" .. n)
      if n > 1 then return stream:read() end
      go:wait()
      stream:write(ok_head .. "Content-Length: 4\r\n\r\nevil")
      stream:read()
    end)
    local session <close> = http.session {}
    assert.equal("1", session:get(base).body)
    go:set()
    while not tostring(session):find " 0 connections" do bide.sleep(0) end
    assert.equal("2", session:get(base).body)
    assert.equal(2, connections)
  end)

  it("a reset at any byte is an error, never half a body", function()
    local bytes = ok_head .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for i = 0, #bytes - 1 do
      local base = raw.raw_server(function(stream)
        stream:read_exactly(3) -- the rest is unread: closing resets
        stream:write(bytes:sub(1, i))
      end)
      local code = raw.error_of(http.get, base, { timeout = 5 }).code
      assert(code == "ECONNRESET" or code == "EPROTO", code)
    end
  end)

  it("data that nobody reads is not taken without bound", function()
    local sent = 0
    local base = raw.raw_server(function(stream)
      raw.read_head(stream)
      stream:write(ok_head .. "\r\n")
      while true do
        stream:write(("x"):rep(65536))
        sent = sent + 65536
      end
    end)
    local _ <close> = http.get(base, { stream = true })
    local before
    repeat
      before = sent
      bide.sleep(0.02)
    until before == sent
    assert.is_true(sent < 32 * 1024 * 1024)
  end)

  it("lines or events without end is stopped", function()
    for _, method in ipairs { "lines", "events" } do
      local base = raw.raw_server(function(stream)
        raw.read_head(stream)
        stream:write(ok_head .. "\r\ndata: ")
        for _ = 1, 10000 do stream:write(("x"):rep(65536)) end
      end)
      local res <close> = http.get(base, { stream = true })
      assert.equal("ETOOBIG", raw.error_of(function() for _ in res[method](res) do end end).code)
    end
  end)

  it("an answer while the request is still being sent ends the sending", function()
    local base = raw.raw_server(function(stream)
      raw.read_head(stream)
      stream:write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n" ..
        "Connection: close\r\n\r\nno")
      stream:shutdown()
      while stream:read() do end
    end)
    local pieces = 0
    local res = http.post(base, { timeout = 10, body = function()
      pieces = pieces + 1
      bide.sleep(0)
      return ("x"):rep(1000)
    end })
    assert.same({ 413, "no" }, { res.status, res.body })
    assert.is_true(pieces < 10000)
  end)
end)
