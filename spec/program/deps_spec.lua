-- SPDX-License-Identifier: MIT
-- What `make deps` does on machines that lack something, told by stand-ins for the system's tools.

local process = require "spec.support.process"

describe("make deps", function()
  local dir

  before_each(function() dir = process.temporary_directory() end)
  after_each(function() process.remove(dir) end)

  -- A tool that notes how it was called and does `body`.
  local function tool(name, body)
    local path = dir .. "/bin/" .. name
    process.write_file(path, ("#!%s/bin/sh\necho %s \"$@\" >>%s/calls\n%s\n")
      :format(dir, name, dir, body or "true"))
    os.execute("chmod +x " .. path)
  end

  local function calls()
    local file = io.open(dir .. "/calls")
    if not file then return "" end
    local _close <close> = file
    return file:read "a"
  end

  -- Runs .ci/deps where there is nothing but a shell and the tools above.
  local function deps(...)
    local command = { "env", "-i", "PATH=" .. dir .. "/bin", dir .. "/bin/sh", ".ci/deps", ... }
    return process.run(command)
  end

  local function machine(user)
    os.execute(("mkdir %s/bin && ln -s $(command -v sh) %s/bin/sh"):format(dir, dir))
    os.execute(("ln -s $(command -v env) %s/bin/env"):format(dir))
    tool("id", "echo " .. user)
  end

  it("tells what is missing, and stops, where there is no apt-get", function()
    machine(0)
    local result = deps("build")
    assert.equal(1, result.status)
    assert.matches("please install", result.err, 1, true)
    assert.matches(" gcc .*liblua5.4%-dev libuv1%-dev ", result.err)
  end)

  it("does the same for a user who can't become root", function()
    machine(1000)
    tool("dpkg-query", "false")
    tool("apt-get")
    local result = deps("build")
    assert.equal(1, result.status)
    assert.matches("not root and no sudo", result.err, 1, true)
    assert.matches(" gcc .*liblua5.4%-dev libuv1%-dev ", result.err)
    assert.is_nil(calls():find("apt-get", 1, true))
  end)

  it("installs what is missing through apt-get, with sudo when not root", function()
    machine(1000)
    tool("dpkg-query", '[ "$4" = libuv1-dev ] && echo installed')
    tool("apt-get")
    tool("sudo", 'exec "$@"')
    local result = deps("build")
    assert.equal(0, result.status, result.err)
    local install = calls():match "\napt%-get [^\n]*install[^\n]*"
    assert.matches("liblua5.4-dev", install, 1, true)
    assert.is_nil(install:find("libuv1-dev", 1, true))
    assert.matches("\nsudo env DEBIAN_FRONTEND=noninteractive apt-get", calls(), 1, true)
  end)

  it("asks for fresh lists and tries once more when that fails", function()
    machine(0)
    tool("dpkg-query", "false")
    tool("apt-get", ('case "$*" in *update*) : >%s/updated ;; *) [ -f %s/updated ] ;; esac')
      :format(dir, dir))
    assert.equal(0, deps("build").status)
    assert.matches("install.*update.*install", calls())
    tool("apt-get", "false")
    assert.is_true(deps("build").status ~= 0)
  end)

  it("does nothing, and asks no network, when all is there", function()
    machine(0)
    tool("dpkg-query", "echo installed")
    tool("apt-get")
    assert.same({ status = 0, out = "", err = "" }, deps("build", "test", "bench"))
    assert.is_nil(calls():find("apt-get", 1, true))
  end)

  it("knows its groups", function()
    machine(0)
    assert.equal(2, deps("tset").status)
  end)
end)
