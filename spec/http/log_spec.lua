-- SPDX-License-Identifier: MIT
-- What a server tells about the requests that it refused.
local bide = require "bide"
local raw = require "spec.support.http"
local script = require "spec.support.script"

local ok_request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
local post = "POST /p HTTP/1.1\r\nHost: x\r\n"

describe("a server's log", function()
  local entries, base

  local function serve(opts)
    entries = {}
    opts = opts or {}
    opts.log = function(entry) entries[#entries + 1] = entry end
    base = raw.serve(function(req) return req.body end, opts)
  end

  --- What is told once there are n entries.
  local function wait_for(n)
    while #entries < n do bide.sleep(0.001) end
    return entries[n]
  end

  it("names peer, status, reason, method and target", function()
    serve()
    local stream <close> = raw.connect(base)
    local _, port = stream:local_address()
    stream:write("GET /a?b HTTP/1.1\r\nX : y\r\n\r\n")
    stream:read_all()
    local peer = "127.0.0.1:" .. port
    assert.same({ status = 400, peer = peer, method = "GET", target = "/a?b",
      reason = "whitespace before the colon of a header",
      message = peer .. ": 400: whitespace before the colon of a header: GET /a?b" }, wait_for(1))
  end)

  for what, case in pairs {
    ["garbage"] = { 400, "h\xffllo\r\n\r\n" },
    ["a target too long"] = { 414, "GET /" .. ("a"):rep(9000) .. " HTTP/1.1\r\n", "GET" },
    ["a body too large"] = { 413, post .. "Content-Length: 1001\r\n\r\n", "POST", "/p" },
    ["a chunked body too large"] = { 413, post .. "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" ..
      ("x"):rep(1001), "POST", "/p" },
    ["a wrong chunk"] = { 400, post .. "Transfer-Encoding: chunked\r\n\r\nx\r\n", "POST", "/p" },
    ["too large a head"] = { 431, "GET /h HTTP/1.1\r\nX: " .. ("x"):rep(17000), "GET", "/h" },
  } do
    it("tells about " .. what, function()
      serve { max_body = 1000 }
      raw.exchange(base, case[2])
      local entry = wait_for(1)
      assert.equal(case[1], entry.status)
      assert.equal(case[3], entry.method)
      if case[4] then assert.equal(case[4], entry.target) end
      assert.is_true(#entry.message < 800)
    end)
  end

  it("tells about heads and bodies that do not come", function()
    serve { header_timeout = 0.02, body_timeout = 0.02 }
    local one <close> = raw.connect(base)
    one:write("GET /one HTTP/1.1\r\n" .. ("X: y\r\n"):rep(50))
    local entry = wait_for(1)
    assert.same({ 408, "GET", "/one" }, { entry.status, entry.method, entry.target })
    local two <close> = raw.connect(base)
    two:write(post .. "Content-Length: 3\r\n\r\nx")
    entry = wait_for(2)
    assert.same({ 408, "POST", "/p" }, { entry.status, entry.method, entry.target })
  end)

  it("tells about connections past the limit", function()
    serve { max_connections = 1 }
    local one <close> = raw.connect(base)
    one:write(ok_request)
    raw.read_response(one)
    local two <close> = raw.connect(base)
    two:read_all()
    assert.equal(503, wait_for(1).status)
  end)

  it("escapes and cuts what a client sent", function()
    serve()
    raw.exchange(base, "GET /\xc3\xa4\\" .. ("b"):rep(200) .. " HTTP/1.1\r\nHost : x\r\n\r\n")
    local target = wait_for(1).target
    assert.matches("^/\\xc3\\xa4\\x5cb+%.%.%.$", target)
    assert.is_true(#target < 140)
    assert.is_nil(entries[1].message:find("[^ -~]"))
  end)

  it("tells nothing of requests that were answered by the handler", function()
    serve()
    raw.exchange(base, ok_request)
    raw.exchange(base, ok_request .. post .. "Content-Length: 1\r\n\r\nx")
    raw.exchange(base, "bad\r\n\r\n")
    assert.equal("400", wait_for(1).message:match(": (%d+)"))
    assert.equal(1, #entries)
  end)

  it("tells of ten in a second, then how many more there were", function()
    serve()
    for _ = 1, 40 do raw.exchange(base, "bad\r\n\r\n") end
    local entry = wait_for(11)
    for i = 1, 10 do assert.is_nil(entries[i].count) end
    assert.same({ count = 30, message = "30 more requests refused" }, entry)
  end)

  it("tells the rest when the server is closed", function()
    entries = {}
    local function log(entry) entries[#entries + 1] = entry end
    local server = bide.http.serve({ port = 0, log = log }, function() end)
    local _, port = server:address()
    for _ = 1, 15 do raw.exchange("http://127.0.0.1:" .. port, "bad\r\n\r\n") end
    server:close()
    bide.sleep(0)
    assert.equal(5, entries[11].count)
  end)

  it("may wait in its function, whose error is reported as any", function()
    local reported
    local before = bide.on_unhandled(function(err) reported = err end)
    local _ <close> = setmetatable({}, { __close = function() bide.on_unhandled(before) end })
    base = raw.serve(function() end, { log = function()
      bide.sleep(0.001)
      error("log is full", 0)
    end })
    raw.exchange(base, "bad\r\n\r\n")
    while not reported do
      collectgarbage()
      bide.sleep(0.001)
    end
    assert.equal("log is full", reported)
  end)

  it("is lines on stderr by default, and silent when told so", function()
    local code = [[
      local bide = require "bide"
      bide.run(function()
        local server <close> = bide.http.serve({ port = 0, log = %s }, function() end)
        local _, port = server:address()
        local stream <close> = bide.tcp.connect("127.0.0.1", port)
        stream:write("GET /x HTTP/9\r\n\r\n")
        stream:read_all()
      end)
    ]]
    for _, value in ipairs { "nil", "true" } do
      local result = script.run(code:format(value))
      assert.matches("^bide: http server: 127.0.0.1:%d+: 505: unsupported HTTP version: GET /x\n$",
        result.err)
      assert.equal(0, result.status)
    end
    assert.equal("", script.run(code:format("false")).err)
  end)

  it("is a boolean or a function", function()
    assert.error_matches(function() bide.http.serve({ log = "x" }, print) end, "'log'")
  end)
end)
