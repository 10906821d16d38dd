-- SPDX-License-Identifier: MIT
-- Certificates made on the fly by the openssl command: an authority, what it signed, and what is
-- wrong in one way each. Made once per process, into a directory that goes with it.

local process = require "spec.support.process"

local M = {}

local dir, made

local function run(script)
  local ok = os.execute("cd '" .. dir .. "' && exec >openssl.log 2>&1 && set -e\n" .. script)
  if not ok then error("openssl failed:\n" .. process.read_file(dir .. "/openssl.log"), 0) end
end

local KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

-- An authority NAME of its own, valid long.
local function authority(name)
  return ([[
openssl req -x509 %s -days 30 -subj '/CN=%s authority' -keyout %s.key -out %s.pem \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
]]):format(KEY, name, name, name)
end

-- A certificate NAME signed by CA for these names, valid from..to (openssl's dates).
local function signed(name, ca, names, from, to, usage)
  return ([[
openssl req -new %s -subj '/CN=%s' -keyout %s.key -out %s.csr
printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=%s\n' >%s.ext
mkdir -p db; : >db/index; echo 01 >db/serial
openssl ca -batch -notext -config ca.conf -keyfile %s.key -cert %s.pem -in %s.csr -out %s.pem \
  -extfile %s.ext -startdate %s -enddate %s
]]):format(KEY, name, name, name, names, usage or "serverAuth,clientAuth", name, ca, ca, name, name,
    name, from, to)
end

local CONF = [[
[ca]
default_ca = it
[it]
new_certs_dir = db
database = db/index
serial = db/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
]]

local function make()
  local long_ago, past, future = "20200101000000Z", "20210101000000Z", "20490101000000Z"
  process.write_file(dir .. "/ca.conf", CONF)
  run(authority "ca" .. authority "other"
    .. signed("middle-request", "ca", "DNS:none", long_ago, future)
    .. signed("good", "ca", "DNS:a.example,DNS:*.b.example,DNS:localhost,IP:127.0.0.1", long_ago,
      future)
    .. signed("named", "ca", "DNS:c.example", long_ago, future)
    .. signed("expired", "ca", "IP:127.0.0.1", long_ago, past)
    .. signed("early", "ca", "IP:127.0.0.1", "20480101000000Z", future)
    .. signed("unknown", "other", "IP:127.0.0.1", long_ago, future)
    .. signed("odd", "ca", ("DNS:" .. ("x"):rep(60) .. "\27[31m\200.example,"):rep(40) .. "DNS:z",
      long_ago, future)
    .. signed("client", "ca", "DNS:client", long_ago, future)
    .. [[
openssl req -x509 ]] .. KEY .. [[ -days 30 -subj /CN=self -addext subjectAltName=IP:127.0.0.1 \
  -keyout self.key -out self.pem
cat good.pem good.key >both.pem
openssl ec -in good.key -aes128 -passout pass:x -out locked.key
mkdir hashed; cp ca.pem hashed/; openssl rehash hashed
]])
end

local function prepare()
  if made then return end
  dir = process.temporary_directory()
  M.guard = setmetatable({}, { __gc = function() process.remove(dir) end })
  make()
  made = true
end

---The path of a file: "ca.pem", "good.key", …
function M.path(name)
  prepare()
  return dir .. "/" .. name
end

---Its text.
function M.text(name) return process.read_file(M.path(name)) end

---Options of a server with that certificate, `more` added.
function M.server(name, more)
  local opts = { cert = M.path(name .. ".pem"), key = M.path(name .. ".key"), daemon = true }
  for k, v in pairs(more or {}) do opts[k] = v end
  return opts
end

return M
