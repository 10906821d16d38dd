-- SPDX-License-Identifier: MIT
-- The annotations for language servers speak of what is there.
local bide = require "bide"
local process = require "spec.support.process"

local files = { "lua/bide/meta/bide.lua", "lua/bide/meta/sync.lua" }
local text = ""
for _, path in ipairs(files) do text = text .. process.read_file(path) end
local http_file = "lua/bide/meta/http.lua"
local http_text = process.read_file(http_file)

describe("the annotations #core", function()
  it("are Lua", function()
    for _, path in ipairs(files) do assert.truthy(loadfile(path)) end
    assert.truthy(loadfile(http_file))
  end)

  it("name functions that bide has", function()
    for name in text:gmatch "\nfunction bide%.([%w_]+)%(" do
      assert.equal("function", type(bide[name]), name)
    end
  end)

  it("name every function that bide has but those of its libraries", function()
    local of_libraries = { http_get = true, pipe_streams = true }
    for name, value in pairs(bide) do
      if type(value) == "function" and not of_libraries[name] then
        assert.truthy(text:find("\nfunction bide." .. name .. "(", 1, true), name)
      end
    end
  end)

  it("name the methods of tasks, futures and groups", function()
    local task, future = bide.spawn(function() end), bide.future()
    local guard <close> = bide.lock():acquire()
    bide.group(function(group)
      local objects = { Awaitable = { task, future }, Task = { task }, Future = { future },
        Group = { group }, Channel = { bide.channel() }, Lock = { bide.lock() },
        Semaphore = { bide.semaphore(1) }, Event = { bide.event() }, Var = { bide.var() },
        Condition = { bide.condition() }, Guard = { guard } }
      for class, name in text:gmatch "\nfunction (%u%w+):([%w_]+)%(" do
        for _, object in ipairs(objects[class]) do
          assert.equal("function", type(object[name]), class .. ":" .. name)
        end
      end
    end)
  end)

  it("name every function of bide.http, and no other", function()
    local there = { session = bide.http.session ~= nil } -- asking loads what is in Lua
    for name, value in pairs(bide.http) do
      if type(value) == "function" then there[name] = true end
    end
    for name in http_text:gmatch "\nfunction http%.([%w_]+)%(" do
      assert.is_true(there[name], name)
      there[name] = nil
    end
    assert.same({}, there)
  end)

  it("name the methods and options of bide.http", function()
    local server <close> = bide.http.serve({ port = 0, daemon = true }, function(req)
      for name in http_text:gmatch "\nfunction Request:([%w_]+)%(" do
        assert.equal("function", type(req[name]), name)
      end
      return ""
    end)
    local url = ("http://%s:%d"):format(server:address())
    local session <close> = bide.http.session()
    local stream <close> = session:get(url, { stream = true })
    local objects = { Response = session:get(url), Stream = stream, Session = session,
      Headers = stream.headers, Server = server, CookieJar = bide.http.cookie_jar() }
    assert.equal(200, objects.Response.status)
    for class, name in http_text:gmatch "\nfunction (%u%w+):([%w_]+)%(" do
      if class ~= "Request" then
        assert.equal("function", type(objects[class][name]), class .. ":" .. name)
      end
    end
  end)

  local refuses = {
    ["bide.http.Options"] = function(opts) bide.http.get("http://127.0.0.1:1/", opts) end,
    ["bide.http.SessionOptions"] = function(opts) bide.http.session(opts) end,
    ["bide.http.ServerOptions"] = function(opts) bide.http.serve(opts, print) end,
  }
  for class, call in pairs(refuses) do
    it("name options that there are: " .. class, function()
      local fields, n = http_text:match("%-%-%-@class " .. class .. "\n(.-)\n\n"), 0
      for name in fields:gmatch "%-%-%-@field ([%w_]+)" do
        local _, err = pcall(call, { [name] = {} })
        assert.is_nil(tostring(err):find("unknown option '" .. name .. "'", 1, true), name)
        n = n + 1
      end
      assert.is_true(n > 10)
    end)
  end

  it("name the functions of bide.tls, its options and what it tells", function()
    local tls = process.read_file "lua/bide/meta/tls.lua"
    assert.truthy(load(tls))
    for name in pairs(bide.tls) do
      assert.truthy(tls:find("\nfunction tls." .. name .. "(", 1, true), name)
    end
    for name in tls:gmatch "\nfunction tls%.([%w_]+)%(" do
      assert.equal("function", type(bide.tls[name]), name)
    end
    local function options(class)
      return tls:match("%-%-%-@class bide%.tls%." .. class .. "[^\n]*\n(.-)\n\n"):gmatch
        "%-%-%-@field ([%w_]+)"
    end
    local function known(name, f, ...)
      local _, err = pcall(f, ...)
      assert.is_nil(tostring(err):find("unknown option '" .. name .. "'", 1, true), name)
    end
    for name in options "ClientOptions" do
      known(name, bide.tls.connect, "127.0.0.1", 1, { [name] = {} })
    end
    for _, class in ipairs { "NameOptions", "ServerOptions" } do
      for name in options(class) do
        known(name, bide.tls.listen, "127.0.0.1", 0, print, { [name] = {} })
      end
    end
  end)

  it("name the functions of bide.testing and the options of each, and no others", function()
    local testing = bide.testing
    local file = process.read_file "lua/bide/meta/testing.lua"
    assert.truthy(load(file))
    local there = {}
    for name in file:gmatch "\nfunction testing%.([%w_]+)%(" do there[name] = true end
    for name in pairs(testing) do
      assert.is_true(there[name], name)
      there[name] = nil
    end
    assert.same({}, there)

    local function options(class)
      local list = {}
      for name in file:match("%-%-%-@class bide%.testing%." .. class .. "[^\n]*\n(.-)\n\n"):gmatch
        "%-%-%-@field ([%w_]+)" do list[#list + 1] = name end
      table.sort(list)
      return list
    end
    assert.same({ "clock", "left", "seed" }, options "Options")
    assert.same({ "times" }, options "ShakeOptions")
    for _, name in ipairs(options "Options") do
      for _, f in ipairs { testing.run, testing.shake } do
        local _, err = pcall(f, print, { [name] = {} })
        assert.matches("option '" .. name .. "': ", err, 1, true)
      end
    end
    local _, err = pcall(testing.run, print, { times = 1 })
    assert.matches("unknown option 'times'", err, 1, true)
    _, err = pcall(testing.shake, print, { times = {} })
    assert.matches("option 'times': ", err, 1, true)
  end)

  it("name the functions of streams, servers, datagrams and look-ups, and no others", function()
    local net = process.read_file "lua/bide/meta/net.lua"
    assert.truthy(load(net))
    for _, library in ipairs { "tcp", "unix", "udp", "dns" } do
      for name in net:gmatch("\nfunction " .. library .. "%.([%w_]+)%(") do
        assert.equal("function", type(bide[library][name]), library .. "." .. name)
      end
      for name in pairs(bide[library]) do
        assert.truthy(net:find(("\nfunction %s.%s("):format(library, name), 1, true),
          library .. "." .. name)
      end
    end
    local server = bide.tcp.listen("127.0.0.1", 0, function() end)
    local stream, datagrams = bide.tcp.connect(server:address()), bide.udp.bind("127.0.0.1", 0)
    local objects = { Stream = stream, StreamServer = server, Datagrams = datagrams }
    for class, name in net:gmatch "\nfunction (%u%w+):([%w_]+)%(" do
      assert.equal("function", type(objects[class][name]), class .. ":" .. name)
    end
    datagrams:close()
    stream:close()
    server:close()
  end)
end)
