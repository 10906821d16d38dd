-- SPDX-License-Identifier: MIT
-- bide.socket.ssl_config: LuaSec's parameters, and the contexts made of them.
--
-- What bide decides itself is taken and has no effect: `options`, `ciphers`, `ciphersuites`,
-- `curve`, `curveslist`, `dhparam`, `depth`, `verifyext`, `dane`, `password`. TLS 1.2 is the least
-- whatever `protocol` says.

local base = require "bide.socket.base"

local M = {}

local Context = { __name = "SSL context" }
Context.__index = Context

-- Protocols → the least version.
local protocols = {
  any = "1.2", sslv23 = "1.2", tlsv1 = "1.2", tlsv1_1 = "1.2", tlsv1_2 = "1.2", tlsv1_3 = "1.3",
}

M.known = {
  protocols = { any = true, tlsv1_2 = true, tlsv1_3 = true },
  options = { all = true, no_sslv2 = true, no_sslv3 = true, no_tlsv1 = true, no_tlsv1_1 = true },
  algorithms = { ec = true },
  capabilities = { curves_list = false, dane = false, ecdh_auto = true },
  curves = {},
}

function M.is_context(value)
  return getmetatable(value) == Context
end

local function set_of(value)
  local set = {}
  for _, word in ipairs(type(value) == "table" and value or { value }) do set[word] = true end
  return set
end

--- `verify` of bide's options, of LuaSec's flags.
local function verify_of(flags, is_server)
  local set = set_of(flags)
  if not set.peer then return false end
  if not is_server or set.fail_if_no_peer_cert then return true end
  return "optional"
end

local function alpn_of(value)
  if type(value) == "string" then return { value } end
  if value == nil or type(value) == "table" then return value end
  return nil, "invalid ALPN parameter"
end

--- bide's options for LuaSec's parameters; or nil and what is wrong.
local function options_of(cfg)
  local version = protocols[cfg.protocol or "any"]
  if not version then return nil, ("invalid protocol (%s)"):format(cfg.protocol) end
  if cfg.mode ~= "client" and cfg.mode ~= "server" then
    return nil, ("invalid mode (%s)"):format(tostring(cfg.mode))
  end
  local alpn, err = alpn_of(cfg.alpn)
  if err then return nil, err end
  local own = cfg.certificates and cfg.certificates[1] or cfg
  return {
    version = version, alpn = alpn, ca = cfg.cafile or cfg.capath,
    cert = own.certificate, key = own.certificate and own.key,
    verify = verify_of(cfg.verify, cfg.mode == "server"),
  }
end

--- The context for bide's options.
local function make(opts, is_server)
  local ok, hold = pcall(base.raw.tls_context, opts, is_server)
  if ok then return setmetatable({ hold = hold, opts = opts, is_server = is_server }, Context) end
  return nil, type(hold) == "table" and hold.message or hold
end

--- newcontext(parameters): reads the files, so that wrapping needs no more than this.
function M.newcontext(cfg)
  if type(cfg) ~= "table" then
    error(("bad argument #1 to 'newcontext' (table expected, got %s)"):format(type(cfg)), 2)
  end
  local opts, err = options_of(cfg)
  if not opts then return nil, err end
  return make(opts, cfg.mode == "server")
end

--- The server's context that has those of `names` (name → context) beside it.
function M.with_names(context, names)
  local known = context.with_names
  if not known then
    known = setmetatable({}, { __mode = "k" })
    context.with_names = known
  end
  if not known[names] then
    local opts, sni = {}, {}
    for k, v in pairs(context.opts) do opts[k] = v end
    for name, other in pairs(names) do sni[name] = other.opts end
    opts.sni = sni
    known[names] = assert(make(opts, true))
  end
  return known[names]
end

return M
