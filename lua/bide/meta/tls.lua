---@meta
-- SPDX-License-Identifier: MIT
-- The types of bide.tls, for language servers; docs/reference/tls.md tells the rest. Never loaded by
-- a program.

---@class bide
local bide = {}

---@class bide.tls
local tls = {}

---@type bide.tls
bide.tls = tls

---@class bide.Stream
local Stream = {}

---@class bide.tls.ClientOptions
---@field verify? boolean      true: the chain and the name
---@field ca? string           trusted instead of the system's: a file, a hashed directory, PEM text
---@field cert? string         our own, with its chain: a file or PEM text
---@field key? string          else it is in `cert`
---@field servername? string   the name to ask for and to verify: the host
---@field alpn? string[]       the best first
---@field version? "1.2"|"1.3" the least

---@class bide.tls.NameOptions
---@field cert string
---@field key? string
---@field ca? string                 who may issue clients' certificates
---@field verify? boolean|"optional" of clients' certificates
---@field alpn? string[]
---@field version? "1.2"|"1.3"

---@class bide.tls.ServerOptions: bide.tls.NameOptions
---@field sni? table<string, bide.tls.NameOptions> by the name that is asked for; "*.x": one label longer
---@field handshake_timeout? bide.seconds 10

---@class bide.tls.ConnectOptions: bide.ConnectOptions, bide.tls.ClientOptions

---@class bide.tls.ListenOptions: bide.ListenOptions, bide.tls.ServerOptions

---@class bide.tls.StarttlsOptions: bide.tls.ClientOptions
---@field timeout? bide.seconds 10
---@field server? boolean
---@field sni? table<string, bide.tls.NameOptions> of a server

---@class bide.tls.Certificate
---@field subject string
---@field issuer string
---@field names string[]       DNS names and addresses
---@field not_before integer   as of os.time
---@field not_after integer
---@field sha256 string        in hexadecimal

---@class bide.tls.Info
---@field version string
---@field cipher string
---@field alpn? string
---@field server_name? string
---@field resumed boolean
---@field verified boolean
---@field peer? bide.tls.Certificate

---@async
---@param host string
---@param port integer
---@param opts? bide.tls.ConnectOptions
---@return bide.Stream
function tls.connect(host, port, opts) end

---@async
---@param host string
---@param port integer
---@param handler fun(stream: bide.Stream)  called once the handshake is through
---@param opts bide.tls.ListenOptions
---@return bide.StreamServer
function tls.listen(host, port, handler, opts) end

---Encrypts from now on. When it fails or is cancelled, the stream is closed.
---@async
---@param opts? bide.tls.StarttlsOptions
---@return bide.Stream self
function Stream:starttls(opts) end

---Nil of a stream that is not encrypted.
---@return bide.tls.Info?
function Stream:tls_info() end
